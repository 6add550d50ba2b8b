//! Why a token cannot be opened.

use std::{error::Error, fmt, io, path::PathBuf};

use cryptoki_sys::CKR_GENERAL_ERROR;
use dukpt::{KeyError, KeyId};

/// Why a token cannot be opened. No variant carries a PIN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file.
    #[error("no PKCS#11 module at {}", .0.display())]
    ModuleNotFound(PathBuf),
    /// The file is no PKCS#11 module of this machine.
    #[error("{} cannot be loaded as a PKCS#11 module: {reason}", module.display())]
    ModuleNotLoadable {
        /// The module.
        module: PathBuf,
        /// What the loader says.
        reason: Box<dyn Error + Send + Sync>,
    },
    /// This process uses the module already, initialised with another string.
    #[error("{} is in use in this process with another initialisation string", .0.display())]
    InitMismatch(PathBuf),
    /// No token of the module is the one looked for.
    #[error("{} has no token {wanted}; it has {}", module.display(), Listed(found))]
    TokenNotFound {
        /// The module.
        module: PathBuf,
        /// What was looked for, as a `pkcs11:` URI.
        wanted: String,
        /// The labels of the tokens that are there.
        found: Vec<String>,
    },
    /// Several tokens fit: name the serial number as well.
    #[error("{} has {count} tokens {wanted}: name the serial number too", module.display())]
    TokenAmbiguous {
        /// The module.
        module: PathBuf,
        /// What was looked for, as a `pkcs11:` URI.
        wanted: String,
        /// How many there are.
        count: usize,
    },
    /// The PIN file cannot be read.
    #[error("cannot read the PIN from {}: {source}", path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The environment variable for the PIN is not set.
    #[error("the environment variable {0} with the PIN is not set")]
    PinVariable(String),
    /// Nobody can be asked for the PIN.
    #[error("cannot ask for the PIN: {0}")]
    PinPrompt(io::Error),
    /// The PIN is empty. It was not tried: a token counts each wrong one.
    #[error("the PIN is empty")]
    PinEmpty,
    /// The PIN is wrong. It was tried once and is not tried again: a token locks after a few.
    #[error("the token refuses the PIN")]
    WrongPin,
    /// The token has locked the PIN: its security officer must reset it.
    #[error("the PIN is locked")]
    PinLocked,
    /// The PIN was never set, or has expired: it must be changed before anybody can log in.
    #[error("the PIN must be set or changed first")]
    PinToChange,
    /// The token that is open now is another one than before.
    #[error("this is the token {found}, and it was {wanted} before")]
    OtherToken {
        /// The token that was opened first, as a `pkcs11:` URI.
        wanted: String,
        /// The one that is there now.
        found: String,
    },
    /// A self-test gave a wrong answer, by its name: host or token computes wrongly, and is not used.
    #[error("self-test {0} failed: nothing is served")]
    SelfTest(&'static str),
    /// The token is open again, and a key of it is another one than before.
    #[error("key {0} is another one than before")]
    OtherKey(KeyId),
    /// The module cannot be copied for a second shard.
    #[error("cannot copy {}: {source}", module.display())]
    Copy {
        /// The module.
        module: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A worker's thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The module failed.
    #[error("{function} failed with {code:#x}")]
    Device {
        /// The function, as in `C_OpenSession`.
        function: &'static str,
        /// Its return code (PKCS#11 `CK_RV`).
        code: u64,
    },
}

impl From<KeyError> for OpenError {
    /// Of what is executed while a token is opened.
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::SelfTest(test) => Self::SelfTest(test),
            KeyError::Device { function, code } => Self::Device { function, code },
            _ => Self::Device { function: "", code: CKR_GENERAL_ERROR },
        }
    }
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("none"),
            labels => write!(f, "{labels:?}"),
        }
    }
}
