//! The ID TECH enhanced frame, swiped and keyed: card encode types `80` and `C0`.

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, ops::Range};

use dukpt::{Ksn, tdes::Cipher};
use zeroize::Zeroizing;

use super::{EncryptedTrack, Form, PayloadError, Unsupported, alarm, framing};
use crate::{Entry, masked};

/// Card encode type, track status, three track lengths and two field bytes.
const HEADER: usize = 7;
/// Where the two field bytes begin.
const FIELD_BYTES: usize = 5;
const KSN: usize = 10;
const SERIAL: usize = 10;
const SESSION_ID: usize = 8;

/// A frame: the counted data in binary, and where each field stands in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    form: Form,
    // Wiped on drop: unsalted hashes of the tracks and a keyed-in address may stand in it.
    data: Zeroizing<Box<[u8]>>,
    masked: [Option<Range<usize>>; 3],
    encrypted: [Option<Range<usize>>; 3],
    serial: Option<Range<usize>>,
    ksn: Ksn,
}

impl Frame {
    pub(super) fn parse(input: &[u8]) -> Result<Self, PayloadError> {
        let opened = framing::open(input)?;
        let data = match opened.form {
            Form::Binary | Form::Hex => opened.bytes,
            Form::Keyboard => {
                let data = from_typed(&opened.bytes)?;
                // Typed digits may have hidden a card number in a ciphertext's place.
                if alarm::holds_account_number(&data[HEADER..]) {
                    return Err(PayloadError::ClearAccountData);
                }
                data
            }
        };
        Self::read(opened.form, &data)
    }

    fn read(form: Form, data: &[u8]) -> Result<Self, PayloadError> {
        let &[encode_type, status, l1, l2, l3, field1, field2] =
            data.first_chunk().ok_or(PayloadError::FieldOverrun)?;
        let flags = Flags { field1, field2 };
        let lengths = [l1, l2, l3].map(usize::from);
        let keyed = entry(encode_type, lengths)? == Entry::Keyed;
        let mut at = HEADER;
        let options = options(data, status, &mut at)?;
        if flags.fixed_key() {
            return Err(PayloadError::Unsupported(Unsupported::FixedKey));
        }
        if keyed && (flags.encrypted(0) || flags.encrypted(2)) {
            return Err(PayloadError::Unsupported(Unsupported::Encoding));
        }

        let block = flags.cipher().block();
        let mut slot = |present: bool, length: usize| {
            let range = at..at + length;
            at = if present { range.end } else { at };
            (present && length > 0).then_some(range)
        };
        let masked = [0, 1, 2].map(|i| slot(flags.masked(i), lengths[i]));
        let encrypted = [0, 1, 2].map(|i| slot(flags.encrypted(i), lengths[i].next_multiple_of(block)));
        if at > data.len() {
            return Err(PayloadError::FieldOverrun);
        }
        if masked[..2].iter().flatten().any(|range| masked::shows_too_much(&data[range.clone()])) {
            return Err(PayloadError::ClearAccountData);
        }
        if encrypted.iter().all(Option::is_none) {
            return Err(PayloadError::NotEncrypted);
        }
        if !flags.ksn() {
            return Err(PayloadError::MissingKsn);
        }
        if flags.session_id() && flags.cipher() == Cipher::Aes128 {
            return Err(PayloadError::Unsupported(Unsupported::SessionId));
        }

        let hash = if options & OPTION_SHA256 == 0 { 20 } else { 32 };
        at += if flags.session_id() { SESSION_ID } else { 0 };
        at += (0..3).filter(|&i| flags.hash(i)).count() * hash;
        let serial = flags.serial().then(|| at..at + SERIAL);
        at = serial.as_ref().map_or(at, |range| range.end);
        let ksn = data.get(at..).filter(|ksn| ksn.len() == KSN).ok_or(PayloadError::FieldLayoutResidue)?;
        Ok(Self { form, masked, encrypted, serial, ksn: Ksn::of_transaction(ksn)?, data: Zeroizing::new(data.into()) })
    }

