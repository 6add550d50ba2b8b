//! Many transactions at once: the data keys and the messages of a batch share the lanes of the bitsliced DES.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{Cipher, InitialKey, Ksn, Variant, keys::derive_lanes};
use crate::{KeyError, KsnError, clear::ClearKey, software};

/// The data keys of many transactions, 16 bytes each. Their only operation is decryption.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct DataKeys(Zeroizing<Vec<[u8; 16]>>);

impl DataKeys {
    pub(super) fn new(keys: Zeroizing<Vec<[u8; 16]>>) -> Self {
        Self(keys)
    }

    /// Derives the data key of each transaction: key `i` from `transactions[i]`, as [`super::DataKey::derive`] does.
    ///
    /// # Errors
    /// [`KsnError::CounterZero`] if one of the counters is.
    pub fn derive(transactions: &[(&InitialKey, Ksn)], variant: Variant) -> Result<Self, KsnError> {
        let mut initial = Zeroizing::new(Vec::with_capacity(transactions.len()));
        initial.extend(transactions.iter().map(|(key, _)| *key.expose()));
        Self::from_initial(&initial, transactions.iter().map(|(_, ksn)| ksn), variant)
    }

    /// The same from the clear base key.
    pub(crate) fn from_base_key(base_key: &[u8; 16], ksns: &[Ksn], variant: Variant) -> Result<Self, KsnError> {
        Self::from_initial(&derive_lanes(base_key, ksns), ksns.iter(), variant)
    }

    fn from_initial<'a>(
        initial: &[[u8; 16]],
        ksns: impl Iterator<Item = &'a Ksn> + Clone,
        variant: Variant,
    ) -> Result<Self, KsnError> {
        if ksns.clone().any(|ksn| ksn.counter() == 0) {
            return Err(KsnError::CounterZero);
        }
        let registers: Vec<[u8; 8]> = ksns.map(|ksn| ksn.register().to_be_bytes()).collect();
        let mut keys = Zeroizing::new(alloc::vec![[0; 16]; initial.len()]);
        software::tdes_working_keys(initial, &registers, variant.working(), &mut keys);
        Ok(Self(keys))
    }

    /// CBC decryption with a zero IV, in place, of messages that each name their key by its index. Each message is whole
    /// blocks of the cipher.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks or an index that is not there; then nothing was decrypted.
    pub fn decrypt_cbc(&self, cipher: Cipher, messages: &mut [(usize, &mut [u8])]) -> Result<(), KeyError> {
        let whole = |data: &[u8]| !data.is_empty() && data.len().is_multiple_of(cipher.block());
        if messages.iter().any(|(key, data)| *key >= self.0.len() || !whole(data)) {
            return Err(KeyError::BadLength);
        }
        match cipher {
            Cipher::Tdes => {
                let messages = messages.iter_mut().map(|(key, data)| (&self.0[*key], data.as_chunks_mut().0));
                software::tdes_cbc_decrypt_each(messages);
                Ok(())
            }
            Cipher::Aes128 => {
                messages.iter_mut().try_for_each(|(key, data)| ClearKey::Aes(&self.0[*key]).decrypt_cbc(&[0; 16], data))
            }
        }
    }
}
