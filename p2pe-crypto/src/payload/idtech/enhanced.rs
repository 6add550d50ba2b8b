//! The ID TECH enhanced frame: swiped (card encode type `80`, `86` with a JIS II stripe) and keyed (`C0`).

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, tdes::Cipher};
use zeroize::Zeroizing;

use super::{
    Form,
    framing::{self, Opened, Untyped},
    layout::{Flags, Options},
};
use crate::{
    Entry, TrackNumber, masked,
    payload::{
        Content, EncryptedField, Features, Fields, Format, Holds, Mac, PayloadError, Refusal, Scope, Unsupported,
        alarm, hex, refusal::ksn,
    },
};

/// Card encode type, track status, three track lengths and two field bytes.
const HEADER: usize = 7;
/// Where the two field bytes begin.
const FIELD_BYTES: usize = 5;
const KSN: usize = 10;
const SERIAL: usize = 10;
const SESSION_ID: usize = 8;
/// HMAC-SHA-256; its length stands in front of it, its own KSN behind it.
const MAC: usize = 32;
const MAC_LENGTH: usize = 2;

/// A frame: the counted data in binary, and where each field stands in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    form: Form,
    // Wiped on drop: unsalted hashes of the tracks and a keyed-in address may stand in it.
    data: Zeroizing<Vec<u8>>,
    masked: [Option<Range<usize>>; 3],
    encrypted: [Option<Range<usize>>; 3],
    session_id: Option<Range<usize>>,
    serial: Option<Range<usize>>,
    ksn: Ksn,
    /// Where the code stands, and its KSN.
    mac: Option<(Range<usize>, Ksn)>,
    scope: Scope,
}

impl Frame {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let Opened { form, data, places } = framing::open(input, HEADER, untype)?;
        Self::read(form, data).map_err(|refusal| places.refusal(refusal))
    }

    fn read(form: Form, data: Zeroizing<Vec<u8>>) -> Result<Self, Refusal> {
        let &[encode_type, status, l1, l2, l3, field1, field2] =
            data.first_chunk().ok_or(PayloadError::FieldOverrun.at(data.len()))?;
        let flags = Flags { field1, field2 };
        let lengths = [l1, l2, l3].map(usize::from);
        let mut at = HEADER;
        let options = Options::read(&data, status, &mut at)?;
        let block = flags.cipher().block();
        let mut field = |present: bool, length: usize| {
            let range = at..at + length;
            at = if present { range.end } else { at };
            (present && length > 0).then_some(range)
        };
        let masked = [0, 1, 2].map(|i| field(flags.masked(i), lengths[i]));
        let encrypted = [0, 1, 2].map(|i| field(flags.encrypted(i), lengths[i].next_multiple_of(block)));
        let session_id = field(flags.session_id(), SESSION_ID);
        let hashes = (0..3).filter(|&i| flags.hash(i)).count();
        field(true, hashes * options.hash());
        let serial = field(flags.serial(), SERIAL);

        // The alarm goes before all that the flags may be wrong about.
        let cut = |range: &Range<usize>| data.get(range.start..range.end.min(data.len())).unwrap_or_default();
        let slots = masked.each_ref().map(|range| range.as_ref().map(cut).unwrap_or_default());
        let shown = || slots[..2].iter().copied().find(|slot| masked::shows_too_much(slot));
        if let Some(clear) = slots.iter().find_map(|slot| alarm::in_slot(slot)).or_else(shown) {
            return Err(PayloadError::ClearAccountData.within(&data, clear));
        }
        let keyed = entry(encode_type).map_err(|error| error.at(0))? == Entry::Keyed;
        let scope = options.scope().map_err(|error| error.at(HEADER + 1))?;
        if flags.fixed_key() {
            return Err(PayloadError::Unsupported(Unsupported::FixedKey).at(FIELD_BYTES));
        }
        if keyed && (flags.encrypted(0) || flags.encrypted(2) || scope == Scope::Joined) {
            return Err(PayloadError::Unsupported(Unsupported::Encoding).at(FIELD_BYTES + 1));
        }
        if scope == Scope::Joined && (flags.encrypted(1) || flags.encrypted(2) || flags.cipher() != Cipher::Tdes) {
            return Err(PayloadError::Unsupported(Unsupported::Encryption).at(FIELD_BYTES));
        }
        if let Some(field) = masked.iter().chain(&encrypted).flatten().find(|range| range.end > data.len()) {
            return Err(PayloadError::FieldOverrun.at(field.start));
        }
        if encrypted.iter().all(Option::is_none) {
            return Err(PayloadError::NotEncrypted.at(FIELD_BYTES + 1));
        }
        if !flags.ksn() {
            return Err(PayloadError::MissingKsn.at(FIELD_BYTES + 1));
        }
        if flags.session_id() && flags.cipher() == Cipher::Aes128 {
            return Err(PayloadError::Unsupported(Unsupported::SessionId).at(FIELD_BYTES + 1));
        }
        // From where the fields that the flags announce and the counted data are not the same.
        let residue = |at: usize| PayloadError::FieldLayoutResidue.at(at.min(data.len()));
        let rest = data.get(at..).ok_or(residue(at))?;
        let (number, rest) = rest.split_at_checked(KSN).ok_or(residue(at))?;
        let mac = match (options.mac(), rest) {
            (false, []) => None,
            (true, [low, high, rest @ ..]) => {
                if usize::from(u16::from_le_bytes([*low, *high])) != MAC {
                    return Err(PayloadError::Unsupported(Unsupported::Mac).at(at + KSN));
                }
                let start = at + KSN + MAC_LENGTH;
                let behind = rest.get(MAC..).filter(|ksn| ksn.len() == KSN).ok_or(residue(start + MAC))?;
                Some((start..start + MAC, ksn(&data, behind)?))
            }
            _ => return Err(residue(at + KSN)),
        };
        let ksn = ksn(&data, number)?;
        Ok(Self { form, masked, encrypted, session_id, serial, ksn, mac, scope, data })
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
        [&hex::encode(head), tracks, &hex::encode(rest)].concat()
    }

    fn flags(&self) -> Flags {
        Flags { field1: self.data[5], field2: self.data[6] }
    }

    fn slot(&self, slots: &[Option<Range<usize>>; 3], track: usize) -> Option<&[u8]> {
        slots.get(track)?.clone().map(|range| &self.data[range])
    }
}

