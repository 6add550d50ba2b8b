//! Killed at random points of every phase, a vault keeps what it promised: no token without its card number, no card number
//! twice, nothing clear on disk, and each rotation goes on to its end.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use dukpt::MemoryStore;
use p2pe_crypto::{Expiry, Pan, Policy, Purpose, TokenForm};
use support::{by_store, everything_in, id, made, merchant, opened, pan, policy};
use vault::{Card, RateLimit, Vault, VaultError};

const FOLDER: &str = "VAULT_KILL_FOLDER";
const PHASE: &str = "VAULT_KILL_PHASE";
const FIRST: &str = "VAULT_KILL_FIRST";
/// What is done beside tokenizing when it is killed.
const PHASES: [&str; 6] = ["tokenize", "data-key", "wrapping-key", "fingerprint-key", "policy", "all"];
/// So many kills see the same vault, before another one is made.
const KILLS_OF_A_VAULT: u64 = 25;
/// Cards that are there from the start: for rotations of several groups.
const CARDS: u64 = 450;
/// When tokens of replaced policies end.
const ENDS: u64 = 4_000_000_000;

fn at_work(folder: &Path) -> Vault<MemoryStore> {
    opened(folder).with_rate_limit(RateLimit(u32::MAX))
}

fn version(version: u32) -> Policy {
    Policy::new(merchant("replaced"), version, TokenForm::Vault).purposes(&[Purpose::Payment])
}

fn single() -> Policy {
    policy("single").single_use().unwrap()
}

fn dated() -> Policy {
    policy("dated").with_expiry().unwrap()
}

/// Tokens of one kind after the other, and what each is for.
fn tokenize(vault: &Vault<MemoryStore>, number: u64) -> Vec<(&'static str, u64, String)> {
    let one = |token: Result<String, VaultError>, kind| vec![(kind, number, token.unwrap())];
    let number_pan = pan(number);
    match number % 4 {
        0 => {
            let pans: Vec<Pan> = (0..8).map(|i| pan(number + 4 * i)).collect();
            let tokens = vault.tokenize_batch(&policy("shop"), &pans.iter().collect::<Vec<_>>()).unwrap();
            (0..8).zip(tokens).map(|(i, token)| ("shop", number + 4 * i, token.unwrap())).collect()
        }
        1 => one(vault.tokenize(&policy("shop"), &number_pan, Some(&format!("order {number}"))), "shop"),
        2 => one(vault.tokenize(&single(), &number_pan, Some(&format!("order {number}"))), "single"),
        _ => {
            let card = Card { pan: &number_pan, expiry: Expiry::new(30, 1) };
            one(vault.tokenize(&dated(), card, None), "dated")
        }
    }
}

fn rotate(vault: &Vault<MemoryStore>, phase: &str, turn: u32) {
    let second = |name: &str| id(&format!("{name}{}", if turn.is_multiple_of(2) { "-2" } else { "" }));
    match phase {
        "data-key" => drop(vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap()),
        "wrapping-key" => drop(vault.rotate_wrapping_key(&second("wrapping"), |_, _| ()).unwrap()),
        "fingerprint-key" => drop(vault.rotate_fingerprint_key(&second("fingerprints"), |_, _| ()).unwrap()),
        "policy" => {
            // First the one that was interrupted, if one was.
            let newest = newest_policy(vault);
            for old in (newest.max(2) - 1)..=newest {
                vault.rotate_policy(old, &version(old + 1), ENDS, |_, _| ()).unwrap();
            }
        }
        _ => thread::sleep(Duration::from_millis(1)),
    }
}

fn newest_policy(vault: &Vault<MemoryStore>) -> u32 {
    let policies = vault.stats().unwrap().policies;
    policies.iter().filter(|policy| policy.tenant == "replaced").map(|policy| policy.version).max().unwrap()
}

/// What is killed: says each token that it was given, and rotates.
fn work(folder: &Path) -> ! {
    let (phase, first) = (env::var(PHASE).unwrap(), env::var(FIRST).unwrap().parse::<u64>().unwrap());
    let vault = at_work(folder);
    println!("\nready");
    for worker in 0..2 {
        let folder = folder.to_owned();
        thread::spawn(move || {
            let (vault, mut out) = (at_work(&folder), std::io::stdout());
            for number in (first + 100_000 * worker..).step_by(if worker == 0 { 33 } else { 1 }) {
                for (kind, number, token) in tokenize(&vault, number) {
                    writeln!(out, "\ntoken {kind} {number} {token}").unwrap();
                }
            }
        });
    }
    for turn in 0.. {
        let phase = if phase == "all" { PHASES[1 + turn as usize % 4] } else { &phase };
        rotate(&vault, phase, turn);
    }
    unreachable!()
}

/// Kills it in this phase after so long, and returns what it said: kind, number, token.
fn killed(folder: &Path, phase: &str, first: u64, after: Duration) -> Vec<(String, u64, String)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", by_store("killed_at_random_points", "kill::killed_at_random_points"), "--nocapture"])
        .env(FOLDER, folder)
        .env(PHASE, phase)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line == "ready").expect("it begins");
    let reader = thread::spawn(move || lines.collect::<Vec<_>>());
    thread::sleep(after);
    assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = reader.join().unwrap();
    let words = lines.iter().filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        // The last line may be cut.
        ["token", kind, number, token] if token.len() == 37 => {
            Some((kind.to_owned(), number.parse().unwrap(), token.to_owned()))
        }
        _ => None,
    });
    words.collect()
}

