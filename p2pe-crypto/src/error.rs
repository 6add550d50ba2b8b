//! The one error of the story, an arm a chapter.

use dukpt::{KeyError, KsnPrefix};

use crate::PayloadError;

/// Why a payload did not become card data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a payload that can be taken. Nothing was decrypted.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No configured device population has this KSN prefix (its default length is shown). Nothing was decrypted.
    #[error("no device is configured for KSNs that begin with {0}")]
    UnknownDevice(KsnPrefix),
    /// The payload is of another format, scheme or cipher than its device's profile. Nothing was decrypted.
    #[error("the payload does not fit the profile {0} of its device")]
    ProfileMismatch(crate::DeviceProfile),
    /// The key store could not do its part.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The clear text is not that of a card: wrong key, wrong profile or damaged data. Which, is not told.
    #[error("the payload could not be decrypted to card data")]
    DecryptFailed,
}

impl Error {
    /// A stable name of what went wrong, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Payload(error) => error.code(),
            Self::UnknownDevice(_) => "unknown_device",
            Self::ProfileMismatch(_) => "profile_mismatch",
            Self::Key(error) => error.code(),
            Self::DecryptFailed => "decrypt_failed",
        }
    }
}
