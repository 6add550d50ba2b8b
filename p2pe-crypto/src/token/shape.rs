//! Tokens that look like card numbers: which digits are kept, and random digits in place of the others.

use core::{fmt, ops::Range, str::FromStr};

use rand_core::TryCryptoRng;

use super::card_number::{self, TOKEN_RANGE};
use crate::{Pan, TokenError, card::luhn_sum};

/// Under so many digits left to chance (10,000 tokens), no token is made.
const FEWEST: usize = 4;

/// Which digits of the card number stand in the token too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// How many in front.
    pub bin: Bin,
    /// Whether the last four.
    pub last_four: bool,
}

/// How many digits of the issuer's number are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "a number each")]
pub enum Bin {
    None = 0,
    Six = 6,
    Eight = 8,
}

impl Bin {
    fn digits(self) -> usize {
        self as usize
    }
}

impl Kept {
    /// The digits of a number of this length that are not kept.
    pub(crate) fn middle(self, length: usize) -> Range<usize> {
        let end = length - if self.last_four { 4 } else { 0 };
        self.bin.digits().min(end)..end
    }

    /// How many digits are kept in front, and how many at the end.
    pub(crate) fn sizes(self) -> [u8; 2] {
        [self.bin as u8, if self.last_four { 4 } else { 0 }]
    }
}

/// Why a policy cannot keep these digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeptError {
    /// No card number has this length.
    #[error("no card number has {0} digits: it is 12 to 19")]
    Length(usize),
    /// Under six digits would be left to encrypt: a domain that can be guessed through (NIST SP 800-38G rev. 1, 2nd
    /// draft, 5.2).
    #[error("of {0} digits, fewer than six would be left to encrypt")]
    TooFewDigits(usize),
    /// Two rules for one length.
    #[error("two rules for numbers of {0} digits")]
    Twice(usize),
}

impl KeptError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "kept_length",
            Self::TooFewDigits(_) => "kept_too_many",
            Self::Twice(_) => "kept_twice",
        }
    }
}

/// Random tokens of as many digits as the card number has. All of them fail the Luhn check.
///
/// Without the BIN they begin with `99`, which no scheme and no country issues. With the BIN, only for ranges in which every
/// card passes the Luhn check; UnionPay's are refused. A token is never its own card number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardShaped {
    kept: Kept,
}

impl CardShaped {
    /// With these digits kept.
    #[must_use]
    pub fn new(kept: Kept) -> Self {
        Self { kept }
    }

    /// The digits that are kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// A random token for the card number. Whether it is free, only a store knows, which then draws another one, and
    /// raises [`TokenError::Exhausted`] when it finds none.
    ///
    /// # Errors
    /// [`TokenError::AlreadyToken`], [`TokenError::CheckDigit`], [`TokenError::BinNotKept`]; [`TokenError::Length`] when
    /// under four digits would be left to chance; [`TokenError::Random`].
    pub fn draw<R: TryCryptoRng + ?Sized>(&self, pan: &Pan, random: &mut R) -> Result<CardToken, TokenError> {
        let digits = card_number::checked(pan)?;
        if self.kept.bin != Bin::None && !card_number::has_check_digit(digits) {
            return Err(TokenError::BinNotKept);
        }
        let capacity = self.capacity(digits.len()).ok_or(TokenError::Length)?;
        let mut bytes = [0; 16];
        random.try_fill_bytes(&mut bytes).map_err(|_| TokenError::Random)?;
        // Off from uniform by less than one in 2^60.
        let mut number = u128::from_be_bytes(bytes) % u128::from(capacity);
        let mut take = |below: u8| {
            #[expect(clippy::cast_possible_truncation, reason = "the rest is below a byte")]
            let taken = (number % u128::from(below)) as u8;
            number /= u128::from(below);
            taken
        };
        let (mut token, middle) = (CardToken::zeros(digits.len()), self.kept.middle(digits.len()));
        let text = token.as_bytes_mut();
        text[..middle.start].copy_from_slice(&digits[..middle.start]);
        text[middle.end..].copy_from_slice(&digits[middle.end..]);
        let (skipped, free) = text[middle.clone()].split_at_mut(self.fixed());
        skipped.copy_from_slice(&TOKEN_RANGE[..self.fixed()]);
        let beside = 1 + take(9);
        free.iter_mut().for_each(|digit| *digit = b'0' + take(10));
        // The last free digit is any but the one with which the Luhn check passes.
        let last = middle.end - 1;
        let passes = (b'0'..=b'9').find(|digit| {
            text[last] = *digit;
            luhn_sum(text).is_multiple_of(10)
        });
        text[last] = b'0' + (passes.unwrap_or(b'0') - b'0' + beside) % 10;
        Ok(token)
    }

    /// How many different tokens there are for card numbers of this length that agree in the kept digits: BIN 8 and last
    /// four of 16 digits leave 9,000. `None` for a length of which no token is made.
    #[must_use]
    pub fn capacity(&self, length: usize) -> Option<u64> {
        let free = (12..=19).contains(&length).then(|| self.kept.middle(length).len().checked_sub(self.fixed()))??;
        (free >= FEWEST).then(|| (1..free).fold(9, |capacity, _| capacity * 10))
    }

    /// Digits of the middle that are not left to chance.
    fn fixed(&self) -> usize {
        if self.kept.bin == Bin::None { TOKEN_RANGE.len() } else { 0 }
    }
}

/// A token of 12 to 19 digits. It is shown whole: a token is no card number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardToken {
    digits: [u8; 19],
    length: usize,
}

impl CardToken {
    /// From ASCII digits.
    ///
    /// # Errors
    /// [`TokenError::Format`] unless 12 to 19 digits.
    pub fn new(digits: &[u8]) -> Result<Self, TokenError> {
        if !(12..=19).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return Err(TokenError::Format);
        }
        Ok(Self::of(digits))
    }

    /// `digits` are 12 to 19 ASCII digits.
    pub(crate) fn of(digits: &[u8]) -> Self {
        let mut token = Self::zeros(digits.len());
        token.as_bytes_mut().copy_from_slice(digits);
        token
    }

    fn zeros(length: usize) -> Self {
        Self { digits: [b'0'; 19], length }
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.digits[..self.length]
    }
}

impl fmt::Display for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits are ASCII.
        f.pad(core::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardToken({self})")
    }
}

impl FromStr for CardToken {
    type Err = TokenError;

    /// # Errors
    /// As of [`CardToken::new`].
    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::new(text.as_bytes())
    }
}
