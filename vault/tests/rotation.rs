//! Keys are exchanged while the vault serves, and an interrupted rotation goes on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use p2pe_crypto::{Pan, Purpose};
use support::{
    behind_its_back, by_store, database, everything_in, id, keys, made, merchant, on_postgres, opened, pan, policy,
    stands_in,
};
use vault::{Vault, VaultError};

#[test]
fn of_data_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop) = (made(folder.path()), policy("shop"));
    assert!(matches!(vault.rotate_data_key(&merchant("shop"), |_, _| ()), Err(VaultError::Unknown)));
    let pans: Vec<Pan> = (0..450).map(pan).collect();
    let tokens = vault.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()).unwrap();
    let other = vault.tokenize(&policy("other"), &pan(1), None).unwrap();
    let old = database(folder.path()).key("shop", None).unwrap().unwrap().wrapped;

    // Interrupted when some are done.
    let interrupted = catch_unwind(AssertUnwindSafe(|| {
        vault.rotate_data_key(&merchant("shop"), |moved, _| assert!(moved < 200, "interrupted")).map(|_| ())
    }));
    assert!(interrupted.is_err());
    let stats = vault.stats().unwrap();
    let shop_keys: Vec<(u32, u64)> =
        stats.keys.iter().filter(|key| key.tenant == "shop").map(|key| (key.version, key.rows)).collect();
    assert_eq!(shop_keys, [(1, 250), (2, 200)]);
    // The vault serves as before, old rows and new ones.
    for (pan, token) in pans.iter().zip(&tokens).step_by(50) {
        assert_eq!(&vault.tokenize(&shop, pan, None).unwrap(), token.as_ref().unwrap());
    }
    drop(vault);

    // Another process goes on with the same new key.
    let vault = opened(folder.path());
    let mut progress = Vec::new();
    let done = vault.rotate_data_key(&merchant("shop"), |moved, left| progress.push((moved, left))).unwrap();
    assert_eq!((done.key.as_str(), done.moved), ("shop 2", 250));
    assert_eq!(progress, [(0, 250), (200, 50), (250, 0)]);
    let stats = vault.stats().unwrap();
    let keys: Vec<_> = stats.keys.iter().map(|key| (key.tenant.as_str(), key.version, key.rows)).collect();
    assert_eq!(keys, [("other", 1, 1), ("shop", 2, 450)]);
    if !on_postgres() {
        assert!(!stands_in(&old, &everything_in(folder.path())), "the old key is gone from the files");
    }
    let found = vault.verify().unwrap();
    assert_eq!((found.rows, found.problems.len()), (451, 0));
    for (pan, token) in pans.iter().zip(&tokens) {
        let back = vault.detokenize("till", &shop, Purpose::Payment, token.as_ref().unwrap()).unwrap();
        assert_eq!(back.pan.expose(), pan.expose());
    }
    assert!(vault.detokenize("till 2", &policy("other"), Purpose::Payment, &other).is_ok());
    // Once more: a third key.
    assert_eq!(vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap().key, "shop 3");
}

/// Callers with an old key in their memory go on storing and reading while it is exchanged under them.
#[test]
fn of_data_keys_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3)
        .map(|worker| {
            let (path, stop) = (folder.path().to_owned(), stop.clone());
            thread::spawn(move || {
                let (vault, shop) = (opened(&path).with_rate_limit(vault::RateLimit(u32::MAX)), policy("shop"));
                let mut made = 0;
                while !stop.load(Ordering::Relaxed) {
                    let card = pan(worker * 100_000 + made);
                    let token = vault.tokenize(&shop, &card, None).unwrap();
                    let back = vault.detokenize("till", &shop, Purpose::Payment, &token);
                    assert_eq!(back.unwrap().pan.expose(), card.expose());
                    made += 1;
                }
                made
            })
        })
        .collect();
    while vault.stats().unwrap().keys.iter().map(|key| key.rows).sum::<u64>() < 20 {
        thread::yield_now();
    }
    for _ in 0..5 {
        vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let made: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    let stats = vault.stats().unwrap();
    assert_eq!(stats.keys.iter().map(|key| (key.version, key.rows)).collect::<Vec<_>>(), [(6, made)]);
    assert!(vault.verify().unwrap().problems.is_empty());
}

