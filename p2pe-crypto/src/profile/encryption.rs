//! Which key and cipher a device encrypts with, and what that is called.

use core::{fmt, str::FromStr};

use dukpt::{
    Scheme,
    aes::{DataUsage, KeyType, Suite},
    tdes::{Cipher, Variant},
};

use super::ProfileError;

/// Which key and cipher a device encrypts with. Has a name: [`FromStr`] and [`fmt::Display`] agree.
///
/// | name | meaning |
/// |---|---|
/// | `tdes` | TDES DUKPT, request data key, TDES |
/// | `aes` | the same 16-byte key used as an AES-128 key |
/// | `tdes-pin`, `aes-pin` | the PIN-variant key used for data |
/// | `tdes-response`, `aes-response` | the response data key |
/// | `aes-dukpt-128`, `-192`, `-256` | AES DUKPT; data key as long as the base key |
/// | `aes-dukpt-256-128` | a 256-bit base key and a 128-bit data key (also `256-192`, `192-128`) |
/// | `aes-dukpt-128-both` | the data key of usage `3002`, both ways |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encryption {
    /// TDES DUKPT (10-byte KSN): the key variant, and the cipher that runs under it.
    Tdes(Variant, Cipher),
    /// AES DUKPT (12-byte KSN), AES-CBC.
    Aes(Suite),
}

impl Encryption {
    /// Each that there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let tdes = [Cipher::Tdes, Cipher::Aes128].into_iter().flat_map(|cipher| {
            [Variant::DataRequest, Variant::Pin, Variant::DataResponse].map(|variant| Self::Tdes(variant, cipher))
        });
        let sizes = [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256];
        let pairs = sizes.into_iter().flat_map(move |base| sizes.map(|data| (base, data)));
        let suites = pairs.flat_map(|(base, data)| {
            [DataUsage::Encrypt, DataUsage::Both].map(|usage| Suite::new(base, data, usage)).into_iter().flatten()
        });
        tdes.chain(suites.map(Self::Aes))
    }

    /// Bytes of a block of its cipher: 8 or 16.
    #[must_use]
    pub fn block(self) -> usize {
        match self {
            Self::Tdes(_, cipher) => cipher.block(),
            Self::Aes(_) => Cipher::Aes128.block(),
        }
    }

    /// The scheme of the KSNs that such devices send.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Tdes(..) => Scheme::Tdes,
            Self::Aes(_) => Scheme::Aes,
        }
    }
}

impl FromStr for Encryption {
    type Err = ProfileError;

    fn from_str(name: &str) -> Result<Self, ProfileError> {
        Self::all().find(|encryption| super::Name::of(encryption).as_str() == name).ok_or(ProfileError::Encryption)
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tdes(variant, cipher) => {
                f.write_str(match cipher {
                    Cipher::Tdes => "tdes",
                    Cipher::Aes128 => "aes",
                })?;
                f.write_str(match variant {
                    Variant::DataRequest => "",
                    Variant::DataResponse => "-response",
                    Variant::Pin => "-pin",
                })
            }
            Self::Aes(suite) => {
                write!(f, "aes-dukpt-{}", suite.base().length() * 8)?;
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
