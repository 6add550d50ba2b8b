//! What went wrong, the exit code it has, and what to do next.

use dukpt::KeyError;
use p2pe_config::{ConfigError, SealError};
use p2pe_crypto::{Error, PayloadError, Refusal};
use pkcs11_backend::OpenError;

const OUT_OF_SERVICE: &str = "this host or token computes wrongly: take it out of service; p2pe selftest tells more";

/// A command that did not succeed.
pub(crate) struct Failure {
    pub(crate) exit: u8,
    /// Stable name of what went wrong.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: &'static str,
    /// The byte of the payload that is at fault.
    pub(crate) offset: Option<usize>,
}

impl Failure {
    pub(crate) fn new(exit: u8, code: &'static str, message: impl ToString, hint: &'static str) -> Self {
        Self { exit, code, message: message.to_string(), hint, offset: None }
    }

    pub(crate) fn usage(message: impl ToString, hint: &'static str) -> Self {
        Self::new(2, "usage", message, hint)
    }

    pub(crate) fn output(error: impl ToString) -> Self {
        Self::new(1, "output", error, "check that the place can be written to")
    }

    pub(crate) fn config(message: impl ToString, hint: &'static str) -> Self {
        Self::new(3, "config", message, hint)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Open(error) => error.into(),
            ConfigError::Key(error) => error.into(),
            ConfigError::Seal(SealError::Key(error)) => error.into(),
            ConfigError::Seal(error) => Self::new(
                3,
                "config_seal",
                error,
                "find out who changed the settings; then look them through, and p2pe config seal them again",
            ),
            error => Self::config(error, "correct the settings; p2pe --help shows an example and the profiles"),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let hint = match &error {
            OpenError::ModuleNotFound(_) => {
                "install the HSM's PKCS#11 module (SoftHSM: apt install softhsm2), or correct the path"
            }
            OpenError::ModuleNotLoadable { .. } => "the path must name a PKCS#11 module of this machine's architecture",
            OpenError::TokenNotFound { .. } => {
                "correct the label, or initialise the token; SoftHSM finds its tokens through $SOFTHSM2_CONF"
            }
            OpenError::Device { function: "C_Initialize", .. } => {
                "the module does not start; SoftHSM needs $SOFTHSM2_CONF to name a readable file and folder of tokens"
            }
            OpenError::SelfTest(_) => return Self::new(9, "self_test", error, OUT_OF_SERVICE),
            OpenError::WrongPin => "check the PIN before trying again: tokens lock after a few wrong ones",
            OpenError::PinLocked => "the security officer must reset the PIN",
            OpenError::PinVariable(_) | OpenError::PinFile { .. } | OpenError::PinEmpty | OpenError::PinPrompt(_) => {
                "give the PIN with --pin-file, --pin-env or the pin setting"
            }
            _ => "check that the HSM is up and has a free session",
        };
        Self::new(8, "token_open", error, hint)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let hint = match &error {
            KeyError::SelfTest(_) => return Self::new(9, error.code(), &error, OUT_OF_SERVICE),
            KeyError::NotFound(_) => "import it with p2pe keys import, or correct base_key or key in the settings",
            KeyError::Ambiguous(_) => "delete all but one with the HSM's own tool",
            KeyError::AlreadyExists(_) => "choose another name, or delete the old key first",
            KeyError::Pending(_) | KeyError::Expired(_) | KeyError::Retired(_) => {
                "p2pe keys list shows each key's state: activate the next key, or name a past one in still_decrypt of the settings"
            }
            KeyError::VariantMismatch(_) => "delete the key and import it again: both keys are made together",
            KeyError::NameMismatch(_) => {
                "as tdes-dukpt:FFFF987654:v2 or aes-dukpt:12345678:v1; or choose a name of another form"
            }
            KeyError::NotPermitted => "the key is of another kind or size than the profile says; see p2pe keys list",
            KeyError::Exhausted(_) => "no KSN follows the last one of a device: begin at a lower counter",
            KeyError::HybridForbidden => {
                "allow the hybrid in the settings, or use a token that runs TDES DUKPT by itself"
            }
            KeyError::NotRecorded => "check that the audit folder can be written to and has room",
            KeyError::Unsupported(_) => "this token cannot do it; see p2pe selftest",
            KeyError::UnsafeAttribute { .. } => {
                "import the key again with p2pe keys import, or set allow_unsafe_keys = true while you migrate"
            }
            _ => "look up the return code in the HSM's manual; see p2pe selftest",
        };
        Self::new(7, error.code(), &error, hint)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (exit, hint) = match refusal.error {
            PayloadError::ClearAccountData => (5, "wipe every copy of this payload and have the device checked"),
            PayloadError::Truncated => (4, "read the payload to its end"),
            PayloadError::MissingStxNibble => (4, "put a 0 in front"),
            PayloadError::NotEncrypted => (4, "set the device to encrypt (security level 3 and encryption on)"),
            PayloadError::CiphertextLength => (4, "pass the ciphertext of each track by itself, in hex"),
            PayloadError::Unsupported(_) => (4, "set the device to plain enhanced output, or wait for a later version"),
            _ => (4, "pass on exactly what the device sent, with no character changed"),
        };
        Self { offset: refusal.offset, ..Self::new(exit, refusal.code(), refusal, hint) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match error {
            Error::Payload(error) => return error.into(),
            Error::Key(error) => return error.into(),
            Error::UnknownDevice(..) => {
                return Self::new(3, error.code(), error, "add a [[device]] table for this KSN prefix");
            }
            Error::ProfileMismatch(..) => return Self::new(3, error.code(), error, "correct the device's profile"),
            _ => "check base key (its check value), profile (data or pin key, tdes or aes) and KSN, in this order",
        };
        Self::new(6, error.code(), error, hint)
    }
}
