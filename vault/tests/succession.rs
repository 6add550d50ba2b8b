//! Fingerprint keys and policy versions have successors while the vault serves; interrupted, a rotation goes on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use dukpt::{KeyError, KeyImport, MemoryStore};
use p2pe_crypto::{Bin, CardShaped, Expiry, Kept, Pan, Policy, Purpose, TokenForm};
use support::{
    behind_its_back, database, everything_in, id, keys, made, merchant, on_postgres, opened, pan, policy, stands_in,
};
use vault::{Card, RateLimit, Vault, VaultError, VaultStore};

thread_local!(static NOW: Cell<u64> = const { Cell::new(1_000_000) });

fn pans(count: u64) -> Vec<Pan> {
    (0..count).map(pan).collect()
}

fn all_tokens(vault: &Vault<MemoryStore>, policy: &Policy, pans: &[Pan]) -> Vec<String> {
    let pans: Vec<&Pan> = pans.iter().collect();
    vault.tokenize_batch(policy, &pans).unwrap().into_iter().map(Result::unwrap).collect()
}

#[test]
fn of_fingerprint_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop, pans) = (made(folder.path()), policy("shop"), pans(450));
    let tokens = all_tokens(&vault, &shop, &pans);
    let dated = Policy::new(merchant("other"), 1, TokenForm::Vault).with_expiry().unwrap();
    let card = Card { pan: &pans[0], expiry: Expiry::new(30, 1) };
    let other = vault.tokenize(&dated, card, Some("order")).unwrap();
    let print = database(folder.path()).by_token("shop", &tokens[7]).unwrap().unwrap().fingerprint;
    // A process from before, which learns of it on its way.
    let running = opened(folder.path());
    // Another one, which learns of it when all is done, by a request that was answered before.
    let late = opened(folder.path());

    let interrupted = catch_unwind(AssertUnwindSafe(|| {
        vault.rotate_fingerprint_key(&id("fingerprints-2"), |moved, _| assert!(moved < 200, "interrupted")).map(|_| ())
    }));
    assert!(interrupted.is_err());
    let on = |vault: &Vault<MemoryStore>| {
        let keys = vault.stats().unwrap().fingerprint_keys;
        keys.into_iter().map(|(key, rows)| (key.version, key.key.to_string(), rows)).collect::<Vec<_>>()
    };
    assert_eq!(on(&vault), [(1, "fingerprints".into(), 251), (2, "fingerprints-2".into(), 200)]);
    // Half way, every card is found, by those who know of both keys and those who do not.
    for vault in [&running, &opened(folder.path())] {
        assert_eq!(all_tokens(vault, &shop, &pans), tokens);
        assert_eq!(vault.tokenize(&dated, card, Some("order")).unwrap(), other);
        let reused = vault.tokenize(&dated, Card { expiry: Expiry::new(31, 1), ..card }, Some("order"));
        assert!(matches!(reused, Err(VaultError::RequestReused)));
        assert_eq!(vault.tokens_of(&merchant("shop"), &pans[449]).unwrap(), [tokens[449].clone()]);
        assert!(vault.verify().unwrap().problems.is_empty());
    }
    let between = running.tokenize(&shop, &pan(1000), None).unwrap();
    // Both keys have to be there, and to be the right ones.
    let lacking = |name: &str| {
        let mut lacking = MemoryStore::new();
        for (key, kind, byte) in
            [("fingerprints", "hmac", 1), ("fingerprints-2", "hmac", 0x66), ("wrapping", "wrap", 2)]
        {
            let byte = if key == name { 9 } else { byte };
            let material = dukpt::KeyMaterial::new(kind, &[byte; 32]).unwrap();
            lacking.import(&id(key), &material, dukpt::Lifetime::Session).unwrap();
        }
        Vault::open(database(folder.path()), lacking).err()
    };
    for name in ["fingerprints", "fingerprints-2"] {
        assert!(matches!(lacking(name), Some(VaultError::WrongKey(key)) if key == id(name)), "{name}");
    }
    assert!(lacking("none").is_none());

    let mut progress = Vec::new();
    let vault = opened(folder.path());
    let done = vault.rotate_fingerprint_key(&id("fingerprints-2"), |moved, left| progress.push((moved, left))).unwrap();
    assert_eq!((done.key.as_str(), done.moved), ("fingerprints-2", 251));
    assert_eq!(progress, [(0, 251), (200, 51), (251, 0)]);
    assert_eq!(on(&vault), [(2, "fingerprints-2".into(), 452)]);
    assert_eq!(late.tokenize(&dated, card, Some("order")).unwrap(), other);
    for vault in [&running, &vault] {
        assert_eq!(all_tokens(vault, &shop, &pans), tokens);
        assert_eq!(vault.tokenize(&shop, &pan(1000), None).unwrap(), between);
        assert_eq!(vault.tokenize(&dated, card, Some("order")).unwrap(), other);
        let back = vault.detokenize("till", &shop, Purpose::Payment, &tokens[3]).unwrap();
        assert_eq!(back.pan.expose(), pans[3].expose());
        assert!(vault.verify().unwrap().problems.is_empty());
    }
    // The old key is no longer asked for, and no fingerprint under it is left.
    assert!(opened_without_first(&folder).is_ok());
    drop((vault, running, late));
    if !on_postgres() {
        // PostgreSQL keeps the old version of a row until it is vacuumed.
        behind_its_back(folder.path(), "PRAGMA wal_checkpoint(TRUNCATE)");
        assert!(!stands_in(&print, &everything_in(folder.path())));
    }
    // Again to the key that it is on: nothing to do. To one that is not there: nothing was begun.
    let vault = opened(folder.path());
    assert_eq!(vault.rotate_fingerprint_key(&id("fingerprints-2"), |_, _| ()).unwrap().moved, 0);
    let missing = vault.rotate_fingerprint_key(&id("no such key"), |_, _| ());
    assert!(matches!(missing, Err(VaultError::Key(KeyError::NotFound(_)))));
    assert!(matches!(vault.rotate_fingerprint_key(&id("wrapping"), |_, _| ()), Err(VaultError::Key(_))));
    assert_eq!(on(&vault).len(), 1);
    // And back again: a third version.
    assert_eq!(vault.rotate_fingerprint_key(&id("fingerprints"), |_, _| ()).unwrap().moved, 452);
    assert_eq!(on(&vault), [(3, "fingerprints".into(), 452)]);
}

