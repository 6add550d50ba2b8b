//! The ID TECH original frame of a swipe: no field bytes, tracks 1 and 2 in one CBC run, track 3 in clear.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, tdes::Cipher};
use zeroize::Zeroizing;

use super::{
    Form,
    framing::{self, Opened, Untyped},
};
use crate::{
    masked,
    payload::{
        Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Refusal, Scope, Unsupported, alarm,
        hex, refusal::ksn,
    },
};

/// Card encode type, track status and three track lengths.
const HEADER: usize = 5;
/// SHA-1 of tracks 1 and 2; never read.
const HASHES: usize = 40;
const KSN: usize = 10;
const SESSION_ID: usize = 8;

/// A frame: the counted data in binary, and where each field stands in it.
#[derive(Clone, PartialEq, Eq)]
pub struct OriginalFrame {
    form: Form,
    // Wiped on drop: unsalted hashes of the tracks and a clear track 3 stand in it.
    data: Zeroizing<Vec<u8>>,
    lengths: [usize; 3],
    encrypted: Range<usize>,
    ksn: Ksn,
}

impl OriginalFrame {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let Opened { form, data, places } = framing::open(input, 0, untype)?;
        Self::read(form, data).map_err(|refusal| places.refusal(refusal))
    }

    fn read(form: Form, data: Zeroizing<Vec<u8>>) -> Result<Self, Refusal> {
        let &[encode_type, _, l1, l2, l3] = data.first_chunk().ok_or(PayloadError::FieldOverrun.at(data.len()))?;
        let lengths = [l1, l2, l3].map(usize::from);
        // The alarm goes before all else that may be wrong with the frame.
        let mut at = HEADER;
        let slots = lengths.map(|length| {
            at += length;
            data.get(at - length..at.min(data.len())).unwrap_or_default()
        });
        let shown = || slots[..2].iter().copied().find(|slot| masked::shows_too_much(slot));
        if let Some(clear) = slots.iter().find_map(|slot| alarm::in_slot(slot)).or_else(shown) {
            return Err(PayloadError::ClearAccountData.within(&data, clear));
        }
        check(encode_type).map_err(|error| error.at(0))?;
        let start = HEADER + lengths.iter().sum::<usize>();
        let encrypted = start..start + (lengths[0] + lengths[1]).next_multiple_of(Cipher::Tdes.block());
        if encrypted.end > data.len() {
            return Err(PayloadError::FieldOverrun.at(start.min(data.len())));
        }
        if encrypted.is_empty() {
            return Err(PayloadError::NotEncrypted.at(HEADER - lengths.len()));
        }
        let rest = &data[encrypted.end..];
        if rest.len() == HASHES + KSN + SESSION_ID {
            return Err(PayloadError::Unsupported(Unsupported::SessionId).at(encrypted.end + HASHES));
        }
        let residue = PayloadError::FieldLayoutResidue.at(data.len().min(encrypted.end + HASHES));
        let number = rest.get(HASHES..).filter(|ksn| ksn.len() == KSN).ok_or(residue)?;
        Ok(Self { form, lengths, encrypted, ksn: ksn(&data, number)?, data })
    }

    /// The form in which it was received.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The key serial number, 10 bytes.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    /// The lengths of the three tracks in bytes, check characters included.
    #[must_use]
    pub fn lengths(&self) -> [usize; 3] {
        self.lengths
    }

    /// The masked copy of track 1 or 2, or the clear track 3 (index 0 to 2).
    #[must_use]
    pub fn masked(&self, track: usize) -> Option<&[u8]> {
        let start = HEADER + self.lengths.iter().take(track).sum::<usize>();
        let length = *self.lengths.get(track)?;
        (length > 0).then(|| &self.data[start..start + length])
    }

    /// The ciphertext of tracks 1 and 2, whole blocks.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.data[self.encrypted.clone()]
    }
}

impl Content for OriginalFrame {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        let (format, scheme) = (Format::IdTechOriginal, self.ksn.scheme());
        Features { format, scheme, cipher: Some(Cipher::Tdes), scope: Scope::Joined, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let [one, two, _] = self.lengths;
        let masked = Some(&self.data[HEADER..HEADER + one + two]);
        let holds = Holds::JoinedTracks { length: one + two, first: Some(one), masked };
        [EncryptedField::new(self.ciphertext(), holds)].into_iter().collect()
    }
}

impl fmt::Debug for OriginalFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The masked copies, the clear track and the ciphertext stay out of logs.
        let mut shown = f.debug_struct("OriginalFrame");
        shown.field("form", &self.form).field("ksn", &self.ksn).field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

/// Of the card encode types only that of payment cards is taken.
fn check(encode_type: u8) -> Result<(), PayloadError> {
    Err(PayloadError::Unsupported(match encode_type {
        0x00 => return Ok(()),
        0x01 => Unsupported::Aamva,
        _ => Unsupported::Encoding,
    }))
}

/// The typed characters as binary data: all hex digits but the three tracks.
fn untype(typed: &[u8]) -> Result<Untyped, Refusal> {
    let (head, rest) = typed.split_at_checked(2 * HEADER).ok_or(PayloadError::FieldOverrun.at(typed.len()))?;
    let head: [u8; HEADER] = hex::decode_array(head)?;
    let tracks = head[2..].iter().map(|length| usize::from(*length)).sum();
    let (tracks, rest) = rest.split_at_checked(tracks).ok_or(PayloadError::FieldOverrun.at(2 * HEADER))?;
    // Room for all of it at once: a buffer that grows leaves what it held behind.
    let mut data = Zeroizing::new(Vec::with_capacity(HEADER + tracks.len() + rest.len() / 2));
    data.extend_from_slice(&head);
    data.extend_from_slice(tracks);
    hex::decode_into(rest, &mut data).map_err(|refusal| refusal.inside(typed, rest))?;
    Ok((data, HEADER..HEADER + tracks.len()))
}
