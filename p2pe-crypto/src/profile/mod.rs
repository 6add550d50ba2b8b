//! What a device population was set up with. Frames do not signal it reliably, so it is configuration.

mod catalogue;
mod encryption;
mod error;
mod settings;

use core::fmt::{self, Write as _};

use dukpt::{Scheme, tdes::Cipher};

use crate::{Features, Format, Scope};
pub use catalogue::{CATALOGUE, Candidates};
pub use encryption::Encryption;
pub use error::{ProfileError, ProfileSetting};
pub use settings::ProfileSettings;

/// How a device population sends: layout, key and cipher, mode, IV, scope of a CBC run, what ciphertexts hold, masking. [`DeviceProfile::builtin`] are the
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
    mode: Mode,
    iv: Iv,
    scope: Scope,
    inner_tlv: Option<bool>,
    mask: u8,
    mac: bool,
}

/// How blocks hang together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Cipher block chaining.
    Cbc,
    /// Each block by itself, as at least one gateway's readers do.
    Ecb,
}

/// What a CBC run begins with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Iv {
    /// Zeros.
    Zero,
    /// What the device sends along (Verifone: tag `DF9022`).
    Sent,
}

impl DeviceProfile {
    /// A profile of one's own: CBC with the IV of its layout, tracks masked by `*` (MagTek: `0`), no MAC asked for.
    ///
    /// # Errors
    /// [`ProfileError::Name`]; [`ProfileError::NotOfFormat`] for what the layout has no room for: AES DUKPT where the KSN
    /// has 10 bytes, AES in an original frame, joined tracks in most.
    pub fn new(name: &str, format: Format, encryption: Encryption, scope: Scope) -> Result<Self, ProfileError> {
        let name = Name::new(name)?;
        let tdes = matches!(encryption, Encryption::Tdes(_, Cipher::Tdes));
        let can_be = match (format, scope) {
            (Format::IdTechOriginal | Format::IdTechKeyed, _) | (_, Scope::Joined) => tdes,
            _ => encryption.scheme() == Scheme::Tdes || format.takes_aes_dukpt(),
        };
        let refused = |setting| ProfileError::NotOfFormat(format, setting);
        if !format.takes(scope) {
            return Err(refused(ProfileSetting::Scope));
        }
        if !can_be {
            return Err(refused(ProfileSetting::Encryption));
        }
        let iv = if format.sends_iv() { Iv::Sent } else { Iv::Zero };
        let mask = if format.masks_with_digits() { b'0' } else { b'*' };
        let inner_tlv = format.inner_tlv();
        Ok(Self { name, format, encryption, mode: Mode::Cbc, iv, scope, inner_tlv, mask, mac: false })
    }

    /// With another mode. An IV and a run over several fields are of CBC: in ECB each block stands by itself.
    ///
    /// # Errors
    /// [`ProfileError::NotOfFormat`] for ECB with a scope other than [`Scope::Field`].
    pub fn with_mode(self, mode: Mode) -> Result<Self, ProfileError> {
        match mode {
            Mode::Ecb if self.scope == Scope::Payload => Err(self.refused(ProfileSetting::Mode)),
            Mode::Ecb => Ok(Self { mode, iv: Iv::Zero, ..self }),
            Mode::Cbc => Ok(Self { mode, ..self }),
        }
    }

    /// With another initialisation vector.
    ///
    /// # Errors
    /// [`ProfileError::NotOfFormat`] if the layout carries none, or nothing is chained.
    pub fn with_iv(self, iv: Iv) -> Result<Self, ProfileError> {
        match iv {
            Iv::Sent if !self.format.sends_iv() || self.mode == Mode::Ecb => Err(self.refused(ProfileSetting::Iv)),
            _ => Ok(Self { iv, ..self }),
        }
    }

    /// With ciphertexts that hold whole objects, tag and length too, or values alone.
    ///
    /// # Errors
    /// [`ProfileError::NotOfFormat`] if the layout does not encrypt objects one by one.
    pub fn with_inner_tlv(self, inner_tlv: bool) -> Result<Self, ProfileError> {
        match self.inner_tlv {
            None => Err(self.refused(ProfileSetting::InnerTlv)),
            Some(_) => Ok(Self { inner_tlv: Some(inner_tlv), ..self }),
        }
    }

    /// With another character in the place of each masked one.
    ///
    /// # Errors
    /// [`ProfileError::Mask`] if it is not printable ASCII; [`ProfileError::NotOfFormat`] if the layout has no masked
    /// tracks.
    pub fn masked_by(self, mask: u8) -> Result<Self, ProfileError> {
        match mask {
            _ if !self.format.has_masked_text() => Err(self.refused(ProfileSetting::Mask)),
            0x20..=0x7E => Ok(Self { mask, ..self }),
            _ => Err(ProfileError::Mask),
        }
    }

    fn refused(&self, setting: ProfileSetting) -> ProfileError {
        ProfileError::NotOfFormat(self.format, setting)
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

    /// How blocks hang together.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What a CBC run begins with.
    #[must_use]
    pub fn iv(&self) -> Iv {
        self.iv
    }

    /// Whether a ciphertext holds a whole object, tag and length too, or its value alone; `None` where no objects are
    /// encrypted one by one.
    #[must_use]
    pub fn inner_tlv(&self) -> Option<bool> {
        self.inner_tlv
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
            && (self.scope == features.scope || self.scope == Scope::Payload && features.scope == Scope::Field)
            && (features.mac || !self.mac)
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
            return Err(ProfileError::Name);
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
