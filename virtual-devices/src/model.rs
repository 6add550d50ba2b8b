//! The devices that there are, and what can be set at each.

use core::{fmt, str::FromStr};

use dukpt::tdes::{Cipher, Variant};
use p2pe_crypto::Encryption;

use crate::Setting;

/// A kind of device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Model {
    /// ID TECH SREDKey keypad, enhanced output.
    SredKey,
    /// ID TECH SREDKey keypad, original output. No device capture confirms the layout.
    SredKeyOriginal,
    /// ID TECH swipe reader, enhanced output.
    IdTechSwipe,
    /// ID TECH swipe reader, original output.
    IdTechSwipeOriginal,
    /// ID TECH SecureKey, XML output.
    IdTechXml,
    /// ID TECH NEO or ViVOpay reader: chip, contactless, swipe.
    Neo,
    /// ID TECH Augusta, Quick Chip.
    Augusta,
    /// MagTek swipe reader, stream.
    MagTek,
    /// MagTek swipe reader, USB-HID report.
    MagTekReport,
    /// MagTek DynaPro chip reader.
    DynaPro,
    /// Verifone terminal, VSD.
    Verifone,
    /// BBPOS WisePad, swipe: ciphertext with its KSN beside it.
    WisePad,
    /// Any swipe reader: ciphertext with its KSN beside it, a track in each run.
    Track,
    /// Any chip reader: ciphertext with its KSN beside it, a string of TLV objects.
    Tlv,
    /// Any swipe reader: ciphertext with its KSN beside it, a track 2 in nibbles.
    PackedTrack2,
}

use Setting as S;

const KEYPAD_FORMS: &[S] = &[S::Keyboard, S::Binary, S::HidReport, S::Hex];
const READER_FORMS: &[S] = &[S::Binary, S::HidReport, S::Hex, S::Keyboard];
const CODES: &[S] = &[S::NoSecurityCode, S::SecurityCode];
const ADDRESSES: &[S] = &[S::NoAddress, S::Zip, S::Street, S::StreetAndZip];
const COPIES: &[S] = &[S::MaskedCopies, S::NoCopies];
const TRACKS: &[S] = &[S::Tracks12, S::Track1, S::Track2];
const THREE_TRACKS: &[S] = &[S::Tracks12, S::Track1, S::Track2, S::Tracks123];

