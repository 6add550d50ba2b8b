//! Ciphertext with its KSN beside it: what AES-DUKPT devices reach a gateway as, and what many gateways' JSON carries.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use dukpt::{Ksn, Scheme};
use zeroize::Zeroizing;

use super::{Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Refusal, Scope, alarm, hex};

/// Up to three ciphertexts, each its own CBC run, and one KSN.
#[derive(Clone, PartialEq, Eq)]
pub struct Tracks {
    ksn: Ksn,
    ciphertexts: Vec<Box<[u8]>>,
}

impl Tracks {
    const LONGEST: usize = 512;

    pub(super) fn new(ksn: &[u8], ciphertexts: &[&[u8]]) -> Result<Self, PayloadError> {
        if ciphertexts.iter().any(|ciphertext| alarm::check_slot(ciphertext).is_err()) {
            return Err(PayloadError::ClearAccountData);
        }
        let ksn = Ksn::of_transaction(ksn)?;
        let block = match ksn.scheme() {
            Scheme::Tdes => 8,
            Scheme::Aes => 16,
        };
        let fits = |c: &&[u8]| !c.is_empty() && c.len() <= Self::LONGEST && c.len().is_multiple_of(block);
        if !(1..=3).contains(&ciphertexts.len()) || !ciphertexts.iter().all(fits) {
            return Err(PayloadError::CiphertextLength);
        }
        Ok(Self { ksn, ciphertexts: ciphertexts.iter().map(|&c| c.into()).collect() })
    }

    /// The key serial number.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    /// The ciphertexts, in the order given.
    pub fn ciphertexts(&self) -> impl Iterator<Item = &[u8]> {
        self.ciphertexts.iter().map(|ciphertext| &**ciphertext)
    }

    /// The runs with what the profile's format says of their clear text.
    pub(super) fn holding(&self, format: Format) -> Fields<'_> {
        let holds = match format {
            Format::Tlv => Holds::TlvString { pad: None, masked: None },
            Format::PackedTrack2 => Holds::PackedTrack2,
            _ => Holds::Track { number: None, length: None, masked: None },
        };
        self.ciphertexts().map(|ciphertext| EncryptedField::new(ciphertext, holds)).collect()
    }
}

impl Content for Tracks {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        Features { format: Format::Track, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        self.holding(Format::Track)
    }
}

/// Reads a track's ciphertext, or a KSN, from hex digits of either case.
///
/// # Errors
/// [`PayloadError::OddHexLength`], [`PayloadError::NotHex`]; [`PayloadError::ClearAccountData`] for a clear track.
pub fn from_hex(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    alarm::check_slot(digits)?;
    hex::decode(digits)
}

impl fmt::Debug for Tracks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracks").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
