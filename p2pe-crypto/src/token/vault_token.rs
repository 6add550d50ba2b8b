//! The random token: 128 bits that mean nothing without the vault that drew them.

use core::{fmt, str::FromStr};

use rand_core::TryCryptoRng;

use crate::TokenError;

const PREFIX: &str = "vtok_";
/// RFC 4648, 6, in lower case: six of its 32 characters are digits, so a token hardly ever looks like a card number.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// `vtok_` and 32 characters of base32: 16 random bytes, then the CRC-32 of all before it, against typing errors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultToken([u8; 16]);

impl VaultToken {
    /// A new one.
    ///
    /// # Errors
    /// [`TokenError::Random`].
    pub fn draw<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, TokenError> {
        let mut bytes = [0; 16];
        random.try_fill_bytes(&mut bytes).map_err(|_| TokenError::Random)?;
        Ok(Self(bytes))
    }

    /// The one of these 16 bytes, as a store keeps it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The random bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn checksum(&self) -> [u8; 4] {
        crc32(PREFIX.bytes().chain(self.0)).to_be_bytes()
    }
}

impl fmt::Display for VaultToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&self.0);
        bytes[16..].copy_from_slice(&self.checksum());
        let mut text = [0; 32];
        for (five, eight) in bytes.as_chunks::<5>().0.iter().zip(text.as_chunks_mut::<8>().0) {
            let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8).for_each(|at| eight[at] = ALPHABET[(bits >> (35 - 5 * at) & 31) as usize]);
        }
        f.write_str(PREFIX)?;
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for VaultToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultToken({self})")
    }
}

impl FromStr for VaultToken {
    type Err = TokenError;

    /// # Errors
    /// [`TokenError::Format`] for another prefix, length or character, or a wrong checksum.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text: &[u8; 32] =
            text.strip_prefix(PREFIX).and_then(|text| text.as_bytes().try_into().ok()).ok_or(TokenError::Format)?;
        let mut bytes = [0; 20];
        for (eight, five) in text.as_chunks::<8>().0.iter().zip(bytes.as_chunks_mut::<5>().0) {
            let mut bits = 0u64;
            for character in eight {
                let value = ALPHABET.iter().position(|known| known == character).ok_or(TokenError::Format)?;
                bits = bits << 5 | value as u64;
            }
            five.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        let (random, checksum) = bytes.split_first_chunk::<16>().ok_or(TokenError::Format)?;
        let token = Self(*random);
        if token.checksum() == checksum { Ok(token) } else { Err(TokenError::Format) }
    }
}

/// CRC-32 of IEEE 802.3, bit by bit: a token is short.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}
