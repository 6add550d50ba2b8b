//! The card number, and the one rule of what may be shown of it.

use alloc::boxed::Box;
use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

use super::Brand;

/// Primary account number (ISO/IEC 7812): 12 to 19 digits. Wiped on drop; shown only as BIN and last four.
pub struct Pan {
    // On the heap at one address, so that moves leave no copies behind.
    digits: Box<[u8; 19]>,
    length: usize,
}

impl Pan {
    /// From ASCII digits.
    ///
    /// # Errors
    /// [`PanError`] unless 12 to 19 digits.
    pub fn new(digits: &[u8]) -> Result<Self, PanError> {
        if !(12..=19).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return Err(PanError);
        }
        let mut pan = Self { digits: Box::new([0; 19]), length: digits.len() };
        pan.digits[..digits.len()].copy_from_slice(digits);
        Ok(pan)
    }

    /// The digits in clear. Rare on purpose: every use is one `grep` away.
    #[must_use]
    pub fn expose(&self) -> &str {
        // Digits are ASCII.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// The first six digits.
    #[must_use]
    pub fn bin(&self) -> &str {
        &self.expose()[..6]
    }

    /// The last four digits.
    #[must_use]
    pub fn last_four(&self) -> &str {
        &self.expose()[self.length - 4..]
    }

    /// The first `count` digits and the last four, with `*` between.
    fn write_first(&self, count: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expose()[..count])?;
        (count..self.length - 4).try_for_each(|_| f.write_str("*"))?;
        f.write_str(self.last_four())
    }

    /// Whether the check digit is right (ISO/IEC 7812-1, Annex B). A fact, not a gate: house and test cards break it.
    #[must_use]
    pub fn luhn(&self) -> bool {
        luhn(self.as_bytes())
    }

    /// The scheme in whose range the number lies.
    #[must_use]
    pub fn brand(&self) -> Option<Brand> {
        Brand::of(self)
    }

    /// What may be kept of the number when the rest is cut away for good: see [`Truncated`].
    #[must_use]
    pub fn truncated(&self) -> Truncated<'_> {
        Truncated(self)
    }
}

/// Whether the last of these ASCII digits is the check digit of the others.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits.iter().rev().zip([1, 2].into_iter().cycle()).fold(0, |sum, (digit, weight)| {
        let product = u32::from(digit & 0x0F) * weight;
        sum + product / 10 + product % 10
    });
    sum.is_multiple_of(10)
}

/// Whether ASCII digits are a number that a scheme could have issued: range, length, and check digit where it has one.
pub(crate) fn plausible(digits: &[u8]) -> bool {
    let brand = Brand::of_digits(digits);
    brand.is_some_and(|brand| luhn(digits) || !brand.luhn_always())
}

/// The longest form of a number that is truncated in the sense of PCI DSS v4, 3.5.1 (PCI SSC FAQ 1091), with `*` for each
/// digit that is gone: the first eight and last four of a scheme's 16 digits and more, else the first six and last four.
#[derive(Clone, Copy)]
pub struct Truncated<'p>(&'p Pan);

impl fmt::Display for Truncated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_first(Brand::kept(self.0.brand(), self.0.length), f)
    }
}

impl fmt::Debug for Truncated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A log needs no more than other places that show a number.
        write!(f, "Truncated({})", self.0)
    }
}

impl ConstantTimeEq for Pan {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.digits[..].ct_eq(&other.digits[..]) & self.length.ct_eq(&other.length)
    }
}

impl Drop for Pan {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

/// BIN and last four with `*` between: `541333******4111` (PCI DSS v4, 3.4.1).
impl fmt::Display for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_first(6, f)
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pan({self})")
    }
}

/// Not a card number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a card number has 12 to 19 digits")]
pub struct PanError;

impl PanError {
    /// A stable name, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "pan_format"
    }
}
