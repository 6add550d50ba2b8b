//! What a device population was set up with. Frames do not signal it reliably, so it is configuration.

use core::{fmt, str::FromStr};

use dukpt::{
    Scheme,
    aes::{DataUsage, KeyType, Suite},
    tdes::{Cipher, Variant},
};

/// The layout of what a device sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// ID TECH enhanced frame, swiped or keyed.
    IdTechEnhanced,
    /// Track ciphertext with its KSN beside it.
    Track,
}

/// Which key and cipher a device encrypts with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encryption {
    /// TDES DUKPT (10-byte KSN): the key variant, and the cipher that runs under it.
    Tdes(Variant, Cipher),
    /// AES DUKPT (12-byte KSN), AES-CBC.
    Aes(Suite),
}

/// Format and encryption of a device population. Has a name: [`FromStr`] and [`fmt::Display`] agree.
///
/// | name | meaning |
/// |---|---|
/// | `idtech-tdes` | ID TECH enhanced frame, request data key, TDES-CBC |
/// | `idtech-aes` | the same key used as an AES-128-CBC key |
/// | `idtech-tdes-pin`, `idtech-aes-pin` | the PIN-variant key used for data |
/// | `idtech-tdes-response`, `idtech-aes-response` | the response data key |
/// | `track-…` | the same six for raw track ciphertext |
/// | `track-aes-dukpt-128`, `-192`, `-256` | raw track ciphertext under AES DUKPT; data key as long as the base key |
/// | `track-aes-dukpt-256-128` | a 256-bit base key and a 128-bit data key (also `256-192`, `192-128`) |
/// | `track-aes-dukpt-128-both` | the data key of usage `3002`, both ways |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeviceProfile {
    format: Format,
    encryption: Encryption,
}

impl DeviceProfile {
    /// # Errors
    /// [`ProfileError`] for AES DUKPT in ID TECH frames: they have room for a 10-byte KSN only.
    pub fn new(format: Format, encryption: Encryption) -> Result<Self, ProfileError> {
        match (format, encryption) {
            (Format::IdTechEnhanced, Encryption::Aes(_)) => Err(ProfileError),
            _ => Ok(Self { format, encryption }),
        }
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
        match self.encryption {
            Encryption::Tdes(..) => Scheme::Tdes,
            Encryption::Aes(_) => Scheme::Aes,
        }
    }
}

/// Not the name of a profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such profile; see the table at DeviceProfile, for example idtech-tdes or track-aes-dukpt-128")]
pub struct ProfileError;

impl FromStr for DeviceProfile {
    type Err = ProfileError;

    fn from_str(name: &str) -> Result<Self, ProfileError> {
        let (format, rest) = name.split_once('-').ok_or(ProfileError)?;
        let format = match format {
            "idtech" => Format::IdTechEnhanced,
            "track" => Format::Track,
            _ => return Err(ProfileError),
        };
        let encryption = match rest.strip_prefix("aes-dukpt-") {
            Some(sizes) => Encryption::Aes(suite(sizes)?),
            None => tdes(rest)?,
        };
        Self::new(format, encryption)
    }
}

fn tdes(name: &str) -> Result<Encryption, ProfileError> {
    let (cipher, variant) = name.split_once('-').unwrap_or((name, "data"));
    let cipher = match cipher {
        "tdes" => Cipher::Tdes,
        "aes" => Cipher::Aes128,
        _ => return Err(ProfileError),
    };
    let variant = match variant {
        "data" if !name.contains('-') => Variant::DataRequest,
        "response" => Variant::DataResponse,
        "pin" => Variant::Pin,
        _ => return Err(ProfileError),
    };
    Ok(Encryption::Tdes(variant, cipher))
}

fn suite(name: &str) -> Result<Suite, ProfileError> {
    let (sizes, usage) = match name.strip_suffix("-both") {
        Some(sizes) => (sizes, DataUsage::Both),
        None => (name, DataUsage::Encrypt),
    };
    let size = |bits: &str| match bits {
        "128" => Ok(KeyType::Aes128),
        "192" => Ok(KeyType::Aes192),
        "256" => Ok(KeyType::Aes256),
        _ => Err(ProfileError),
    };
    let (base, data) = match sizes.split_once('-') {
        Some((base, data)) if base != data => (size(base)?, size(data)?),
        Some(_) => return Err(ProfileError),
        None => (size(sizes)?, size(sizes)?),
    };
    Suite::new(base, data, usage).map_err(|_| ProfileError)
}

impl fmt::Display for DeviceProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.format {
            Format::IdTechEnhanced => "idtech",
            Format::Track => "track",
        })?;
        match self.encryption {
            Encryption::Tdes(variant, cipher) => {
                f.write_str(match cipher {
                    Cipher::Tdes => "-tdes",
                    Cipher::Aes128 => "-aes",
                })?;
                f.write_str(match variant {
                    Variant::DataRequest => "",
                    Variant::DataResponse => "-response",
                    Variant::Pin => "-pin",
                })
            }
            Encryption::Aes(suite) => {
                write!(f, "-aes-dukpt-{}", suite.base().length() * 8)?;
                if suite.data() != suite.base() {
                    write!(f, "-{}", suite.data().length() * 8)?;
                }
                f.write_str(match suite.usage() {
                    DataUsage::Encrypt => "",
                    DataUsage::Both => "-both",
                })
            }
        }
    }
}
