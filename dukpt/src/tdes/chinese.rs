//! "Chinese DUKPT": what some readers do and **no standard knows**. The injected key is the initial key itself, and data
//! are encrypted in ECB mode under the transaction key without any variant.
//!
//! Equal blocks of clear text show in the ciphertext, and data share their key with nothing to tell usages apart. Here
//! for readers that leave no choice; its own module, so that no ANSI profile slips into it.

use super::{InitialKey, Ksn, TransactionKey};
use crate::{KeyError, KsnError, software};

/// The transaction key used for data, 16 bytes. Its only operation is decryption.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct DataKey(TransactionKey);

impl DataKey {
    /// Derives the key that `ksn` names from the injected key.
    ///
    /// # Errors
    /// [`KsnError::CounterZero`].
    pub fn derive(injected: &InitialKey, ksn: &Ksn) -> Result<Self, KsnError> {
        TransactionKey::derive(injected, ksn).map(Self)
    }

    /// TDES-ECB decryption in place; `data` is whole 8-byte blocks.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks.
    pub fn decrypt_ecb(&self, data: &mut [u8]) -> Result<(), KeyError> {
        let (blocks, []) = data.as_chunks_mut::<8>() else { return Err(KeyError::BadLength) };
        if blocks.is_empty() {
            return Err(KeyError::BadLength);
        }
        blocks.iter_mut().for_each(|block| software::tdes_decrypt_block(self.0.expose(), block));
        Ok(())
    }

    /// The clear bytes, for tests against published keys.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}
