//! The card that a virtual device reads, and what was keyed in beside it.

use p2pe_crypto::Pan;
use zeroize::Zeroizing;

/// A card. Wiped on drop.
#[expect(missing_debug_implementations, reason = "holds a card number and its security code")]
pub struct Card {
    pub(crate) pan: Pan,
    pub(crate) expiry: [u8; 4],
    pub(crate) name: Zeroizing<Vec<u8>>,
    pub(crate) service_code: [u8; 3],
    pub(crate) security_code: Zeroizing<Vec<u8>>,
    pub(crate) street: Zeroizing<Vec<u8>>,
    pub(crate) zip: Zeroizing<Vec<u8>>,
}

impl Card {
    /// A card with this number (12 to 19 digits) and expiry (`YYMM`), and with the test card's name and codes.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn new(pan: &str, expiry: &str) -> Result<Self, CardError> {
        let pan = Pan::new(pan.as_bytes()).map_err(|_| CardError::Pan)?;
        let expiry = digits::<4>(expiry).ok_or(CardError::Expiry)?;
        if !(b"01"..=b"12").contains(&&[expiry[2], expiry[3]]) {
            return Err(CardError::Expiry);
        }
        Ok(Self {
            pan,
            expiry,
            name: wiped(b"TEST CARD/UAT"),
            service_code: *b"201",
            security_code: wiped(b"123"),
            street: wiped(b"27"),
            zip: wiped(b"98745"),
        })
    }

    /// The public test card: Visa, 4761 73 … 0010, 12/30.
    ///
    /// # Errors
    /// None: it is a card.
    pub fn test() -> Result<Self, CardError> {
        Self::new(TEST_NUMBERS[0], "3012")
    }

    /// With another name on track 1: 2 to 26 capital letters, digits, spaces, `/`, `.`, `-`, and no space around it.
    ///
    /// # Errors
    /// [`CardError::Name`].
    pub fn with_name(mut self, name: &str) -> Result<Self, CardError> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" /.-".contains(&byte);
        if !(2..=26).contains(&name.len()) || !name.bytes().all(legal) || name.trim() != name {
            return Err(CardError::Name);
        }
        self.name = wiped(name.as_bytes());
        Ok(self)
    }

    /// With another service code, three digits.
    ///
    /// # Errors
    /// [`CardError::ServiceCode`].
    pub fn with_service_code(mut self, code: &str) -> Result<Self, CardError> {
        self.service_code = digits(code).ok_or(CardError::ServiceCode)?;
        Ok(self)
    }

    /// With another printed security code, three or four digits.
    ///
    /// # Errors
    /// [`CardError::SecurityCode`].
    pub fn with_security_code(mut self, code: &str) -> Result<Self, CardError> {
        if !(3..=4).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CardError::SecurityCode);
        }
        self.security_code = wiped(code.as_bytes());
        Ok(self)
    }

    /// With another address: 1 to 5 digits of the street number, 3 to 6 of the ZIP code.
    ///
    /// # Errors
    /// [`CardError::Address`].
    pub fn with_address(mut self, street: &str, zip: &str) -> Result<Self, CardError> {
        let legal = |text: &str, lengths: core::ops::RangeInclusive<usize>| {
            lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !legal(street, 1..=5) || !legal(zip, 3..=6) {
            return Err(CardError::Address);
        }
        (self.street, self.zip) = (wiped(street.as_bytes()), wiped(zip.as_bytes()));
        Ok(self)
    }

    /// The card number.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
    }

    pub(crate) fn number(&self) -> &[u8] {
        self.pan.expose().as_bytes()
    }

    /// Whether a chip is on it: its service code begins with 2 or 6.
    pub(crate) fn has_chip(&self) -> bool {
        matches!(self.service_code[0], b'2' | b'6')
    }
}

/// Published test numbers: nobody's card.
pub const TEST_NUMBERS: &[&str] = &[
    "4761739001010010",
    "4111111111111111",
    "4012888888881881",
    "5555555555554444",
    "5105105105105100",
    "2223000048400011",
    "3530111333300000",
    "3566002020360505",
    "378282246310005",
    "371449635398431",
    "30569309025904",
    "36227206271667",
    "6011111111111117",
    "6205500000000000004",
];

/// Why this is no card.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CardError {
    /// Not a card number.
    #[error("a card number has 12 to 19 digits")]
    Pan,
    /// Not an expiry date.
    #[error("an expiry date is YYMM")]
    Expiry,
    /// Not a name as on track 1.
    #[error("a name has 2 to 26 capital letters, digits, spaces, slashes, full stops and hyphens")]
    Name,
    /// Not a service code.
    #[error("a service code has three digits")]
    ServiceCode,
    /// Not a security code.
    #[error("a security code has three or four digits")]
    SecurityCode,
    /// Not an address as it is keyed in.
    #[error("a street number has 1 to 5 digits, a ZIP code 3 to 6")]
    Address,
}

fn wiped(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.to_vec())
}

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    text.as_bytes().try_into().ok().filter(|digits: &[u8; N]| digits.iter().all(u8::is_ascii_digit))
}
