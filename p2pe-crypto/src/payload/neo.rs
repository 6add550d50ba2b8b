//! ID TECH NEO and ViVOpay readers: chip data in flagged TLV, swipes as an enhanced frame or in TLV.
//!
//! Each field says by its own length byte whether it is encrypted. The attribution byte in front is known to be wrong now
//! and then: it is told, and nothing is decided by it.

use alloc::vec::Vec;
use core::fmt;

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    Content, EncryptedField, Features, Fields, Format, Holds, Mac, PayloadError, Received, Refusal, Scope, Unsupported,
    alarm,
    crc::crc16,
    idtech, quick_chip, refusal,
    tlv::{Lengths, Object, Objects, Protection, Tag},
};
use crate::{
    Entry, TrackNumber,
    card::{packed, tags},
    masked,
};

const KSN: [Tag; 2] = [Tag::new(0xDF_EE12), Tag::new(0xFF_EE12)];
/// A whole enhanced frame.
const FRAME: Tag = Tag::new(0xDF_EE23);
/// The clear lengths of the tracks, one byte each, and the tracks.
const TRACK_LENGTHS: Tag = Tag::new(0xDF_EF4C);
const TRACKS: Tag = Tag::new(0xDF_EF4D);

/// What a reader answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    header: Option<Header>,
    attribution: Option<u8>,
    objects: Held,
    ksn: Ksn,
}

/// The objects, wiped on drop: masked copies and a name may stand in them.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a box would be a second block of memory")]
enum Held {
    Chip(Zeroizing<Vec<u8>>),
    /// One of them is the frame of a swipe.
    Swipe(idtech::Frame),
}

/// The transport around an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The protocol: 2 (`ViVOtech2`) or 3 (`ViVOpayV3`).
    pub version: u8,
    /// The command that was answered.
    pub command: u8,
    /// Its sub-command, in version 3.
    pub sub_command: Option<u8>,
    /// `00`, or what went wrong, or what comes next.
    pub status: u8,
}

impl Reply {
    pub(super) fn parse(bytes: Received<'_>) -> Result<Self, Refusal> {
        let input = &*bytes;
        let (header, attribution, objects) = match Header::read(input)? {
            Some((header, data)) => {
                let (attribution, objects) = data.split_first().ok_or(PayloadError::NotEncrypted)?;
                (Some(header), Some(*attribution), objects)
            }
            None => (None, None, input),
        };
        // Older firmware answers these two commands with tracks and no tags, and with no attribution.
        let may_be_older = header.is_some_and(|header| matches!(header.command, 2 | 3)) && attribution == Some(0);
        let place = refusal::range(input, objects).unwrap_or_default();
        let (ksn, swipe) = match Self::read(objects).map_err(|refusal| refusal.inside(input, objects)) {
            Err(Refusal {
                error: PayloadError::Tlv | PayloadError::NotEncrypted | PayloadError::MissingKsn, ..
            }) if may_be_older => {
                // From the attribution on, that is none.
                return Err(PayloadError::Unsupported(Unsupported::OlderAnswer).at(place.start.saturating_sub(1)));
            }
            read => read?,
        };
        let objects = bytes.keep_part(place);
        let objects = match swipe {
            Some(swipe) => Held::Swipe(swipe.of(objects)),
            None => Held::Chip(objects),
        };
        Ok(Self { header, attribution, objects, ksn })
    }

    /// The KSN, and the frame of a swipe.
    fn read(data: &[u8]) -> Result<(Ksn, Option<idtech::Inner>), Refusal> {
        let mut ksn: Option<&[u8]> = None;
        let mut frame = None;
        let mut encrypted = 0;
        for object in Objects::new(data, Lengths::IdTech) {
            let object = object?;
            if object.protection == Protection::Encrypted {
                let whole_blocks = !object.value.is_empty() && object.value.len().is_multiple_of(8);
                if !whole_blocks || object.value.len() > Self::LONGEST {
                    return Err(PayloadError::CiphertextLength.within(data, object.value));
                }
                encrypted += 1;
            } else if shows_account_data(&object) {
                return Err(PayloadError::ClearAccountData.within(data, object.value));
            } else if KSN.contains(&object.tag) {
                if ksn.is_some_and(|other| other != object.value) {
                    return Err(PayloadError::FieldLayoutResidue.within(data, object.value));
                }
                ksn = Some(object.value);
            } else if object.tag == FRAME && !object.value.is_empty() {
                if frame.is_some() {
                    return Err(PayloadError::FieldLayoutResidue.within(data, object.value));
                }
                let inner = alarm::check(object.value, false).and_then(|()| idtech::Inner::parse(data, object.value));
                frame = Some(inner.map_err(|refusal| refusal.inside(data, object.value))?);
            }
        }
        encrypted += Tracks::find(data)?.map_or(0, |tracks| tracks.fields().count());
        let ksn = match (&frame, encrypted) {
            (Some(frame), 0) => frame.ksn(),
            // One card, one way of reading it.
            (Some(_), _) => return Err(PayloadError::FieldLayoutResidue.into()),
            (None, 0) => return Err(PayloadError::NotEncrypted.into()),
            (None, 1..=Fields::MOST) => refusal::ksn(data, ksn.ok_or(PayloadError::MissingKsn)?)?,
            (None, _) => return Err(PayloadError::FieldOverrun.into()),
        };
        Ok((ksn, frame))
    }