    /// The form in which it was received.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether the card was swiped or its number keyed in.
    #[must_use]
    pub fn entry(&self) -> Entry {
        if self.data[0] == KEYED { Entry::Keyed } else { Entry::Swiped }
    }

    /// The cipher that the frame's flag names; the block length of the layout follows it.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        self.flags().cipher()
    }

    /// The key serial number, 10 bytes.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    /// The device's serial number, 10 bytes, usually ASCII.
    #[must_use]
    pub fn serial(&self) -> Option<&[u8]> {
        self.serial.clone().map(|range| &self.data[range])
    }

    /// The clear lengths of the three tracks in bytes.
    #[must_use]
    pub fn lengths(&self) -> [usize; 3] {
        [self.data[2], self.data[3], self.data[4]].map(usize::from)
    }

    /// The masked copy of track 1, 2 or 3 (index 0 to 2). In a keyed frame the third slot is not a track: see
    /// [`Frame::extra`].
    #[must_use]
    pub fn masked(&self, track: usize) -> Option<&[u8]> {
        if self.entry() == Entry::Keyed && track == 2 {
            return None;
        }
        self.slot(&self.masked, track)
    }

    /// The ciphertext of track 1, 2 or 3 (index 0 to 2), whole blocks.
    #[must_use]
    pub fn ciphertext(&self, track: usize) -> Option<&[u8]> {
        self.slot(&self.encrypted, track)
    }

    /// What was keyed in beside the card number, in clear: address and ZIP code.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        if self.entry() != Entry::Keyed {
            return None;
        }
        self.slot(&self.masked, 2)
    }

    /// The encrypted tracks by track index, each with its clear length and masked copy.
    pub(crate) fn encrypted(&self) -> impl Iterator<Item = (usize, EncryptedTrack<'_>)> {
        (0..3).filter_map(|track| {
            let ciphertext = self.ciphertext(track)?;
            let length = Some(self.lengths()[track]);
            Some((track, EncryptedTrack { ciphertext, length, masked: self.masked(track) }))
        })
    }

    /// Writes the frame again in any form. In its own form this gives back what was parsed, but for the case of hex
    /// digits and for padding behind the frame.
    #[must_use]
    pub fn encode(&self, form: Form) -> Vec<u8> {
        let data = match form {
            Form::Binary | Form::Hex => self.data.to_vec(),
            Form::Keyboard => self.to_typed(),
        };
        framing::close(&data, form)
    }

    fn to_typed(&self) -> Vec<u8> {
        let tracks = self.masked.iter().flatten();
        let start = tracks.clone().map(|range| range.start).min().unwrap_or(self.data.len());
        let end = tracks.map(|range| range.end).max().unwrap_or(self.data.len());
        let (head, rest) = self.data.split_at(start);
        let (tracks, rest) = rest.split_at(end - start);
        [&framing::to_hex(head), tracks, &framing::to_hex(rest)].concat()
    }

    fn flags(&self) -> Flags {
        Flags { field1: self.data[5], field2: self.data[6] }
    }

    fn slot(&self, slots: &[Option<Range<usize>>; 3], track: usize) -> Option<&[u8]> {
        slots.get(track)?.clone().map(|range| &self.data[range])
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The masked copies and the ciphertext stay out of logs.
        f.debug_struct("Frame")
            .field("form", &self.form)
            .field("entry", &self.entry())
            .field("ksn", &self.ksn)
            .field("lengths", &self.lengths())
            .finish_non_exhaustive()
    }
}

const SWIPED: u8 = 0x80;
const KEYED: u8 = 0xC0;

