//! The key block protection key (KBPK), and the two keys of a block that come from it.

use alloc::vec::Vec;

use dukpt::{
    Key, KeyError, MacAlgorithm, Tag,
    aes::{KeyType, WorkingKeyType},
};
use zeroize::Zeroizing;

use crate::{KeyBlockError, Version};

/// A key under which key blocks stand.
pub trait ProtectionKey {
    /// Its type: TDES with two or three keys, or AES.
    fn key_type(&self) -> WorkingKeyType;

    /// Its CMAC of `data`.
    ///
    /// # Errors
    /// What the key store says.
    fn cmac(&self, data: &[u8]) -> Result<Tag, KeyError>;

    /// Its bytes, which versions A and C need; `None` where they are kept.
    fn clear(&self) -> Option<&[u8]>;
}

/// A protection key in wiped host memory.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct ClearProtectionKey {
    key_type: WorkingKeyType,
    bytes: Zeroizing<Vec<u8>>,
}

impl ClearProtectionKey {
    /// A TDES key of 16 or 24 bytes.
    ///
    /// # Errors
    /// [`KeyBlockError::ProtectionKey`] for another length.
    pub fn tdes(bytes: &[u8]) -> Result<Self, KeyBlockError> {
        Self::new(bytes, [WorkingKeyType::Tdes2, WorkingKeyType::Tdes3])
    }

    /// An AES key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// [`KeyBlockError::ProtectionKey`] for another length.
    pub fn aes(bytes: &[u8]) -> Result<Self, KeyBlockError> {
        Self::new(bytes, [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256].map(WorkingKeyType::Aes))
    }

    fn new<const N: usize>(bytes: &[u8], types: [WorkingKeyType; N]) -> Result<Self, KeyBlockError> {
        let key_type = types.into_iter().find(|key_type| key_type.length() == bytes.len());
        let key_type = key_type.ok_or(KeyBlockError::ProtectionKey)?;
        Ok(Self { key_type, bytes: Zeroizing::new(bytes.to_vec()) })
    }
}

impl ProtectionKey for ClearProtectionKey {
    fn key_type(&self) -> WorkingKeyType {
        self.key_type
    }

    fn cmac(&self, data: &[u8]) -> Result<Tag, KeyError> {
        MacAlgorithm::Cmac.under_clear_key(self.key_type, &self.bytes, data)
    }

    fn clear(&self) -> Option<&[u8]> {
        Some(&self.bytes)
    }
}

/// A protection key that stays in its store, as a token: blocks of versions B and D.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct StoredProtectionKey<'k, K> {
    key: &'k K,
    key_type: WorkingKeyType,
}

impl<'k, K: Key> StoredProtectionKey<'k, K> {
    /// A key of kind `tdes-kbpk` or `aes-kbpk`, with its type.
    pub fn new(key: &'k K, key_type: WorkingKeyType) -> Self {
        Self { key, key_type }
    }
}

impl<K: Key> ProtectionKey for StoredProtectionKey<'_, K> {
    fn key_type(&self) -> WorkingKeyType {
        self.key_type
    }

    fn cmac(&self, data: &[u8]) -> Result<Tag, KeyError> {
        self.key.mac(MacAlgorithm::Cmac, data)
    }

    fn clear(&self) -> Option<&[u8]> {
        None
    }
}

/// Encryption key and authentication key of a block, of the protection key's type.
pub(crate) struct BlockKeys {
    pub(crate) key_type: WorkingKeyType,
    pub(crate) encryption: Zeroizing<Vec<u8>>,
    pub(crate) authentication: Zeroizing<Vec<u8>>,
}

impl BlockKeys {
    /// # Errors
    /// [`KeyBlockError::ProtectionKey`] for a key of another cipher than the version's; [`KeyBlockError::NeedsClearKey`]; what
    /// the key store says.
    pub(crate) fn of(key: &impl ProtectionKey, version: Version) -> Result<Self, KeyBlockError> {
        let key_type = key.key_type();
        let is_aes = matches!(key_type, WorkingKeyType::Aes(_));
        let is_tdes = matches!(key_type, WorkingKeyType::Tdes2 | WorkingKeyType::Tdes3);
        let (encryption, authentication) = match version {
            Version::A | Version::C if is_tdes => {
                let clear = key.clear().ok_or(KeyBlockError::NeedsClearKey)?;
                // X9.143:2021, annex: the protection key xor `E` or `M` in every byte.
                (variant(clear, b'E'), variant(clear, b'M'))
            }
            Version::B if is_tdes => (derived(key, ENCRYPTION)?, derived(key, AUTHENTICATION)?),
            Version::D if is_aes => (derived(key, ENCRYPTION)?, derived(key, AUTHENTICATION)?),
            Version::E => return Err(KeyBlockError::Unsupported("ISO 20038 key blocks (version E)")),
            _ => return Err(KeyBlockError::ProtectionKey),
        };
        Ok(Self { key_type, encryption, authentication })
    }
}

fn variant(key: &[u8], mask: u8) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(key.to_vec());
    bytes.iter_mut().for_each(|byte| *byte ^= mask);
    bytes
}

/// Key usage indicators of the derivation data.
const ENCRYPTION: u8 = 0;
const AUTHENTICATION: u8 = 1;

/// CMACs under the protection key, counted from 1, cut to its own length (X9.143:2021, 7.2 and 7.3).
fn derived(key: &impl ProtectionKey, usage: u8) -> Result<Zeroizing<Vec<u8>>, KeyBlockError> {
    let key_type = key.key_type();
    let algorithm = match key_type {
        WorkingKeyType::Tdes3 => 1,
        WorkingKeyType::Aes(KeyType::Aes128) => 2,
        WorkingKeyType::Aes(KeyType::Aes192) => 3,
        WorkingKeyType::Aes(KeyType::Aes256) => 4,
        _ => 0,
    };
    let [high, low] = match key_type.length() {
        16 => [0x00, 0x80],
        24 => [0x00, 0xC0],
        _ => [0x01, 0x00],
    };
    let length = key_type.length();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    for counter in 1..=3 {
        if bytes.len() < length {
            let part = key.cmac(&[counter, 0, usage, 0, 0, algorithm, high, low])?;
            let wanted = part.as_bytes().len().min(length - bytes.len());
            bytes.extend_from_slice(&part.as_bytes()[..wanted]);
        }
    }
    if bytes.len() == length { Ok(bytes) } else { Err(KeyError::BadLength.into()) }
}
