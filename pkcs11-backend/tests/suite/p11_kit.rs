//! A token behind p11-kit: its proxy in this process, and its server, which is killed and comes back. What TDES DUKPT needs
//! crosses the wire, and AES derivations do not.

use std::{
    ffi::OsString,
    fs,
    os::unix::{net::UnixStream, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{expected, filled, mixed, open, settings},
    pool::{LONG, eventually, right as all_right},
};
use dukpt::{KeyError, Lifetime};
use pkcs11_backend::{HealthState, Pool, PoolError, PoolSettings, Settings, Token};
use throwaway_token::{Error, ThrowawayToken, find_library, isolated_with, skipped};

fn socket(token: &ThrowawayToken) -> PathBuf {
    token.dir().join("server")
}

struct Server(Child);

impl Server {
    fn start(token: &ThrowawayToken) -> Self {
        let _ = fs::remove_file(socket(token));
        let mut program = Command::new("p11-kit");
        program.args(["server", "--foreground", "--provider"]).arg(token.module()).arg("--name").arg(socket(token));
        program.arg(format!("pkcs11:token={}", token.label()));
        // A group of its own: each client has a process of the server's.
        program.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let server = Self(program.spawn().unwrap());
        // It listens a moment after its socket is there.
        assert!(eventually(|| UnixStream::connect(socket(token)).is_ok()));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).unwrap();
        // SAFETY: sends a signal to the processes that this test started.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        self.0.wait().unwrap();
    }
}

fn ask(pool: &Pool, number: u32) -> Result<Result<Vec<u8>, KeyError>, PoolError> {
    pool.run(LONG, move |store| mixed(store, number))
}

/// HMACs and initial keys: what [`mixed`] does for two numbers of four.
fn right(pool: &Pool) {
    for number in (0..24).filter(|number| number % 4 > 1) {
        assert_eq!(ask(pool, number), Ok(Ok(expected(number))), "{number}: {:?}", pool.health());
    }
}

#[test]
fn a_server_that_is_killed_and_comes_back() -> Result<(), Error> {
    let Some(client) = find_library("p11-kit-client.so") else {
        return skipped("p11-kit-client.so (package p11-kit-modules)");
    };
    if Command::new("p11-kit").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return skipped("p11-kit");
    }
    let environment = |token: &ThrowawayToken| -> Vec<(&'static str, OsString)> {
        let mut address = OsString::from("unix:path=");
        address.push(socket(token));
        vec![("P11_KIT_SERVER_ADDRESS", address)]
    };
    isolated_with("p11_kit::a_server_that_is_killed_and_comes_back", environment, |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let mut server = Some(Server::start(token));
        let mut through = PoolSettings::new(Settings { module: client, ..settings(token) });
        // One call at a time: of two, p11-kit's client leaves one waiting for ever when the server dies (seen with 0.24).
        through.workers = 1;
        (through.first_wait, through.longest_wait) = (Duration::from_millis(10), Duration::from_millis(50));
        let pool = Pool::open(through).unwrap();
        right(&pool);
        // p11-kit carries no parameters of derivations: refused, and no fault of the token.
        assert!(matches!(ask(&pool, 0), Ok(Err(KeyError::Unsupported(_)))), "{:?}", ask(&pool, 0));
        assert_eq!((pool.health().shards[0].epoch, pool.health().shards[0].faults), (1, 0));

        for round in 0..3 {
            let epoch = pool.health().shards[0].epoch;
            thread::scope(|scope| {
                let end = Instant::now() + Duration::from_millis(400);
                for _ in 0..4 {
                    let pool = &pool;
                    scope.spawn(move || {
                        while Instant::now() < end {
                            match ask(pool, 2) {
                                Ok(Ok(result)) => assert_eq!(result, expected(2)),
                                Ok(Err(KeyError::Device { .. })) | Err(PoolError::Unavailable) => {
                                    thread::sleep(Duration::from_millis(1));
                                }
                                other => panic!("{other:?}: {:?}", pool.health()),
                            }
                        }
                    });
                }
                thread::sleep(Duration::from_millis(50 + 20 * round));
                server = None;
            });
            assert!(eventually(|| {
                let _ = ask(&pool, 2);
                pool.health().state == HealthState::Down
            }));
            server = Some(Server::start(token));
            assert!(eventually(|| pool.health().state == HealthState::Serving), "{:?}", pool.health());
            right(&pool);
            assert!(pool.health().shards[0].epoch > epoch);
        }
        drop(server);
    })
}

#[test]
fn through_the_proxy() -> Result<(), Error> {
    let Some(proxy) = find_library("p11-kit-proxy.so") else {
        return skipped("p11-kit-proxy.so (package p11-kit-modules)");
    };
    // The user's own settings of p11-kit.
    let environment = |token: &ThrowawayToken| vec![("XDG_CONFIG_HOME", token.dir().into())];
    isolated_with("p11_kit::through_the_proxy", environment, |token| {
        let modules = token.dir().join("pkcs11/modules");
        fs::create_dir_all(&modules).unwrap();
        fs::write(modules.join("softhsm.module"), format!("module: {}\n", token.module().display())).unwrap();
        let through = Settings { module: proxy, ..settings(token) };
        drop(filled(&Token::open(&through).unwrap(), Lifetime::Permanent));
        let pool = Pool::open(PoolSettings::new(through)).unwrap();
        all_right(&pool, 0..24);
        assert_eq!((pool.health().shards[0].epoch, pool.health().shards[0].faults), (1, 0));
    })
}