fn opened_without_first(folder: &tempfile::TempDir) -> Result<Vault<MemoryStore>, VaultError> {
    let mut store = MemoryStore::new();
    for (name, kind, byte) in [("fingerprints-2", "hmac", 0x66), ("wrapping", "wrap", 2)] {
        let material = dukpt::KeyMaterial::new(kind, &[byte; 32]).unwrap();
        store.import(&id(name), &material, dukpt::Lifetime::Session).unwrap();
    }
    Vault::open(database(folder.path()), store)
}

/// Fingerprint key, data key and policy are exchanged at once under callers who know of nothing: no card has two tokens.
#[test]
fn of_all_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let stop = Arc::new(AtomicBool::new(false));
    let shared = database(folder.path());
    let workers: Vec<_> = (0..4)
        .map(|worker: u64| {
            let (path, stop, shared) = (folder.path().to_owned(), stop.clone(), shared.clone());
            thread::spawn(move || {
                let rows: Arc<dyn VaultStore> = if worker < 2 { shared } else { database(&path) };
                let vault = Vault::open(rows, keys(1, 2)).unwrap().with_rate_limit(RateLimit(u32::MAX));
                let (shop, mut got) = (policy("shop"), BTreeMap::new());
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) && i > 30 {
                        break;
                    }
                    // Every worker has the same cards, old ones again and again.
                    for number in [i, i / 2] {
                        let token = vault.tokenize(&shop, &pan(number), None).unwrap();
                        let back = vault.detokenize("till", &shop, Purpose::Payment, &token).unwrap();
                        assert_eq!(back.pan.expose(), pan(number).expose());
                        assert_eq!(*got.entry(number).or_insert_with(|| token.clone()), token);
                    }
                }
                got
            })
        })
        .collect();
    while vault.stats().unwrap().keys.iter().map(|key| key.rows).sum::<u64>() < 20 {
        thread::yield_now();
    }
    for name in ["fingerprints-2", "fingerprints", "fingerprints-2"] {
        vault.rotate_fingerprint_key(&id(name), |_, _| ()).unwrap();
        vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = BTreeMap::new();
    for worker in workers {
        for (number, token) in worker.join().unwrap() {
            assert_eq!(*all.entry(number).or_insert_with(|| token.clone()), token, "two tokens for {number}");
        }
    }
    let stats = vault.stats().unwrap();
    let rows: Vec<_> = stats.fingerprint_keys.iter().map(|(key, rows)| (key.version, *rows)).collect();
    assert_eq!(rows, [(4, all.len() as u64)]);
    let found = vault.verify().unwrap();
    assert!(found.problems.is_empty() && found.orphans.is_empty());
}

