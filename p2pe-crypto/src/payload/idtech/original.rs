//! The ID TECH original frame of a swipe: no field bytes, tracks 1 and 2 in one CBC run, track 3 in clear.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, tdes::Cipher};
use zeroize::Zeroizing;

use super::{
    Form,
    framing::{self, Data},
};
use crate::{
    masked,
    payload::{Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Scope, Unsupported, alarm, hex},
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
    pub(crate) fn parse(input: &[u8]) -> Result<Self, PayloadError> {
        let (form, data) = match framing::open(input)? {
            Data::Binary(data) => (Form::Binary, Zeroizing::new(data.to_vec())),
            Data::Hex(data) => (Form::Hex, data),
            Data::Keyboard(typed) => {
                let data = from_typed(typed)?;
                // Typed digits may have hidden a card number in a ciphertext's place.
                if alarm::holds_account_number(&data) {
                    return Err(PayloadError::ClearAccountData);
                }
                (Form::Keyboard, data)
            }
        };
        let &[encode_type, _, l1, l2, l3] = data.first_chunk().ok_or(PayloadError::FieldOverrun)?;
        let lengths = [l1, l2, l3].map(usize::from);
        // The alarm goes before all else that may be wrong with the frame.
        let mut at = HEADER;
        let slots = lengths.map(|length| {
            at += length;
            data.get(at - length..at.min(data.len())).unwrap_or_default()
        });
        if slots.iter().any(|slot| alarm::in_slot(slot)) || slots[..2].iter().any(|slot| masked::shows_too_much(slot)) {
            return Err(PayloadError::ClearAccountData);
        }
        check(encode_type)?;
        let start = HEADER + lengths.iter().sum::<usize>();
        let encrypted = start..start + (lengths[0] + lengths[1]).next_multiple_of(Cipher::Tdes.block());
        if encrypted.end > data.len() {
            return Err(PayloadError::FieldOverrun);
        }
        if encrypted.is_empty() {
            return Err(PayloadError::NotEncrypted);
        }
        let rest = &data[encrypted.end..];
        if rest.len() == HASHES + KSN + SESSION_ID {
            return Err(PayloadError::Unsupported(Unsupported::SessionId));
        }
        let ksn = rest.get(HASHES..).filter(|ksn| ksn.len() == KSN).ok_or(PayloadError::FieldLayoutResidue)?;
        Ok(Self { form, lengths, encrypted, ksn: Ksn::of_transaction(ksn)?, data })
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
fn from_typed(typed: &[u8]) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let (head, rest) = typed.split_at_checked(2 * HEADER).ok_or(PayloadError::FieldOverrun)?;
    let head: [u8; HEADER] = hex::decode_array(head)?;
    let tracks = head[2..].iter().map(|length| usize::from(*length)).sum();
    let (tracks, rest) = rest.split_at_checked(tracks).ok_or(PayloadError::FieldOverrun)?;
    // Room for all of it at once: a buffer that grows leaves what it held behind.
    let mut data = Zeroizing::new(Vec::with_capacity(HEADER + tracks.len() + rest.len() / 2));
    data.extend_from_slice(&head);
    data.extend_from_slice(tracks);
    hex::decode_into(rest, &mut data)?;
    Ok(data)
}
