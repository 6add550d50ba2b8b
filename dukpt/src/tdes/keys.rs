//! From base key to transaction key: the initial key and the non-reversible key generation.

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

/// The key of one transaction that its working keys are variants of, 16 bytes.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct TransactionKey(Secret<16>);

impl TransactionKey {
    /// Derives the key that `ksn` names: one non-reversible step for each set counter bit, high to low
    /// (X9.24-1:2009, A.2 and A.3).
    ///
    /// # Errors
    /// [`KsnError::CounterZero`].
    pub fn derive(initial_key: &InitialKey, ksn: &Ksn) -> Result<Self, KsnError> {
        let counter = ksn.counter();
        if counter == 0 {
            return Err(KsnError::CounterZero);
        }
        Ok(Self(Secret::filled(|key| {
            *key = *initial_key.expose();
            let mut register = ksn.base_register();
            for bit in (0..21).rev().map(|shift| 1 << shift).filter(|bit| u64::from(counter) & bit != 0) {
                register |= bit;
                generate(key, register);
            }
        })))
    }

    /// One step of a path: the key below `parent` at `register`, the KSN with the counter of that path.
    pub(super) fn step(parent: &[u8; 16], register: u64) -> Self {
        Self(Secret::filled(|key| {
            *key = *parent;
            generate(key, register);
        }))
    }

    pub(super) fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}

/// The non-reversible key generation (X9.24-1:2009, A.2), in place: right half under the key, left half under its
/// variant. `DES(left half, register xor right half) xor right half`, each.
fn generate(key: &mut [u8; 16], register: u64) {
    let variant = xor(key, &VARIANT_C0);
    let ([left, right], [left_variant, right_variant]) = (halves(key), halves(&variant));
    let mut blocks = Zeroizing::new([register.to_be_bytes(); 2]);
    let [from_variant, from_key] = &mut *blocks;
    add(from_variant, right_variant);
    add(from_key, right);
    software::des_encrypt_pair([left_variant, left], [from_variant, from_key]);
    add(from_variant, right_variant);
    add(from_key, right);
    key.copy_from_slice(blocks.as_flattened());
}

fn halves(key: &[u8; 16]) -> [&[u8; 8]; 2] {
    let (halves, _) = key.as_chunks::<8>();
    [&halves[0], &halves[1]]
}

fn add(block: &mut [u8; 8], other: &[u8; 8]) {
    block.iter_mut().zip(other).for_each(|(b, o)| *b ^= o);
}

pub(super) fn xor(key: &[u8; 16], mask: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let mut out = Zeroizing::new(*key);
    out.iter_mut().zip(mask).for_each(|(k, m)| *k ^= m);
    out
}
