//! Why bytes are not a payload that can be taken, a variant for each thing that a caller would do about it.

use dukpt::KsnError;

use super::Formats;

/// Why bytes are not a payload that can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The end is missing: read on, or ask for it again.
    #[error("the frame is cut off")]
    Truncated,
    /// The length field claims more than the frame that it stands in.
    #[error("the length field is larger than the frame")]
    LengthExceedsInput,
    /// Something follows the end of the frame.
    #[error("bytes follow the end of the frame")]
    TrailingBytes,
    /// Begins like no format.
    #[error("the payload begins like no known format; an ID TECH frame begins with STX (02)")]
    StxMissing,
    /// Begins like more than one format. Nothing was decided: name the format.
    #[error("the payload may be of more than one format: {0}")]
    Ambiguous(Formats),
    /// The first typed character got lost; with a `0` in front the frame is right.
    #[error("the first character of the frame, 0, got lost: put it back in front")]
    MissingStxNibble,
    /// Does not end like a frame.
    #[error("the frame does not end with ETX (03) where its length says")]
    EtxMissing,
    /// The longitudinal check is wrong.
    #[error("the frame's LRC is wrong")]
    LrcMismatch,
    /// The CRC is wrong.
    #[error("the CRC is wrong")]
    CrcMismatch,
    /// The sum is wrong.
    #[error("the frame's checksum is wrong")]
    ChecksumMismatch,
    /// Hex digits that do not pair up.
    #[error("an odd number of hex digits: a character got lost")]
    OddHexLength,
    /// Something else than a hex digit where one is due.
    #[error("a character that is not a hex digit")]
    NotHex,
    /// Something else than Base64 where it is due.
    #[error("not Base64")]
    NotBase64,
    /// Objects that are cut, or longer than what holds them.
    #[error("not a BER-TLV object that fits into what holds it")]
    Tlv,
    /// The tracks run past the counted data: a length byte is damaged.
    #[error("the track lengths run past the frame")]
    FieldOverrun,
    /// The fields that the flags announce do not add up to the counted data.
    #[error("the announced fields do not add up to the frame's length")]
    FieldLayoutResidue,
    /// Encrypted tracks without a KSN.
    #[error("the frame carries encrypted data but no KSN")]
    MissingKsn,
    /// The KSN names no transaction key.
    #[error(transparent)]
    Ksn(#[from] KsnError),
    /// **Alarm.** A card number stands in the payload unencrypted: the device is not in encrypting mode or was tampered
    /// with. Keep nothing of the payload.
    #[error("ALARM: clear account data in the payload; take the device out of service and wipe the payload")]
    ClearAccountData,
    /// Nothing is encrypted.
    #[error("the payload holds no encrypted track")]
    NotEncrypted,
    /// A track's ciphertext is empty, not whole blocks or too long.
    #[error("a track's ciphertext is 1 to 32 whole blocks of 8 (TDES) or 16 (AES) bytes, up to three tracks")]
    CiphertextLength,
    /// A real frame that is not handled; it names the feature.
    #[error("the payload uses {0}, which is not supported")]
    Unsupported(Unsupported),
}

/// Features of device frames that are refused by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A message authentication code that is not HMAC-SHA-256.
    #[error("a MAC other than HMAC-SHA-256")]
    Mac,
    /// A JIS X 6302-2 type II stripe and no other track: where its card number stands is not public.
    #[error("a JIS II stripe alone")]
    Jis,
    /// A driving licence, not a payment card.
    #[error("an AAMVA card")]
    Aamva,
    /// TransArmor RSA encryption.
    #[error("TransArmor RSA encryption")]
    TransArmor,
    /// Another way of encrypting.
    #[error("an encryption type that is not known")]
    Encryption,
    /// Another card encoding.
    #[error("a card encoding that is no payment card's")]
    Encoding,
    /// A fixed key instead of DUKPT.
    #[error("a fixed key instead of DUKPT")]
    FixedKey,
    /// Tracks without tags and without KSN, as older ViVOpay firmware answers.
    #[error("the untagged answer of older ViVOpay firmware")]
    OlderAnswer,
    /// A session id of security level 4 whose length or place is not documented.
    #[error("a session id of undocumented length or place")]
    SessionId,
}

impl PayloadError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::LengthExceedsInput => "length_exceeds_input",
            Self::TrailingBytes => "trailing_bytes",
            Self::StxMissing => "stx_missing",
            Self::Ambiguous(_) => "ambiguous",
            Self::MissingStxNibble => "missing_stx_nibble",
            Self::EtxMissing => "etx_missing",
            Self::LrcMismatch => "lrc_mismatch",
            Self::CrcMismatch => "crc_mismatch",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::OddHexLength => "odd_hex_length",
            Self::NotHex => "not_hex",
            Self::NotBase64 => "not_base64",
            Self::Tlv => "tlv",
            Self::FieldOverrun => "field_overrun",
            Self::FieldLayoutResidue => "field_layout_residue",
            Self::MissingKsn => "missing_ksn",
            Self::Ksn(error) => error.code(),
            Self::ClearAccountData => "clear_account_data",
            Self::NotEncrypted => "not_encrypted",
            Self::CiphertextLength => "ciphertext_length",
            Self::Unsupported(feature) => match feature {
                Unsupported::Mac => "unsupported_mac",
                Unsupported::Jis => "unsupported_jis",
                Unsupported::Aamva => "unsupported_aamva",
                Unsupported::TransArmor => "unsupported_transarmor",
                Unsupported::Encryption => "unsupported_encryption",
                Unsupported::Encoding => "unsupported_encoding",
                Unsupported::FixedKey => "unsupported_fixed_key",
                Unsupported::OlderAnswer => "unsupported_older_answer",
                Unsupported::SessionId => "unsupported_session_id",
            },
        }
    }
}
