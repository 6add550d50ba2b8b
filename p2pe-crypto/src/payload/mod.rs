//! What a device sends: parsed and checked to the last byte, nothing decrypted yet.

mod alarm;
mod crc;
mod error;
mod field;
mod format;
mod hex;
pub mod idtech;
pub mod magtek;
pub mod neo;
pub mod quick_chip;
mod received;
mod refusal;
pub mod tlv;
pub mod tracks;
pub mod verifone;

use dukpt::Ksn;

use crate::{DeviceProfile, Entry};
pub use error::{PayloadError, Unsupported};
pub use field::{EncryptedField, Fields, Holds, Mac};
pub use format::{Features, Format, Formats, Scope};
use received::Received;
pub use refusal::Refusal;

/// A device payload whose every length, check and flag was found right.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// ID TECH enhanced frame, swiped or keyed.
    IdTech(idtech::Frame),
    /// ID TECH original frame, swiped.
    IdTechOriginal(idtech::OriginalFrame),
    /// ID TECH original frame, keyed.
    IdTechKeyed(idtech::KeyedFrame),
    /// ID TECH XML message.
    IdTechXml(idtech::XmlMessage),
    /// ID TECH NEO and ViVOpay answer.
    Neo(neo::Reply),
    /// ID TECH Augusta's Quick Chip answer.
    QuickChip(quick_chip::QuickChip),
    /// MagTek stream.
    MagTek(magtek::Stream),
    /// MagTek USB-HID report.
    MagTekReport(magtek::Report),
    /// MagTek TLV.
    MagTekTlv(magtek::Message),
    /// Verifone VSD.
    Verifone(verifone::Vsd),
    /// Ciphertext with its KSN beside it.
    Tracks(tracks::Tracks),
}

/// What each format tells of itself.
pub(crate) trait Content {
    /// The key serial number of the transaction.
    fn ksn(&self) -> &Ksn;
    /// What the decryptor compares with the device's profile.
    fn features(&self) -> Features;
    /// The CBC runs; at most [`Fields::MOST`].
    fn encrypted(&self) -> Fields<'_>;
    /// The message authentication code, if there is one.
    fn mac(&self) -> Option<Mac<'_>> {
        None
    }
    /// The chip data that stands beside the ciphertext, and its ciphertext too.
    fn chip(&self) -> Option<tlv::Objects<'_>> {
        None
    }
    /// How the device says that it read a chip.
    fn entry(&self) -> Option<Entry> {
        None
    }
}

