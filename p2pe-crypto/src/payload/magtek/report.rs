//! The MagneSafe V5 USB-HID report: fields of fixed places, 856 bytes.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    super::{
        Content, EncryptedField, Features, Fields, Format, PayloadError, Received, Refusal, Scope, Unsupported,
        refusal::ksn,
    },
    fits, track,
};
use crate::TrackNumber;

const LENGTH: usize = 856;
/// Each track's area, encrypted or masked.
const AREA: usize = 112;
const ENCRYPTED_LENGTHS: usize = 3;
const ENCODE_TYPE: usize = 6;
const ENCRYPTED: usize = 7;
const SERIAL: Range<usize> = 477..493;
const STATUS: Range<usize> = 493..495;
const KSN: Range<usize> = 495..505;
const MASKED_LENGTHS: usize = 505;
const MASKED: usize = 508;
const CLEAR_LENGTHS: usize = 852;

/// A report of one swipe.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    // The masked copies stand in it; wiped on drop.
    bytes: Zeroizing<Vec<u8>>,
    ksn: Ksn,
}

impl Report {
    /// Whether bytes are laid out as a report: there is no mark at the start, but places that are zeros by their lengths.
    pub(in super::super) fn begins(input: &[u8]) -> bool {
        input.len() == LENGTH && wrong_area(input).is_none()
    }

    pub(in super::super) fn parse(bytes: Received<'_>) -> Result<Self, Refusal> {
        let input = &*bytes;
        match input.len() {
            LENGTH => {}
            ..LENGTH => return Err(PayloadError::Truncated.at(input.len())),
            _ => return Err(PayloadError::TrailingBytes.at(LENGTH)),
        }
        if let Some(area) = wrong_area(input) {
            return Err(PayloadError::FieldLayoutResidue.at(area));
        }
        if input[ENCODE_TYPE] != 0 {
            return Err(PayloadError::Unsupported(Unsupported::Encoding).at(ENCODE_TYPE));
        }
        let mut encrypted = 0;
        for index in 0..3 {
            let (ciphertext, masked) = (ciphertext(input, index), masked(input, index));
            let clear = usize::from(input[CLEAR_LENGTHS + index]);
            if let Some(ciphertext) = ciphertext {
                fits(ciphertext, masked).map_err(|error| error.within(input, ciphertext))?;
                if clear.next_multiple_of(8) != ciphertext.len() || masked.is_some_and(|masked| masked.len() != clear) {
                    return Err(PayloadError::CiphertextLength.within(input, ciphertext));
                }
                encrypted += 1;
            }
        }
        if encrypted == 0 {
            return Err(PayloadError::NotEncrypted.at(ENCRYPTED_LENGTHS));
        }
        let ksn = ksn(input, &input[KSN])?;
        Ok(Self { bytes: bytes.keep(), ksn })
    }

    /// The reader's encryption status.
    #[must_use]
    pub fn status(&self) -> [u8; 2] {
        self.bytes[STATUS].try_into().unwrap_or_default()
    }

    /// The device's serial number, up to 16 bytes, without the zeros behind it; often empty.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        let serial = &self.bytes[SERIAL];
        &serial[..serial.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
    }

    /// The masked copy of a track.
    #[must_use]
    pub fn masked(&self, track: TrackNumber) -> Option<&[u8]> {
        masked(&self.bytes, track.index())
    }

    /// The ciphertext of a track.
    #[must_use]
    pub fn ciphertext(&self, track: TrackNumber) -> Option<&[u8]> {
        ciphertext(&self.bytes, track.index())
    }
}

impl Content for Report {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        let format = Format::MagTekReport;
        Features { format, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let field = |number| -> Option<EncryptedField<'_>> {
            Some(track(number, self.ciphertext(number)?, self.masked(number)))
        };
        TrackNumber::ALL.into_iter().filter_map(field).collect()
    }
}

/// Where an area begins that is not as long as told, at most, and zeros behind that.
fn wrong_area(report: &[u8]) -> Option<usize> {
    [(ENCRYPTED, ENCRYPTED_LENGTHS), (MASKED, MASKED_LENGTHS)].into_iter().find_map(|(areas, lengths)| {
        let mut areas = (areas..areas + 3 * AREA).step_by(AREA).zip(&report[lengths..lengths + 3]);
        let zeros = |area: &[u8], length: u8| {
            area.get(length.into()..).is_some_and(|rest| rest.iter().fold(0, |all, byte| all | byte) == 0)
        };
        areas.find(|(start, length)| !zeros(&report[*start..start + AREA], **length)).map(|(start, _)| start)
    })
}

fn ciphertext(report: &[u8], index: usize) -> Option<&[u8]> {
    area(report, ENCRYPTED, ENCRYPTED_LENGTHS, index)
}

fn masked(report: &[u8], index: usize) -> Option<&[u8]> {
    area(report, MASKED, MASKED_LENGTHS, index)
}

fn area(report: &[u8], areas: usize, lengths: usize, index: usize) -> Option<&[u8]> {
    let length = usize::from(report[lengths + index]);
    report[areas + index * AREA..].get(..length.min(AREA)).filter(|area| !area.is_empty())
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
