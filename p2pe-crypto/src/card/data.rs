//! Card data, put together from the decrypted tracks of one payload.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use zeroize::Zeroizing;

use super::{ChipData, Pan};

/// How the card number got into the device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// Read from a magnetic stripe.
    Swiped,
    /// Keyed in.
    Keyed,
    /// Read from a chip, by contact.
    Chip,
    /// Read over the air.
    Contactless,
}

/// The card data of one payload. Everything is wiped on drop; `Debug` shows the masked number only.
pub struct CardData {
    pub(super) entry: Entry,
    pub(super) pan: Pan,
    pub(super) expiry: Option<Expiry>,
    pub(super) name: Option<Zeroizing<String>>,
    pub(super) service_code: Option<ServiceCode>,
    pub(super) session_id: Option<[u8; 8]>,
    pub(super) chip: ChipData,
    pub(super) sensitive: SensitiveData,
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

    /// The session number that the host gave to the device, if the device sent it along: what tells a repeated payload
    /// from a new one is the host's to compare.
    #[must_use]
    pub fn session_id(&self) -> Option<&[u8; 8]> {
        self.session_id.as_ref()
    }

    /// Chip data that is not account data, as the device sent it: for the authorisation message.
    #[must_use]
    pub fn emv(&self) -> &ChipData {
        &self.chip
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
pub struct Expiry(pub(super) [u8; 4]);

impl Expiry {
    /// From year in the century and month; `None` unless they are 0 to 99 and 1 to 12.
    #[must_use]
    pub fn new(year: u8, month: u8) -> Option<Self> {
        let digits = [year / 10, year % 10, month / 10, month % 10];
        (year <= 99 && (1..=12).contains(&month)).then(|| Self(digits.map(|digit| b'0' + digit)))
    }

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

impl FromStr for Expiry {
    type Err = ExpiryError;

    /// From `YYMM`.
    fn from_str(text: &str) -> Result<Self, ExpiryError> {
        let digits: &[u8; 4] = text.as_bytes().try_into().map_err(|_| ExpiryError)?;
        let [a, b, c, d] = digits.map(|digit| digit.wrapping_sub(b'0'));
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| Self::new(a * 10 + b, c * 10 + d)).flatten().ok_or(ExpiryError)
    }
}

/// Not an expiry date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an expiry date is four digits, YYMM")]
pub struct ExpiryError;

impl ExpiryError {
    /// A stable name, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "expiry_format"
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
pub struct ServiceCode(pub(super) [u8; 3]);

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
    // Dropped first, and so wiped first.
    pub(super) security_code: Option<SecurityCode>,
    pub(super) tracks: [Option<Track>; 3],
    pub(super) jis2: Option<JisStripe>,
    pub(super) chip: ChipData,
}

impl SensitiveData {
    /// A whole track, if the payload held it.
    #[must_use]
    pub fn track(&self, number: TrackNumber) -> Option<&Track> {
        self.tracks[number.index()].as_ref()
    }

    /// The front stripe of a Japanese card, if the payload held it.
    #[must_use]
    pub fn jis2(&self) -> Option<&JisStripe> {
        self.jis2.as_ref()
    }

    /// The track data of a chip, as the device sent it: track equivalents and discretionary data.
    #[must_use]
    pub fn emv(&self) -> &ChipData {
        &self.chip
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
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::One => 0,
            Self::Two => 1,
            Self::Three => 2,
        }
    }
}

/// The text of a track from start to end sentinel, without check character. Wiped on drop.
#[expect(missing_debug_implementations, reason = "holds a whole track")]
pub struct Track(pub(super) Zeroizing<Vec<u8>>);

impl Track {
    /// The characters in clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        // The grammar lets ASCII through only.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The front stripe of a Japanese card (JIS X 6302-2, type II): the 69 characters between the sentinels, in 7 bits each.
/// Which of them are the card number is not public; all of it is account data. Wiped on drop.
#[expect(missing_debug_implementations, reason = "holds account data")]
pub struct JisStripe(pub(super) Zeroizing<Vec<u8>>);

impl JisStripe {
    /// The 69 characters in clear.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Card security code, 3 or 4 digits. Wiped on drop.
#[expect(missing_debug_implementations, reason = "is a security code")]
pub struct SecurityCode(pub(super) Zeroizing<Vec<u8>>);

impl SecurityCode {
    /// The digits in clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}
