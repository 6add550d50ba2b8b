//! A store in memory that counts what is asked of it.

use std::cell::Cell;

use dukpt::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm,
    MemoryKey, MemoryStore, Scheme, Tag, aes, tdes,
};

pub(crate) const DEAD: KeyError = KeyError::Device { function: "C_DeriveKey", code: 0x82 };

#[derive(Default)]
pub(crate) struct Counting {
    pub(crate) keys: MemoryStore,
    pub(crate) derivations: Cell<usize>,
    pub(crate) initial_keys: Cell<usize>,
    /// Derived keys that are not dropped.
    pub(crate) alive: Cell<usize>,
    /// Derived keys of another epoch are dead, as those of a lost session.
    pub(crate) epoch: Cell<usize>,
    /// The base keys are there no more.
    pub(crate) removed: Cell<bool>,
}

/// With the epoch that it is of, if it is derived.
pub(crate) struct CountingKey<'s>(&'s Counting, MemoryKey<'s>, Option<usize>);

pub(crate) fn count(cell: &Cell<usize>, more: usize) {
    cell.set(cell.get() + more);
}

impl Counting {
    pub(crate) fn new(kind: &str, names: &[&str]) -> Self {
        let mut counting = Self::default();
        for (name, fill) in names.iter().zip(0x31..) {
            let mut bytes = [fill; 16];
            bytes[3] ^= 0x5C;
            let material = KeyMaterial::new(kind, &bytes).unwrap();
            counting.keys.import(&KeyId::new(name).unwrap(), &material, Lifetime::Session).unwrap();
        }
        counting
    }

    pub(crate) fn take_derivations(&self) -> usize {
        self.derivations.take()
    }
}

impl KeyStore for Counting {
    type Key<'s> = CountingKey<'s>;

    fn key(&self, id: &KeyId) -> Result<CountingKey<'_>, KeyError> {
        if self.removed.get() {
            return Err(KeyError::NotFound(id.clone()));
        }
        Ok(CountingKey(self, self.keys.key(id)?, None))
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        if scheme == Scheme::Aes { Custody::Token } else { Custody::Hybrid }
    }
}

impl CountingKey<'_> {
    fn alive(&self) -> Result<&Self, KeyError> {
        if self.2.is_some_and(|epoch| epoch != self.0.epoch.get()) { Err(DEAD) } else { Ok(self) }
    }
}

impl Key for CountingKey<'_> {
    fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError> {
        let key = self.alive()?.1.derive(step)?;
        count(&self.0.derivations, 1);
        count(&self.0.alive, 1);
        Ok(Self(self.0, key, Some(self.0.epoch.get())))
    }

    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        count(&self.0.initial_keys, 1);
        self.1.tdes_initial_key(ksn)
    }

    fn tdes_initial_keys(&self, ksns: &[tdes::Ksn]) -> Result<Vec<tdes::InitialKey>, KeyError> {
        count(&self.0.initial_keys, ksns.len());
        self.1.tdes_initial_keys(ksns)
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.alive()?.1.decrypt_cbc(iv, data)
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.1.encrypt_cbc(iv, data)
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.1.encrypt_block(block)
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.1.decrypt_block(block)
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        self.1.mac(algorithm, data)
    }

    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        self.1.check_value(method)
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        self.1.encrypt_blocks(blocks)
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        self.1.wrap(secret)
    }

    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        self.1.unwrap(wrapped, secret)
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        self.1.hmac_sha256(data)
    }
}

impl Drop for CountingKey<'_> {
    fn drop(&mut self) {
        if self.2.is_some() {
            self.0.alive.set(self.0.alive.get() - 1);
        }
    }
}
