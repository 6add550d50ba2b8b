//! A store with one key, and a key that counts its calls, fails at one of them or looks around in one.
#![allow(dead_code, reason = "each test uses its part")]

use std::cell::Cell;

use dukpt::{
    CheckMethod, CheckValue, Key, KeyError, KeyId, KeyImport, KeyMaterial, Lifetime, MacAlgorithm, MemoryStore, Tag,
    aes, tdes,
};

pub(crate) fn id() -> KeyId {
    KeyId::new("key").unwrap()
}

pub(crate) fn store(kind: &str, key: &[u8]) -> MemoryStore {
    let mut store = MemoryStore::new();
    store.import(&id(), &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    store
}

thread_local!(static CALLS: Cell<usize> = const { Cell::new(0) });

/// Calls of all counting keys of this thread.
pub(crate) fn calls() -> usize {
    CALLS.get()
}

pub(crate) struct Counting<K> {
    key: K,
    left: Cell<usize>,
    /// Runs in the call of this number.
    look: Option<(usize, fn())>,
    /// Whether the first block comes out as zeros.
    zeroing: bool,
    calls: Cell<usize>,
}

impl<K> Counting<K> {
    pub(crate) fn new(key: K) -> Self {
        Self::failing(key, usize::MAX)
    }

    /// Fails behind `left` calls.
    pub(crate) fn failing(key: K, left: usize) -> Self {
        Self { key, left: Cell::new(left), look: None, zeroing: false, calls: Cell::new(0) }
    }

    /// Runs `look` in the call of this number, the first being 0.
    pub(crate) fn watched(key: K, call: usize, look: fn()) -> Self {
        Self { look: Some((call, look)), ..Self::new(key) }
    }

    /// Sets up with zeros, and runs `look` in the first round.
    pub(crate) fn zeroing(key: K, look: fn()) -> Self {
        Self { zeroing: true, ..Self::watched(key, 1, look) }
    }

    fn call(&self) -> Result<(), KeyError> {
        CALLS.set(CALLS.get() + 1);
        let left = self.left.get().checked_sub(1).ok_or(KeyError::Device { function: "C_Encrypt", code: 5 })?;
        self.left.set(left);
        let call = self.calls.replace(self.calls.get() + 1);
        self.look.iter().filter(|(at, _)| *at == call).for_each(|(_, look)| look());
        Ok(())
    }
}

impl<K: Key> Key for Counting<K> {
    fn derive(&self, _: &aes::Derivation) -> Result<Self, KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn tdes_initial_key(&self, _: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn decrypt_cbc(&self, _: &[u8; 16], _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.call()?;
        if self.zeroing {
            data.fill(0);
            return Ok(());
        }
        self.key.encrypt_cbc(iv, data)
    }
    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        self.call()?;
        self.key.encrypt_blocks(blocks)
    }
    fn encrypt_block(&self, _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn decrypt_block(&self, _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn mac(&self, _: MacAlgorithm, _: &[u8]) -> Result<Tag, KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn check_value(&self, _: CheckMethod) -> Result<CheckValue, KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn wrap(&self, _: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn unwrap(&self, _: &[u8; 40], _: &mut [u8; 32]) -> Result<(), KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn hmac_sha256(&self, _: &[u8]) -> Result<[u8; 32], KeyError> {
        Err(KeyError::NotPermitted)
    }
}
