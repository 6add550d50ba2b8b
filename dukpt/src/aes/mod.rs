//! AES DUKPT (ANSI X9.24-3:2017). Written once over any [`Key`]: on a token it runs wholly inside.

mod derivation;
mod ksn;

pub use derivation::{DataUsage, Derivation, KeyType, Purpose, Suite, SuiteError};
pub use ksn::Ksn;

use crate::{Key, KeyError};

/// The data key of one transaction. Its only operation is the decryption of what the device encrypted.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct DataKey<K>(K);

impl<K: Key> DataKey<K> {
    /// Derives the data key that `ksn` names from the base key: one step for the initial key, one for each set
    /// counter bit, one for the data key (X9.24-3:2017, 6.3.1 to 6.3.3).
    ///
    /// # Errors
    /// [`KeyError::Ksn`] for counter zero, else what the store says.
    pub fn derive(base_key: &K, ksn: &Ksn, suite: Suite) -> Result<Self, KeyError> {
        let steps = ksn.steps(suite)?;
        let mut key = base_key.derive(&ksn.initial_key(suite))?;
        for step in steps {
            key = key.derive(&step)?;
        }
        Ok(Self(key))
    }

    /// AES-CBC decryption in place; `data` is whole 16-byte blocks.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks, else what the store says.
    pub fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.0.decrypt_cbc(iv, data)
    }
}
