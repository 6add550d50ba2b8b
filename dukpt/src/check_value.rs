//! Key check values: the few bytes by which people confirm that a key is the right one.

use core::{fmt, str::FromStr};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{KeyKind, ksn::write_hex, software};

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

    /// Whether two values agree over the digits that both have.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let length = self.length.min(other.length);
        self.bytes[..length].ct_eq(&other.bytes[..length]).into()
    }

    fn cut(bytes: &[u8]) -> Self {
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

/// First 3 bytes of the cipher over a zero block (TDES, AES), or of the HMAC of an empty message.
pub(crate) fn legacy(kind: KeyKind, key: &[u8]) -> CheckValue {
    match kind {
        KeyKind::TdesBase => {
            let mut block = [0; 8];
            let mut both = Zeroizing::new([0; 16]);
            both.copy_from_slice(key);
            software::tdes_encrypt_blocks(&both, [&mut block]);
            CheckValue::cut(&block[..3])
        }
        KeyKind::AesBase(_) => CheckValue::cut(&aes_block(key, [0; 16])[..3]),
        // HMAC takes a key of any length: it cannot fail.
        KeyKind::Hmac => CheckValue::cut(&software::hmac_sha256(key, &[]).unwrap_or_default()[..3]),
    }
}

/// First 5 bytes of AES-CMAC over one zero block (X9.143:2021; NIST SP 800-38B: one whole block uses subkey K1).
pub(crate) fn cmac(key: &[u8]) -> CheckValue {
    let l = u128::from_be_bytes(*aes_block(key, [0; 16]));
    let k1 = (l << 1) ^ (0x87 & 0u128.wrapping_sub(l >> 127));
    CheckValue::cut(&aes_block(key, k1.to_be_bytes())[..5])
}

fn aes_block(key: &[u8], block: [u8; 16]) -> Zeroizing<[u8; 16]> {
    let mut block = Zeroizing::new(block);
    // One whole block under a key whose length was checked when it became key material: cannot fail.
    let done = software::aes_ecb_encrypt(key, &mut block[..]);
    debug_assert!(done.is_ok());
    block
}
