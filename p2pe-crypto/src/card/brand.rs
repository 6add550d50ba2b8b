//! Card brands by number range (ISO/IEC 7812-1), and how much of a number may be kept (PCI SSC FAQ 1091).

use super::Pan;

/// A card scheme. Where ranges overlap, the narrower one names it: `62` is UnionPay, `65` Discover, other `6…` Maestro.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Brand {
    /// `4`; 13, 16 or 19 digits.
    Visa,
    /// `51`–`55`, `2221`–`2720`; 16 digits.
    Mastercard,
    /// `34`, `37`; 15 digits.
    Amex,
    /// `3528`–`3589`; 16 to 19 digits.
    Jcb,
    /// `300`–`305`, `3095`, `36`, `38`, `39`; 14 to 19 digits.
    Diners,
    /// `6011`, `644`–`649`, `65`; 16 to 19 digits.
    Discover,
    /// `62`, `81`; 16 to 19 digits. Not every number has a right check digit.
    UnionPay,
    /// `50`, `56`–`69`; 12 to 19 digits.
    Maestro,
}

impl Brand {
    /// The brand in whose range a number begins and one of whose lengths it has.
    #[must_use]
    pub fn of(pan: &Pan) -> Option<Self> {
        Self::of_digits(pan.as_bytes())
    }

    pub(crate) fn of_digits(digits: &[u8]) -> Option<Self> {
        let prefix = digits.first_chunk::<4>()?.iter().fold(0, |prefix, digit| prefix * 10 + u32::from(digit & 0x0F));
        let (brand, lengths): (_, &[usize]) = match prefix {
            4000..=4999 => (Self::Visa, &[13, 16, 19]),
            5100..=5599 | 2221..=2720 => (Self::Mastercard, &[16]),
            3400..=3499 | 3700..=3799 => (Self::Amex, &[15]),
            3528..=3589 => (Self::Jcb, &[16, 17, 18, 19]),
            3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (Self::Diners, &[14, 15, 16, 17, 18, 19]),
            6011 | 6440..=6599 => (Self::Discover, &[16, 17, 18, 19]),
            6200..=6299 | 8100..=8199 => (Self::UnionPay, &[16, 17, 18, 19]),
            5000..=5099 | 5600..=6999 => (Self::Maestro, &[12, 13, 14, 15, 16, 17, 18, 19]),
            _ => return None,
        };
        lengths.contains(&digits.len()).then_some(brand)
    }

    /// Whether every number of the brand has a right check digit (ISO/IEC 7812-1, Annex B).
    #[must_use]
    pub fn luhn_always(self) -> bool {
        self != Self::UnionPay
    }

    /// How many leading digits may be kept beside the last four when the others are cut away for good.
    pub(super) fn kept(brand: Option<Self>, length: usize) -> usize {
        match brand {
            Some(_) if length >= 16 => 8,
            _ => 6,
        }
    }
}
