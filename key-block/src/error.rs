//! Why a key block is refused.

use dukpt::KeyError;

/// Why a key block is refused. None tells a byte of what was decrypted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyBlockError {
    /// Shorter than a header, or longer than 9,999 characters.
    #[error("a key block has 16 to 9,999 characters")]
    Size,
    /// A character that no key block has.
    #[error("a key block is printable ASCII")]
    NotAscii,
    /// Not A, B, C, D or E.
    #[error("no such key block version")]
    Version,
    /// The length in the header is not four decimal digits.
    #[error("the length in the header is not four digits")]
    LengthField,
    /// The length in the header is not that of the block.
    #[error("the header says {stated} characters, the block has {actual}")]
    Length {
        /// What the header says.
        stated: usize,
        /// What is there.
        actual: usize,
    },
    /// No usage of the standard.
    #[error("no such key usage")]
    Usage,
    /// No algorithm of the standard.
    #[error("no such algorithm")]
    Algorithm,
    /// No mode of use of the standard.
    #[error("no such mode of use")]
    ModeOfUse,
    /// No exportability of the standard.
    #[error("no such exportability")]
    Exportability,
    /// Reserved characters of the header are used.
    #[error("the reserved field of the header is not 00")]
    Reserved,
    /// The number of optional blocks is not two decimal digits.
    #[error("the number of optional blocks is not two digits")]
    OptionalCount,
    /// The block ends within its optional blocks.
    #[error("the block ends within its optional blocks")]
    OptionalTruncated,
    /// The length of an optional block is no hex number, or shorter than the block's own head.
    #[error("an optional block has an impossible length")]
    OptionalLength,
    /// An optional block runs past the end.
    #[error("an optional block runs past the end")]
    OptionalOverrun,
    /// An optional block is there twice.
    #[error("an optional block is there twice")]
    OptionalTwice,
    /// The padding block is not the last one, or the header is not whole cipher blocks.
    #[error("the optional blocks are not padded to whole cipher blocks")]
    OptionalPadding,
    /// The KSN in an optional block is no hex number.
    #[error("the KSN in the header is not 8, 10 or 12 bytes in hex")]
    Ksn,
    /// Payload or MAC are not hex digits.
    #[error("payload and MAC are not upper case hex digits")]
    NotHex,
    /// There is no payload of whole cipher blocks, or no MAC.
    #[error("the payload is not whole cipher blocks")]
    Payload,
    /// A kind of block that is not handled: it names which.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    /// Versions A and C are computed from the bytes of the protection key, and this one stays in its store.
    #[error("blocks of versions A and C need the bytes of the protection key, and this one stays in its store")]
    NeedsClearKey,
    /// The protection key is of another algorithm than the version needs.
    #[error("the protection key is not of the block's version (A, B, C: TDES; D: AES)")]
    ProtectionKey,
    /// Block or header were changed, or the protection key is another one.
    #[error("the MAC does not fit: the block was changed, or it is under another protection key")]
    MacMismatch,
    /// The MAC fits, but the key's length is none of its algorithm.
    #[error("the key in the block has a length that its algorithm does not have")]
    KeyLength,
    /// The block says a check value of its key (optional block `KC`), and the key has another.
    #[error("the key in the block has another check value than the block says")]
    CheckValue,
    /// The key is for another use than a store here has for it.
    #[error("no base key, key block protection key or HMAC key by its usage, algorithm and mode of use")]
    NotTaken,
    /// All bytes zero, or a TDES key with equal parts.
    #[error("the key in the block is weak")]
    Weak,
    /// A key must not be wrapped under a weaker one.
    #[error("the key is stronger than the protection key")]
    TooStrong,
    /// The key store failed, or may not do this.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl KeyBlockError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Size => "block_size",
            Self::NotAscii => "block_not_ascii",
            Self::Version => "block_version",
            Self::LengthField => "block_length_field",
            Self::Length { .. } => "block_length",
            Self::Usage => "block_usage",
            Self::Algorithm => "block_algorithm",
            Self::ModeOfUse => "block_mode_of_use",
            Self::Exportability => "block_exportability",
            Self::Reserved => "block_reserved",
            Self::OptionalCount => "block_optional_count",
            Self::OptionalTruncated => "block_optional_truncated",
            Self::OptionalLength => "block_optional_length",
            Self::OptionalOverrun => "block_optional_overrun",
            Self::OptionalTwice => "block_optional_twice",
            Self::OptionalPadding => "block_optional_padding",
            Self::Ksn => "block_ksn",
            Self::NotHex => "block_not_hex",
            Self::Payload => "block_payload",
            Self::Unsupported(_) => "block_unsupported",
            Self::NeedsClearKey => "block_needs_clear_key",
            Self::ProtectionKey => "block_protection_key",
            Self::MacMismatch => "mac_mismatch",
            Self::KeyLength => "block_key_length",
            Self::CheckValue => "block_check_value",
            Self::NotTaken => "block_not_taken",
            Self::Weak => "block_weak_key",
            Self::TooStrong => "block_too_strong",
            Self::Key(error) => error.code(),
        }
    }
}
