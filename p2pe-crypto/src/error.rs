//! The one error of the story, an arm a chapter.

use dukpt::{KeyError, KsnPrefix};

use crate::{Candidates, DeviceProfile, PayloadError, Refusal};

/// Why a payload did not become card data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a payload that can be taken. Nothing was decrypted.
    #[error(transparent)]
    Payload(#[from] Refusal),
    /// No configured device population has this KSN prefix (its default length is shown). Nothing was decrypted. The
    /// profiles that such a device may have.
    #[error("no device is configured for KSNs that begin with {0}; profiles that fit the payload: {1}")]
    UnknownDevice(KsnPrefix, Candidates),
    /// The payload is of another format, scheme, cipher or scope than its device's profile, or lacks its MAC. Nothing was
    /// decrypted. The profiles that fit it.
    #[error("the payload does not fit the profile {0} of its device; profiles that fit it: {1}")]
    ProfileMismatch(DeviceProfile, Candidates),
    /// The key store could not do its part.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The clear text is not that of a card: wrong key, wrong profile or damaged data. Which, is not told.
    #[error("the payload could not be decrypted to card data")]
    DecryptFailed,
}

/// Found in the clear text: no place in the payload tells of it.
impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error.into())
    }
}

impl Error {
    /// A stable name of what went wrong, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Payload(error) => error.code(),
            Self::UnknownDevice(..) => "unknown_device",
            Self::ProfileMismatch(..) => "profile_mismatch",
            Self::Key(error) => error.code(),
            Self::DecryptFailed => "decrypt_failed",
        }
    }
}