/// Whether a card number of the tests stands in these bytes.
fn clear_number(bytes: &[u8]) -> bool {
    bytes.windows(16).any(|window| window.starts_with(b"49999") && window.iter().all(u8::is_ascii_digit))
}

/// What a token leads back to.
fn leads_back(vault: &Vault<MemoryStore>, kind: &str, number: u64, token: &str) {
    let back = vault.detokenize("test", &policy(kind), Purpose::Payment, token).unwrap();
    let expiry = if kind == "dated" { Expiry::new(30, 1) } else { None };
    assert_eq!((back.pan.expose(), back.expiry), (pan(number).expose(), expiry));
}

#[test]
fn killed_at_random_points() {
    // This program is also the one that is killed.
    if let Some(folder) = env::var_os(FOLDER) {
        work(Path::new(&folder));
    }
    let kills: u64 = env::var("VAULT_KILLS").map_or(by_store(30, 12), |kills| kills.parse().unwrap());
    let (mut random, mut kill, mut all, mut interrupted) = (kills, 0, 0, 0);
    while kill < kills {
        let folder = tempfile::tempdir().unwrap();
        let vault = made(folder.path());
        let pans: Vec<Pan> = (0..CARDS).map(pan).collect();
        let pans: Vec<&Pan> = pans.iter().collect();
        for policy in [policy("shop"), version(1)] {
            vault.tokenize_batch(&policy, &pans).unwrap();
        }
        drop(vault);
        let (mut said, mut first) = (Vec::new(), CARDS);
        for _ in 0..KILLS_OF_A_VAULT.min(kills - kill) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let phase = PHASES[usize::try_from(kill % 6).unwrap()];
            // From half a millisecond to a quarter of a second, short times as often as long ones.
            let after = Duration::from_micros((500 << ((random >> 40) % 9)) + (random >> 50) % 500) * by_store(1, 8);
            let now = killed(folder.path(), phase, first, after);
            let bytes = everything_in(folder.path());
            assert!(!clear_number(&bytes), "kill {kill}, {phase}: a clear number on disk");
            let vault = at_work(folder.path());
            let found = vault.verify().unwrap();
            assert!(found.problems.is_empty(), "kill {kill}, {phase}: {:?}", found.problems);
            assert!(found.orphans.is_empty(), "kill {kill}, {phase}: {:?}", found.orphans);
            let stats = vault.stats().unwrap();
            interrupted += u64::from(stats.fingerprint_keys.len() > 1 || stats.keys.len() > 4);
            // Each said token is there, and its card has no other.
            for (kind, number, token) in &now {
                assert_eq!(
                    vault.tokens_of(&merchant(kind), &pan(*number)).unwrap(),
                    std::slice::from_ref(token),
                    "kill {kill}"
                );
            }
            // Nor has a card whose token was not said any more.
            let last = now.iter().map(|(_, number, _)| *number).max().unwrap_or(first);
            for number in last..last + 40 {
                for kind in ["shop", "single", "dated"] {
                    assert!(vault.tokens_of(&merchant(kind), &pan(number)).unwrap().len() <= 1, "kill {kill}");
                }
            }
            for (kind, number, token) in now.iter().rev().take(8).filter(|(kind, ..)| kind != "single") {
                leads_back(&vault, kind, *number, token);
            }
            first = last.max(first + 100_000) + 1000;
            said.extend(now);
            kill += 1;
        }
        // Each rotation goes on to its end.
        let vault = at_work(folder.path());
        (1..5).for_each(|phase| rotate(&vault, PHASES[phase], 0));
        let stats = vault.stats().unwrap();
        assert_eq!(stats.fingerprint_keys.len(), 1);
        assert_eq!(stats.keys.iter().filter(|key| key.tenant == "shop").count(), 1);
        assert!(stats.keys.iter().all(|key| key.wrapped_by == "wrapping-2"));
        let newest = newest_policy(&vault);
        for number in (0..CARDS).step_by(50) {
            assert_eq!(vault.tokens_of(&merchant("shop"), &pan(number)).unwrap().len(), 1);
            // One token under each version of the policy.
            assert_eq!(vault.tokens_of(&merchant("replaced"), &pan(number)).unwrap().len(), newest as usize);
        }
        for (kind, number, token) in said.iter().step_by(said.len() / 100 + 1) {
            leads_back(&vault, kind, *number, token);
        }
        assert!(vault.verify().unwrap().problems.is_empty());
        assert!(!clear_number(&everything_in(folder.path())));
        all += said.len() as u64;
    }
    println!(
        "{kills} kills, {all} tokens said, {interrupted} times in the middle of a data or fingerprint key's rotation"
    );
    assert!(all > kills, "it did nothing: {all}");
}

/// The guard sees what it looks for.
#[test]
fn a_clear_number_is_seen() {
    let hidden = [&[0xFF; 100][..], pan(7).expose().as_bytes(), &[0x30; 3]].concat();
    assert!(clear_number(&hidden) && !clear_number(&hidden[..110]));
    assert!(!clear_number(b"vtok_49999aaaaaaaaaaaaaaaa 4999 9123"));
}
