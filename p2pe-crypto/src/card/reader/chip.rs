//! Reads chip data: the objects that were decrypted, and those that the device sent in clear.

use alloc::{string::String, vec::Vec};

use zeroize::Zeroizing;

use super::{Reader, yes};
use crate::{
    Entry, Error, TrackNumber,
    card::{
        ChipData, ServiceCode, Track,
        check_character::Charset,
        grammar::{self, End, Fields},
        packed, tags,
    },
    masked,
    tlv::{Lengths, Object, Objects, Protection, Tag},
};

/// What the chip told beside its tracks.
#[derive(Default)]
pub(super) struct Chip {
    pub(super) data: ChipData,
    /// Of a track 2 whose month does not exist: something else must tell the expiry.
    expiry_missing: bool,
    expiry: Option<[u8; 4]>,
    /// What the device sent in clear, or the chip beside its track: the track's own goes before it.
    pub(super) service_code: Option<ServiceCode>,
    /// How the card was read, as the chip data says.
    entry: Option<Entry>,
}

impl Reader {
    /// Takes the objects that the device sent in clear, and how it says the card was read.
    pub(crate) fn sent(&mut self, objects: Option<Objects<'_>>, entry: Option<Entry>) -> Result<(), Error> {
        self.chip.entry = entry;
        let plain = |object: &Object<'_>| object.protection == Protection::Plain && !object.constructed;
        for object in objects.into_iter().flatten().flatten().filter(plain) {
            // An account tag is ciphertext without a flag here, or a number that is none of a scheme's.
            if !tags::is_account(object.tag) {
                self.keep(object.tag, object.value)?;
            }
        }
        Ok(())
    }

    /// A whole object: tag, length, value, and padding shorter than a block.
    pub(super) fn object(&mut self, tag: Tag, masked: Option<&[u8]>, clear: &[u8]) -> Result<(), Error> {
        let object = Objects::new(clear, Lengths::IdTech).next().and_then(Result::ok).ok_or(Error::DecryptFailed)?;
        let told = object.tag == tag && object.protection == Protection::Plain && !object.constructed;
        if !told || clear.first() == Some(&0) || clear.len() - object.end >= 16 {
            return Err(Error::DecryptFailed);
        }
        self.value(tag, masked, object.value)
    }

    /// A string of objects, and padding of so many bytes, or of zeros.
    pub(super) fn objects(&mut self, pad: Option<usize>, masked: Option<&[u8]>, clear: &[u8]) -> Result<(), Error> {
        let end = clear.len().checked_sub(pad.unwrap_or(0)).ok_or(Error::DecryptFailed)?;
        for object in Objects::new(&clear[..end], Lengths::Ber) {
            let object = object.map_err(|_| Error::DecryptFailed)?;
            if !object.constructed {
                self.value(object.tag, None, object.value)?;
            }
        }
        // Nothing protects the initialisation vector: a tag in the first block may have been turned into another.
        let number = self.pan.as_ref().map(|pan| pan.as_bytes()).unwrap_or_default();
        let mut others = Objects::new(&clear[..end], Lengths::Ber).flatten().filter(|o| !o.constructed);
        if others.any(|object| tags::is_chip_data(object.tag) && packed::holds(object.value, number)) {
            return Err(Error::DecryptFailed);
        }
        // A masked track 2 is of a stripe, and longer: only the number is the same.
        let number = |text: &[u8]| text.iter().position(|&byte| byte == b'=').map(|end| end + 1);
        if let (Some(masked), Some(track)) = (masked, &self.sensitive.tracks[TrackNumber::Two.index()]) {
            let clear = track.expose().as_bytes();
            let (masked, clear) = (number(masked).map(|end| &masked[..end]), number(clear).map(|end| &clear[..end]));
            if !bool::from(self.compare(masked, clear)?) {
                return Err(Error::DecryptFailed);
            }
        }
        Ok(())
    }

    /// The value of an object that was encrypted.
    pub(super) fn value(&mut self, tag: Tag, masked: Option<&[u8]>, value: &[u8]) -> Result<(), Error> {
        let agrees = match masked {
            Some(masked) if tags::holds_account_nibbles(tag) => packed::agrees(masked, value),
            Some(masked) if tags::is_account(tag) => masked::agrees(masked, value, self.mask).into(),
            _ => true,
        };
        if !agrees {
            return Err(Error::DecryptFailed);
        }
        match tag {
            tags::PAN => {
                let digits = packed::digits(value).ok_or(Error::DecryptFailed)?;
                self.add(Entry::Chip, Fields { pan: &digits, ..Fields::default() })?;
            }
            tags::TRACK2 | tags::TRACK2_KERNEL2 => {
                let text = packed::equivalent_text(value).ok_or(Error::DecryptFailed)?;
                self.chip_track(TrackNumber::Two, text)?;
            }
            tags::TRACK1_KERNEL2 | tags::TRACK1_TEXT => self.chip_track(TrackNumber::One, sentinels(b'%', value))?,
            tags::TRACK2_TEXT => self.chip_track(TrackNumber::Two, sentinels(b';', value))?,
            tags::TRACKS => return self.tracks(value),
            // Encrypted beside a track, it must be the track's. In clear anybody could have changed it: the track's counts.
            tags::EXPIRY => {
                self.add(Entry::Chip, Fields { expiry: expiry(value), ..Fields::default() })?;
            }
            _ => {}
        }
        self.keep(tag, value)
    }

