//! From initial key to data key: the non-reversible key generation and the key variants.

use zeroize::Zeroizing;

use super::{Ksn, VARIANT_C0};
use crate::{KeyError, KsnError, secret::Secret, software};

/// The initial key of one device, 16 bytes: the only key bytes that ever leave a token.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct InitialKey(Secret<16>);

impl InitialKey {
    /// Fills the 16 bytes in place; for stores.
    ///
    /// # Errors
    /// What `fill` returns.
    pub fn try_filled(fill: impl FnOnce(&mut [u8; 16]) -> Result<(), KeyError>) -> Result<Self, KeyError> {
        Secret::try_filled(fill).map(Self)
    }

    /// The clear bytes: left half ‖ right half.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }

    /// From the clear base key: TDES of the KSN block under the key and under its variant (X9.24-1:2009, A.6).
    pub(crate) fn derive(base_key: &[u8; 16], ksn: &Ksn) -> Self {
        let variant = xor(base_key, &VARIANT_C0);
        Self(Secret::filled(|key| {
            for (half, parent) in key.as_chunks_mut().0.iter_mut().zip([base_key, &variant]) {
                *half = ksn.initial_key_block();
                software::tdes_encrypt_blocks(parent, [half]);
            }
        }))
    }
}

/// Which working key of the transaction a device encrypts its data with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Variant {
    /// The request data key, with the self-encryption step (X9.24-1:2009, A.4.1).
    DataRequest,
    /// The response data key, with the self-encryption step.
    DataResponse,
    /// The PIN key used for data, as many readers do; no self-encryption.
    Pin,
}

impl Variant {
    fn mask(self) -> [u8; 8] {
        match self {
            Self::DataRequest => [0, 0, 0, 0, 0, 0xFF, 0, 0],
            Self::DataResponse => [0, 0, 0, 0xFF, 0, 0, 0, 0],
            Self::Pin => [0, 0, 0, 0, 0, 0, 0, 0xFF],
        }
    }
}

/// The cipher that a device runs under its TDES DUKPT key, in CBC mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cipher {
    /// Two-key TDES, 8-byte blocks.
    Tdes,
    /// The 16 bytes of the TDES key used as an AES-128 key, 16-byte blocks. Not AES DUKPT.
    Aes128,
}

impl Cipher {
    /// Block length in bytes.
    #[must_use]
    pub fn block(self) -> usize {
        match self {
            Self::Tdes => 8,
            Self::Aes128 => 16,
        }
    }
}

/// The data key of one transaction, 16 bytes. Its only operation is decryption.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct DataKey(Secret<16>);

impl DataKey {
    /// Derives the key that `ksn` names: one non-reversible step for each set counter bit, high to low, then the
    /// variant (X9.24-1:2009, A.2 to A.4).
    ///
    /// # Errors
    /// [`KsnError::CounterZero`].
    pub fn derive(initial_key: &InitialKey, ksn: &Ksn, variant: Variant) -> Result<Self, KsnError> {
        let counter = ksn.counter();
        if counter == 0 {
            return Err(KsnError::CounterZero);
        }
        let mut register = ksn.base_register();
        let mut key = Zeroizing::new(*initial_key.expose());
        for bit in (0..21).rev().map(|shift| 1 << shift).filter(|bit| u64::from(counter) & bit != 0) {
            register |= bit;
            generate(&mut key, register);
        }
        let mask = variant.mask();
        Ok(Self(Secret::filled(|data_key| {
            for (half, transaction) in data_key.as_chunks_mut::<8>().0.iter_mut().zip(key.as_chunks::<8>().0) {
                *half = *transaction;
                half.iter_mut().zip(mask).for_each(|(k, m)| *k ^= m);
            }
            if variant != Variant::Pin {
                let itself = Zeroizing::new(*data_key);
                for half in data_key.as_chunks_mut().0 {
                    software::tdes_encrypt_blocks(&itself, [half]);
                }
            }
        })))
    }

    /// CBC decryption in place with an IV of one block; `data` is whole blocks of the cipher.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks.
    pub fn decrypt_cbc(&self, cipher: Cipher, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        let [a, b, c, d, e, f, g, h, ..] = *iv;
        match cipher {
            Cipher::Tdes => software::tdes_cbc_decrypt(self.0.expose(), &[a, b, c, d, e, f, g, h], data),
            Cipher::Aes128 => software::aes_cbc_decrypt(self.0.expose(), iv, data),
        }
    }

    /// The clear bytes, for tests against published keys.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}

/// The non-reversible key generation (X9.24-1:2009, A.2): right half under the key, left half under its variant.
fn generate(key: &mut Zeroizing<[u8; 16]>, register: u64) {
    let variant = xor(key, &VARIANT_C0);
    let right = one_way(key, register);
    let left = one_way(&variant, register);
    key[..8].copy_from_slice(&*left);
    key[8..].copy_from_slice(&*right);
}

/// `DES(left half, register xor right half) xor right half`.
fn one_way(key: &[u8; 16], register: u64) -> Zeroizing<[u8; 8]> {
    let (halves, _) = key.as_chunks::<8>();
    let mut block = Zeroizing::new(register.to_be_bytes());
    block.iter_mut().zip(halves[1]).for_each(|(b, k)| *b ^= k);
    software::des_encrypt(&halves[0], &mut block);
    block.iter_mut().zip(halves[1]).for_each(|(b, k)| *b ^= k);
    block
}

fn xor(key: &[u8; 16], mask: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let mut out = Zeroizing::new(*key);
    out.iter_mut().zip(mask).for_each(|(k, m)| *k ^= m);
    out
}
