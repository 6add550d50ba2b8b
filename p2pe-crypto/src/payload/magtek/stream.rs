//! The MagneSafe V5 stream: what a swipe reader types, or sends over a serial line, with `|` between its fields.

use alloc::vec::Vec;
use core::{array, fmt, ops::Range};

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    super::{Content, EncryptedField, Features, Fields, Format, PayloadError, Refusal, Scope, crc::crc16, hex},
    fits, track,
};
use crate::{TrackNumber, words};

const SEPARATOR: u8 = b'|';
/// The fields: masked tracks, reader status, three encrypted tracks, MagnePrint status, encrypted MagnePrint, device
/// serial number, encrypted session id, KSN, CRC of the clear text, CRC of the encrypted text, format code.
const FIELDS: usize = 13;
const MASKED: usize = 0;
const STATUS: usize = 1;
const FIRST_TRACK: usize = 2;
const SERIAL: usize = 7;
const KSN: usize = 9;
const CRC: usize = 10;
const FORMAT_CODE: usize = 12;
/// Hex digits that nothing is read from: MagnePrint, session id, CRC of the encrypted text.
const UNUSED: [usize; 4] = [5, 6, 8, 11];

/// A stream of one swipe.
#[derive(Clone, PartialEq, Eq)]
pub struct Stream {
    // The masked copies, the ciphertexts and the serial number, one behind the other. Wiped on drop for the copies' sake.
    data: Zeroizing<Vec<u8>>,
    copies: [Option<Range<usize>>; 3],
    ciphertexts: [Range<usize>; 3],
    serial: Range<usize>,
    status: [u8; 2],
    ksn: Ksn,
}

impl Stream {
    /// Whether the text begins with masked tracks and a separator behind the last one.
    pub(in super::super) fn begins(input: &[u8]) -> bool {
        let tracks = || input.split(|&byte| byte == SEPARATOR).next().filter(|tracks| tracks.len() < input.len());
        matches!(input, [b'%' | b';' | b'+', ..]) && tracks().is_some_and(|tracks| matches!(tracks, [_, .., b'?']))
    }

    pub(in super::super) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let text = input.trim_ascii_end();
        let fields = fields(text)?;
        let field = |index: usize| &text[fields[index].clone()];
        // Each part of the text is read by itself.
        let inside = |part| move |refusal: Refusal| refusal.inside(text, part);
        let at = |index: usize| inside(field(index));
        let crc: [u8; 2] = fixed(field(CRC)).map_err(at(CRC))?;
        // Over all characters up to and with the separator in front of it, printed low byte first.
        if crc16(&text[..fields[CRC].start]) != u16::from_le_bytes(crc) {
            return Err(PayloadError::CrcMismatch.within(text, field(CRC)));
        }
        // The other fields of digits are looked at for what they are: nothing else tells a damaged one.
        UNUSED.into_iter().try_for_each(|index| hex::check(field(index)).map_err(at(index)))?;
        fixed::<2>(field(FORMAT_CODE)).map_err(at(FORMAT_CODE))?;

        // Room for all of it at once: a buffer that grows leaves what it held behind.
        let mut data = Zeroizing::new(Vec::with_capacity(text.len()));
        data.extend_from_slice(field(MASKED));
        let mut ciphertexts = [0..0, 0..0, 0..0];
        for (index, place) in ciphertexts.iter_mut().enumerate() {
            let start = data.len();
            hex::decode_into(field(FIRST_TRACK + index), &mut data).map_err(at(FIRST_TRACK + index))?;
            *place = start..data.len();
        }
        let serial = data.len()..data.len() + field(SERIAL).len();
        data.extend_from_slice(field(SERIAL));

        let encrypted = ciphertexts.each_ref().map(|range| !range.is_empty());
        let copies = copies(field(MASKED), encrypted).map_err(at(MASKED))?;
        for (index, copy) in (0..3).zip(&copies).filter(|(index, _)| encrypted[*index]) {
            let ciphertext = &data[ciphertexts[index].clone()];
            fits(ciphertext, copy.clone().map(|range| &data[range]))
                .map_err(|error| error.within(text, field(FIRST_TRACK + index)))?;
        }
        if encrypted == [false; 3] {
            return Err(PayloadError::NotEncrypted.within(text, field(FIRST_TRACK)));
        }
        if field(KSN).is_empty() {
            return Err(PayloadError::MissingKsn.within(text, field(KSN)));
        }
        let start = data.len();
        hex::decode_into(field(KSN), &mut data).map_err(at(KSN))?;
        let ksn = Ksn::of_transaction(&data[start..]);
        let ksn = ksn.map_err(|error| PayloadError::Ksn(error).within(text, field(KSN)))?;
        Ok(Self { ksn, status: fixed(field(STATUS)).map_err(at(STATUS))?, serial, data, copies, ciphertexts })
    }

    /// The reader's encryption status, as printed: low byte first.
    #[must_use]
    pub fn status(&self) -> [u8; 2] {
        self.status
    }

    /// The device's serial number, as printed; often empty.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.data[self.serial.clone()]
    }

    /// The masked copy of a track.
    #[must_use]
    pub fn masked(&self, track: TrackNumber) -> Option<&[u8]> {
        self.copies[track.index()].clone().map(|range| &self.data[range])
    }

    /// The ciphertext of a track.
    #[must_use]
    pub fn ciphertext(&self, track: TrackNumber) -> Option<&[u8]> {
        Some(&self.data[self.ciphertexts[track.index()].clone()]).filter(|ciphertext| !ciphertext.is_empty())
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
fn fields(text: &[u8]) -> Result<[Range<usize>; FIELDS], Refusal> {
    let mut fields = array::from_fn(|_| 0..0);
    let mut places = fields.iter_mut();
    let mut at = 0;
    for end in words::places(text, |word| words::equal(word, SEPARATOR)).chain([text.len()]) {
        *places.next().ok_or(PayloadError::TrailingBytes.at(at))? = at..end;
        at = end + 1;
    }
    if places.next().is_some() { Err(PayloadError::Truncated.at(text.len())) } else { Ok(fields) }
}

/// The masked tracks one behind the other, each from its start sentinel to `?`. A third track begins with `+`, or with
/// `;` like a second one; if only one of the two was encrypted, that is the one it is.
fn copies(masked: &[u8], encrypted: [bool; 3]) -> Result<[Option<Range<usize>>; 3], Refusal> {
    let mut copies = [None, None, None];
    let mut at = 0;
    while at < masked.len() {
        let end = masked[at..].iter().position(|&byte| byte == b'?').ok_or(PayloadError::FieldLayoutResidue.at(at))?;
        let track = match masked[at] {
            b'%' => 0,
            b';' if copies[1].is_none() && (encrypted[1] || !encrypted[2]) => 1,
            b';' | b'+' => 2,
            _ => return Err(PayloadError::FieldLayoutResidue.at(at)),
        };
        // In their order, and none twice.
        if copies[track..].iter().any(Option::is_some) {
            return Err(PayloadError::FieldLayoutResidue.at(at));
        }
        copies[track] = Some(at..at + end + 1);
        at += end + 1;
    }
    Ok(copies)
}

fn fixed<const N: usize>(digits: &[u8]) -> Result<[u8; N], Refusal> {
    if digits.len() != 2 * N {
        return Err(PayloadError::FieldLayoutResidue.at(0));
    }
    hex::decode_array(digits)
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
