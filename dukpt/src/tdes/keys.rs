//! From base key to transaction key: the initial key and the non-reversible key generation.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{Ksn, VARIANT_C0};
use crate::{
    KeyError, KsnError,
    secret::Secret,
    software::{self, Working},
};

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

    /// A second copy, for a cache.
    pub(crate) fn copy(&self) -> Self {
        Self::copied(self.expose())
    }

    pub(super) fn copied(bytes: &[u8; 16]) -> Self {
        Self(Secret::filled(|key| *key = *bytes))
    }

    /// As [`InitialKey::derive`] for many devices, in lanes.
    pub(crate) fn derive_many(base_key: &[u8; 16], ksns: &[Ksn]) -> Vec<Self> {
        derive_lanes(base_key, ksns).iter().map(|bytes| Self(Secret::filled(|key| *key = *bytes))).collect()
    }

    /// From the clear base key: TDES of the KSN block under the key and under its variant (X9.24-1:2009, A.6).
    pub(crate) fn derive(base_key: &[u8; 16], ksn: &Ksn) -> Self {
        let variant = xor(base_key, &VARIANT_C0);
        Self(Secret::filled(|key| {
            if let [left, right] = key.as_chunks_mut().0 {
                (*left, *right) = (ksn.initial_key_block(), ksn.initial_key_block());
                software::tdes_encrypt_each([base_key, &variant], [left, right]);
            }
        }))
    }
}

/// The clear initial keys of many devices, in one piece of memory.
pub(super) fn derive_lanes(base_key: &[u8; 16], ksns: &[Ksn]) -> Zeroizing<Vec<[u8; 16]>> {
    let n = ksns.len();
    let variant = xor(base_key, &VARIANT_C0);
    // Not by `vec!`, which looks whether what it repeats is zero.
    let mut keys = Zeroizing::new(Vec::with_capacity(2 * n));
    keys.extend(core::iter::repeat_n(*base_key, n));
    keys.extend(core::iter::repeat_n(*variant, n));
    let mut blocks = Zeroizing::new(Vec::with_capacity(2 * n));
    (0..2).for_each(|_| blocks.extend(ksns.iter().map(Ksn::initial_key_block)));
    software::tdes_encrypt_lanes(&keys, &mut blocks);
    keys.truncate(n);
    for (i, key) in keys.iter_mut().enumerate() {
        key[..8].copy_from_slice(&blocks[i]);
        key[8..].copy_from_slice(&blocks[n + i]);
    }
    keys
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
        working_key(initial_key, ksn, Working { variant: [0; 8], encrypt_under_itself: false }).map(Self)
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

/// The whole way from the initial key to a working key, without leaving the bit planes in between.
pub(super) fn working_key(initial_key: &InitialKey, ksn: &Ksn, working: Working) -> Result<Secret<16>, KsnError> {
    if ksn.counter() == 0 {
        return Err(KsnError::CounterZero);
    }
    Ok(Secret::filled(|key| software::tdes_working_key(initial_key.expose(), ksn.register(), working, key)))
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