impl Payload {
    /// Parses what a device sent, of any format that is recognised by its first bytes: as it came, or as hex digits.
    ///
    /// # Errors
    /// [`Refusal`]; in particular [`PayloadError::ClearAccountData`] when a card number stands there unencrypted, and
    /// [`PayloadError::Ambiguous`] when more than one format begins like this: then [`Payload::parse_as`] decides.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        match Self::detect(bytes)? {
            Some(format) => Self::parse_as(format, bytes),
            None => Self::parse_hex(bytes),
        }
    }

    /// Parses what a device sent in this format.
    ///
    /// # Errors
    /// [`Refusal`]; [`PayloadError::MissingKsn`] for the formats that have their KSN beside them: see
    /// [`Payload::from_tracks`].
    pub fn parse_as(format: Format, bytes: &[u8]) -> Result<Self, Refusal> {
        Self::parse_received(format, Received::Plain(bytes))
    }

    fn parse_received(format: Format, bytes: Received<'_>) -> Result<Self, Refusal> {
        alarm::check(&bytes, format.masks_with_digits())?;
        match format {
            Format::IdTechEnhanced => idtech::Frame::parse(&bytes).map(Self::IdTech),
            Format::IdTechOriginal => idtech::OriginalFrame::parse(&bytes).map(Self::IdTechOriginal),
            Format::IdTechKeyed => idtech::KeyedFrame::parse(&bytes).map(Self::IdTechKeyed),
            Format::IdTechXml => idtech::XmlMessage::parse(&bytes).map(Self::IdTechXml),
            Format::Neo => neo::Reply::parse(bytes).map(Self::Neo),
            Format::QuickChip => quick_chip::QuickChip::parse(bytes).map(Self::QuickChip),
            Format::MagTek => magtek::Stream::parse(&bytes).map(Self::MagTek),
            Format::MagTekReport => magtek::Report::parse(bytes).map(Self::MagTekReport),
            Format::MagTekTlv => magtek::Message::parse(bytes).map(Self::MagTekTlv),
            Format::Verifone => verifone::Vsd::parse(bytes).map(Self::Verifone),
            Format::Track | Format::Tlv | Format::PackedTrack2 => Err(PayloadError::MissingKsn.into()),
        }
    }

    /// Takes ciphertext, each its own CBC run, with the KSN beside it (10 or 12 bytes). What it holds is told by the
    /// device's profile.
    ///
    /// # Errors
    /// [`Refusal`] without an offset: [`PayloadError::CiphertextLength`], [`PayloadError::Ksn`];
    /// [`PayloadError::ClearAccountData`] when what is called ciphertext is a clear track.
    pub fn from_tracks(ksn: &[u8], ciphertexts: &[&[u8]]) -> Result<Self, Refusal> {
        Ok(Self::Tracks(tracks::Tracks::new(ksn, ciphertexts)?))
    }

    /// The one format that begins like these bytes.
    fn detect(bytes: &[u8]) -> Result<Option<Format>, Refusal> {
        let recognising = Formats::recognising(bytes);
        let mut formats = recognising.iter();
        match (formats.next(), formats.next()) {
            (one, None) => Ok(one),
            (_, Some(_)) => {
                alarm::check(bytes, false)?;
                Err(PayloadError::Ambiguous(recognising).into())
            }
        }
    }

    /// Binary formats that somebody wrote as hex digits. ID TECH frames have that form of their own, and what begins
    /// like no format is told so by them.
    fn parse_hex(digits: &[u8]) -> Result<Self, Refusal> {
        alarm::check(digits, false)?;
        let text = digits.trim_ascii();
        if let Ok(bytes) = hex::decode(text) {
            let told = |refusal: Refusal| refusal.moved(|at| 2 * at).inside(digits, text);
            if let Some(format) = Self::detect(&bytes).map_err(told)? {
                return Self::parse_received(format, Received::Decoded(bytes)).map_err(told);
            }
        }
        Self::parse_as(Format::IdTechEnhanced, digits)
    }

    pub(crate) fn content(&self) -> &dyn Content {
        match self {
            Self::IdTech(frame) => frame,
            Self::IdTechOriginal(frame) => frame,
            Self::IdTechKeyed(frame) => frame,
            Self::IdTechXml(message) => message,
            Self::Neo(reply) => reply,
            Self::QuickChip(answer) => answer,
            Self::MagTek(stream) => stream,
            Self::MagTekReport(report) => report,
            Self::MagTekTlv(message) => message,
            Self::Verifone(vsd) => vsd,
            Self::Tracks(tracks) => tracks,
        }
    }

    /// The layout.
    #[must_use]
    pub fn format(&self) -> Format {
        self.features().format
    }

    /// The key serial number of the transaction.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        self.content().ksn()
    }

    /// What it tells of how it was encrypted.
    #[must_use]
    pub fn features(&self) -> Features {
        self.content().features()
    }

    /// The CBC runs, in the order in which they are read. Raw ciphertext holds what its device's profile says; here it
    /// is taken for tracks.
    #[must_use]
    pub fn encrypted(&self) -> Fields<'_> {
        self.content().encrypted()
    }

    /// The message authentication code, if it carries one.
    #[must_use]
    pub fn mac(&self) -> Option<Mac<'_>> {
        self.content().mac()
    }

    /// The CBC runs as a device of this profile has them.
    #[must_use]
    pub fn encrypted_as(&self, profile: &DeviceProfile) -> Fields<'_> {
        match self {
            Self::Tracks(tracks) => tracks.holding(profile.format()),
            // Nothing else is said of other formats.
            _ if profile.inner_tlv() == profile.format().inner_tlv() => self.encrypted(),
            _ => {
                let holds = |holds| match holds {
                    Holds::Tlv { tag, masked } => Holds::Value { tag, length: masked.map(<[u8]>::len), masked },
                    Holds::Value { tag, masked, .. } => Holds::Tlv { tag, masked },
                    other => other,
                };
                self.encrypted().into_iter().map(|run| EncryptedField { holds: holds(run.holds), ..run }).collect()
            }
        }
    }
}