/// A data key encrypts 2^32 card numbers and no more, also if callers ask at once; then it is to be rotated.
#[test]
fn of_a_data_key_that_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop) = (made(folder.path()), policy("shop"));
    let token = vault.tokenize(&shop, &pan(0), None).unwrap();
    behind_its_back(folder.path(), "UPDATE data_keys SET nonces = 4294967296 - 256");
    let (one, two) = (opened(folder.path()), opened(folder.path()));
    one.tokenize(&shop, &pan(1), None).unwrap();
    assert!(matches!(two.tokenize(&shop, &pan(2), None), Err(VaultError::KeySpent)));
    let many: Vec<Pan> = (10..300).map(pan).collect();
    assert!(matches!(one.tokenize_batch(&shop, &many.iter().collect::<Vec<_>>()), Err(VaultError::KeySpent)));
    assert_eq!(two.tokenize(&shop, &pan(0), None).unwrap(), token);
    two.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    for vault in [&one, &two] {
        assert!(vault.tokenize_batch(&shop, &many.iter().collect::<Vec<_>>()).unwrap().iter().all(Result::is_ok));
    }
    assert!(two.verify().unwrap().orphans.is_empty());
}

/// A row that does not decrypt is named, and keeps its key.
#[test]
fn of_data_keys_with_a_corrupted_row() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let tokens: Vec<String> = (0..3).map(|i| vault.tokenize(&policy("shop"), &pan(i), None).unwrap()).collect();
    let zeros = by_store("zeroblob(36)", "decode(repeat('00', 36), 'hex')");
    behind_its_back(folder.path(), &format!("UPDATE tokens SET sealed = {zeros} WHERE token = '{}'", tokens[1]));
    let row = database(folder.path()).by_token("shop", &tokens[1]).unwrap().unwrap().id;
    let stopped = vault.rotate_data_key(&merchant("shop"), |_, _| ());
    assert!(matches!(stopped, Err(VaultError::Corrupted(id)) if id == row));
    assert!(database(folder.path()).key("shop", Some(1)).unwrap().is_some());
    vault.delete(&merchant("shop"), &tokens[1]).unwrap();
    assert_eq!(vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap().key, "shop 2");
}

#[test]
fn of_the_wrapping_key() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let shops: Vec<String> = (0..5).map(|i| format!("shop {i}")).collect();
    let tokens: Vec<String> = shops.iter().map(|shop| vault.tokenize(&policy(shop), &pan(1), None).unwrap()).collect();
    let running = opened(folder.path());
    let mut progress = Vec::new();
    let done = vault.rotate_wrapping_key(&id("wrapping-2"), |moved, left| progress.push((moved, left))).unwrap();
    assert_eq!((done.moved, &progress[..]), (5, &[(0, 5), (5, 0)][..]));
    assert!(vault.stats().unwrap().keys.iter().all(|key| key.wrapped_by == "wrapping-2"));
    // A process that was opened before makes a key under the new one.
    running.tokenize(&policy("new shop"), &pan(1), None).unwrap();
    assert!(running.stats().unwrap().keys.iter().all(|key| key.wrapped_by == "wrapping-2"));
    // The old key is no longer asked for; another key of the new one's name is refused.
    let vault = Vault::open(database(folder.path()), keys(1, 99)).unwrap();
    for (shop, token) in shops.iter().zip(&tokens) {
        assert!(vault.detokenize("till", &policy(shop), Purpose::Payment, token).is_ok());
    }
    assert!(matches!(vault.rotate_wrapping_key(&id("fingerprints"), |_, _| ()), Err(VaultError::Key(_))));
    assert!(vault.verify().unwrap().problems.is_empty());
}
