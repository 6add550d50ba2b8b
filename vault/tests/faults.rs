//! A disk that is full: the vault says so, loses nothing, and goes on when there is space. Writes of many callers go into one
//! transaction, and one that fails is alone in that.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::{
    env,
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
    process::Command,
    sync::{Arc, Barrier},
    thread,
};

use p2pe_crypto::{Pan, Purpose};
use support::{database, keys, made, names, opened, pan, policy};
use throwaway_postgres::{Server, Settings};
use vault::{New, RateLimit, RowId, StoreError, Vault, VaultError, VaultStore, open_store};

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
    match env::var_os(FOLDER) {
        Some(folder) => on_a_small_disk(Path::new(&folder)),
        None => in_a_small_file_system("disk_full", "8m"),
    }
}

/// A PostgreSQL server whose log has room, and whose tables have fourteen megabytes.
fn on_a_server_with_a_small_disk(folder: &Path) {
    let place = folder.join("tables");
    fs::create_dir(&place).unwrap();
    let server = Server::start(&Settings::default()).unwrap();
    // The server does not run as root.
    let owner = fs::metadata(server.data()).unwrap();
    chown(&place, Some(owner.uid()), Some(owner.gid())).unwrap();
    server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", place.display())).unwrap();
    server.sql("postgres", "CREATE DATABASE db0 TABLESPACE small").unwrap();
    let filler = folder.join("filler");
    fs::write(&filler, vec![0xAA; 2_000_000]).unwrap();
    let url = server.url("db0");
    let open = || Vault::open(open_store(&url).unwrap(), keys(1, 2)).unwrap().with_rate_limit(RateLimit(u32::MAX));
    drop(Vault::init(open_store(&url).unwrap(), keys(1, 2), names()).unwrap());
    let (vault, shop) = (open(), policy("shop"));
    // In batches, then one by one: the space that was too little for a batch.
    let mut tokens: Vec<String> = Vec::new();
    for group in [100, 1] {
        loop {
            let pans: Vec<Pan> = (0..group).map(|i| pan(tokens.len() as u64 + i)).collect();
            match vault.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()) {
                Ok(answers) => tokens.extend(answers.into_iter().map(Result::unwrap)),
                Err(error) => {
                    assert!(full::<()>(Err(error.clone())), "{error}");
                    break;
                }
            }
            assert!(tokens.len() < 100_000, "it never fills up");
        }
    }
    assert!(tokens.len() > 200, "{}", tokens.len());
    // Nothing is handed out unrecorded, and what was stored is found.
    let granted = (0..50).filter(|at| vault.detokenize("till", &shop, Purpose::Payment, &tokens[*at]).is_ok()).count();
    assert_eq!(vault.stats().unwrap().audit, granted as u64);
    assert_eq!(vault.tokenize(&shop, &pan(3), None).unwrap(), tokens[3]);
    assert!(full(vault.tokenize(&shop, &pan(1_000_000), None)));
    let whole = |rows: usize| {
        let found = open().verify().unwrap();
        assert!(found.rows == rows as u64 && found.problems.is_empty() && found.orphans.is_empty(), "{found:?}");
    };
    whole(tokens.len());
    // With space, those that were there and a new one go on.
    let second = open();
    fs::remove_file(filler).unwrap();
    for (vault, from) in [(&vault, 2_000_000), (&second, 3_000_000)] {
        for (number, token) in tokens.iter().enumerate().step_by(37) {
            let back = vault.detokenize("till", &shop, Purpose::Payment, token).unwrap();
            assert_eq!(back.pan.expose(), pan(number as u64).expose());
        }
        (0..10).for_each(|i| drop(vault.tokenize(&shop, &pan(from + i), None).unwrap()));
    }
    whole(tokens.len() + 20);
}

#[test]
fn disk_full_on_postgres() {
    match env::var_os(FOLDER) {
        Some(folder) => on_a_server_with_a_small_disk(Path::new(&folder)),
        None => in_a_small_file_system("disk_full_on_postgres", "14m"),
    }
}

/// A PostgreSQL server of which all is on one small disk: it stops when its log has no room, and loses nothing.
fn on_a_server_whose_log_is_full(folder: &Path) {
    let server = Server::start(&Settings { on_disk: true, ..Settings::default() }).unwrap();
    assert!(server.data().starts_with(folder));
    let store = open_store(&format!("{}&deadline=3", server.new_database().unwrap())).unwrap();
    let (vault, shop) = (Vault::init(store, keys(1, 2), names()).unwrap(), policy("shop"));
    let mut tokens: Vec<String> = (0..20).map(|i| vault.tokenize(&shop, &pan(i), None).unwrap()).collect();
    let filler = folder.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0xAA; 1 << 16]).is_ok() {}
    drop(file);
    // To the first file of the log that cannot be made.
    let next = "SELECT pg_logical_emit_message(true, '', ''), pg_switch_wal()";
    assert!((0..20).any(|_| server.sql("postgres", next).is_err()));
    let end = (20..1000).find_map(|i| vault.tokenize(&shop, &pan(i), None).map(|token| tokens.push(token)).err());
    let end = end.unwrap();
    assert!(matches!(end, VaultError::Store(StoreError::Unavailable(_))), "{end:?}");
    fs::remove_file(filler).unwrap();
    // It may have come up by itself.
    let up = |_| server.start_again().is_ok() || server.sql("postgres", "SELECT 1").is_ok();
    assert!((0..5).any(up));
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(&vault.tokenize(&shop, &pan(number as u64), None).unwrap(), token);
    }
    vault.tokenize(&shop, &pan(1_000_000), None).unwrap();
    let found = vault.verify().unwrap();
    // The one that was not answered may have been stored.
    let stored = usize::try_from(found.rows).unwrap() - tokens.len() - 1;
    assert!(stored <= 1 && found.problems.is_empty() && found.orphans.is_empty(), "{found:?}");
}

#[test]
fn log_full_on_postgres() {
    match env::var_os(FOLDER) {
        Some(folder) => on_a_server_whose_log_is_full(Path::new(&folder)),
        None => in_a_small_file_system("log_full_on_postgres", "112m"),
    }
}

/// Runs a test in a process that has a file system of this size, which nobody else sees and which goes with the process.
fn in_a_small_file_system(test: &str, size: &str) {
    let folder = tempfile::tempdir().unwrap();
    // Who is no root, is one in a user namespace, to mount; and nobody's in one more, since a server does not run as root.
    let script = "mount -t tmpfs -o size=$2,mode=1777 none \"$0\" 2>/dev/null || exit 77
        set -- \"$1\" --exact \"$3\" --nocapture
        if [ \"$NAMESPACE\" = --mount ]; then exec \"$@\"; fi
        exec unshare --map-user=1000 --map-group=1000 \"$@\"";
    let program = env::current_exe().unwrap();
    let ran = ["--mount", "--map-root-user"].map(|namespace| {
        let mut command = Command::new("unshare");
        command.args(["--mount", namespace, "sh", "-c", script]).arg(folder.path()).arg(&program).args([size, test]);
        command.env(FOLDER, folder.path()).env("TMPDIR", folder.path()).env("NAMESPACE", namespace).output().unwrap()
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
