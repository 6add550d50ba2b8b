//! The layout of an enhanced frame: where its fields stand, by its field bytes and option bytes.

use core::ops::Range;

use dukpt::{Ksn, tdes::Cipher};

use crate::{
    Entry, masked,
    payload::{PayloadError, Refusal, Scope, Unsupported, alarm, refusal::ksn},
};

/// Card encode type, track status, three track lengths and two field bytes.
pub(super) const HEADER: usize = 7;
/// Where the two field bytes begin.
pub(super) const FIELD_BYTES: usize = 5;
const KSN: usize = 10;
const SERIAL: usize = 10;
const SESSION_ID: usize = 8;
/// HMAC-SHA-256; its length stands in front of it, its own KSN behind it.
const MAC: usize = 32;
const MAC_LENGTH: usize = 2;

/// Where each field stands in the counted data.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) masked: [Option<Range<usize>>; 3],
    pub(super) encrypted: [Option<Range<usize>>; 3],
    pub(super) session_id: Option<Range<usize>>,
    pub(super) serial: Option<Range<usize>>,
    pub(super) ksn: Ksn,
    /// Where the code stands, and its KSN.
    pub(super) mac: Option<(Range<usize>, Ksn)>,
    pub(super) scope: Scope,
}

impl Layout {
    /// Reads the counted data: where each field stands in them.
    pub(super) fn read(data: &[u8]) -> Result<Self, Refusal> {
        let &[encode_type, status, l1, l2, l3, field1, field2] =
            data.first_chunk().ok_or(PayloadError::FieldOverrun.at(data.len()))?;
        let flags = Flags { field1, field2 };
        let lengths = [l1, l2, l3].map(usize::from);
        let mut at = HEADER;
        let options = Options::read(data, status, &mut at)?;
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
            return Err(PayloadError::ClearAccountData.within(data, clear));
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
                Some((start..start + MAC, ksn(data, behind)?))
            }
            _ => return Err(residue(at + KSN)),
        };
        let ksn = ksn(data, number)?;
        Ok(Self { masked, encrypted, session_id, serial, ksn, mac, scope })
    }
}

/// Bit of the card encode type: without it the header has no field bytes.
pub(super) const ENHANCED: u8 = 0x80;
const SWIPED: u8 = 0x80;
const SWIPED_WITH_JIS: u8 = 0x86;
pub(super) const KEYED: u8 = 0xC0;

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
