//! The host's side: from base key to the working keys of one transaction. Each has the operations of its usage only.

use super::{Derivation, KeyType, Ksn, Purpose, Suite, Usage, WorkingKeyType};
use crate::{CheckMethod, CheckValue, Key, KeyError, MacError, MacFormat, Tag};

/// The key of one transaction that its working keys are derived from.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct TransactionKey<K> {
    pub(super) key: K,
    pub(super) ksn: Ksn,
    pub(super) base: KeyType,
}

impl<K: Key> TransactionKey<K> {
    /// Derives the key that `ksn` names from a base key of size `base`: one step for the initial key, one for each set
    /// counter bit (X9.24-3:2017, 6.3.1 to 6.3.3).
    ///
    /// # Errors
    /// [`KeyError::Ksn`] for counter zero, else what the store says.
    pub fn derive(base_key: &K, ksn: &Ksn, base: KeyType) -> Result<Self, KeyError> {
        let initial_key = Derivation::initial_key(ksn.initial_key_id(), base);
        let key = base_key.derive_path(core::iter::once(initial_key).chain(ksn.registers(base)?), None)?;
        Ok(Self { key, ksn: *ksn, base })
    }

    /// The key that decrypts what the device encrypts: [`Usage::DataEncrypt`] or [`Usage::DataBoth`].
    ///
    /// # Errors
    /// [`KeyError::TooStrong`]; [`KeyError::NotPermitted`] for another usage or an HMAC key; else what the store says,
    /// as [`KeyError::Unsupported`] for TDES keys inside a token.
    pub fn data_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<DataKey<K>, KeyError> {
        let usage = usage.one_of([Usage::DataEncrypt, Usage::DataBoth])?;
        self.working(key_type.cipher()?, usage, Purpose::Decrypt).map(DataKey)
    }

    /// The key that encrypts what the device decrypts: [`Usage::DataDecrypt`] or [`Usage::DataBoth`].
    ///
    /// # Errors
    /// As of [`TransactionKey::data_key`].
    pub fn response_data_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<DataEncryptionKey<K>, KeyError> {
        let usage = usage.one_of([Usage::DataDecrypt, Usage::DataBoth])?;
        self.working(key_type.cipher()?, usage, Purpose::Encrypt).map(DataEncryptionKey)
    }

    /// The key of PIN blocks, [`Usage::Pin`].
    ///
    /// # Errors
    /// As of [`TransactionKey::data_key`].
    pub fn pin_key(&self, key_type: WorkingKeyType) -> Result<PinKey<K>, KeyError> {
        self.working(key_type.cipher()?, Usage::Pin, Purpose::Pin).map(PinKey)
    }

    /// The key that verifies what the device authenticates: [`Usage::MacGenerate`] or [`Usage::MacBoth`].
    ///
    /// # Errors
    /// As of [`TransactionKey::data_key`], but HMAC keys are permitted.
    pub fn mac_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<MacVerificationKey<K>, KeyError> {
        let usage = usage.one_of([Usage::MacGenerate, Usage::MacBoth])?;
        self.working(key_type, usage, Purpose::Mac).map(MacVerificationKey)
    }

    /// The key that authenticates what the device verifies: [`Usage::MacVerify`] or [`Usage::MacBoth`].
    ///
    /// # Errors
    /// As of [`TransactionKey::mac_key`].
    pub fn response_mac_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<MacGenerationKey<K>, KeyError> {
        let usage = usage.one_of([Usage::MacVerify, Usage::MacBoth])?;
        self.working(key_type, usage, Purpose::Mac).map(MacGenerationKey)
    }

    /// The key-encryption key, [`Usage::KeyEncryption`].
    ///
    /// # Errors
    /// As of [`TransactionKey::data_key`].
    pub fn key_encryption_key(&self, key_type: WorkingKeyType) -> Result<KeyEncryptionKey<K>, KeyError> {
        self.working(key_type.cipher()?, Usage::KeyEncryption, Purpose::Check).map(KeyEncryptionKey)
    }

    pub(super) fn working(&self, key_type: WorkingKeyType, usage: Usage, purpose: Purpose) -> Result<K, KeyError> {
        let key_type = key_type.under(self.base)?;
        self.key.derive(&Derivation::working(self.ksn.derivation_id(), self.ksn.counter(), usage, key_type, purpose))
    }
}

/// The DUKPT update key of one device, under which it gets its next initial key: usage `0002` at the end of the full
/// chain of 32 steps, counter `FFFFFFFF` (X9.24-3:2017, 6.5.2). The one exception to the rule of 16 counter bits,
/// and so never named by a received KSN, but by the initial key id alone.
///
/// # Errors
/// [`KeyError::TooStrong`]; [`KeyError::NotPermitted`] for an HMAC key; else what the store says.
pub fn update_key<K: Key>(
    base_key: &K,
    initial_key_id: [u8; 8],
    base: KeyType,
    key_type: WorkingKeyType,
) -> Result<KeyEncryptionKey<K>, KeyError> {
    let first = Derivation::initial_key(initial_key_id, base);
    update_key_from(base_key, Some(first), u32::BITS, initial_key_id, base, key_type)
}

