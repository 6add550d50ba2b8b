//! The layouts that devices send, and how each is recognised.

use core::fmt;

use dukpt::{Scheme, tdes::Cipher};

use super::{idtech::framing, magtek, neo, neo::Header, verifone::Vsd};

/// The layout of what a device sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Format {
    /// ID TECH enhanced frame, swiped or keyed.
    IdTechEnhanced,
    /// ID TECH original frame, swiped.
    IdTechOriginal,
    /// ID TECH original frame, keyed. No device capture confirms it.
    IdTechKeyed,
    /// ID TECH XML message.
    IdTechXml,
    /// ID TECH NEO and ViVOpay answer: chip data, or a swipe, in flagged TLV.
    Neo,
    /// ID TECH Augusta's Quick Chip answer: TLV whose ciphertext is not flagged.
    QuickChip,
    /// MagTek stream of a swipe, fields between `|`.
    MagTek,
    /// MagTek USB-HID report of a swipe, 856 bytes.
    MagTekReport,
    /// MagTek TLV with one ciphertext, in tag `DFDF59`.
    MagTekTlv,
    /// Verifone VSD.
    Verifone,
    /// Ciphertext with its KSN beside it: a track in each run.
    Track,
    /// Ciphertext with its KSN beside it: a string of TLV objects in each run.
    Tlv,
    /// Ciphertext with its KSN beside it: a track 2 in nibbles in each run.
    PackedTrack2,
}

impl Format {
    /// Every layout.
    pub const ALL: [Self; 13] = [
        Self::IdTechEnhanced,
        Self::IdTechOriginal,
        Self::IdTechKeyed,
        Self::IdTechXml,
        Self::Neo,
        Self::QuickChip,
        Self::MagTek,
        Self::MagTekReport,
        Self::MagTekTlv,
        Self::Verifone,
        Self::Track,
        Self::Tlv,
        Self::PackedTrack2,
    ];

