//! The profiles that come with the library, and those of them that a payload fits.

use core::fmt;

use super::{DeviceProfile, Encryption, Name};
use crate::{Features, Format, Scope};

/// Family name, layout, and what one CBC run goes over.
const FAMILIES: [(&str, Format, Scope); 14] = [
    ("idtech", Format::IdTechEnhanced, Scope::Field),
    ("idtech-transarmor", Format::IdTechEnhanced, Scope::Joined),
    ("idtech-original", Format::IdTechOriginal, Scope::Joined),
    ("idtech-keyed-original", Format::IdTechKeyed, Scope::Field),
    ("idtech-xml", Format::IdTechXml, Scope::Field),
    ("neo", Format::Neo, Scope::Field),
    ("quick-chip", Format::QuickChip, Scope::Field),
    ("magtek", Format::MagTek, Scope::Field),
    ("magtek-report", Format::MagTekReport, Scope::Field),
    ("magtek-tlv", Format::MagTekTlv, Scope::Field),
    ("verifone-vsd", Format::Verifone, Scope::Field),
    ("track", Format::Track, Scope::Field),
    ("tlv", Format::Tlv, Scope::Field),
    ("packed-track2", Format::PackedTrack2, Scope::Field),
];

impl DeviceProfile {
    /// The profiles that come with the library: each family with each encryption that its layout has room for.
    pub fn builtin() -> impl Iterator<Item = Self> {
        FAMILIES.into_iter().flat_map(|(family, format, scope)| {
            Encryption::all().filter_map(move |encryption| {
                let name = Name::of(&format_args!("{family}-{encryption}"));
                Self::new(name.as_str(), format, encryption, scope).ok()
            })
        })
    }
}

/// The built-in profiles that payloads of these features fit, by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidates(pub Features);

/// Names, with commas between; `none of the built-in ones` if so.
impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fitting = DeviceProfile::builtin().filter(|profile| profile.fits(&self.0));
        let Some(first) = fitting.next() else { return f.write_str("none of the built-in ones") };
        f.write_str(first.name())?;
        fitting.try_for_each(|profile| write!(f, ", {}", profile.name()))
    }
}
