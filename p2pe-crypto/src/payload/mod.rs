//! What a device sends: parsed and checked to the last byte, nothing decrypted yet.

mod alarm;
mod framing;
pub mod idtech;
pub mod tracks;

use dukpt::{Ksn, KsnError};

use crate::Format;
pub use framing::Form;

/// A device payload whose every length, check and flag was found right.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// ID TECH enhanced frame, swiped or keyed.
    IdTech(idtech::Frame),
    /// Track ciphertext with its KSN beside it.
    Tracks(tracks::Tracks),
}

impl Payload {
    /// Parses an ID TECH enhanced frame: binary, as hex digits, or as typed by a USB keyboard device.
    ///
    /// # Errors
    /// [`PayloadError`]; in particular [`PayloadError::ClearAccountData`] when a card number stands there unencrypted.
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        idtech::Frame::parse(bytes).map(Self::IdTech)
    }

    /// Takes track ciphertext, each track its own CBC run, with the KSN beside it (10 or 12 bytes).
    ///
    /// # Errors
    /// [`PayloadError::CiphertextLength`], [`PayloadError::Ksn`]; [`PayloadError::ClearAccountData`] when what is called
    /// ciphertext is a clear track.
    pub fn from_tracks(ksn: &[u8], ciphertexts: &[&[u8]]) -> Result<Self, PayloadError> {
        tracks::Tracks::new(ksn, ciphertexts).map(Self::Tracks)
    }

    /// The layout.
    #[must_use]
    pub fn format(&self) -> Format {
        match self {
            Self::IdTech(_) => Format::IdTechEnhanced,
            Self::Tracks(_) => Format::Track,
        }
    }

    /// The key serial number of the transaction.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        match self {
            Self::IdTech(frame) => frame.ksn(),
            Self::Tracks(tracks) => tracks.ksn(),
        }
    }
}

/// One encrypted track: one CBC run with a zero IV.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "may carry parts of a card number")]
pub struct EncryptedTrack<'p> {
    /// Whole cipher blocks.
    pub ciphertext: &'p [u8],
    /// Length of the clear text in bytes, where the payload tells it.
    pub length: Option<usize>,
    /// The masked copy, as long as the clear text.
    pub masked: Option<&'p [u8]>,
}

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
    /// Does not begin like a frame.
    #[error("the frame does not begin with STX (02)")]
    StxMissing,
    /// The first typed character got lost; with a `0` in front the frame is right.
    #[error("the first character of the frame, 0, got lost: put it back in front")]
    MissingStxNibble,
    /// Does not end like a frame.
    #[error("the frame does not end with ETX (03) where its length says")]
    EtxMissing,
    /// The longitudinal check is wrong.
    #[error("the frame's LRC is wrong")]
    LrcMismatch,
    /// The sum is wrong.
    #[error("the frame's checksum is wrong")]
    ChecksumMismatch,
    /// Hex digits that do not pair up.
    #[error("an odd number of hex digits: a character got lost")]
    OddHexLength,
    /// Something else than a hex digit where one is due.
    #[error("a character that is not a hex digit")]
    NotHex,
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
    /// A message authentication code block.
    #[error("a MAC block")]
    Mac,
    /// A JIS X 6302-2 type II stripe.
    #[error("a JIS II stripe")]
    Jis,
    /// A driving licence, not a payment card.
    #[error("an AAMVA card")]
    Aamva,
    /// TransArmor encryption.
    #[error("TransArmor encryption")]
    TransArmor,
    /// The older frame layout without field bytes.
    #[error("the original (not enhanced) frame layout")]
    Original,
    /// Another card encoding.
    #[error("a card encoding that is no payment card's")]
    Encoding,
    /// A fixed key instead of DUKPT.
    #[error("a fixed key instead of DUKPT")]
    FixedKey,
    /// The AES-encrypted session id of security level 4, whose length is not documented.
    #[error("an AES-encrypted session id")]
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
            Self::MissingStxNibble => "missing_stx_nibble",
            Self::EtxMissing => "etx_missing",
            Self::LrcMismatch => "lrc_mismatch",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::OddHexLength => "odd_hex_length",
            Self::NotHex => "not_hex",
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
                Unsupported::Original => "unsupported_original",
                Unsupported::Encoding => "unsupported_encoding",
                Unsupported::FixedKey => "unsupported_fixed_key",
                Unsupported::SessionId => "unsupported_session_id",
            },
        }
    }
}