impl Content for Frame {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        Features {
            format: Format::IdTechEnhanced,
            scheme: self.ksn.scheme(),
            cipher: Some(self.cipher()),
            scope: self.scope,
            mac: self.mac.is_some(),
        }
    }

    fn encrypted(&self) -> Fields<'_> {
        let tracks = [TrackNumber::One, TrackNumber::Two, TrackNumber::Three].into_iter().zip(0..);
        let tracks = tracks.filter_map(|(number, i)| {
            let length = self.lengths()[i];
            let masked = self.masked(i);
            let holds = match (self.entry(), self.scope) {
                (Entry::Keyed, _) => Holds::Keyed { length, masked },
                (_, Scope::Joined) => Holds::JoinedTracks { length, first: None, masked },
                (_, Scope::Field) => Holds::Track { number: Some(number), length: Some(length), masked },
            };
            Some(EncryptedField::new(self.ciphertext(i)?, holds))
        });
        let session_id = self.session_id.clone().map(|range| EncryptedField::new(&self.data[range], Holds::SessionId));
        tracks.chain(session_id).collect()
    }

    fn mac(&self) -> Option<Mac<'_>> {
        let (range, ksn) = self.mac.as_ref()?;
        Some(Mac { ksn, covered: &self.data[..range.start], code: &self.data[range.clone()] })
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

/// Bit of the card encode type: without it the header has no field bytes.
const ENHANCED: u8 = 0x80;
const SWIPED: u8 = 0x80;
const SWIPED_WITH_JIS: u8 = 0x86;
const KEYED: u8 = 0xC0;

/// Sorts card encode types: those that are taken, and the others by name.
fn entry(encode_type: u8) -> Result<Entry, PayloadError> {
    Err(PayloadError::Unsupported(match encode_type {
        SWIPED | SWIPED_WITH_JIS => return Ok(Entry::Swiped),
        KEYED => return Ok(Entry::Keyed),
        0x01 | 0x81 => Unsupported::Aamva,
        // The stripe alone: where its card number stands is not public.
        0x85 => Unsupported::Jis,
        _ => Unsupported::Encoding,
    }))
}

/// The typed characters as binary data: all hex digits but the clear and masked tracks.
fn untype(typed: &[u8]) -> Result<Untyped, Refusal> {
    let overrun = PayloadError::FieldOverrun.at(typed.len());
    let digits = |range: Range<usize>| typed.get(range).ok_or(overrun);
    let inside = |part| move |refusal: Refusal| refusal.inside(typed, part);
    let head = digits(0..2 * FIELD_BYTES)?;
    let [encode_type, status, lengths @ ..] = hex::decode_array::<FIELD_BYTES>(head)?;
    if encode_type & ENHANCED == 0 {
        return Err(PayloadError::Unsupported(Unsupported::Encoding).at(0));
    }
    let bits = digits(2 * FIELD_BYTES..2 * HEADER)?;
    let [field1, field2] = hex::decode_array(bits).map_err(inside(bits))?;
    let flags = Flags { field1, field2 };
    let mut start = 2 * HEADER;
    if Options::announced(status) {
        let count = digits(start..start + 2)?;
        let [count] = hex::decode_array(count).map_err(inside(count))?;
        start += 2 + 2 * usize::from(count);
    }
    let tracks = (0..3).filter(|&i| flags.masked(i)).map(|i| usize::from(lengths[i])).sum::<usize>();
    let head = digits(0..start)?;
    let overrun = PayloadError::FieldOverrun.at(start);
    let (tracks, rest) = typed[start..].split_at_checked(tracks).ok_or(overrun)?;
    // Room for all of it at once: a buffer that grows leaves what it held behind.
    let mut data = Zeroizing::new(Vec::with_capacity((head.len() + rest.len()) / 2 + tracks.len()));
    hex::decode_into(head, &mut data)?;
    data.extend_from_slice(tracks);
    hex::decode_into(rest, &mut data).map_err(inside(rest))?;
    Ok((data, head.len() / 2..head.len() / 2 + tracks.len()))
}
