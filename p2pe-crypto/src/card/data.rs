//! Card data, put together from the decrypted tracks of one payload.

use alloc::{string::String, vec::Vec};
use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use super::{Pan, check_character::Charset, grammar, grammar::Fields};
use crate::{EncryptedTrack, Error, masked};

/// How the card number got into the device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// Read from a magnetic stripe.
    Swiped,
    /// Keyed in.
    Keyed,
}

/// The card data of one payload. Everything is wiped on drop; `Debug` shows the masked number only.
pub struct CardData {
    entry: Entry,
    pan: Pan,
    expiry: Option<Expiry>,
    name: Option<Zeroizing<String>>,
    service_code: Option<ServiceCode>,
    sensitive: SensitiveData,
}

impl CardData {
    /// How the number got into the device.
    #[must_use]
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// The card number.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The expiry date.
    #[must_use]
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// The cardholder's name as on track 1, without trailing spaces.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.as_str())
    }

    /// The service code of the stripe.
    #[must_use]
    pub fn service_code(&self) -> Option<ServiceCode> {
        self.service_code
    }

    /// Tracks and security code: for the authorisation message only, never to be stored (PCI DSS v4, 3.3.1).
    #[must_use]
    pub fn sensitive(&self) -> &SensitiveData {
        &self.sensitive
    }
}

impl fmt::Debug for CardData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardData").field("entry", &self.entry).field("pan", &self.pan).finish_non_exhaustive()
    }
}

/// Expiry date as on the card: two digits of the year, two of the month (01 to 12).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expiry([u8; 4]);

impl Expiry {
    /// Year in the century, 0 to 99.
    #[must_use]
    pub fn year(&self) -> u8 {
        (self.0[0] - b'0') * 10 + self.0[1] - b'0'
    }

    /// Month, 1 to 12.
    #[must_use]
    pub fn month(&self) -> u8 {
        (self.0[2] - b'0') * 10 + self.0[3] - b'0'
    }
}

/// `YYMM`.
impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{:02}", self.year(), self.month())
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expiry({self})")
    }
}

/// Service code of the stripe, three digits (ISO/IEC 7813): interchange, authorisation, services.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ServiceCode([u8; 3]);

/// Three digits.
impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

/// Sensitive authentication data: goes into the authorisation message and nowhere else. No type of this library that
/// stores anything takes it.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "holds tracks and a security code")]
pub struct SensitiveData {
    tracks: [Option<Track>; 3],
    security_code: Option<SecurityCode>,
}

impl SensitiveData {
    /// A whole track, if the payload held it.
    #[must_use]
    pub fn track(&self, number: TrackNumber) -> Option<&Track> {
        self.tracks[number.index()].as_ref()
    }

    /// The security code that was keyed in.
    #[must_use]
    pub fn security_code(&self) -> Option<&SecurityCode> {
        self.security_code.as_ref()
    }
}

/// Which stripe track.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrackNumber {
    /// Alphanumeric, with the name.
    One,
    /// Numeric; keyed data stands in its place.
    Two,
    /// Numeric, rarely used.
    Three,
}

impl TrackNumber {
    fn index(self) -> usize {
        match self {
            Self::One => 0,
            Self::Two => 1,
            Self::Three => 2,
        }
    }
}

/// The text of a track from start to end sentinel, without check character. Wiped on drop.
#[expect(missing_debug_implementations, reason = "holds a whole track")]
pub struct Track(Zeroizing<Vec<u8>>);

impl Track {
    /// The characters in clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        // The grammar lets ASCII through only.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Card security code, 3 or 4 digits. Wiped on drop.
#[expect(missing_debug_implementations, reason = "is a security code")]
pub struct SecurityCode(Zeroizing<Vec<u8>>);

impl SecurityCode {
    /// The digits in clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Reads decrypted tracks one by one and puts the card together. Every failure is the one opaque error.
#[derive(Default)]
pub(crate) struct Reader {
    entry: Option<Entry>,
    pan: Option<Pan>,
    expiry: Option<[u8; 4]>,
    name: Option<Zeroizing<String>>,
    service_code: Option<ServiceCode>,
    sensitive: SensitiveData,
}

impl Reader {
    /// Takes the clear text of a track whose number the payload tells.
    pub(crate) fn track(
        &mut self,
        track: usize,
        entry: Entry,
        source: &EncryptedTrack<'_>,
        clear: Zeroizing<Vec<u8>>,
    ) -> Result<(), Error> {
        let number = match track {
            0 => TrackNumber::One,
            1 => TrackNumber::Two,
            _ => TrackNumber::Three,
        };
        let told = source.length.and_then(|length| clear.get(..length));
        let agrees = match (number, source.masked, told) {
            // Of track 3 no digits may be shown, and none are compared.
            (TrackNumber::One | TrackNumber::Two, Some(masked), Some(text)) => masked::agrees(masked, text),
            _ => Choice::from(1),
        };
        self.read(number, entry, source.length, agrees, clear)
    }

    /// Takes the clear text of a track that only its start sentinel names.
    pub(crate) fn unnamed(&mut self, clear: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        let yes = Choice::from(1);
        match clear.first() {
            Some(b'%') => self.read(TrackNumber::One, Entry::Swiped, None, yes, clear),
            Some(b'+') => self.read(TrackNumber::Three, Entry::Swiped, None, yes, clear),
            _ => {
                // Keyed data ends behind the expiry or has a `:` there; a track 2 has neither.
                let keyed =
                    grammar::text(&clear, None, Charset::Numeric, yes).is_some_and(|t| grammar::keyed(t).is_some());
                let entry = if keyed { Entry::Keyed } else { Entry::Swiped };
                self.read(TrackNumber::Two, entry, None, yes, clear)
            }
        }
    }

    fn read(
        &mut self,
        number: TrackNumber,
        entry: Entry,
        length: Option<usize>,
        agrees: Choice,
        mut clear: Zeroizing<Vec<u8>>,
    ) -> Result<(), Error> {
        let charset = match number {
            TrackNumber::One => Charset::Alphanumeric,
            _ => Charset::Numeric,
        };
        let text = grammar::text(&clear, length, charset, agrees).ok_or(Error::DecryptFailed)?;
        let fields = match (number, entry) {
            (TrackNumber::One, _) => grammar::track1(text),
            (TrackNumber::Two, Entry::Swiped) => grammar::track2(text),
            (TrackNumber::Two, Entry::Keyed) => grammar::keyed(text),
            (TrackNumber::Three, _) => grammar::track3(text).then(Fields::default),
        };
        let end = text.len();
        self.take(entry, fields.ok_or(Error::DecryptFailed)?)?;
        // What stands behind the text is check character and padding.
        clear[end..].zeroize();
        clear.truncate(end);
        match self.sensitive.tracks[number.index()].replace(Track(clear)) {
            Some(_) => Err(Error::DecryptFailed),
            None => Ok(()),
        }
    }

    /// Two tracks of one card tell the same number and expiry.
    fn take(&mut self, entry: Entry, fields: Fields<'_>) -> Result<(), Error> {
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
        let (Some(pan), Some(entry)) = (self.pan, self.entry) else { return Err(Error::DecryptFailed) };
        Ok(CardData {
            entry,
            pan,
            expiry: self.expiry.map(Expiry),
            name: self.name,
            service_code: self.service_code,
            sensitive: self.sensitive,
        })
    }
}
