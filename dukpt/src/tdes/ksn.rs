//! The 10-byte KSN.

use core::fmt;

use crate::{KsnError, ksn::write_hex};

/// TDES key serial number, 10 bytes: key set and device in the high 59 bits, the counter in the low 21
/// (at most 10 bits set).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ksn([u8; 10]);

impl Ksn {
    /// Most counter bits that a device sets (X9.24-1:2009, A.3).
    pub const MAX_COUNTER_BITS: u32 = 10;

    /// The last counter with at most 10 of 21 bits set: the one before the counter runs over.
    pub const LAST_COUNTER: u32 = 0x1F_F800;

    const COUNTER: u64 = 0x1F_FFFF;

    /// The 10 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The transaction counter, 21 bits.
    #[must_use]
    pub fn counter(&self) -> u32 {
        u32::from_be_bytes([0, self.0[7], self.0[8], self.0[9]]) & 0x1F_FFFF
    }

    /// The block that the base key encrypts into the initial key: the left 8 bytes with the counter bits cleared.
    #[must_use]
    pub fn initial_key_block(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h & 0xE0]
    }

    /// The KSN of the same device at another counter, of at most 21 bits with at most 10 set.
    pub(super) fn at(self, counter: u32) -> Self {
        let mut ksn = self;
        let register = self.base_register() | u64::from(counter);
        ksn.0[2..].copy_from_slice(&register.to_be_bytes());
        ksn
    }

    /// The right 64 bits, counter included.
    pub(super) fn register(&self) -> u64 {
        self.base_register() | u64::from(self.counter())
    }

    /// The right 64 bits with the counter cleared: the register that the derivation starts from.
    pub(super) fn base_register(&self) -> u64 {
        let [_, _, c, d, e, f, g, h, i, j] = self.0;
        u64::from_be_bytes([c, d, e, f, g, h, i, j]) & !Self::COUNTER
    }
}

impl TryFrom<&[u8]> for Ksn {
    type Error = KsnError;

    /// 10 bytes, or 8 that are padded with `FF FF` on the left.
    ///
    /// # Errors
    /// [`KsnError`] for another length or more than 10 counter bits set.
    fn try_from(bytes: &[u8]) -> Result<Self, KsnError> {
        let mut ksn = Self([0xFF; 10]);
        match bytes.len() {
            10 => ksn.0.copy_from_slice(bytes),
            8 => ksn.0[2..].copy_from_slice(bytes),
            length => return Err(KsnError::Length(length)),
        }
        match ksn.counter().count_ones() {
            set if set > Self::MAX_COUNTER_BITS => Err(KsnError::CounterBits(set)),
            _ => Ok(ksn),
        }
    }
}

impl fmt::Display for Ksn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}