impl Model {
    /// Every model.
    pub const ALL: &[Self] = &[
        Self::SredKey,
        Self::SredKeyOriginal,
        Self::IdTechSwipe,
        Self::IdTechSwipeOriginal,
        Self::IdTechXml,
        Self::Neo,
        Self::Augusta,
        Self::MagTek,
        Self::MagTekReport,
        Self::DynaPro,
        Self::Verifone,
        Self::WisePad,
        Self::Track,
        Self::Tlv,
        Self::PackedTrack2,
    ];

    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SredKey => "sredkey",
            Self::SredKeyOriginal => "sredkey-original",
            Self::IdTechSwipe => "idtech-swipe",
            Self::IdTechSwipeOriginal => "idtech-swipe-original",
            Self::IdTechXml => "idtech-xml",
            Self::Neo => "neo",
            Self::Augusta => "augusta",
            Self::MagTek => "magtek",
            Self::MagTekReport => "magtek-report",
            Self::DynaPro => "dynapro",
            Self::Verifone => "verifone",
            Self::WisePad => "wisepad",
            Self::Track => "track",
            Self::Tlv => "tlv",
            Self::PackedTrack2 => "packed-track2",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::SredKey => "ID TECH SREDKey keypad, enhanced output",
            Self::SredKeyOriginal => "ID TECH SREDKey keypad, original output",
            Self::IdTechSwipe => "ID TECH swipe reader, enhanced output",
            Self::IdTechSwipeOriginal => "ID TECH swipe reader, original output",
            Self::IdTechXml => "ID TECH SecureKey, XML output",
            Self::Neo => "ID TECH NEO or ViVOpay reader",
            Self::Augusta => "ID TECH Augusta, Quick Chip",
            Self::MagTek => "MagTek swipe reader, stream",
            Self::MagTekReport => "MagTek swipe reader, USB-HID report",
            Self::DynaPro => "MagTek DynaPro chip reader",
            Self::Verifone => "Verifone terminal, VSD",
            Self::WisePad => "BBPOS WisePad, swipe, KSN beside it",
            Self::Track => "tracks, KSN beside them",
            Self::Tlv => "a string of TLV objects, KSN beside it",
            Self::PackedTrack2 => "track 2 in nibbles, KSN beside it",
        }
    }

    /// Groups of alternatives; the first of each is the default.
    #[must_use]
    pub fn settings(self) -> &'static [&'static [Setting]] {
        match self {
            Self::SredKey => &[KEYPAD_FORMS, CODES, ADDRESSES],
            Self::SredKeyOriginal => &[KEYPAD_FORMS, CODES, ADDRESSES, &[S::NoClearExpiry, S::ClearExpiry]],
            Self::IdTechSwipe => &[
                READER_FORMS,
                &[
                    S::Tracks12,
                    S::Track1,
                    S::Track2,
                    S::Tracks123,
                    S::StripeInSlot1,
                    S::StripeInSlot2,
                    S::StripeInSlot3,
                ],
                &[S::ZeroHashes, S::Sha1Hashes, S::Sha256Hashes, S::NoHashes],
                COPIES,
                &[S::NoSessionId, S::SessionId],
                &[S::NoMac, S::Mac],
                &[S::SeparateTracks, S::TransArmor],
                &[S::Serial, S::NoSerial],
            ],
            Self::IdTechSwipeOriginal => &[READER_FORMS, THREE_TRACKS, &[S::Sha1Hashes, S::ZeroHashes]],
            Self::IdTechXml => {
                &[&[S::HexValues, S::RawValues], &[S::Tracks12, S::Track1, S::Track2, S::Keyed, S::KeyedWithCode]]
            }
            Self::Neo => &[
                &[S::Contact, S::Contactless, S::ContactlessMsd, S::ContactlessKernel2, S::SwipeFrame, S::SwipeObjects],
                &[S::Version3, S::Version2, S::NoTransport],
                COPIES,
                &[S::Flat, S::Grouped],
            ],
            Self::Augusta | Self::Tlv => &[],
            Self::MagTek | Self::MagTekReport => &[THREE_TRACKS],
            Self::DynaPro => &[&[S::Bare, S::Wrapped], &[S::NoMaskedTrack, S::MaskedTrack]],
            Self::Verifone => &[&[S::Answer, S::Base64, S::Objects]],
            Self::WisePad => &[TRACKS],
            Self::Track => &[
                &[S::Tracks12, S::Track1, S::Track2, S::Tracks123, S::Keyed, S::KeyedWithCode],
                &[S::CheckCharacter, S::NoCheckCharacter],
            ],
            Self::PackedTrack2 => &[&[S::Track2, S::Tracks12]],
        }
    }

    /// Which key and cipher such devices usually have.
    #[must_use]
    pub fn usual_encryption(self) -> Encryption {
        match self {
            Self::MagTek | Self::MagTekReport => Encryption::Tdes(Variant::Pin, Cipher::Tdes),
            _ => Encryption::Tdes(Variant::DataRequest, Cipher::Tdes),
        }
    }

    /// Whether no such device is known to run another cipher than TDES.
    pub(crate) fn only_tdes(self) -> bool {
        matches!(self, Self::MagTek | Self::MagTekReport | Self::DynaPro | Self::Verifone | Self::WisePad)
    }

    /// The family that the names of its profiles begin with.
    pub(crate) fn family(self) -> &'static str {
        match self {
            Self::SredKey | Self::IdTechSwipe => "idtech",
            Self::SredKeyOriginal => "idtech-keyed-original",
            Self::IdTechSwipeOriginal => "idtech-original",
            Self::IdTechXml => "idtech-xml",
            Self::Neo => "neo",
            Self::Augusta => "quick-chip",
            Self::MagTek => "magtek",
            Self::MagTekReport => "magtek-report",
            Self::DynaPro => "magtek-tlv",
            Self::Verifone => "verifone-vsd",
            Self::WisePad | Self::Track => "track",
            Self::Tlv => "tlv",
            Self::PackedTrack2 => "packed-track2",
        }
    }
}

impl FromStr for Model {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<Self, UnknownModel> {
        Self::ALL.iter().copied().find(|model| model.name() == name).ok_or(UnknownModel)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such virtual device")]
pub struct UnknownModel;
