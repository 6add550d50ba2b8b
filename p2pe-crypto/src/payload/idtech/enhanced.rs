//! The ID TECH enhanced frame: swiped (card encode type `80`, `86` with a JIS II stripe) and keyed (`C0`).

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, tdes::Cipher};
use zeroize::Zeroizing;

use super::{
    Form,
    framing::{self, Opened, Untyped},
    layout::{ENHANCED, FIELD_BYTES, Flags, HEADER, KEYED, Layout, Options},
};
use crate::{
    Entry, TrackNumber,
    payload::{
        Content, EncryptedField, Features, Fields, Format, Holds, Mac, PayloadError, Refusal, Scope, Unsupported, hex,
        refusal::range,
    },
};

/// A frame: the counted data in binary, and where each field stands in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    form: Form,
    // Wiped on drop: unsalted hashes of the tracks and a keyed-in address may stand in it.
    bytes: Zeroizing<Vec<u8>>,
    /// The counted data in them.
    counted: Range<usize>,
    layout: Layout,
}

/// A binary frame that stands in other bytes.
pub(crate) struct Inner {
    counted: Range<usize>,
    layout: Layout,
}

impl Inner {
    /// Reads the part of these bytes that is a frame.
    pub(crate) fn parse(bytes: &[u8], frame: &[u8]) -> Result<Self, Refusal> {
        let data = framing::binary(frame)?;
        let layout = Layout::read(data).map_err(|refusal| refusal.inside(frame, data))?;
        Ok(Self { counted: range(bytes, data).unwrap_or_default(), layout })
    }

    pub(crate) fn ksn(&self) -> Ksn {
        self.layout.ksn
    }

    /// The frame with the bytes that it was found in.
    pub(crate) fn of(self, bytes: Zeroizing<Vec<u8>>) -> Frame {
        Frame { form: Form::Binary, bytes, counted: self.counted, layout: self.layout }
    }
}

impl Frame {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let Opened { form, data, places } = framing::open(input, HEADER, untype)?;
        let layout = Layout::read(&data).map_err(|refusal| places.refusal(refusal))?;
        Ok(Self { form, counted: 0..data.len(), bytes: data, layout })
    }

    /// All bytes that are kept with it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn data(&self) -> &[u8] {
        &self.bytes[self.counted.clone()]
    }

    /// The form in which it was received.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether the card was swiped or its number keyed in.
    #[must_use]
    pub fn entry(&self) -> Entry {
        if self.data()[0] == KEYED { Entry::Keyed } else { Entry::Swiped }
    }

    /// The cipher that the frame's flag names; the block length of the layout follows it.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        self.flags().cipher()
    }

    /// The key serial number, 10 bytes.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        &self.layout.ksn
    }

    /// The device's serial number, 10 bytes, usually ASCII.
    #[must_use]
    pub fn serial(&self) -> Option<&[u8]> {
        self.layout.serial.clone().map(|range| &self.data()[range])
    }

    /// The clear lengths of the three tracks in bytes.
    #[must_use]
    pub fn lengths(&self) -> [usize; 3] {
        [self.data()[2], self.data()[3], self.data()[4]].map(usize::from)
    }

    /// The masked copy of track 1, 2 or 3 (index 0 to 2). In a keyed frame the third slot is not a track: see
    /// [`Frame::extra`].
    #[must_use]
    pub fn masked(&self, track: usize) -> Option<&[u8]> {
        if self.entry() == Entry::Keyed && track == 2 {
            return None;
        }
        self.slot(&self.layout.masked, track)
    }

    /// The ciphertext of track 1, 2 or 3 (index 0 to 2), whole blocks.
    #[must_use]
    pub fn ciphertext(&self, track: usize) -> Option<&[u8]> {
        self.slot(&self.layout.encrypted, track)
    }

    /// What was keyed in beside the card number, in clear: address and ZIP code.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        if self.entry() != Entry::Keyed {
            return None;
        }
        self.slot(&self.layout.masked, 2)
    }

    /// Writes the frame again in any form. In its own form this gives back what was parsed, but for the case of hex
    /// digits and for padding behind the frame.
    #[must_use]
    pub fn encode(&self, form: Form) -> Vec<u8> {
        let data = match form {
            Form::Binary | Form::Hex => self.data().to_vec(),
            Form::Keyboard => self.to_typed(),
        };
        framing::close(&data, form)
    }

    fn to_typed(&self) -> Vec<u8> {
        let tracks = self.layout.masked.iter().flatten();
        let start = tracks.clone().map(|range| range.start).min().unwrap_or(self.data().len());
        let end = tracks.map(|range| range.end).max().unwrap_or(self.data().len());
        let (head, rest) = self.data().split_at(start);
        let (tracks, rest) = rest.split_at(end - start);
        [&hex::encode(head), tracks, &hex::encode(rest)].concat()
    }

    fn flags(&self) -> Flags {
        Flags { field1: self.data()[5], field2: self.data()[6] }
    }

    fn slot(&self, slots: &[Option<Range<usize>>; 3], track: usize) -> Option<&[u8]> {
        slots.get(track)?.clone().map(|range| &self.data()[range])
    }
}

impl Content for Frame {
    fn ksn(&self) -> &Ksn {
        &self.layout.ksn
    }

    fn features(&self) -> Features {
        Features {
            format: Format::IdTechEnhanced,
            scheme: self.layout.ksn.scheme(),
            cipher: Some(self.cipher()),
            scope: self.layout.scope,
            mac: self.layout.mac.is_some(),
        }
    }

    fn encrypted(&self) -> Fields<'_> {
        let tracks = [TrackNumber::One, TrackNumber::Two, TrackNumber::Three].into_iter().zip(0..);
        let tracks = tracks.filter_map(|(number, i)| {
            let length = self.lengths()[i];
            let masked = self.masked(i);
            let holds = match (self.entry(), self.layout.scope) {
                (Entry::Keyed, _) => Holds::Keyed { length, masked },
                (_, Scope::Joined) => Holds::JoinedTracks { length, first: None, masked },
                (_, Scope::Field | Scope::Payload) => {
                    Holds::Track { number: Some(number), length: Some(length), masked }
                }
            };
            Some(EncryptedField::new(self.ciphertext(i)?, holds))
        });
        let session_id =
            self.layout.session_id.clone().map(|range| EncryptedField::new(&self.data()[range], Holds::SessionId));
        tracks.chain(session_id).collect()
    }

    fn mac(&self) -> Option<Mac<'_>> {
        let (range, ksn) = self.layout.mac.as_ref()?;
        Some(Mac { ksn, covered: &self.data()[..range.start], code: &self.data()[range.clone()] })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The masked copies and the ciphertext stay out of logs.
        f.debug_struct("Frame")
            .field("form", &self.form)
            .field("entry", &self.entry())
            .field("ksn", &self.layout.ksn)
            .field("lengths", &self.lengths())
            .finish_non_exhaustive()
    }
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
