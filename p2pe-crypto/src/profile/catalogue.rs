//! The profiles that come with the library, and those of them that a payload fits.

use core::{fmt, str::FromStr};

use super::{DeviceProfile, ProfileError, ProfileSettings};
use crate::Features;

/// The catalogue of profiles that come with the library, as TOML: tables like those that a settings file may have.
pub const CATALOGUE: &str = include_str!("catalogue.toml");

impl DeviceProfile {
    /// The profiles that come with the library: those of the [`CATALOGUE`].
    pub fn builtin() -> impl Iterator<Item = Self> {
        tables().filter_map(|table| read(table)?.try_into().ok())
    }
}

impl FromStr for DeviceProfile {
    type Err = ProfileError;

    /// One of [`DeviceProfile::builtin`], by its name.
    fn from_str(name: &str) -> Result<Self, ProfileError> {
        let is_of = |table: &&str| {
            // Up to its quote: what is asked for may be more of the table.
            let own = table.strip_prefix("name = \"").and_then(|rest| rest.split_once('"'));
            own.is_some_and(|(own, _)| own == name)
        };
        tables().find(is_of).and_then(read).ok_or(ProfileError::Unknown)?.try_into()
    }
}

/// The tables, each from its name on. A test reads the file with a TOML parser and finds the same: here it is lines of names,
/// without escapes.
fn tables() -> impl Iterator<Item = &'static str> {
    CATALOGUE.split("[[profile]]\n").skip(1)
}

/// One table, up to the next.
fn read(table: &'static str) -> Option<ProfileSettings<'static>> {
    let mut settings = ProfileSettings::default();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once(" = ")?;
        let text = value.trim_matches('"');
        match name {
            "name" => settings.name = text,
            "format" => settings.format = text,
            "encryption" => settings.encryption = text,
            "mode" => settings.mode = Some(text),
            "iv" => settings.iv = Some(text),
            "scope" => settings.scope = Some(text),
            "inner_tlv" => settings.inner_tlv = Some(value == "true"),
            "mask" => settings.mask = Some(text),
            "mac" => settings.mac = value == "true",
            _ => return None,
        }
    }
    Some(settings)
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
