//! Key check values: the few bytes by which people confirm that a key is the right one.

use core::{fmt, str::FromStr};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{KeyError, MacAlgorithm, aes::WorkingKeyType, clear::ClearKey, ksn::write_hex};

/// A check value of 2 to 5 bytes, written with 4 to 10 hex digits.
#[derive(Clone, Copy, Debug)]
pub struct CheckValue {
    bytes: [u8; 5],
    length: usize,
}

impl CheckValue {
    /// The first 3 bytes, as PKCS#11 `CKA_CHECK_VALUE` has them. Shorter input is refused.
    #[must_use]
    pub fn legacy(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk::<3>().map(|first| Self::cut(first))
    }

    /// The first 5 bytes of a MAC over a zero block ([`CheckMethod::Cmac`]). Shorter input is refused.
    #[must_use]
    pub fn cmac(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk::<5>().map(|first| Self::cut(first))
    }

    /// Whether two values agree over the digits that both have.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let length = self.length.min(other.length);
        self.bytes[..length].ct_eq(&other.bytes[..length]).into()
    }

    pub(crate) fn cut(bytes: &[u8]) -> Self {
        let length = bytes.len().min(5);
        let mut value = Self { bytes: [0; 5], length };
        value.bytes[..length].copy_from_slice(&bytes[..length]);
        value
    }
}

impl fmt::Display for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.bytes[..self.length], f)
    }
}

impl FromStr for CheckValue {
    type Err = CheckValueError;

    fn from_str(text: &str) -> Result<Self, CheckValueError> {
        let digits = text.as_bytes();
        if !(4..=10).contains(&digits.len()) || !digits.len().is_multiple_of(2) {
            return Err(CheckValueError);
        }
        let mut value = Self { bytes: [0; 5], length: digits.len() / 2 };
        for (byte, pair) in value.bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |d: u8| char::from(d).to_digit(16).ok_or(CheckValueError);
            *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).map_err(|_| CheckValueError)?;
        }
        Ok(value)
    }
}

/// Text that is not a check value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a check value has 4, 6, 8 or 10 hex digits")]
pub struct CheckValueError;

/// How a check value is computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CheckMethod {
    /// The first 3 bytes of a zero block under the key (ANSI X9.24-1:2009); of an HMAC key, of an empty message's MAC.
    Legacy,
    /// The first 5 bytes of the CMAC of one zero block (ANSI X9.24-1:2017, X9.143:2021). HMAC keys have none.
    Cmac,
}

impl CheckMethod {
    /// The check value of a clear key.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for bytes that are no key of this type; [`KeyError::NotPermitted`] for the CMAC of an
    /// HMAC key.
    pub fn of_clear_key(self, key_type: WorkingKeyType, key: &[u8]) -> Result<CheckValue, KeyError> {
        self.of(ClearKey::new(key_type, key)?)
    }

    pub(crate) fn of(self, key: ClearKey<'_>) -> Result<CheckValue, KeyError> {
        let zeros = [0; 16];
        let length = match key {
            ClearKey::Tdes(_) => 8,
            _ => 16,
        };
        match (self, key) {
            (Self::Legacy, ClearKey::Hmac(_)) => {
                Ok(CheckValue::cut(&key.mac(MacAlgorithm::HmacSha256, &[])?.as_bytes()[..3]))
            }
            (Self::Legacy, _) => {
                let mut block = Zeroizing::new(zeros);
                key.encrypt_block(&mut block[..length])?;
                Ok(CheckValue::cut(&block[..3]))
            }
            (Self::Cmac, _) => Ok(CheckValue::cut(&key.mac(MacAlgorithm::Cmac, &zeros[..length])?.as_bytes()[..5])),
        }
    }
}
