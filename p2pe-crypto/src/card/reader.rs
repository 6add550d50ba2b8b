//! Reads decrypted fields one by one and puts the card together.

mod chip;

use alloc::{string::String, vec::Vec};

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use super::{
    CardData, Entry, Expiry, JisStripe, Pan, SecurityCode, SensitiveData, ServiceCode, Track, TrackNumber,
    check_character::Charset,
    grammar::{self, End, Fields},
    jis, packed,
};
use crate::{Error, Holds, PayloadError, masked};

/// Where there is no masked copy, nothing disagrees.
fn yes() -> Choice {
    Choice::from(1)
}

/// The card as far as it was read. Every failure is the one opaque error, but for the alarm.
pub(crate) struct Reader {
    /// The character that the device puts in the place of each masked one.
    mask: u8,
    entry: Option<Entry>,
    pan: Option<Pan>,
    expiry: Option<[u8; 4]>,
    name: Option<Zeroizing<String>>,
    service_code: Option<ServiceCode>,
    session_id: Option<[u8; 8]>,
    sensitive: SensitiveData,
    chip: chip::Chip,
}

impl Reader {
    pub(crate) fn new(mask: u8) -> Self {
        Self {
            mask,
            entry: None,
            pan: None,
            expiry: None,
            name: None,
            service_code: None,
            session_id: None,
            sensitive: SensitiveData::default(),
            chip: chip::Chip::default(),
        }
    }

