//! A disk that is full: the vault says so, loses nothing, and goes on when there is space. Writes of many callers go into one
//! transaction, and one that fails is alone in that.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    env, fs,
    path::Path,
    process::Command,
    sync::{Arc, Barrier},
    thread,
};

use p2pe_crypto::{Pan, Purpose};
use support::{database, keys, made, opened, pan, policy};
use vault::{New, RateLimit, RowId, StoreError, Vault, VaultError, VaultStore};

const FOLDER: &str = "VAULT_SMALL_DISK";

fn full<T>(result: Result<T, VaultError>) -> bool {
    matches!(result, Err(VaultError::Store(StoreError::Full)))
}

/// On a disk of eight megabytes.
fn on_a_small_disk(folder: &Path) {
    let filler = folder.join("filler");
    fs::write(&filler, vec![0xAA; 1_500_000]).unwrap();
    let (vault, shop) = (made(folder).with_rate_limit(RateLimit(u32::MAX)), policy("shop"));
    let mut tokens = Vec::new();
    let end = loop {
        match vault.tokenize(&shop, &pan(tokens.len() as u64), None) {
            Ok(token) => tokens.push(token),
            end => break end,
        }
        assert!(tokens.len() < 100_000, "it never fills up");
    };
    let end = end.unwrap_err();
    assert!(matches!(end, VaultError::Store(StoreError::Full)), "{end:?}");
    assert!(tokens.len() > 50, "{}", tokens.len());
    // Nothing is handed out unrecorded; what needs no space works.
    let many: Vec<Pan> = (0..200).map(|i| pan(1_000_000 + i)).collect();
    assert!(full(vault.tokenize_batch(&shop, &many.iter().collect::<Vec<_>>())));
    assert_eq!(vault.tokenize(&shop, &pan(3), None).unwrap(), tokens[3]);
    let found = vault.verify().unwrap();
    assert!(found.rows == tokens.len() as u64 && found.problems.is_empty() && found.orphans.is_empty());
    // A second process finds the same, and with space both go on.
    let second = opened(folder).with_rate_limit(RateLimit(u32::MAX));
    assert_eq!(second.tokenize(&shop, &pan(3), None).unwrap(), tokens[3]);
    fs::remove_file(filler).unwrap();
    for (vault, from) in [(&vault, 2_000_000), (&second, 3_000_000)] {
        for (number, token) in tokens.iter().enumerate().step_by(17) {
            assert_eq!(&vault.tokenize(&shop, &pan(number as u64), None).unwrap(), token);
            let back = vault.detokenize("till", &shop, Purpose::Payment, token).unwrap();
            assert_eq!(back.pan.expose(), pan(number as u64).expose());
        }
        (0..10).for_each(|i| drop(vault.tokenize(&shop, &pan(from + i), None).unwrap()));
    }
    let found = second.verify().unwrap();
    assert!(found.rows == tokens.len() as u64 + 20 && found.problems.is_empty() && found.orphans.is_empty());
}

#[test]
fn disk_full() {
    if let Some(folder) = env::var_os(FOLDER) {
        return on_a_small_disk(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    // A file system of its own, which nobody else sees and which goes with the process.
    let script =
        "mount -t tmpfs -o size=8m none \"$0\" 2>/dev/null || exit 77; exec \"$1\" --exact disk_full --nocapture";
    let program = env::current_exe().unwrap();
    let ran = ["--mount", "--map-root-user"].map(|namespace| {
        let mut command = Command::new("unshare");
        command.args(["--mount", namespace, "sh", "-c", script]).arg(folder.path()).arg(&program);
        command.env(FOLDER, folder.path()).output().unwrap()
    });
    let Some(ran) = ran.iter().find(|ran| ran.status.success() || !matches!(ran.status.code(), Some(1 | 77))) else {
        if ran.iter().all(|ran| ran.stdout.is_empty()) {
            assert!(env::var_os("P2PE_ALL_TESTS").is_none(), "no small file system can be made here");
            return eprintln!("skipped: no small file system can be made here");
        }
        panic!("{}", String::from_utf8_lossy(&ran[0].stdout));
    };
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

/// Commits in the write-ahead log: frames that tell the database's size (SQLite's file format, 4.1).
fn commits(folder: &Path) -> usize {
    let log = fs::read(folder.join("vault.db-wal")).unwrap();
    let (header, frames) = log.split_at(32);
    let page = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
    let own = |frame: &&[u8]| frame[8..16] == header[16..24];
    frames.chunks_exact(24 + page).take_while(own).filter(|frame| frame[4..8] != [0; 4]).count()
}

/// One after the other, 96 writes are 96 commits.
#[test]
fn many_callers_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()).tokenize(&policy("shop"), &pan(0), None).unwrap());
    let shared = database(folder.path());
    let alone = opened(folder.path());
    let one = || (alone.tokenize(&policy("shop"), &pan(1), None).unwrap(), commits(folder.path()));
    let (_, before) = one();
    let start = Arc::new(Barrier::new(32));
    let callers: Vec<_> = (0..32)
        .map(|caller| {
            let (shared, start): (Arc<dyn VaultStore>, _) = (shared.clone(), start.clone());
            thread::spawn(move || {
                let vault = Vault::open(shared, keys(1, 2)).unwrap();
                start.wait();
                for i in 0..2 {
                    vault.tokenize(&policy("shop"), &pan(10 + 2 * caller + i), None).unwrap();
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let made = commits(folder.path()) - before;
    assert!((1..=48).contains(&made), "{made} commits of 96 writes");
    assert_eq!(alone.verify().unwrap().rows, 66);
}

/// A row whose nonce was used before is refused, and the rows beside it are stored.
#[test]
fn one_that_fails_is_alone_in_that() {
    let folder = tempfile::tempdir().unwrap();
    let token = made(folder.path()).tokenize(&policy("shop"), &pan(0), None).unwrap();
    let shared = database(folder.path());
    let row = shared.by_token("shop", &token).unwrap().unwrap();
    let callers: Vec<_> = (0..8)
        .map(|caller: u8| {
            let (shared, row) = (shared.clone(), row.clone());
            thread::spawn(move || {
                let vault = Vault::open(shared.clone() as Arc<dyn VaultStore>, keys(1, 2)).unwrap();
                for i in 0..20 {
                    if caller == 0 {
                        let mut row = row.clone();
                        (row.id, row.token, row.fingerprint) = (RowId([i; 16]), format!("token {i}"), [i; 32]);
                        let put = shared.put(vec![New { row, earlier: Vec::new(), request: None }], 0);
                        assert!(matches!(put, Err(StoreError::Malformed("the counter of nonces"))), "{put:?}");
                    } else {
                        vault.tokenize(&policy("shop"), &pan(u64::from(caller) * 100 + u64::from(i)), None).unwrap();
                    }
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let found = opened(folder.path()).verify().unwrap();
    assert!(found.rows == 1 + 7 * 20 && found.problems.is_empty() && found.orphans.is_empty());
}
