//! What happens to a gateway in the world: the token's memory is moved away, other programs change keys, the process is
//! killed or forks.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    common::{TDES_KEY, expected, filled, id, material, mixed, open, other_session, session_keys, settings},
    pool::{LONG, ask, eventually, right},
};
use dukpt::{KeyError, KeyImport, Lifetime};
use pkcs11_backend::{HealthState, Pool, PoolError, PoolSettings};
use throwaway_token::{Error, ThrowawayToken, isolated};

/// Says to a second process of a test what it is to do.
pub(crate) const ROLE: &str = "DISASTER";

fn pool(token: &ThrowawayToken) -> Pool {
    let mut settings = PoolSettings::new(settings(token));
    settings.longest_wait = Duration::from_millis(100);
    Pool::open(settings).unwrap()
}

/// Runs this test once more in a process beside this one, on the same token.
pub(crate) fn beside(test: &str, role: &str) -> Child {
    let mut program = Command::new(env::current_exe().unwrap());
    program.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// While the body runs, callers ask all the time. What they got that was neither right nor reported, and how many were
/// right.
fn under_load(pool: &Pool, body: impl FnOnce()) -> (Vec<String>, usize) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4u32)
            .map(|caller| {
                let stop = &stop;
                scope.spawn(move || {
                    let (mut wrong, mut good) = (Vec::new(), 0);
                    for number in (caller..).step_by(4) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        match ask(pool, number) {
                            Ok(Ok(result)) if result == expected(number) => good += 1,
                            // Reported, as a fault of the token and not as somebody else's.
                            Ok(Err(KeyError::Device { .. } | KeyError::NotFound(_))) | Err(PoolError::Unavailable) => {
                                thread::sleep(Duration::from_millis(1));
                            }
                            other => wrong.push(format!("{number}: {other:?}")),
                        }
                    }
                    (wrong, good)
                })
            })
            .collect();
        body();
        stop.store(true, Ordering::Relaxed);
        let results = callers.into_iter().map(|caller| caller.join().unwrap());
        results.fold((Vec::new(), 0), |(mut wrong, good), (more, count)| {
            wrong.extend(more);
            (wrong, good + count)
        })
    })
}

#[test]
fn the_tokens_directory_goes_and_comes_back() -> Result<(), Error> {
    isolated("disasters::the_tokens_directory_goes_and_comes_back", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let pool = pool(token);
        right(&pool, 0..24);
        let (here, away) = (token.dir().join("tokens"), token.dir().join("away"));
        let (wrong, good) = under_load(&pool, || {
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(100));
                fs::rename(&here, &away).unwrap();
                assert!(eventually(|| pool.health().state == HealthState::Down), "{:?}", pool.health());
                fs::rename(&away, &here).unwrap();
                assert!(eventually(|| pool.health().state == HealthState::Serving), "{:?}", pool.health());
            }
            thread::sleep(Duration::from_millis(100));
        });
        assert_eq!(wrong, Vec::<String>::new());
        assert!(good > 100, "{good}");
        right(&pool, 0..24);
        assert_eq!(session_keys(&other_session(token)), 0);
    })
}

/// A token with the same label and PIN is not the token.
#[test]
fn another_token_in_its_place() -> Result<(), Error> {
    isolated("disasters::another_token_in_its_place", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let pool = pool(token);
        right(&pool, 0..8);
        let (here, away) = (token.dir().join("tokens"), token.dir().join("away"));
        fs::rename(&here, &away).unwrap();
        fs::create_dir(&here).unwrap();
        let pin = fs::read_to_string(token.pin_file()).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", token.label(), "--so-pin", "5678", "--pin", pin.trim_end()])
            .output()
            .unwrap();
        assert!(made.status.success());
        assert!(eventually(|| {
            let _ = ask(&pool, 0);
            pool.health().state == HealthState::Down
        }));
        let said = pool.health().shards[0].last_fault.clone().unwrap().what;
        assert!(said.contains("it was pkcs11:token=") && said.contains(token.label()), "{said}");
        // Moved and not removed: SoftHSM may be writing a file there.
        fs::rename(&here, token.dir().join("other")).unwrap();
        fs::rename(&away, &here).unwrap();
        assert!(eventually(|| pool.health().state == HealthState::Serving));
        right(&pool, 0..8);
    })
}

#[test]
fn another_process_replaces_a_key() -> Result<(), Error> {
    const NAME: &str = "disasters::another_process_replaces_a_key";
    isolated(NAME, |token| {
        if env::var(ROLE).is_ok() {
            let mut admin = open(token).admin().unwrap();
            for _ in 0..10 {
                admin.delete(&id("tdes")).unwrap();
                admin.import(&id("tdes"), &material("tdes-base", TDES_KEY), Lifetime::Permanent).unwrap();
                thread::sleep(Duration::from_millis(30));
            }
            return;
        }
        drop(filled(&open(token), Lifetime::Permanent));
        let pool = pool(token);
        let (wrong, good) = under_load(&pool, || {
            assert!(beside(NAME, "replace").wait().unwrap().success());
        });
        assert_eq!(wrong, Vec::<String>::new());
        assert!(good > 100, "{good}");
        right(&pool, 0..24);
        assert_eq!(session_keys(&other_session(token)), 0);
    })
}

#[test]
fn killed_in_the_middle_of_its_work() -> Result<(), Error> {
    const NAME: &str = "disasters::killed_in_the_middle_of_its_work";
    isolated(NAME, |token| {
        if env::var(ROLE).is_ok() {
            let pool = pool(token);
            right(&pool, 0..8);
            println!("\nat work");
            let (wrong, _) = under_load(&pool, || thread::sleep(LONG));
            assert!(wrong.is_empty(), "nobody killed it, and it went wrong");
            return;
        }
        let keys = filled(&open(token), Lifetime::Permanent).list().unwrap().len();
        for round in 0..4 {
            let mut gateway = beside(NAME, "work");
            let said = BufReader::new(gateway.stdout.take().unwrap()).lines();
            assert!(said.map_while(Result::ok).any(|line| line == "at work"));
            thread::sleep(Duration::from_millis(37 * (round + 1)));
            gateway.kill().unwrap();
            assert!(!gateway.wait().unwrap().success());
            // All that it had derived went with it, its keys are whole, and the next one serves.
            let pool = pool(token);
            right(&pool, 0..24);
            assert_eq!(session_keys(&other_session(token)), 0);
            assert_eq!(pool.health().shards[0].faults, 0);
        }
        assert_eq!(open(token).store().unwrap().list().unwrap().len(), keys);
    })
}

/// A child would share the parent's login and sessions, without its workers.
#[test]
fn a_forked_process_has_no_pool() -> Result<(), Error> {
    isolated("disasters::a_forked_process_has_no_pool", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let pool = pool(token);
        right(&pool, 0..4);
        // SAFETY: the child asks the pool, which refuses before it takes a lock or allocates, drops it, and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let refused = pool.run(LONG, |store| mixed(store, 0)) == Err(PoolError::Forked);
            drop(pool);
            // SAFETY: ends the process.
            unsafe { libc::_exit(if refused { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: a valid place for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        right(&pool, 0..8);
        assert_eq!(pool.health().shards[0].epoch, 1);
    })
}