    const LONGEST: usize = 512;

    /// The transport, where the answer came in it.
    #[must_use]
    pub fn header(&self) -> Option<Header> {
        self.header
    }

    /// The attribution byte: what the reader says of interface and encryption. Not reliable.
    #[must_use]
    pub fn attribution(&self) -> Option<u8> {
        self.attribution
    }

    /// The frame of a swiped card.
    #[must_use]
    pub fn swipe(&self) -> Option<&idtech::Frame> {
        match &self.objects {
            Held::Swipe(frame) => Some(frame),
            Held::Chip(_) => None,
        }
    }

    /// All objects as they were sent.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(self.bytes(), Lengths::IdTech)
    }

    fn bytes(&self) -> &[u8] {
        match &self.objects {
            Held::Swipe(frame) => frame.bytes(),
            Held::Chip(objects) => objects,
        }
    }

    fn sent(&self) -> impl Iterator<Item = Object<'_>> {
        // Every object was read once already.
        self.objects().flatten()
    }

    /// The masked copy of the encrypted object at `index`: the nearest in front of it, else the first behind.
    fn masked(&self, index: usize, tag: Tag) -> Option<&[u8]> {
        let is_copy = |object: &Object<'_>| object.tag == tag && object.protection == Protection::Masked;
        let in_front = self.sent().take(index).filter(is_copy).last();
        in_front.or_else(|| self.sent().skip(index).find(is_copy)).map(|object| object.value)
    }
}

impl Content for Reply {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        let frame = self.swipe().map(|frame| frame.features());
        let none =
            Features { format: Format::Neo, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false };
        frame.map_or(none, |frame| Features { format: Format::Neo, ..frame })
    }

    fn encrypted(&self) -> Fields<'_> {
        if let Some(frame) = self.swipe() {
            return frame.encrypted();
        }
        let flagged = self.sent().enumerate().filter(|(_, object)| object.protection == Protection::Encrypted);
        let flagged = flagged.map(|(index, object)| {
            EncryptedField::new(object.value, Holds::Tlv { tag: object.tag, masked: self.masked(index, object.tag) })
        });
        let tracks = Tracks::find(self.bytes()).ok().flatten();
        flagged.chain(tracks.iter().flat_map(Tracks::fields)).collect()
    }

    fn mac(&self) -> Option<Mac<'_>> {
        self.swipe()?.mac()
    }

    fn chip(&self) -> Option<Objects<'_>> {
        self.swipe().is_none().then(|| self.objects())
    }

    fn entry(&self) -> Option<Entry> {
        // Bits 4, 3 and 0: 000 contact, 001 and 101 contactless.
        match self.attribution? & 0b0001_1001 {
            0b0000_0000 => Some(Entry::Chip),
            0b0000_0001 | 0b0001_0001 => Some(Entry::Contactless),
            _ => None,
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("header", &self.header)
            .field("attribution", &self.attribution)
            .field("ksn", &self.ksn)
            .finish_non_exhaustive()
    }
}

impl Header {
    const V2: &[u8] = b"ViVOtech2\0";
    const V3: &[u8] = b"ViVOpayV3\0";
    const CRC: usize = 2;

    /// Whether the bytes begin with the transport.
    pub(super) fn begins(input: &[u8]) -> bool {
        input.starts_with(Self::V2) || input.starts_with(Self::V3)
    }