    /// A track of a chip, as the text of a stripe. The same may come under several tags; the first is kept.
    fn chip_track(&mut self, number: TrackNumber, text: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        let charset = if number == TrackNumber::One { Charset::Alphanumeric } else { Charset::Numeric };
        let whole = grammar::text(&text, End::Bare, charset, yes()).ok_or(Error::DecryptFailed)?;
        let fields = if number == TrackNumber::One { grammar::track1(whole) } else { grammar::equivalent(whole) };
        let fields = fields.ok_or(Error::DecryptFailed)?;
        self.chip.expiry_missing |= fields.expiry.is_none();
        self.add(Entry::Chip, fields)?;
        self.sensitive.tracks[number.index()].get_or_insert(Track(text));
        Ok(())
    }

    /// The tracks of a stripe one behind the other, each with its check character.
    fn tracks(&mut self, mut value: &[u8]) -> Result<(), Error> {
        while let Some(end) = value.iter().position(|&byte| byte == b'?') {
            let (track, rest) = value.split_at_checked(end + 2).ok_or(Error::DecryptFailed)?;
            self.unnamed(None, Zeroizing::new(track.to_vec()))?;
            value = rest;
        }
        if value.is_empty() { Ok(()) } else { Err(Error::DecryptFailed) }
    }

    /// Keeps an object for the authorisation message, and notes what it tells of the card.
    fn keep(&mut self, tag: Tag, value: &[u8]) -> Result<(), Error> {
        match tag {
            tags::EXPIRY => self.chip.expiry = expiry(value),
            tags::SERVICE_CODE => {
                let digits = packed::digits(value).filter(|digits| digits.len() == 4);
                let code = digits.and_then(|digits| digits.last_chunk().copied());
                self.chip.service_code = code.map(ServiceCode).or(self.chip.service_code);
            }
            // A contactless card tells no name: ` /`.
            tags::NAME if self.name.is_none() => {
                let name = core::str::from_utf8(value.trim_ascii()).ok().filter(|name| !matches!(*name, "" | "/"));
                self.name = name.map(|name| Zeroizing::new(String::from(name)));
            }
            tags::ENTRY_MODE => self.chip.entry = entry(value).or(self.chip.entry),
            _ => {}
        }
        if tags::is_sensitive(tag) {
            self.sensitive.chip.push(tag, value);
        } else if tags::is_chip_data(tag) {
            self.chip.data.push(tag, value);
        }
        Ok(())
    }

    /// The expiry, of the track if it has one. An error if nothing tells it and a track should, and for the number of a
    /// chip without a track: nothing would check it.
    pub(super) fn checked_expiry(&self) -> Result<Option<[u8; 4]>, Error> {
        let expiry = self.expiry.or(self.chip.expiry);
        let number_alone = self.entry == Some(Entry::Chip) && self.sensitive.tracks.iter().all(Option::is_none);
        let expiry_missing = self.chip.expiry_missing && expiry.is_none();
        if number_alone || expiry_missing { Err(Error::DecryptFailed) } else { Ok(expiry) }
    }
}

impl Chip {
    /// How the card was read, if not from a stripe.
    pub(super) fn entry(&self, entry: Entry) -> Entry {
        if entry == Entry::Chip { self.entry.unwrap_or(entry) } else { entry }
    }
}

/// YYMM of YYMMDD.
fn expiry(value: &[u8]) -> Option<[u8; 4]> {
    packed::digits(value).and_then(|digits| grammar::expiry(*digits.first_chunk()?))
}

/// POS entry mode.
fn entry(mode: &[u8]) -> Option<Entry> {
    match mode {
        [0x05] => Some(Entry::Chip),
        [0x07 | 0x91] => Some(Entry::Contactless),
        [0x80 | 0x90] => Some(Entry::Swiped),
        _ => None,
    }
}

/// A track's text with the sentinels around it that a chip leaves out.
fn sentinels(start: u8, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let inner = value.strip_prefix(&[start]).unwrap_or(value);
    let inner = inner.strip_suffix(b"?").unwrap_or(inner);
    let mut text = Zeroizing::new(Vec::with_capacity(inner.len() + 2));
    text.push(start);
    text.extend_from_slice(inner);
    text.push(b'?');
    text
}