/// Sorts card encode types: the two that are taken, and the others by name.
fn entry(encode_type: u8, lengths: [usize; 3]) -> Result<Entry, PayloadError> {
    Err(PayloadError::Unsupported(match encode_type {
        SWIPED => return Ok(Entry::Swiped),
        KEYED => return Ok(Entry::Keyed),
        0x01 | 0x81 => Unsupported::Aamva,
        // Keyed in the original layout, or a JIS II stripe alone: the lengths tell.
        0x85 if lengths == [0; 3] => Unsupported::Original,
        0x85 | 0x86 => Unsupported::Jis,
        0x00..=0x7F => Unsupported::Original,
        _ => Unsupported::Encoding,
    }))
}

const OPTIONS_PRESENT: u8 = 1 << 6;
const OPTION_SHA256: u8 = 1 << 0;
const OPTION_ENCRYPTION_TYPE: u8 = 1 << 1;
const OPTION_MAC: u8 = 1 << 5;

/// The first option byte, or none set. Moves `at` behind the options.
fn options(data: &[u8], status: u8, at: &mut usize) -> Result<u8, PayloadError> {
    if status & OPTIONS_PRESENT == 0 {
        return Ok(0);
    }
    let count = usize::from(*data.get(*at).ok_or(PayloadError::FieldOverrun)?);
    let bytes = data.get(*at + 1..).and_then(|rest| rest.get(..count)).ok_or(PayloadError::FieldOverrun)?;
    *at += 1 + count;
    let first = bytes.first().copied().unwrap_or(0);
    if first & OPTION_ENCRYPTION_TYPE != 0 {
        return Err(PayloadError::Unsupported(Unsupported::TransArmor));
    }
    if first & OPTION_MAC != 0 {
        return Err(PayloadError::Unsupported(Unsupported::Mac));
    }
    Ok(first)
}

/// The two field bytes: which fields are present and what they are encrypted with.
#[derive(Clone, Copy)]
struct Flags {
    field1: u8,
    field2: u8,
}

impl Flags {
    fn masked(self, track: usize) -> bool {
        self.field1 >> track & 1 == 1
    }
    fn encrypted(self, track: usize) -> bool {
        self.field2 >> track & 1 == 1
    }
    fn hash(self, track: usize) -> bool {
        self.field2 >> (track + 3) & 1 == 1
    }
    fn fixed_key(self) -> bool {
        self.field1 & 1 << 3 != 0
    }
    fn cipher(self) -> Cipher {
        if self.field1 & 1 << 4 == 0 { Cipher::Tdes } else { Cipher::Aes128 }
    }
    fn serial(self) -> bool {
        self.field1 & 1 << 7 != 0
    }
    fn session_id(self) -> bool {
        self.field2 & 1 << 6 != 0
    }
    fn ksn(self) -> bool {
        self.field2 & 1 << 7 != 0
    }
}

/// The typed characters as binary data: all hex digits but the clear and masked tracks.
fn from_typed(typed: &[u8]) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let digits = |range: Range<usize>| framing::from_hex(typed.get(range).ok_or(PayloadError::FieldOverrun)?);
    // Other card encode types have another layout, even of the header: refuse them by name before reading on.
    let start = digits(0..2 * FIELD_BYTES)?;
    entry(start[0], [start[2], start[3], start[4]].map(usize::from))?;
    // Room for all of it at once: a buffer that grows leaves what it held behind.
    let mut data = Zeroizing::new(Vec::with_capacity(typed.len()));
    data.extend_from_slice(&digits(0..2 * HEADER)?);
    let mut at = data.len() * 2;
    if data[1] & OPTIONS_PRESENT != 0 {
        let count = digits(at..at + 2)?;
        let end = at + 2 + 2 * usize::from(count[0]);
        data.extend_from_slice(&digits(at..end)?);
        at = end;
    }
    let flags = Flags { field1: data[5], field2: data[6] };
    let tracks = (0..3).filter(|&i| flags.masked(i)).map(|i| usize::from(data[2 + i])).sum::<usize>();
    let (tracks, rest) = typed[at..].split_at_checked(tracks).ok_or(PayloadError::FieldOverrun)?;
    data.extend_from_slice(tracks);
    data.extend_from_slice(&framing::from_hex(rest)?);
    Ok(data)
}
