//! What a device population was set up with. Frames do not signal it reliably, so it is configuration.

mod catalogue;
mod encryption;

use core::{
    fmt::{self, Write as _},
    str::FromStr,
};

use dukpt::{Scheme, tdes::Cipher};

use crate::{Features, Format, Scope};
pub use catalogue::Candidates;
pub use encryption::Encryption;

/// How a device population sends: layout, key and cipher, scope of a CBC run, masking. [`DeviceProfile::builtin`] are the
/// usual ones; their names are that of a family, `-`, and that of an [`Encryption`]: `idtech-tdes-pin`.
///
/// | family | devices |
/// |---|---|
/// | `idtech` | ID TECH enhanced frame, each track its own CBC run |
/// | `idtech-transarmor` | the same with tracks 1 and 2 in one run |
/// | `idtech-original` | ID TECH original frame, swiped; tracks 1 and 2 in one run |
/// | `idtech-keyed-original` | ID TECH original frame, keyed; no device capture confirms it |
/// | `idtech-xml` | ID TECH XML message |
/// | `neo` | ID TECH NEO and ViVOpay readers: chip data, swipes |
/// | `quick-chip` | ID TECH Augusta, Quick Chip |
/// | `magtek` | MagTek swipe readers, stream; they use the PIN-variant key unless set up otherwise |
/// | `magtek-report` | the same, USB-HID report |
/// | `magtek-tlv` | MagTek DynaPro and eDynamo, chip data in `DFDF59` |
/// | `verifone-vsd` | Verifone VSD, which sends its own IV |
/// | `track` | ciphertext with its KSN beside it, a track in each run |
/// | `tlv` | the same, with TLV objects |
/// | `packed-track2` | the same, with a track 2 in nibbles |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeviceProfile {
    name: Name,
    format: Format,
    encryption: Encryption,
    scope: Scope,
    mask: u8,
    mac: bool,
}

impl DeviceProfile {
    /// A profile of one's own, with tracks masked by `*` and no MAC asked for.
    ///
    /// # Errors
    /// [`ProfileError`] for a name that is not 1 to 40 lower-case letters, digits and hyphens, and for what the layout
    /// has no room for: AES DUKPT where the KSN has 10 bytes, AES in an original frame, joined tracks in most.
    pub fn new(name: &str, format: Format, encryption: Encryption, scope: Scope) -> Result<Self, ProfileError> {
        let name = Name::new(name)?;
        let tdes = matches!(encryption, Encryption::Tdes(_, Cipher::Tdes));
        let can_be = match (format, scope) {
            (Format::IdTechOriginal, Scope::Joined) | (Format::IdTechKeyed, Scope::Field) => tdes,
            (Format::IdTechEnhanced, Scope::Joined) => tdes,
            (Format::IdTechOriginal, Scope::Field) | (_, Scope::Joined) => false,
            (_, Scope::Field) => encryption.scheme() == Scheme::Tdes || format.takes_aes_dukpt(),
        };
        let mask = if format.masks_with_digits() { b'0' } else { b'*' };
        if can_be { Ok(Self { name, format, encryption, scope, mask, mac: false }) } else { Err(ProfileError) }
    }

    /// With another character in the place of each masked one.
    #[must_use]
    pub fn masked_by(self, mask: u8) -> Self {
        Self { mask, ..self }
    }

    /// With a MAC in every payload: one without is refused.
    #[must_use]
    pub fn with_mac(self) -> Self {
        Self { mac: true, ..self }
    }

    /// The profile's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The layout of what the device sends.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The key and cipher it encrypts with.
    #[must_use]
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// The scheme of the KSNs that such devices send.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.encryption.scheme()
    }

    /// What one CBC run goes over.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The character in the place of each masked one, ASCII.
    #[must_use]
    pub fn mask(&self) -> u8 {
        self.mask
    }

    /// Whether every payload must carry a MAC. One that does is verified in any case.
    #[must_use]
    pub fn mac(&self) -> bool {
        self.mac
    }

    /// Whether a payload of these features can come from such a device.
    #[must_use]
    pub fn fits(&self, features: &Features) -> bool {
        let cipher = match self.encryption {
            Encryption::Tdes(_, cipher) => Some(cipher),
            Encryption::Aes(_) => None,
        };
        (self.format == features.format || self.format.is_raw() && features.format.is_raw())
            && self.scheme() == features.scheme
            && (features.cipher.is_none() || features.cipher == cipher)
            && self.scope == features.scope
            && (features.mac || !self.mac)
    }
}

/// Not the name of a profile, or not one that can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such profile; see the table at DeviceProfile, for example idtech-tdes or track-aes-dukpt-128")]
pub struct ProfileError;

impl FromStr for DeviceProfile {
    type Err = ProfileError;

    /// One of [`DeviceProfile::builtin`], by its name.
    fn from_str(name: &str) -> Result<Self, ProfileError> {
        Self::builtin().find(|profile| profile.name() == name).ok_or(ProfileError)
    }
}

impl fmt::Display for DeviceProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A profile's name, in place so that profiles are copied freely.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    text: [u8; Self::LONGEST],
    length: usize,
}

impl Name {
    const LONGEST: usize = 40;
    const EMPTY: Self = Self { text: [0; Self::LONGEST], length: 0 };

    fn new(name: &str) -> Result<Self, ProfileError> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let mut text = Self::EMPTY;
        if name.is_empty() || !name.bytes().all(legal) || text.write_str(name).is_err() {
            return Err(ProfileError);
        }
        Ok(text)
    }

    /// What a value prints; cut off if it is longer than any name.
    fn of(value: &impl fmt::Display) -> Self {
        let mut text = Self::EMPTY;
        let _ = write!(text, "{value}");
        text
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        self.text.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
