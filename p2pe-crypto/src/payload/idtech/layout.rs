//! The bits of an enhanced frame: field bytes and option bytes.

use dukpt::tdes::Cipher;

use super::super::{PayloadError, Refusal, Scope, Unsupported};

/// The two field bytes: which fields are present and what they are encrypted with.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) field1: u8,
    pub(super) field2: u8,
}

impl Flags {
    pub(super) fn masked(self, track: usize) -> bool {
        self.field1 >> track & 1 == 1
    }
    pub(super) fn encrypted(self, track: usize) -> bool {
        self.field2 >> track & 1 == 1
    }
    pub(super) fn hash(self, track: usize) -> bool {
        self.field2 >> (track + 3) & 1 == 1
    }
    pub(super) fn fixed_key(self) -> bool {
        self.field1 & 1 << 3 != 0
    }
    pub(super) fn cipher(self) -> Cipher {
        if self.field1 & 1 << 4 == 0 { Cipher::Tdes } else { Cipher::Aes128 }
    }
    pub(super) fn serial(self) -> bool {
        self.field1 & 1 << 7 != 0
    }
    pub(super) fn session_id(self) -> bool {
        self.field2 & 1 << 6 != 0
    }
    pub(super) fn ksn(self) -> bool {
        self.field2 & 1 << 7 != 0
    }
}

/// Bit of the track status: option bytes follow the field bytes.
const OPTIONS_PRESENT: u8 = 1 << 6;

/// What the first option byte says; of the others no meaning is known.
#[derive(Clone, Copy)]
pub(super) struct Options(u8);

impl Options {
    /// Reads them, if the track status says that there are any, and moves `at` behind them.
    pub(super) fn read(data: &[u8], status: u8, at: &mut usize) -> Result<Self, Refusal> {
        if !Self::announced(status) {
            return Ok(Self(0));
        }
        let overrun = PayloadError::FieldOverrun.at(*at);
        let count = usize::from(*data.get(*at).ok_or(overrun)?);
        let bytes = data.get(*at + 1..).and_then(|rest| rest.get(..count)).ok_or(overrun)?;
        *at += 1 + count;
        Ok(Self(bytes.first().copied().unwrap_or(0)))
    }

    /// Whether the track status says that there are any.
    pub(super) fn announced(status: u8) -> bool {
        status & OPTIONS_PRESENT != 0
    }

    /// What one CBC run goes over: both tracks with TransArmor TDES.
    pub(super) fn scope(self) -> Result<Scope, PayloadError> {
        // Bit 1: bits 4 to 2 name the encryption.
        match (self.0 & 1 << 1 != 0, self.0 >> 2 & 0b111) {
            (false, _) => Ok(Scope::Field),
            (true, 0b100) => Ok(Scope::Joined),
            (true, 0b000) => Err(PayloadError::Unsupported(Unsupported::TransArmor)),
            (true, _) => Err(PayloadError::Unsupported(Unsupported::Encryption)),
        }
    }

    /// Bytes of a track's hash: SHA-256 or SHA-1.
    pub(super) fn hash(self) -> usize {
        if self.0 & 1 == 0 { 20 } else { 32 }
    }

    pub(super) fn mac(self) -> bool {
        self.0 & 1 << 5 != 0
    }
}
