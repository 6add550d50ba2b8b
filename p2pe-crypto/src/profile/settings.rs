//! A profile as settings write it: names, each understood in one place for the catalogue, settings files and Python.

use core::fmt;

use super::{DeviceProfile, Encryption, Iv, Mode, ProfileError, ProfileSetting};
use crate::{Format, Scope};

/// A profile as settings write it, a `[[profile]]` table of TOML. What is left out is as usual for the format.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ProfileSettings<'s> {
    /// 1 to 40 lower-case letters, digits and hyphens.
    pub name: &'s str,
    /// The name of a [`Format`].
    pub format: &'s str,
    /// The name of an [`Encryption`].
    pub encryption: &'s str,
    /// `cbc` or `ecb`.
    pub mode: Option<&'s str>,
    /// `zero` or `sent`.
    pub iv: Option<&'s str>,
    /// `field`, `joined` or `payload`.
    pub scope: Option<&'s str>,
    /// Whether ciphertexts hold whole objects, tag and length too.
    pub inner_tlv: Option<bool>,
    /// The character in the place of each masked one.
    pub mask: Option<&'s str>,
    /// Whether a payload without a MAC is refused.
    pub mac: bool,
}

impl TryFrom<ProfileSettings<'_>> for DeviceProfile {
    type Error = ProfileError;

    fn try_from(settings: ProfileSettings<'_>) -> Result<Self, ProfileError> {
        let format = Format::ALL.into_iter().find(|format| format.name() == settings.format);
        let format = format.ok_or(ProfileError::Format)?;
        let encryption: Encryption = settings.encryption.parse()?;
        let scope = match settings.scope {
            Some(name) => Scope::ALL.into_iter().find(|scope| scope.name() == name).ok_or(ProfileError::Scope)?,
            None if format.takes(Scope::Field) => Scope::Field,
            None => Scope::Joined,
        };
        let mut profile = Self::new(settings.name, format, encryption, scope)?;
        if let Some(name) = settings.mode {
            profile = profile.with_mode(mode(name)?)?;
        }
        if let Some(name) = settings.iv {
            // Nothing is chained: there is none to be told.
            if profile.mode == Mode::Ecb {
                return Err(ProfileError::NotOfFormat(format, ProfileSetting::Iv));
            }
            profile = profile.with_iv(iv(name)?)?;
        }
        if let Some(inner_tlv) = settings.inner_tlv {
            profile = profile.with_inner_tlv(inner_tlv)?;
        }
        if let Some(mask) = settings.mask {
            let [mask] = *mask.as_bytes() else { return Err(ProfileError::Mask) };
            profile = profile.masked_by(mask)?;
        }
        Ok(if settings.mac { profile.with_mac() } else { profile })
    }
}

fn mode(name: &str) -> Result<Mode, ProfileError> {
    [Mode::Cbc, Mode::Ecb].into_iter().find(|mode| mode.name() == name).ok_or(ProfileError::Mode)
}

fn iv(name: &str) -> Result<Iv, ProfileError> {
    [Iv::Zero, Iv::Sent].into_iter().find(|iv| iv.name() == name).ok_or(ProfileError::Iv)
}

impl Mode {
    /// A stable name, as settings have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cbc => "cbc",
            Self::Ecb => "ecb",
        }
    }
}

impl Iv {
    /// A stable name, as settings have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Sent => "sent",
        }
    }
}

impl DeviceProfile {
    /// The profile as a `[[profile]]` table of TOML, with all that applies to its format; [`ProfileSettings`] reads it.
    #[must_use]
    pub fn to_toml(&self) -> impl fmt::Display {
        Toml(*self)
    }
}

struct Toml(DeviceProfile);

impl fmt::Display for Toml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(profile) = self;
        writeln!(f, "[[profile]]\nname = \"{}\"\nformat = \"{}\"", profile.name(), profile.format.name())?;
        writeln!(f, "encryption = \"{}\"\nmode = \"{}\"", profile.encryption, profile.mode.name())?;
        if profile.mode == Mode::Cbc {
            writeln!(f, "iv = \"{}\"", profile.iv.name())?;
        }
        writeln!(f, "scope = \"{}\"", profile.scope.name())?;
        if let Some(inner_tlv) = profile.inner_tlv {
            writeln!(f, "inner_tlv = {inner_tlv}")?;
        }
        if profile.format.has_masked_text() {
            let escape = if matches!(profile.mask, b'"' | b'\\') { "\\" } else { "" };
            writeln!(f, "mask = \"{escape}{}\"", char::from(profile.mask))?;
        }
        if profile.mac { writeln!(f, "mac = true") } else { Ok(()) }
    }
}
