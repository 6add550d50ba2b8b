//! The MagneSafe V5 stream: what a swipe reader types, or sends over a serial line, with `|` between its fields.

use alloc::boxed::Box;
use core::{array, fmt, ops::Range};

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    super::{Content, EncryptedField, Features, Fields, Format, PayloadError, Scope, crc::crc16, hex},
    fits, track,
};
use crate::TrackNumber;

const SEPARATOR: u8 = b'|';
/// The fields: masked tracks, reader status, three encrypted tracks, MagnePrint status, encrypted MagnePrint, device
/// serial number, encrypted session id, KSN, CRC of the clear text, CRC of the encrypted text, format code.
const FIELDS: usize = 13;
const STATUS: usize = 1;
const FIRST_TRACK: usize = 2;
const SERIAL: usize = 7;
const KSN: usize = 9;
const CRC: usize = 10;
const FORMAT_CODE: usize = 12;

/// A stream of one swipe.
#[derive(Clone, PartialEq, Eq)]
pub struct Stream {
    // The masked copies; wiped on drop.
    masked: Zeroizing<Box<[u8]>>,
    copies: [Option<Range<usize>>; 3],
    ciphertexts: [Box<[u8]>; 3],
    status: [u8; 2],
    serial: Box<[u8]>,
    ksn: Ksn,
}

impl Stream {
    /// Whether the text begins with masked tracks and a separator behind the last one.
    pub(in super::super) fn begins(input: &[u8]) -> bool {
        let tracks = input.split(|&byte| byte == SEPARATOR).next().unwrap_or_default();
        let whole = matches!(tracks, [b'%' | b';' | b'+', .., b'?']);
        whole && tracks.len() < input.len()
    }

    pub(in super::super) fn parse(input: &[u8]) -> Result<Self, PayloadError> {
        let text = input.trim_ascii_end();
        let fields = fields(text)?;
        let field = |index: usize| &text[fields[index].clone()];
        let crc: [u8; 2] = fixed(field(CRC))?;
        // Over all characters up to and with the separator in front of it, printed low byte first.
        if crc16(&text[..fields[CRC].start]) != u16::from_le_bytes(crc) {
            return Err(PayloadError::CrcMismatch);
        }
        // The other fields of digits are looked at for what they are: nothing else tells a damaged one.
        for index in [STATUS, 5, 6, 8, CRC + 1] {
            hex::decode(field(index))?;
        }
        fixed::<2>(field(FORMAT_CODE))?;
        let mut ciphertexts: [Box<[u8]>; 3] = array::from_fn(|_| Box::default());
        for (index, place) in ciphertexts.iter_mut().enumerate() {
            *place = hex::decode(field(FIRST_TRACK + index))?.as_slice().into();
        }
        let copies = copies(field(0), [0, 1, 2].map(|index| !ciphertexts[index].is_empty()))?;
        for (ciphertext, copy) in ciphertexts.iter().zip(&copies).filter(|(ciphertext, _)| !ciphertext.is_empty()) {
            fits(ciphertext, copy.clone().map(|range| &field(0)[range]))?;
        }
        if ciphertexts.iter().all(|ciphertext| ciphertext.is_empty()) {
            return Err(PayloadError::NotEncrypted);
        }
        if field(KSN).is_empty() {
            return Err(PayloadError::MissingKsn);
        }
        Ok(Self {
            ksn: Ksn::of_transaction(&hex::decode(field(KSN))?)?,
            status: fixed(field(STATUS))?,
            serial: field(SERIAL).into(),
            masked: Zeroizing::new(field(0).into()),
            copies,
            ciphertexts,
        })
    }

    /// The reader's encryption status, as printed: low byte first.
    #[must_use]
    pub fn status(&self) -> [u8; 2] {
        self.status
    }

    /// The device's serial number, as printed; often empty.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The masked copy of a track.
    #[must_use]
    pub fn masked(&self, track: TrackNumber) -> Option<&[u8]> {
        self.copies[track.index()].clone().map(|range| &self.masked[range])
    }

    /// The ciphertext of a track.
    #[must_use]
    pub fn ciphertext(&self, track: TrackNumber) -> Option<&[u8]> {
        Some(&*self.ciphertexts[track.index()]).filter(|ciphertext| !ciphertext.is_empty())
    }
}

impl Content for Stream {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        Features { format: Format::MagTek, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let field = |number| -> Option<EncryptedField<'_>> {
            Some(track(number, self.ciphertext(number)?, self.masked(number)))
        };
        TrackNumber::ALL.into_iter().filter_map(field).collect()
    }
}

/// Where the fields stand.
fn fields(text: &[u8]) -> Result<[Range<usize>; FIELDS], PayloadError> {
    let mut fields = array::from_fn(|_| 0..0);
    let mut places = fields.iter_mut();
    let mut at = 0;
    for part in text.split(|&byte| byte == SEPARATOR) {
        *places.next().ok_or(PayloadError::TrailingBytes)? = at..at + part.len();
        at += part.len() + 1;
    }
    if places.next().is_some() { Err(PayloadError::Truncated) } else { Ok(fields) }
}

/// The masked tracks one behind the other, each from its start sentinel to `?`. A third track begins with `+`, or with
/// `;` like a second one; if only one of the two was encrypted, that is the one it is.
fn copies(masked: &[u8], encrypted: [bool; 3]) -> Result<[Option<Range<usize>>; 3], PayloadError> {
    let mut copies = [None, None, None];
    let mut at = 0;
    while at < masked.len() {
        let end = masked[at..].iter().position(|&byte| byte == b'?').ok_or(PayloadError::FieldLayoutResidue)?;
        let track = match masked[at] {
            b'%' => 0,
            b';' if copies[1].is_none() && (encrypted[1] || !encrypted[2]) => 1,
            b';' | b'+' => 2,
            _ => return Err(PayloadError::FieldLayoutResidue),
        };
        // In their order, and none twice.
        if copies[track..].iter().any(Option::is_some) {
            return Err(PayloadError::FieldLayoutResidue);
        }
        copies[track] = Some(at..at + end + 1);
        at += end + 1;
    }
    Ok(copies)
}

fn fixed<const N: usize>(digits: &[u8]) -> Result<[u8; N], PayloadError> {
    hex::decode(digits)?.as_slice().try_into().map_err(|_| PayloadError::FieldLayoutResidue)
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