    /// A stable name, as settings have it. Profiles of the layout begin with it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdTechEnhanced => "idtech",
            Self::IdTechOriginal => "idtech-original",
            Self::IdTechKeyed => "idtech-keyed-original",
            Self::IdTechXml => "idtech-xml",
            Self::Neo => "neo",
            Self::QuickChip => "quick-chip",
            Self::MagTek => "magtek",
            Self::MagTekReport => "magtek-report",
            Self::MagTekTlv => "magtek-tlv",
            Self::Verifone => "verifone-vsd",
            Self::Track => "track",
            Self::Tlv => "tlv",
            Self::PackedTrack2 => "packed-track2",
        }
    }

    /// What it is called in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::IdTechEnhanced => "ID TECH enhanced frame",
            Self::IdTechOriginal => "ID TECH original frame, swiped",
            Self::IdTechKeyed => "ID TECH original frame, keyed",
            Self::IdTechXml => "ID TECH XML message",
            Self::Neo => "ID TECH NEO or ViVOpay answer",
            Self::QuickChip => "ID TECH Quick Chip answer",
            Self::MagTek => "MagTek stream",
            Self::MagTekReport => "MagTek USB-HID report",
            Self::MagTekTlv => "MagTek TLV",
            Self::Verifone => "Verifone VSD",
            Self::Track => "raw track ciphertext",
            Self::Tlv => "raw ciphertext of TLV objects",
            Self::PackedTrack2 => "raw ciphertext of a packed track 2",
        }
    }

    /// Whether the ciphertext comes with its KSN beside it, so that nothing but the profile tells what it holds.
    #[must_use]
    pub fn is_raw(self) -> bool {
        matches!(self, Self::Track | Self::Tlv | Self::PackedTrack2)
    }

    /// Whether masked copies of tracks stand beside the ciphertext, as text.
    pub(crate) fn has_masked_text(self) -> bool {
        let frames = matches!(self, Self::IdTechEnhanced | Self::IdTechOriginal | Self::Neo);
        frames || self.masks_with_digits()
    }

    /// Whether objects are encrypted one by one, so that a profile may say that a ciphertext holds tag and length too;
    /// and whether it does with the devices that are known.
    pub(crate) fn inner_tlv(self) -> Option<bool> {
        match self {
            Self::Neo => Some(true),
            Self::QuickChip => Some(false),
            _ => None,
        }
    }

    /// Whether the device sends an initialisation vector.
    pub(crate) fn sends_iv(self) -> bool {
        matches!(self, Self::Verifone)
    }

    /// Whether a payload may hold more than one ciphertext.
    fn has_several(self) -> bool {
        !matches!(self, Self::IdTechOriginal | Self::IdTechKeyed | Self::MagTekTlv | Self::Verifone)
    }

    /// Whether a CBC run can go over so much.
    pub(crate) fn takes(self, scope: Scope) -> bool {
        match scope {
            Scope::Field => self != Self::IdTechOriginal,
            Scope::Joined => matches!(self, Self::IdTechEnhanced | Self::IdTechOriginal),
            Scope::Payload => self.has_several(),
        }
    }

    /// Whether the layout has room for the 12-byte KSN of AES DUKPT.
    pub(crate) fn takes_aes_dukpt(self) -> bool {
        self.is_raw()
    }

    /// Whether devices of this layout mask with a digit, so that a masked card number may look like a clear one and only
    /// the decrypted one tells.
    pub(crate) fn masks_with_digits(self) -> bool {
        matches!(self, Self::MagTek | Self::MagTekReport | Self::MagTekTlv)
    }

    /// Whether the bytes begin as this layout does. One layout at most should say so of any bytes.
    fn recognises(self, bytes: &[u8]) -> bool {
        match self {
            // One envelope for three layouts, and one TLV for two: looked at once, for all of them.
            Self::IdTechEnhanced | Self::IdTechOriginal | Self::IdTechKeyed | Self::Neo | Self::QuickChip => false,
            Self::IdTechXml => bytes.trim_ascii_start().starts_with(b"<DvcMsg"),
            Self::MagTek => magtek::Stream::begins(bytes),
            Self::MagTekReport => magtek::Report::begins(bytes),
            Self::MagTekTlv => magtek::Message::begins(bytes),
            Self::Verifone => Vsd::begins(bytes),
            Self::Track | Self::Tlv | Self::PackedTrack2 => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of layouts.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Formats(u32);

impl Formats {
    /// Those that recognise the bytes.
    pub(super) fn recognising(bytes: &[u8]) -> Self {
        let at_once =
            [framing::format(bytes), Header::begins(bytes).then_some(Format::Neo), neo::flagged_or_not(bytes)];
        let recognises = |format: &Format| at_once.contains(&Some(*format)) || format.recognises(bytes);
        let recognising = Format::ALL.into_iter().filter(recognises);
        Self(recognising.fold(0, |set, format| set | 1 << format as u32))
    }

    /// The layouts in it.
    pub fn iter(self) -> impl Iterator<Item = Format> {
        Format::ALL.into_iter().filter(move |format| self.0 >> *format as u32 & 1 == 1)
    }
}

/// Names, with commas between.
impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(i, format)| {
            f.write_str(if i == 0 { "" } else { ", " })?;
            f.write_str(format.name())
        })
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Formats({self})")
    }
}

/// What a payload tells of how it was encrypted. A device's profile must agree with all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Features {
    /// The layout.
    pub format: Format,
    /// The scheme of its KSN.
    pub scheme: Scheme,
    /// The cipher under a TDES DUKPT key, where the payload names it.
    pub cipher: Option<Cipher>,
    /// What one CBC run goes over.
    pub scope: Scope,
    /// Whether it carries a message authentication code.
    pub mac: bool,
}

/// What one CBC run goes over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// One track, tag or blob: the next one begins with a new IV.
    Field,
    /// Tracks 1 and 2, joined to one text.
    Joined,
    /// All fields of a payload: each goes on where the one before ended. No payload tells of it; a profile does.
    Payload,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Field, Self::Joined, Self::Payload];

    /// A stable name, as settings have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Joined => "joined",
            Self::Payload => "payload",
        }
    }
}