    /// Takes the clear text of a field.
    pub(crate) fn take(&mut self, holds: &Holds<'_>, clear: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        match *holds {
            Holds::Track { number: Some(number), length, masked } => self.track(number, length, masked, clear),
            Holds::Track { number: None, masked, .. } => self.unnamed(masked, clear),
            Holds::Keyed { length, masked } => {
                let agrees = self.compare(masked, clear.get(..length))?;
                self.read(TrackNumber::Two, Entry::Keyed, End::Told(length), agrees, clear)
            }
            Holds::KeyedBare { length } => {
                let (text, padding) = clear.split_at_checked(length).ok_or(Error::DecryptFailed)?;
                // There is no check character: a changed last block shows in the padding only.
                let fields = grammar::keyed_bare(text).filter(|_| padding.iter().all(|&byte| byte == 0));
                self.add(Entry::Keyed, fields.ok_or(Error::DecryptFailed)?)
            }
            Holds::JoinedTracks { length, first, masked } => {
                self.joined(first, masked, clear.get(..length).ok_or(Error::DecryptFailed)?)
            }
            Holds::SessionId => {
                self.session_id = Some(*clear.first_chunk().ok_or(Error::DecryptFailed)?);
                Ok(())
            }
            Holds::Tlv { tag, masked } => self.object(tag, masked, &clear),
            Holds::Value { tag, length, masked } => {
                // Where nothing tells the length, padding could be read as digits.
                let value = length.and_then(|length| clear.get(..length)).ok_or(Error::DecryptFailed)?;
                self.value(tag, masked, value)
            }
            Holds::TlvString { pad, masked } => self.objects(pad, masked, &clear),
            // A track 1 beside it is text, which begins otherwise.
            Holds::PackedTrack2 if clear.first() == Some(&b'%') => self.unnamed(None, clear),
            Holds::PackedTrack2 => {
                let text = packed::track_text(&clear).ok_or(Error::DecryptFailed)?;
                self.read(TrackNumber::Two, Entry::Swiped, End::Bare, yes(), text)
            }
        }
    }

    /// A track whose number the payload tells, or a front stripe in its place.
    fn track(
        &mut self,
        number: TrackNumber,
        length: Option<usize>,
        masked: Option<&[u8]>,
        mut clear: Zeroizing<Vec<u8>>,
    ) -> Result<(), Error> {
        if let Some(data) = length.and_then(|length| jis::data(clear.get(..length)?)) {
            return match self.sensitive.jis2.replace(JisStripe(Zeroizing::new(data.to_vec()))) {
                Some(_) => Err(Error::DecryptFailed),
                None => Ok(()),
            };
        }
        let end = match (length, masked) {
            (Some(length), _) => End::Told(length),
            // Where the masked copy alone tells how long the text is, there is no check character.
            (None, Some(masked)) => {
                clear.truncate(masked.len());
                End::Bare
            }
            (None, None) => End::Open,
        };
        // Of track 3 no digits may be shown, and none are compared.
        let agrees = match number {
            TrackNumber::Three => yes(),
            _ => self.compare(masked, clear.get(..length.unwrap_or(clear.len())))?,
        };
        self.read(number, Entry::Swiped, end, agrees, clear)
    }

    /// A track that only its start sentinel names.
    fn unnamed(&mut self, masked: Option<&[u8]>, clear: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        let agrees = self.compare(masked, masked.and_then(|masked| clear.get(..masked.len())))?;
        match clear.first() {
            Some(b'%') => self.read(TrackNumber::One, Entry::Swiped, End::Open, agrees, clear),
            Some(b'+') => self.read(TrackNumber::Three, Entry::Swiped, End::Open, agrees, clear),
            _ => {
                // Keyed data ends behind the expiry or has a `:` there; a track 2 has neither.
                let text = grammar::text(&clear, End::Open, Charset::Numeric, agrees).ok_or(Error::DecryptFailed)?;
                let entry = if grammar::keyed(text).is_some() { Entry::Keyed } else { Entry::Swiped };
                let end = text.len();
                self.read_to(TrackNumber::Two, entry, end, clear)
            }
        }
    }

    /// Tracks 1 and 2 in one text. `first` is the length of track 1 if each ends in its check character.
    fn joined(&mut self, first: Option<usize>, masked: Option<&[u8]>, text: &[u8]) -> Result<(), Error> {
        let told = first.is_some();
        let seam =
            first.or_else(|| Some(text.iter().position(|&byte| byte == b'?')? + 1)).ok_or(Error::DecryptFailed)?;
        let (one, two) = text.split_at_checked(seam).ok_or(Error::DecryptFailed)?;
        let (masked_one, masked_two) = masked.and_then(|masked| masked.split_at_checked(seam)).unzip();
        for (number, part, masked) in [(TrackNumber::One, one, masked_one), (TrackNumber::Two, two, masked_two)] {
            let number = match part.first() {
                None => continue,
                // One track alone may stand in the first place.
                Some(b';') if !told => TrackNumber::Two,
                Some(_) => number,
            };
            let agrees = self.compare(masked, Some(part))?;
            let end = if told { End::Told(part.len()) } else { End::Bare };
            self.read(number, Entry::Swiped, end, agrees, Zeroizing::new(part.to_vec()))?;
        }
        Ok(())
    }

    /// Whether a clear text agrees with its masked copy. Where the mask is a digit, only now is it told from clear account
    /// data.
    fn compare(&self, masked: Option<&[u8]>, clear: Option<&[u8]>) -> Result<Choice, Error> {
        let (Some(masked), Some(clear)) = (masked, clear) else { return Ok(yes()) };
        if self.mask.is_ascii_digit() && masked::shows_the_middle(masked, clear) {
            return Err(PayloadError::ClearAccountData.into());
        }
        Ok(masked::agrees(masked, clear, self.mask))
    }

    fn read(
        &mut self,
        number: TrackNumber,
        entry: Entry,
        told: End,
        agrees: Choice,
        clear: Zeroizing<Vec<u8>>,
    ) -> Result<(), Error> {
        let charset = match number {
            TrackNumber::One => Charset::Alphanumeric,
            _ => Charset::Numeric,
        };
        let end = grammar::text(&clear, told, charset, agrees).ok_or(Error::DecryptFailed)?.len();
        self.read_to(number, entry, end, clear)
    }

    /// Reads a text whose end was found, and keeps it.
    fn read_to(
        &mut self,
        number: TrackNumber,
        entry: Entry,
        end: usize,
        mut clear: Zeroizing<Vec<u8>>,
    ) -> Result<(), Error> {
        let text = &clear[..end];
        let fields = match (number, entry) {
            (TrackNumber::One, _) => grammar::track1(text),
            (TrackNumber::Two, Entry::Keyed) => grammar::keyed(text),
            (TrackNumber::Two, _) => grammar::track2(text),
            (TrackNumber::Three, _) => grammar::track3(text).then(Fields::default),
        };
        self.add(entry, fields.ok_or(Error::DecryptFailed)?)?;
        // What stands behind the text is check character and padding.
        clear[end..].zeroize();
        clear.truncate(end);
        match self.sensitive.tracks[number.index()].replace(Track(clear)) {
            Some(_) => Err(Error::DecryptFailed),
            None => Ok(()),
        }
    }

    /// Two tracks of one card tell the same number and expiry.
    fn add(&mut self, entry: Entry, fields: Fields<'_>) -> Result<(), Error> {
        if !fields.pan.is_empty() {
            let pan = Pan::new(fields.pan).map_err(|_| Error::DecryptFailed)?;
            if self.pan.as_ref().is_some_and(|other| !bool::from(other.ct_eq(&pan))) {
                return Err(Error::DecryptFailed);
            }
            self.pan = Some(pan);
            self.entry = Some(entry);
        }
        if let (Some(one), Some(other)) = (self.expiry, fields.expiry)
            && !bool::from(one.ct_eq(&other))
        {
            return Err(Error::DecryptFailed);
        }
        self.expiry = self.expiry.or(fields.expiry);
        self.service_code = self.service_code.or(fields.service_code.map(ServiceCode));
        if let Some(name) = fields.name {
            let name = core::str::from_utf8(name.trim_ascii_end()).map_err(|_| Error::DecryptFailed)?;
            self.name = Some(Zeroizing::new(String::from(name)));
        }
        if let Some(code) = fields.security_code {
            self.sensitive.security_code = Some(SecurityCode(Zeroizing::new(code.to_vec())));
        }
        Ok(())
    }

    /// The card, if a track told its number.
    pub(crate) fn finish(self) -> Result<CardData, Error> {
        let expiry = self.checked_expiry()?;
        let (Some(pan), Some(entry)) = (self.pan, self.entry) else { return Err(Error::DecryptFailed) };
        Ok(CardData {
            entry: self.chip.entry(entry),
            pan,
            expiry: expiry.map(Expiry),
            name: self.name,
            service_code: self.service_code.or(self.chip.service_code),
            session_id: self.session_id,
            chip: self.chip.data,
            sensitive: self.sensitive,
        })
    }
}