/// The rest of the chain: `first`, the steps of the `bits` lowest counter bits, all above being set, and the update key.
pub(super) fn update_key_from<K: Key>(
    parent: &K,
    first: Option<Derivation>,
    bits: u32,
    initial_key_id: [u8; 8],
    base: KeyType,
    key_type: WorkingKeyType,
) -> Result<KeyEncryptionKey<K>, KeyError> {
    let key_type = key_type.cipher()?.under(base)?;
    let [_, _, _, _, a, b, c, d] = initial_key_id;
    let derivation_id = [a, b, c, d];
    let registers = (0..bits).rev().map(|bit| Derivation::register(derivation_id, u32::MAX << bit, base));
    let last = Derivation::working(derivation_id, u32::MAX, Usage::KeyEncryption, key_type, Purpose::Check);
    parent.derive_path(first.into_iter().chain(registers).chain([last]), None).map(KeyEncryptionKey)
}

/// The data key of one transaction. Its only operation is the decryption of what the other side encrypted.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct DataKey<K>(pub(super) K);

impl<K: Key> DataKey<K> {
    /// Derives the data key that `ksn` names from the base key: one step for the initial key, one for each set
    /// counter bit, one for the data key (X9.24-3:2017, 6.3.1 to 6.3.3).
    ///
    /// # Errors
    /// [`KeyError::Ksn`] for counter zero, else what the store says.
    pub fn derive(base_key: &K, ksn: &Ksn, suite: Suite) -> Result<Self, KeyError> {
        Self::derive_after(None, base_key, ksn, suite)
    }

    /// As [`DataKey::derive`], for one transaction after another: the memory of a `spent` key becomes that of the new one.
    ///
    /// # Errors
    /// As of [`DataKey::derive`]; the spent key is gone either way.
    pub fn derive_after(spent: Option<Self>, base_key: &K, ksn: &Ksn, suite: Suite) -> Result<Self, KeyError> {
        let path = core::iter::once(ksn.initial_key(suite)).chain(ksn.steps(suite)?);
        base_key.derive_path(path, spent.map(|key| key.0)).map(Self)
    }

    /// The data keys of many transactions, which a store may derive together. `each` gets the number of a KSN with its key,
    /// in any order, or with the reason why there is none, and may give back a key that is needed no more.
    pub fn derive_each<'k>(
        base_key: &K,
        ksns: impl IntoIterator<Item = &'k Ksn>,
        suite: Suite,
        mut each: impl FnMut(usize, Result<Self, KeyError>) -> Option<Self>,
    ) {
        let path = |ksn: &Ksn| Ok(core::iter::once(ksn.initial_key(suite)).chain(ksn.steps(suite)?));
        base_key.derive_each(ksns.into_iter().map(path), |number, key| each(number, key.map(Self)).map(|key| key.0));
    }

    /// CBC decryption in place; `data` is whole blocks of the key's cipher, and TDES takes the first 8 bytes of the IV.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks, else what the store says.
    pub fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.0.decrypt_cbc(iv, data)
    }
}

/// A data key that encrypts for the other side: the host's response, or a device's request.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct DataEncryptionKey<K>(pub(super) K);

impl<K: Key> DataEncryptionKey<K> {
    /// CBC encryption in place; `data` is whole blocks of the key's cipher, and TDES takes the first 8 bytes of the IV.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks, else what the store says.
    pub fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.0.encrypt_cbc(iv, data)
    }
}

/// The PIN key of one transaction: single cipher blocks. What a PIN block looks like inside is ISO 9564-1's matter.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct PinKey<K>(pub(super) K);

impl<K: Key> PinKey<K> {
    /// One block in place, 16 bytes (AES) or 8 (TDES).
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for another length, else what the store says.
    pub fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.0.encrypt_block(block)
    }

    /// One block in place, 16 bytes (AES) or 8 (TDES).
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for another length, else what the store says.
    pub fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.0.decrypt_block(block)
    }
}

/// A MAC key whose only operation is the verification of what the other side authenticated.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct MacVerificationKey<K>(pub(super) K);

impl<K: Key> MacVerificationKey<K> {
    /// Verifies in constant time.
    ///
    /// # Errors
    /// [`MacError::Mismatch`]; [`MacError::Key`] for an algorithm that the key's type does not have, a format longer
    /// than the MAC, and what the store says.
    pub fn verify(&self, format: MacFormat, data: &[u8], mac: &[u8]) -> Result<(), MacError> {
        format.compare(self.0.mac(format.algorithm(), data)?, mac)
    }
}

/// A MAC key whose only operation is the authentication of what the other side verifies.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct MacGenerationKey<K>(pub(super) K);

impl<K: Key> MacGenerationKey<K> {
    /// The MAC as the format has it.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] for an algorithm that the key's type does not have; [`KeyError::BadLength`] for a
    /// format longer than the MAC; else what the store says.
    pub fn generate(&self, format: MacFormat, data: &[u8]) -> Result<Tag, KeyError> {
        format.cut(self.0.mac(format.algorithm(), data)?)
    }
}

/// A key-encryption key. It wraps and unwraps nothing yet.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct KeyEncryptionKey<K>(K);

impl<K: Key> KeyEncryptionKey<K> {
    /// The check value, by which people confirm that it is the right key.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] where the store cannot tell.
    pub fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        self.0.check_value(method)
    }
}