    /// The transport and the data in it, if the input begins with one.
    fn read(input: &[u8]) -> Result<Option<(Self, &[u8])>, Refusal> {
        if !Self::begins(input) {
            return Ok(None);
        }
        let cut = PayloadError::Truncated.at(input.len());
        let rest = &input[Self::V2.len()..];
        let (header, rest) = if input.starts_with(Self::V2) {
            let ([command, status], rest) = rest.split_first_chunk().ok_or(cut)?;
            (Self { version: 2, command: *command, sub_command: None, status: *status }, rest)
        } else {
            let ([command, sub, status], rest) = rest.split_first_chunk().ok_or(cut)?;
            (Self { version: 3, command: *command, sub_command: Some(*sub), status: *status }, rest)
        };
        let (length, rest) = rest.split_first_chunk().ok_or(cut)?;
        let (data, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(cut)?;
        let (crc, padding) = rest.split_first_chunk::<{ Self::CRC }>().ok_or(cut)?;
        let counted = input.len() - rest.len();
        // Readers send the high byte first. What has the low byte first is a command of the host.
        if crc16(&input[..counted]) != u16::from_be_bytes(*crc) {
            return Err(PayloadError::CrcMismatch.at(counted));
        }
        // A USB-HID report is filled up with zeros.
        match padding.iter().position(|&byte| byte != 0) {
            Some(at) => Err(PayloadError::TrailingBytes.within(input, &padding[at..])),
            None => Ok(Some((header, data))),
        }
    }
}

/// The layout of objects without a transport: with a KSN, and one that is flagged encrypted; or with a KSN and a card number or
/// track 2, and none that is flagged.
pub(super) fn flagged_or_not(input: &[u8]) -> Option<Format> {
    let (mut ksn, mut quick_ksn, mut account) = (false, false, false);
    let (mut encrypted, mut plain) = (false, true);
    for object in Objects::new(input, Lengths::IdTech) {
        let object = object.ok()?;
        ksn |= KSN.contains(&object.tag);
        quick_ksn |= object.tag == quick_chip::KSN;
        account |= [tags::PAN, tags::TRACK2].contains(&object.tag);
        encrypted |= object.protection == Protection::Encrypted;
        plain &= object.protection == Protection::Plain;
    }
    match plain {
        false => (ksn && encrypted).then_some(Format::Neo),
        true => (quick_ksn && account).then_some(Format::QuickChip),
    }
}

/// Whether an object that is not encrypted holds a card number, or a masked copy more of one than may be shown.
fn shows_account_data(object: &Object<'_>) -> bool {
    match object.protection {
        Protection::Plain => tags::holds_account_nibbles(object.tag) && packed::is_account_number(object.value),
        Protection::Masked if tags::holds_account_nibbles(object.tag) => packed::shows_too_much(object.value),
        Protection::Masked => masked::shows_too_much(object.value),
        Protection::Encrypted => false,
    }
}

/// The tracks of a swipe in one object, each its own CBC run, with their lengths in another.
struct Tracks<'p> {
    lengths: [usize; 3],
    block: usize,
    ciphertexts: &'p [u8],
}

impl<'p> Tracks<'p> {
    /// The two objects, if they are there and not flagged.
    fn find(objects: &'p [u8]) -> Result<Option<Self>, Refusal> {
        let find = |tag| {
            let mut all = Objects::new(objects, Lengths::IdTech).flatten();
            all.find(|object| object.tag == tag && object.protection == Protection::Plain && !object.value.is_empty())
        };
        let (Some(lengths), Some(tracks)) = (find(TRACK_LENGTHS), find(TRACKS)) else { return Ok(None) };
        let residue = PayloadError::FieldLayoutResidue.within(objects, lengths.value);
        let lengths = lengths.value.first_chunk::<3>().ok_or(residue)?.map(usize::from);
        let ciphertexts = tracks.value;
        let sum = |block: usize| lengths.iter().map(|length| length.next_multiple_of(block)).sum::<usize>();
        match [8, 16].into_iter().find(|&block| sum(block) == ciphertexts.len()) {
            Some(block) => Ok(Some(Self { lengths, block, ciphertexts })),
            None => Err(residue),
        }
    }

    fn fields(&self) -> impl Iterator<Item = EncryptedField<'p>> + use<'p> {
        let (lengths, block, ciphertexts) = (self.lengths, self.block, self.ciphertexts);
        let mut at = 0;
        (0..3).filter_map(move |index| {
            let length = lengths[index];
            let start = at;
            at += length.next_multiple_of(block);
            let ciphertext = ciphertexts.get(start..at).filter(|ciphertext| !ciphertext.is_empty())?;
            let number = Some(TrackNumber::ALL[index]);
            Some(EncryptedField::new(ciphertext, Holds::Track { number, length: Some(length), masked: None }))
        })
    }
}
