//! Why there is no token for a card number, or no card number for a token.

use dukpt::KeyError;
use ff1::Ff1Error;

/// Why a token could not be made or taken back.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The number stands in the range of card-shaped tokens, which no scheme issues.
    #[error("the number is a token already")]
    AlreadyToken,
    /// The number fails the check that all cards of its range pass: mistyped, or a token that kept the BIN.
    #[error("the check digit is wrong: mistyped, or a token already")]
    CheckDigit,
    /// The policy has no rule for numbers of this length, or would leave too few digits.
    #[error("the policy makes no tokens of numbers of this length")]
    Length,
    /// Not all cards of this range have a check digit, so a token with their BIN could not be told from a card.
    #[error("cards of this BIN need not pass the Luhn check: their BIN cannot be kept")]
    BinNotKept,
    /// FF1 turns this number into itself (one in a million at most): it needs another form or policy version.
    #[error("the number would be its own token")]
    OwnToken,
    /// No token of this shape is free: for the store that looked for one.
    #[error("no token of this shape is free")]
    Exhausted,
    /// The source of randomness failed.
    #[error("no random bytes")]
    Random,
    /// The policy makes tokens of another form.
    #[error("the policy makes tokens of another form")]
    Form,
    /// Not the text of a token: other prefix, length, characters or checksum.
    #[error("not a token")]
    Format,
    /// No such token at this merchant. It is not told why.
    #[error("unknown token")]
    Unknown,
    /// The store of the key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl TokenError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyToken => "already_token",
            Self::CheckDigit => "check_digit",
            Self::Length => "token_length",
            Self::BinNotKept => "bin_not_kept",
            Self::OwnToken => "own_token",
            Self::Exhausted => "tokens_exhausted",
            Self::Random => "no_randomness",
            Self::Form => "token_form",
            Self::Format => "token_format",
            Self::Unknown => "unknown_token",
            Self::Key(error) => error.code(),
        }
    }
}

impl From<Ff1Error> for TokenError {
    fn from(error: Ff1Error) -> Self {
        match error {
            Ff1Error::Key(error) => Self::Key(error),
            // The shape leaves six digits or more, and a tweak is of bounded parts.
            _ => Self::Length,
        }
    }
}
