//! What speaks for a clear text being that of a card. No fact holds a digit of it.

use core::fmt;

use p2pe_crypto::Brand;

/// One thing that was found right, or wrong, in a trial's clear text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// Start and end sentinel stand where they must, with legal characters between.
    Sentinels,
    /// The check character behind the end sentinel (or check nibble) is right.
    CheckCharacter,
    /// It is wrong.
    WrongCheckCharacter,
    /// The card number's check digit is right.
    Luhn,
    /// The card number lies in the range of a brand and has one of its lengths.
    Brand(Brand),
    /// The expiry's month is 01 to 12.
    Month,
    /// The expiry's month does not exist.
    WrongMonth,
    /// So many bytes of zeros behind the text.
    Padding(usize),
    /// Bytes behind the text that are no padding.
    Residue,
    /// Padding as of PKCS #7 instead of zeros.
    PkcsPadding,
    /// So many digits that the masked copy shows are those of the clear text.
    MaskedCopy(usize),
    /// The masked copy shows other digits than the clear text.
    WrongMaskedCopy,
    /// The text is as long as the payload says.
    Length,
    /// It is not.
    WrongLength,
    /// So many well-formed TLV objects up to the end of the clear text.
    Objects(usize),
    /// Two objects tell the same card number.
    SameNumber,
    /// So many of so many cipher blocks read as a track.
    Blocks(usize, usize),
}

impl Fact {
    /// Whether it speaks against an undamaged card.
    pub(crate) fn is_wrong(self) -> bool {
        matches!(
            self,
            Self::WrongCheckCharacter
                | Self::WrongMonth
                | Self::Residue
                | Self::PkcsPadding
                | Self::WrongMaskedCopy
                | Self::WrongLength
                | Self::Blocks(..)
        )
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sentinels => f.write_str("sentinels and character set right"),
            Self::CheckCharacter => f.write_str("check character (LRC) right"),
            Self::WrongCheckCharacter => f.write_str("check character (LRC) wrong"),
            Self::Luhn => f.write_str("check digit (Luhn) right"),
            Self::Brand(brand) => write!(f, "number range and length of {brand:?}"),
            Self::Month => f.write_str("expiry month 01 to 12"),
            Self::WrongMonth => f.write_str("expiry month does not exist"),
            Self::Padding(bytes) => write!(f, "zero padding, {bytes} bytes"),
            Self::Residue => f.write_str("bytes behind the text that are no padding"),
            Self::PkcsPadding => f.write_str("padding as of PKCS #7"),
            Self::MaskedCopy(digits) => write!(f, "agrees with the masked copy in {digits} digits"),
            Self::WrongMaskedCopy => f.write_str("contradicts the masked copy"),
            Self::Length => f.write_str("length as the payload says"),
            Self::WrongLength => f.write_str("length not as the payload says"),
            Self::Objects(count) => write!(f, "{count} well-formed TLV object(s)"),
            Self::SameNumber => f.write_str("two objects tell the same card number"),
            Self::Blocks(good, all) => write!(f, "{good} of {all} cipher blocks read as a track"),
        }
    }
}
