//! A key store that records what is asked of it, decrypts by turning every bit over, and fails on demand.

use std::cell::RefCell;

use dukpt::{CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyStore, MacAlgorithm, Scheme, Tag, aes, tdes};

pub(crate) struct FakeStore {
    pub(crate) calls: RefCell<Vec<String>>,
    /// The call that fails, and how.
    pub(crate) failure: Option<(&'static str, KeyError)>,
    /// Runs while the clear text is in memory.
    pub(crate) on_clear_text: fn(),
}

impl FakeStore {
    pub(crate) fn new(failure: Option<(&'static str, KeyError)>, on_clear_text: fn()) -> Self {
        Self { calls: RefCell::default(), failure, on_clear_text }
    }

    fn asked(&self, call: &str, detail: &str) -> Result<(), KeyError> {
        self.calls.borrow_mut().push(format!("{call}{detail}"));
        match &self.failure {
            Some((failing, error)) if *failing == call => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

pub(crate) struct FakeKey<'s>(&'s FakeStore);

impl KeyStore for FakeStore {
    type Key<'s> = FakeKey<'s>;

    fn key(&self, id: &KeyId) -> Result<FakeKey<'_>, KeyError> {
        self.asked("key", &format!(" {id}")).map(|()| FakeKey(self))
    }

    fn custody(&self, _: Scheme) -> Custody {
        Custody::Memory
    }
}

impl Key for FakeKey<'_> {
    fn derive(&self, _: &aes::Derivation) -> Result<Self, KeyError> {
        self.0.asked("derive", "").map(|()| Self(self.0))
    }

    fn tdes_initial_key(&self, _: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        self.0.asked("tdes_initial_key", "")?;
        tdes::InitialKey::try_filled(|_| Ok(()))
    }

    fn decrypt_cbc(&self, _: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        data.iter_mut().for_each(|byte| *byte = !*byte);
        (self.0.on_clear_text)();
        self.0.asked("decrypt_cbc", "")
    }

    fn encrypt_cbc(&self, _: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        data.iter_mut().for_each(|byte| *byte = !*byte);
        self.0.asked("encrypt_cbc", "")
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        blocks.as_flattened_mut().iter_mut().for_each(|byte| *byte = !*byte);
        (self.0.on_clear_text)();
        self.0.asked("encrypt_blocks", "")
    }

    // What stands here asks nothing of these.
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
        (self.0.on_clear_text)();
        self.0.asked("hmac_sha256", "").map(|()| [0; 32])
    }
}