#[test]
fn of_policies() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get());
    let (old, pans) = (policy("shop"), pans(450));
    let tokens = all_tokens(&vault, &old, &pans);
    let once = old.clone().single_use().unwrap();
    let single = vault.tokenize(&once, &pans[0], None).unwrap();
    let other = vault.tokenize(&policy("other"), &pans[0], None).unwrap();
    let shaped = TokenForm::CardShaped(CardShaped::new(Kept { bin: Bin::None, last_four: true }));
    let new = Policy::new(merchant("shop"), 2, shaped).purposes(&[Purpose::Payment]);
    let ends = NOW.get() + 1000;
    // Some have a successor already.
    let known = vault.tokenize(&new, &pans[5], None).unwrap();
    // What cannot be a successor.
    for wrong in [&once, &old, &new.clone().single_use().unwrap()] {
        assert!(matches!(vault.rotate_policy(1, wrong, ends, |_, _| ()), Err(VaultError::Succession)));
    }
    let interrupted = catch_unwind(AssertUnwindSafe(|| {
        vault.rotate_policy(1, &new, ends, |moved, _| assert!(moved < 200, "interrupted")).map(|_| ())
    }));
    assert!(interrupted.is_err());
    // The version is closed: known cards keep their token, new ones get none.
    assert_eq!(vault.tokenize(&old, &pans[0], None).unwrap(), tokens[0]);
    assert!(matches!(vault.tokenize(&old, &pan(1000), None), Err(VaultError::PolicyReplaced)));
    assert!(matches!(vault.tokenize(&once, &pan(1000), None), Err(VaultError::PolicyReplaced)));
    assert!(vault.tokenize(&policy("other"), &pan(1000), None).is_ok());
    // It goes on with the same successor and date only.
    assert!(matches!(vault.rotate_policy(1, &new, ends + 1, |_, _| ()), Err(VaultError::Succession)));
    let third = Policy::new(merchant("shop"), 3, TokenForm::Vault);
    assert!(matches!(vault.rotate_policy(1, &third, ends, |_, _| ()), Err(VaultError::Succession)));
    let vault = opened(folder.path()).with_clock(|| NOW.get()).with_rate_limit(RateLimit(u32::MAX));
    let mut progress = Vec::new();
    let done = vault.rotate_policy(1, &new, ends, |moved, left| progress.push((moved, left))).unwrap();
    assert_eq!((done.moved, done.refused.len()), (250, 0));
    assert_eq!(progress, [(0, 250), (200, 50), (250, 0)]);
    // All pairs, in pages.
    let mut pairs: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let after = pairs.last_key_value().map(|(old, _)| old.clone()).unwrap_or_default();
        let page = vault.successors(&merchant("shop"), 1, &after, 100).unwrap();
        if page.is_empty() {
            break;
        }
        pairs.extend(page);
    }
    assert_eq!(pairs.len(), 450);
    assert_eq!(pairs[&tokens[5]], known);
    let back = |token: &str| vault.detokenize("till", &new, Purpose::Payment, token).map(|card| card.pan);
    for (number, token) in pans.iter().zip(&tokens) {
        let successor = &pairs[token];
        assert_eq!(&vault.tokenize(&new, number, None).unwrap(), successor);
        assert_eq!(back(token).unwrap().expose(), number.expose());
        assert_eq!(back(successor).unwrap().expose(), number.expose());
    }
    let stats = vault.stats().unwrap();
    let policies: Vec<_> = stats
        .policies
        .iter()
        .map(|p| (p.tenant.as_str(), p.version, p.rows, p.succession.map(|s| (s.by, s.ends))))
        .collect();
    assert_eq!(policies, [("other", 1, 2, None), ("shop", 1, 451, Some((2, ends))), ("shop", 2, 450, None)]);
    // At the date the old tokens end, and no others.
    NOW.set(ends);
    assert!(tokens.iter().all(|token| matches!(back(token), Err(VaultError::Unknown))));
    assert!(back(&pairs[&tokens[0]]).is_ok() && back(&single).is_ok());
    assert!(vault.detokenize("till", &policy("other"), Purpose::Payment, &other).is_ok());
    // A known card of the old version gets no new token of it.
    assert!(matches!(vault.tokenize(&old, &pans[0], None), Err(VaultError::PolicyReplaced)));
    let found = vault.verify().unwrap();
    assert!(found.problems.is_empty() && found.orphans.is_empty());
    // A successor that was changed is seen.
    let change = format!("UPDATE tokens SET successor = '{}' WHERE token = '{}'", tokens[2], tokens[1]);
    behind_its_back(folder.path(), &change);
    assert_eq!(vault.verify().unwrap().problems.len(), 1);
}

