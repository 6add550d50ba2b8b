//! Card numbers and data keys are wiped: no block of memory is given back with one in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for all crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;
mod support;

use canary::{Seen, watch};
use dukpt::{Key, KeyStore};
use p2pe_crypto::{Expiry, Policy, Purpose, TokenForm};
use support::{database, id, keys, made, merchant, names, opened, pan, policy};
use vault::{Card, ShardedVault};

#[test]
fn card_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop, pan) = (made(folder.path()), policy("shop"), pan(1));
    let secret = pan.expose().as_bytes();
    let mut token = String::new();
    let stored = watch(secret, || token = vault.tokenize(&shop, &pan, None).unwrap());
    assert_eq!(stored, Seen { held: false, leaks: 0 });
    let back = watch(secret, || vault.detokenize("till", &shop, Purpose::Payment, &token).unwrap());
    assert_eq!(back, Seen { held: true, leaks: 0 });
    let moved = watch(secret, || drop(vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap()));
    assert_eq!(moved, Seen { held: false, leaks: 0 });
    let other = id("fingerprints-2");
    let moved = watch(secret, || drop(vault.rotate_fingerprint_key(&other, |_, _| ()).unwrap()));
    assert_eq!(moved, Seen { held: false, leaks: 0 });
    let next = Policy::new(merchant("shop"), 2, TokenForm::Vault).purposes(&[Purpose::Payment]);
    let moved = watch(secret, || assert_eq!(vault.rotate_policy(1, &next, u64::MAX >> 1, |_, _| ()).unwrap().moved, 1));
    assert_eq!(moved, Seen { held: false, leaks: 0 });
    let dated = Policy::new(merchant("dated"), 1, TokenForm::Vault).with_expiry().unwrap();
    let card = Card { pan: &pan, expiry: Expiry::new(30, 1) };
    let stored = watch(secret, || drop(vault.tokenize_batch(&dated, &[card]).unwrap()));
    assert_eq!(stored, Seen { held: false, leaks: 0 });
    let looked = watch(secret, || assert_eq!(vault.verify().unwrap().rows, 3));
    assert_eq!(looked, Seen { held: false, leaks: 0 });
}

/// What is hashed to find a card's shard, too.
#[test]
fn card_numbers_over_two_databases() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let stores = folders.iter().map(|folder| database(folder.path())).collect();
    let set = ShardedVault::init(stores, keys(1, 2), names(), id("routing")).unwrap();
    let (shop, pan) = (policy("shop"), pan(1));
    let secret = pan.expose().as_bytes();
    let mut token = String::new();
    let stored = watch(secret, || token = set.tokenize(&shop, &pan, Some("order")).unwrap());
    assert_eq!(stored, Seen { held: false, leaks: 0 });
    let stored = watch(secret, || drop(set.tokenize_batch(&shop, &[&pan, &pan]).unwrap()));
    assert_eq!(stored, Seen { held: false, leaks: 0 });
    let back = watch(secret, || set.detokenize("till", &shop, Purpose::Payment, &token).unwrap());
    assert_eq!(back, Seen { held: true, leaks: 0 });
    let looked = watch(secret, || assert_eq!(set.verify().unwrap().rows, 1));
    assert_eq!(looked, Seen { held: false, leaks: 0 });
}

#[test]
fn data_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (shop, pan) = (policy("shop"), pan(1));
    let token = made(folder.path()).tokenize(&shop, &pan, None).unwrap();
    let wrapped = database(folder.path()).key("shop", None).unwrap().unwrap().wrapped;
    let mut key = [0; 32];
    Key::unwrap(&keys(1, 2).key(&id("wrapping")).unwrap(), &wrapped, &mut key).unwrap();
    let vault = opened(folder.path());
    // The first round keys of AES-256 are the key itself.
    let used = watch(&key, || {
        vault.detokenize("till", &shop, Purpose::Payment, &token).unwrap();
        vault
    });
    assert_eq!(used.leaks, 0);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(used.held, std::is_x86_feature_detected!("aes"));
}
