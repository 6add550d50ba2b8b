//! Why there is no such profile.

use core::fmt;

use super::Encryption;
use crate::Format;

/// Not the name of a profile, or a profile that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// No profile has this name.
    #[error("no such profile; see the table at DeviceProfile, for example idtech-tdes or track-aes-dukpt-128")]
    Unknown,
    /// Not a name.
    #[error("a name is 1 to 40 lower-case letters, digits and hyphens")]
    Name,
    /// Not the name of a format.
    #[error("no format of this name; there are {formats}", formats = Listed(|| Format::ALL.into_iter()))]
    Format,
    /// Not the name of an encryption.
    #[error("no encryption of this name; there are {encryptions}", encryptions = Listed(Encryption::all))]
    Encryption,
    /// Not the name of a mode.
    #[error("the mode is cbc or ecb")]
    Mode,
    /// Not the name of an initialisation vector.
    #[error("the iv is zero or sent")]
    Iv,
    /// Not the name of a scope.
    #[error("the scope of a CBC run is field, joined or payload")]
    Scope,
    /// Not a mask.
    #[error("the mask is one printable ASCII character")]
    Mask,
    /// A setting that does not apply to payloads of the format, or not together with the others.
    #[error("devices of the format {0} cannot have this {1}")]
    NotOfFormat(Format, ProfileSetting),
}

/// What a profile says beside its name and format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProfileSetting {
    /// Key and cipher.
    Encryption,
    /// Block mode.
    Mode,
    /// Initialisation vector.
    Iv,
    /// What one CBC run goes over.
    Scope,
    /// Whether ciphertexts hold whole objects.
    InnerTlv,
    /// The character in the place of each masked one.
    Mask,
}

/// The name that settings have for it.
impl fmt::Display for ProfileSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encryption => "encryption",
            Self::Mode => "mode",
            Self::Iv => "iv",
            Self::Scope => "scope",
            Self::InnerTlv => "inner_tlv",
            Self::Mask => "mask",
        })
    }
}

/// Names, with commas between.
struct Listed<L>(L);

impl<L: Fn() -> I, I: Iterator<Item: fmt::Display>> fmt::Display for Listed<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)().enumerate().try_for_each(|(at, name)| write!(f, "{}{name}", if at == 0 { "" } else { ", " }))
    }
}
