//! Killed at random points, a vault keeps what it promised: no token without its card number, no card number twice, nothing
//! clear on disk, and a rotation that goes on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use p2pe_crypto::Purpose;
use support::{everything_in, made, merchant, opened, pan, policy, stands_in};
use vault::RateLimit;

const FOLDER: &str = "VAULT_KILL_FOLDER";

/// What is killed: says each token that it was given, and exchanges the data key again and again.
fn work(folder: &Path) -> ! {
    let (vault, shop) = (opened(folder).with_rate_limit(RateLimit(u32::MAX)), policy("shop"));
    let mut out = std::io::stdout();
    let start = vault.stats().unwrap().keys.iter().map(|key| key.rows).sum::<u64>();
    for i in start.. {
        let token = vault.tokenize(&shop, &pan(i), None).unwrap();
        writeln!(out, "\ntoken {i} {token}").unwrap();
        if i % 20 == 19 {
            vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
        }
        if i % 7 == 6 {
            vault.detokenize("worker", &shop, Purpose::Payment, &token).unwrap();
        }
    }
    unreachable!()
}

#[test]
fn killed_at_random_points() {
    // This program is also the one that is killed.
    if let Some(folder) = env::var_os(FOLDER) {
        work(Path::new(&folder));
    }
    let kills: u64 = env::var("VAULT_KILLS").map_or(30, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()));
    let mut said: BTreeMap<u64, String> = BTreeMap::new();
    let mut random = kills;
    for kill in 0..kills {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed_at_random_points", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_micros(20_000 + (random >> 33) % 80_000));
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            let words: Vec<&str> = line.split(' ').collect();
            // The last line may be cut.
            if let ["token", number, token] = words[..]
                && token.len() == 37
            {
                said.insert(number.parse().unwrap(), token.to_owned());
            }
        }
        let vault = opened(folder.path()).with_rate_limit(RateLimit(u32::MAX));
        let found = vault.verify().unwrap();
        assert!(found.problems.is_empty(), "kill {kill}: {:?}", found.problems);
        // The one that was not said any more may be there.
        let rows = usize::try_from(found.rows).unwrap();
        assert!(rows >= said.len() && rows <= said.len() + usize::try_from(kill).unwrap() + 1, "{rows} {}", said.len());
        let shop = policy("shop");
        for (number, token) in said.iter().rev().take(25) {
            let back = vault.detokenize("test", &shop, Purpose::Payment, token).unwrap();
            assert_eq!(back.pan.expose(), pan(*number).expose(), "kill {kill}");
            assert_eq!(&vault.tokenize(&shop, &pan(*number), None).unwrap(), token, "kill {kill}");
        }
    }
    assert!(said.len() as u64 > kills, "it did nothing: {}", said.len());
    // The rotation goes on to its end.
    let vault = opened(folder.path());
    let rows = vault.verify().unwrap().rows;
    vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    let keys = vault.stats().unwrap().keys;
    assert_eq!(keys.iter().map(|key| key.rows).collect::<Vec<_>>(), [rows]);
    let bytes = everything_in(folder.path());
    for number in 0..rows {
        assert!(!stands_in(pan(number).expose().as_bytes(), &bytes), "{number}");
    }
}
