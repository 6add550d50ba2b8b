//! The ID TECH original frame of a keyed number, card encode type `85`. Built after a manual: no device capture confirms
//! it, so it takes a profile of its own.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, tdes::Cipher};
use zeroize::Zeroizing;

use super::framing::{self, Opened};
use crate::payload::{
    Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Refusal, Scope, Unsupported, alarm, hex,
    refusal::ksn,
};

/// `85`, four zeros, status, clear length.
const HEADER: usize = 7;
const HASH: usize = 20;
const KSN: usize = 10;
/// The longest ciphertext, in bytes.
const LONGEST: usize = 180;

const SESSION_ID: u8 = 1 << 3;
/// Bit of the status, and the most bytes of the clear field that it announces: expiry, address, ZIP code.
const CLEAR_FIELDS: [(u8, usize); 3] = [(1 << 2, 4), (1 << 1, 20), (1 << 0, 10)];

/// A frame: the counted data in binary, and where each field stands in it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyedFrame {
    // Wiped on drop: a keyed-in address may stand in it.
    data: Zeroizing<Vec<u8>>,
    length: usize,
    encrypted: Range<usize>,
    /// Expiry, address, ZIP code.
    clear: [Option<Range<usize>>; 3],
    ksn: Ksn,
}

impl KeyedFrame {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let Opened { data, places, .. } = framing::open(input, 0, |typed| Ok((hex::decode(typed)?, 0..0)))?;
        Self::read(data).map_err(|refusal| places.refusal(refusal))
    }

    fn read(data: Zeroizing<Vec<u8>>) -> Result<Self, Refusal> {
        let overrun = |at: usize| PayloadError::FieldOverrun.at(at.min(data.len()));
        let &[encode_type, z1, z2, z3, z4, status, length] = data.first_chunk().ok_or(overrun(data.len()))?;
        if (encode_type, [z1, z2, z3, z4]) != (0x85, [0; 4]) {
            return Err(PayloadError::Unsupported(Unsupported::Encoding).at(0));
        }
        if status & SESSION_ID != 0 {
            return Err(PayloadError::Unsupported(Unsupported::SessionId).at(HEADER - 2));
        }
        let length = usize::from(length);
        let encrypted = HEADER..HEADER + length.next_multiple_of(Cipher::Tdes.block());
        if encrypted.len() > LONGEST || encrypted.end > data.len() {
            return Err(overrun(HEADER));
        }
        if encrypted.is_empty() {
            return Err(PayloadError::NotEncrypted.at(HEADER - 1));
        }
        let mut at = encrypted.end + HASH;
        let mut clear = [const { None }; 3];
        for (place, (bit, most)) in clear.iter_mut().zip(CLEAR_FIELDS) {
            if status & bit != 0 {
                let length = usize::from(*data.get(at).ok_or(overrun(at))?);
                let range = at + 1..at + 1 + length;
                if length > most || range.end > data.len() {
                    return Err(overrun(at));
                }
                at = range.end;
                *place = Some(range);
            }
        }
        if let Some(number) = clear.iter().flatten().find_map(|range| alarm::in_slot(&data[range.clone()])) {
            return Err(PayloadError::ClearAccountData.within(&data, number));
        }
        let residue = PayloadError::FieldLayoutResidue.at(at.min(data.len()));
        let number = data.get(at..).filter(|ksn| ksn.len() == KSN).ok_or(residue)?;
        Ok(Self { length, encrypted, clear, ksn: ksn(&data, number)?, data })
    }

    /// The key serial number, 10 bytes.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    /// The expiry date that was keyed in, in clear, as the device sent it: `YYMM`.
    #[must_use]
    pub fn expiry(&self) -> Option<&[u8]> {
        self.field(0)
    }

    /// The street number that was keyed in, in clear, at most 20 bytes.
    #[must_use]
    pub fn address(&self) -> Option<&[u8]> {
        self.field(1)
    }

    /// The ZIP code that was keyed in, in clear, at most 10 bytes.
    #[must_use]
    pub fn zip(&self) -> Option<&[u8]> {
        self.field(2)
    }

    /// The ciphertext, whole blocks.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.data[self.encrypted.clone()]
    }

    fn field(&self, which: usize) -> Option<&[u8]> {
        self.clear[which].clone().map(|range| &self.data[range])
    }
}

impl Content for KeyedFrame {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        let (format, scheme) = (Format::IdTechKeyed, self.ksn.scheme());
        Features { format, scheme, cipher: Some(Cipher::Tdes), scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        [EncryptedField::new(self.ciphertext(), Holds::KeyedBare { length: self.length })].into_iter().collect()
    }
}

impl fmt::Debug for KeyedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was keyed in and the ciphertext stay out of logs.
        f.debug_struct("KeyedFrame").field("ksn", &self.ksn).field("length", &self.length).finish_non_exhaustive()
    }
}
