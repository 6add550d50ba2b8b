//! A clear key with its type, and what any such key does: blocks, CBC, MACs.

use alloc::vec::Vec;
use zeroize::Zeroizing;

use crate::{
    KeyError, MacAlgorithm, Padding, Tag,
    aes::WorkingKeyType,
    software::{self, TdesKey},
};

/// A direction of CBC, under a clear key: key blocks, tests and virtual devices. Real keys belong in a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cbc {
    /// Encryption.
    Encrypt,
    /// Decryption.
    Decrypt,
}

impl Cbc {
    /// In place; `data` is whole blocks, and TDES takes the first 8 bytes of the IV.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks, or bytes that are no key of this type; [`KeyError::NotPermitted`] for
    /// an HMAC key.
    pub fn under_clear_key(
        self,
        key_type: WorkingKeyType,
        key: &[u8],
        iv: &[u8; 16],
        data: &mut [u8],
    ) -> Result<(), KeyError> {
        let key = ClearKey::new(key_type, key)?;
        match self {
            Self::Encrypt => key.encrypt_cbc(iv, data),
            Self::Decrypt => key.decrypt_cbc(iv, data),
        }
    }
}

/// A clear key, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum ClearKey<'a> {
    Tdes(TdesKey<'a>),
    /// 16, 24 or 32 bytes.
    Aes(&'a [u8]),
    Hmac(&'a [u8]),
}

impl<'a> From<&'a [u8; 16]> for ClearKey<'a> {
    /// The two keys of TDES.
    fn from(key: &'a [u8; 16]) -> Self {
        Self::Tdes(TdesKey::Two(key))
    }
}

impl<'a> ClearKey<'a> {
    /// # Errors
    /// [`KeyError::BadLength`] for bytes that are not a key of this type.
    pub(crate) fn new(key_type: WorkingKeyType, bytes: &'a [u8]) -> Result<Self, KeyError> {
        if bytes.len() != key_type.length() {
            return Err(KeyError::BadLength);
        }
        Ok(match key_type {
            WorkingKeyType::Tdes2 => Self::Tdes(TdesKey::Two(bytes.try_into().map_err(|_| KeyError::BadLength)?)),
            WorkingKeyType::Tdes3 => Self::Tdes(TdesKey::Three(bytes.try_into().map_err(|_| KeyError::BadLength)?)),
            WorkingKeyType::Aes(_) => Self::Aes(bytes),
            WorkingKeyType::Hmac128 | WorkingKeyType::Hmac192 | WorkingKeyType::Hmac256 => Self::Hmac(bytes),
        })
    }

    /// CBC in place; TDES takes the first 8 bytes of the IV.
    pub(crate) fn encrypt_cbc(self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        match self {
            Self::Tdes(key) => software::tdes_cbc_encrypt(key, &first_half(iv), data),
            Self::Aes(key) => software::aes_cbc_encrypt(key, iv, data),
            Self::Hmac(_) => Err(KeyError::NotPermitted),
        }
    }

    /// CBC in place; TDES takes the first 8 bytes of the IV.
    pub(crate) fn decrypt_cbc(self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        match self {
            Self::Tdes(key) => software::tdes_cbc_decrypt(key, &first_half(iv), data),
            Self::Aes(key) => software::aes_cbc_decrypt(key, iv, data),
            Self::Hmac(_) => Err(KeyError::NotPermitted),
        }
    }

    /// One block in place: CBC with a zero IV.
    pub(crate) fn encrypt_block(self, block: &mut [u8]) -> Result<(), KeyError> {
        self.one_block(block)?;
        self.encrypt_cbc(&[0; 16], block)
    }

    /// One block in place: CBC with a zero IV.
    pub(crate) fn decrypt_block(self, block: &mut [u8]) -> Result<(), KeyError> {
        self.one_block(block)?;
        self.decrypt_cbc(&[0; 16], block)
    }

    /// The whole MAC of `data`.
    pub(crate) fn mac(self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        match (algorithm, self) {
            (MacAlgorithm::Retail(padding), Self::Tdes(TdesKey::Two(key))) => Tag::new(&*retail(key, padding, data)),
            (MacAlgorithm::Cmac, Self::Tdes(_)) => self.cmac::<8>(0x1B, data),
            (MacAlgorithm::Cmac, Self::Aes(_)) => self.cmac::<16>(0x87, data),
            (MacAlgorithm::HmacSha256, Self::Hmac(key)) => Tag::new(&software::hmac_sha256(key, data)?),
            _ => Err(KeyError::NotPermitted),
        }
    }

    fn one_block(self, block: &[u8]) -> Result<(), KeyError> {
        match (self, block.len()) {
            (Self::Tdes(_), 8) | (Self::Aes(_), 16) => Ok(()),
            (Self::Hmac(_), _) => Err(KeyError::NotPermitted),
            _ => Err(KeyError::BadLength),
        }
    }

    /// NIST SP 800-38B, 6.1 and 6.2, over blocks of `N` bytes.
    fn cmac<const N: usize>(self, polynomial: u8, data: &[u8]) -> Result<Tag, KeyError> {
        let mut subkey = Zeroizing::new([0; N]);
        self.encrypt_block(&mut subkey[..])?;
        double(&mut subkey, polynomial);
        let mut message = Zeroizing::new(Vec::with_capacity(data.len() + N));
        message.extend_from_slice(data);
        if message.is_empty() || !message.len().is_multiple_of(N) {
            double(&mut subkey, polynomial);
            message.push(0x80);
            let padded = message.len().next_multiple_of(N);
            message.resize(padded, 0);
        }
        let Some(last) = message.last_chunk_mut::<N>() else { return Err(KeyError::BadLength) };
        last.iter_mut().zip(subkey.iter()).for_each(|(m, k)| *m ^= k);
        self.encrypt_cbc(&[0; 16], &mut message)?;
        Tag::new(message.last_chunk::<N>().ok_or(KeyError::BadLength)?)
    }
}

fn first_half(iv: &[u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *iv;
    [a, b, c, d, e, f, g, h]
}

/// Multiplication by x in the field of `N`-byte blocks, without a branch on the secret top bit.
fn double<const N: usize>(block: &mut [u8; N], polynomial: u8) {
    let mut carry = polynomial & 0u8.wrapping_sub(block[0] >> 7);
    for byte in block.iter_mut().rev() {
        // The polynomial enters at the last byte; from there on the carry is one bit.
        let top = *byte >> 7;
        *byte = *byte << 1 ^ carry;
        carry = top;
    }
}

/// ISO/IEC 9797-1:2011, MAC algorithm 3: single-DES CBC under the left half, TDES on the last block.
fn retail(key: &[u8; 16], padding: Padding, data: &[u8]) -> Zeroizing<[u8; 8]> {
    let left = &key.as_chunks::<8>().0[0];
    let mut chain = Zeroizing::new([0; 8]);
    let (blocks, rest) = data.as_chunks::<8>();
    let mut last = Zeroizing::new([0; 8]);
    last[..rest.len()].copy_from_slice(rest);
    let (blocks, last) = match (padding, rest, blocks) {
        (Padding::Zeros, [], [before @ .., end]) => (before, end),
        (Padding::Zeros, ..) => (blocks, &*last),
        (Padding::OneThenZeros, ..) => {
            last[rest.len()] = 0x80;
            (blocks, &*last)
        }
    };
    for block in blocks {
        chain.iter_mut().zip(block).for_each(|(c, b)| *c ^= b);
        software::des_encrypt(left, &mut chain);
    }
    chain.iter_mut().zip(last).for_each(|(c, b)| *c ^= b);
    software::tdes_encrypt_blocks(key, [&mut chain]);
    chain
}