/// Cards that the successor has no token for are named, and the others move.
#[test]
fn of_policies_with_cards_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let pans = [pan(1), Pan::new(b"6200000000000005").unwrap(), pan(2)];
    let tokens = all_tokens(&vault, &policy("shop"), &pans);
    let shaped = TokenForm::CardShaped(CardShaped::new(Kept { bin: Bin::Six, last_four: true }));
    let new = Policy::new(merchant("shop"), 2, shaped);
    let done = vault.rotate_policy(1, &new, 2_000_000_000, |_, _| ()).unwrap();
    assert_eq!(done.moved, 2);
    let [refused] = &done.refused[..] else { panic!("{:?}", done.refused) };
    assert_eq!((&refused.token, refused.error.code()), (&tokens[1], "bin_not_kept"));
    assert_eq!(vault.successors(&merchant("shop"), 1, "", 10).unwrap().len(), 2);
    // It stays as it was, for as long as it takes.
    let again = vault.rotate_policy(1, &new, 2_000_000_000, |_, _| ()).unwrap();
    assert_eq!((again.moved, again.refused.len()), (0, 1));
    assert!(vault.detokenize("till", &policy("shop"), Purpose::Payment, &tokens[1]).is_ok());
    // From cards with expiry date to numbers alone there is a way, and none back.
    let dated = Policy::new(merchant("dated"), 1, TokenForm::Vault).with_expiry().unwrap();
    let cards = [26, 27].map(|year| Card { pan: &pans[0], expiry: Expiry::new(year, 5) });
    vault.tokenize_batch(&dated, &cards).unwrap();
    let plain = Policy::new(merchant("dated"), 2, TokenForm::Vault);
    assert_eq!(vault.rotate_policy(1, &plain, 2_000_000_000, |_, _| ()).unwrap().moved, 2);
    let pairs = vault.successors(&merchant("dated"), 1, "", 10).unwrap();
    assert_eq!(pairs[0].1, pairs[1].1);
    let dated = Policy::new(merchant("dated"), 3, TokenForm::Vault).with_expiry().unwrap();
    let refused = vault.rotate_policy(2, &dated, 2_000_000_000, |_, _| ()).unwrap().refused;
    assert!(matches!(refused[0].error, VaultError::Expiry));
    // A successor that was replaced itself is none.
    let stopped = vault.rotate_policy(3, &plain, 2_000_000_000, |_, _| ());
    assert_eq!(stopped.unwrap().moved, 0, "nothing was under version 3");
    let shop = Policy::new(merchant("shop"), 9, TokenForm::Vault);
    vault.tokenize(&shop, &pan(7), None).unwrap();
    let old = Policy::new(merchant("shop"), 1, TokenForm::Vault);
    assert!(matches!(vault.rotate_policy(9, &old, 2_000_000_000, |_, _| ()), Err(VaultError::PolicyReplaced)));
}

/// Tokens that end by themselves before the date are left to that.
#[test]
fn of_policies_with_tokens_that_end_before() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get());
    let minute = policy("shop").time_to_live(Duration::from_secs(60)).unwrap();
    let token = vault.tokenize(&minute, &pan(1), None).unwrap();
    let new = Policy::new(merchant("shop"), 2, TokenForm::Vault);
    assert_eq!(vault.rotate_policy(1, &new, NOW.get() + 60, |_, _| ()).unwrap().moved, 0);
    assert!(vault.detokenize("till", &minute, Purpose::Payment, &token).is_ok());
    NOW.set(NOW.get() + 60);
    assert!(vault.detokenize("till", &minute, Purpose::Payment, &token).is_err());
}
