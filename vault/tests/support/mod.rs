//! A vault in a temporary folder, with keys in memory.
#![allow(dead_code, reason = "each test uses its part")]

use std::{path::Path, sync::Arc};

use dukpt::{KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_crypto::{MerchantId, Pan, Policy, Purpose, TokenForm};
use vault::{KeyNames, Sqlite, Vault};

pub(crate) fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(crate) fn names() -> KeyNames {
    KeyNames { fingerprint: id("fingerprints"), wrapping: id("wrapping") }
}

/// The keys of a vault, made of these bytes, and a second one of each kind.
pub(crate) fn keys(fingerprint: u8, wrapping: u8) -> MemoryStore {
    let mut store = MemoryStore::new();
    for (name, kind, byte) in [
        ("fingerprints", "hmac", fingerprint),
        ("fingerprints-2", "hmac", 0x66),
        ("wrapping", "wrap", wrapping),
        ("wrapping-2", "wrap", 0x77),
    ] {
        store.import(&id(name), &KeyMaterial::new(kind, &[byte; 32]).unwrap(), Lifetime::Session).unwrap();
    }
    store
}

pub(crate) fn database(folder: &Path) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(&folder.join("vault.db")).unwrap())
}

pub(crate) fn made(folder: &Path) -> Vault<MemoryStore> {
    Vault::init(database(folder), keys(1, 2), names()).unwrap()
}

pub(crate) fn opened(folder: &Path) -> Vault<MemoryStore> {
    Vault::open(database(folder), keys(1, 2)).unwrap()
}

pub(crate) fn merchant(name: &str) -> MerchantId {
    MerchantId::new(name).unwrap()
}

pub(crate) fn policy(shop: &str) -> Policy {
    Policy::new(merchant(shop), 1, TokenForm::Vault).purposes(&[Purpose::Payment])
}

/// Test number `i`: a Visa range, with its check digit.
pub(crate) fn pan(i: u64) -> Pan {
    (0..10)
        .map(|check| format!("49999{i:010}{check}"))
        .map(|p| Pan::new(p.as_bytes()).unwrap())
        .find(Pan::luhn)
        .unwrap()
}

/// All bytes of all files in a folder.
pub(crate) fn everything_in(folder: &Path) -> Vec<u8> {
    std::fs::read_dir(folder).unwrap().flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

pub(crate) fn stands_in(secret: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}
