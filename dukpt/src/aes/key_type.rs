//! Types and usages of keys: what the derivation data say about them (X9.24-3:2017, 6.2.1 and 6.3.2, tables 2 and 3).

use crate::KeyError;

/// The size of an AES key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyType {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeyType {
    /// Length of the key in bytes.
    #[inline]
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// What a working key is used with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WorkingKeyType {
    /// Two-key TDES, 16 bytes. The parity bits are as they come.
    Tdes2,
    /// Three-key TDES, 24 bytes. The parity bits are as they come.
    Tdes3,
    /// AES.
    Aes(KeyType),
    /// HMAC-SHA-256 with a key of 16 bytes.
    Hmac128,
    /// HMAC-SHA-256 with a key of 24 bytes.
    Hmac192,
    /// HMAC-SHA-256 with a key of 32 bytes.
    Hmac256,
}

impl From<KeyType> for WorkingKeyType {
    #[inline]
    fn from(size: KeyType) -> Self {
        Self::Aes(size)
    }
}

impl WorkingKeyType {
    /// Length of the key in bytes.
    #[inline]
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Tdes2 | Self::Hmac128 => 16,
            Self::Tdes3 | Self::Hmac192 => 24,
            Self::Hmac256 => 32,
            Self::Aes(size) => size.length(),
        }
    }

    /// Strength in bits (NIST SP 800-57-1, table 2), which counts, not the length: three-key TDES has 112.
    #[must_use]
    pub fn strength(self) -> u32 {
        match self {
            Self::Tdes2 => 80,
            Self::Tdes3 => 112,
            Self::Aes(KeyType::Aes128) | Self::Hmac128 => 128,
            Self::Aes(KeyType::Aes192) | Self::Hmac192 => 192,
            Self::Aes(KeyType::Aes256) | Self::Hmac256 => 256,
        }
    }

    /// A key for blocks of data: every type but HMAC.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`].
    pub(super) fn cipher(self) -> Result<Self, KeyError> {
        match self {
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => Err(KeyError::NotPermitted),
            _ => Ok(self),
        }
    }

    /// A working key must not be stronger than the key it is derived from (X9.24-3:2017, 6.3.1).
    ///
    /// # Errors
    /// [`KeyError::TooStrong`].
    pub(super) fn under(self, base: KeyType) -> Result<Self, KeyError> {
        if self.strength() > Self::from(base).strength() { Err(KeyError::TooStrong) } else { Ok(self) }
    }

    /// Table 3 (algorithm) and the length in bits.
    #[inline]
    pub(super) fn algorithm_and_bits(self) -> [u8; 4] {
        let [high, low] = match self {
            Self::Tdes2 | Self::Aes(KeyType::Aes128) | Self::Hmac128 => [0x00, 0x80],
            Self::Tdes3 | Self::Aes(KeyType::Aes192) | Self::Hmac192 => [0x00, 0xC0],
            Self::Aes(KeyType::Aes256) | Self::Hmac256 => [0x01, 0x00],
        };
        let algorithm = match self {
            Self::Tdes2 => 0x00,
            Self::Tdes3 => 0x01,
            Self::Aes(KeyType::Aes128) => 0x02,
            Self::Aes(KeyType::Aes192) => 0x03,
            Self::Aes(KeyType::Aes256) => 0x04,
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => 0x05,
        };
        [0x00, algorithm, high, low]
    }
}

/// What a device uses a working key for (X9.24-3:2017, table 2). The host does the counterpart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Usage {
    /// `0002`: encrypts keys.
    KeyEncryption,
    /// `1000`: encrypts PIN blocks.
    Pin,
    /// `2000`: the device authenticates, the host verifies.
    MacGenerate,
    /// `2001`: the host authenticates, the device verifies.
    MacVerify,
    /// `2002`: one MAC key for both ways.
    MacBoth,
    /// `3000`: the device encrypts, the host decrypts.
    DataEncrypt,
    /// `3001`: the host encrypts, the device decrypts.
    DataDecrypt,
    /// `3002`: one data key for both ways.
    DataBoth,
}

impl Usage {
    /// The two bytes of the derivation data.
    #[must_use]
    pub fn code(self) -> [u8; 2] {
        match self {
            Self::KeyEncryption => [0x00, 0x02],
            Self::Pin => [0x10, 0x00],
            Self::MacGenerate => [0x20, 0x00],
            Self::MacVerify => [0x20, 0x01],
            Self::MacBoth => [0x20, 0x02],
            Self::DataEncrypt => [0x30, 0x00],
            Self::DataDecrypt => [0x30, 0x01],
            Self::DataBoth => [0x30, 0x02],
        }
    }

    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is one of `permitted`.
    pub(super) fn one_of(self, permitted: [Self; 2]) -> Result<Self, KeyError> {
        if permitted.contains(&self) { Ok(self) } else { Err(KeyError::NotPermitted) }
    }
}
