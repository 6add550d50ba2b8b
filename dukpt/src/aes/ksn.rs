//! The 12-byte KSN and the derivation path it stands for.

use core::fmt;

use super::{Derivation, KeyType, Suite};
use crate::{KsnError, ksn::write_hex};

/// AES key serial number, 12 bytes: BDK id (4), derivation id (4), counter (4, big endian, at most 16 bits set).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ksn([u8; 12]);

impl Ksn {
    /// Most counter bits that a device sets (X9.24-3:2017, 6.3.2).
    pub const MAX_COUNTER_BITS: u32 = 16;

    /// The 12 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// The transaction counter.
    #[must_use]
    pub fn counter(&self) -> u32 {
        u32::from_be_bytes([self.0[8], self.0[9], self.0[10], self.0[11]])
    }

    /// BDK id and derivation id together: the name of one device's initial key.
    #[must_use]
    pub fn initial_key_id(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }

    /// The first 4 bytes: which base key.
    #[must_use]
    pub fn bdk_id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }

    /// The step from the base key to the initial key of this device.
    #[must_use]
    pub fn initial_key(&self, suite: Suite) -> Derivation {
        Derivation::initial_key(self.initial_key_id(), suite.base())
    }

    /// The steps from the initial key to the data key: one for each set counter bit, high to low, then the data key.
    ///
    /// # Errors
    /// [`KsnError::CounterZero`].
    pub fn steps(&self, suite: Suite) -> Result<impl Iterator<Item = Derivation> + use<>, KsnError> {
        let data_key = Derivation::data_key(self.derivation_id(), self.counter(), suite);
        Ok(self.registers(suite.base())?.chain(core::iter::once(data_key)))
    }

    /// The steps from the initial key to the transaction key: one for each set counter bit, high to low.
    pub(super) fn registers(&self, base: KeyType) -> Result<impl Iterator<Item = Derivation> + use<>, KsnError> {
        let (counter, derivation_id) = (self.counter(), self.derivation_id());
        if counter == 0 {
            return Err(KsnError::CounterZero);
        }
        Ok((0..u32::BITS).rev().filter(move |bit| counter >> bit & 1 == 1).map(move |bit| {
            let from_here_up = u32::MAX << bit;
            Derivation::register(derivation_id, counter & from_here_up, base)
        }))
    }

    /// The second 4 bytes, which all derivation data but those of the initial key hold.
    pub(super) fn derivation_id(&self) -> [u8; 4] {
        let [_, _, _, _, a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }

    /// The KSN of one device at this counter, which has at most 16 bits set.
    pub(super) fn of(initial_key_id: [u8; 8], counter: u32) -> Self {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&initial_key_id);
        bytes[8..].copy_from_slice(&counter.to_be_bytes());
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Ksn {
    type Error = KsnError;

    /// # Errors
    /// [`KsnError`] unless 12 bytes with at most 16 counter bits set.
    fn try_from(bytes: &[u8]) -> Result<Self, KsnError> {
        let ksn = Self(bytes.try_into().map_err(|_| KsnError::Length(bytes.len()))?);
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
