//! One derivation step: the 16 or 32 bytes that are encrypted under the parent key (X9.24-3:2017, 6.3.2 and 6.3.3).

use super::{KeyType, Suite, Usage, WorkingKeyType};

/// What the key that a step yields may do where it is; a store lets it do nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Derive further keys.
    Derive,
    /// Decrypt data.
    Decrypt,
    /// Encrypt data.
    Encrypt,
    /// Encrypt and decrypt the cipher blocks of PIN blocks.
    Pin,
    /// Compute MACs. A token cannot verify cut ones, so that verifying is computing and comparing.
    Mac,
    /// Show its check value: a key-encryption key.
    Check,
}

/// One step: the derivation data, and the type and purpose of the key it yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Derivation {
    data: [u8; 32],
    key_type: WorkingKeyType,
    purpose: Purpose,
}

impl Derivation {
    /// The derivation data: 16 bytes, or 32 for keys longer than 16 bytes. AES-ECB under the parent key turns it
    /// into the child key, cut to the child's length from the left.
    #[must_use]
    #[inline]
    pub fn data(&self) -> &[u8] {
        match self.key_type.length() {
            16 => &self.data[..16],
            _ => &self.data,
        }
    }

    /// The type of the key that this step yields; of initial keys and derivation keys, an AES type.
    #[must_use]
    #[inline]
    pub fn key_type(&self) -> WorkingKeyType {
        self.key_type
    }

    /// What that key may do.
    #[must_use]
    #[inline]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Usage `8001`.
    #[inline]
    pub(super) fn initial_key(initial_key_id: [u8; 8], base: KeyType) -> Self {
        Self::new([0x80, 0x01], base.into(), initial_key_id, Purpose::Derive)
    }

    /// Usage `8000`.
    #[inline]
    pub(super) fn register(derivation_id: [u8; 4], counter: u32, base: KeyType) -> Self {
        Self::new([0x80, 0x00], base.into(), join(derivation_id, counter), Purpose::Derive)
    }

    #[inline]
    pub(super) fn data_key(derivation_id: [u8; 4], counter: u32, suite: Suite) -> Self {
        Self::working(derivation_id, counter, suite.usage().into(), suite.data().into(), Purpose::Decrypt)
    }

    /// The usages of table 2 that are no derivation.
    #[inline]
    pub(super) fn working(
        derivation_id: [u8; 4],
        counter: u32,
        usage: Usage,
        key_type: WorkingKeyType,
        purpose: Purpose,
    ) -> Self {
        Self::new(usage.code(), key_type, join(derivation_id, counter), purpose)
    }

    #[inline]
    fn new(usage: [u8; 2], key_type: WorkingKeyType, tail: [u8; 8], purpose: Purpose) -> Self {
        let mut data = [0; 32];
        let blocks = if key_type.length() > 16 { 2 } else { 1 };
        for (block, number) in data.chunks_exact_mut(16).take(blocks).zip(1..) {
            block[0] = 0x01;
            block[1] = number;
            block[2..4].copy_from_slice(&usage);
            block[4..8].copy_from_slice(&key_type.algorithm_and_bits());
            block[8..].copy_from_slice(&tail);
        }
        Self { data, key_type, purpose }
    }
}

#[inline]
fn join(derivation_id: [u8; 4], counter: u32) -> [u8; 8] {
    let mut tail = [0; 8];
    tail[..4].copy_from_slice(&derivation_id);
    tail[4..].copy_from_slice(&counter.to_be_bytes());
    tail
}
