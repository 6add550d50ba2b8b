//! From the errors of the core to the exceptions of `p2pe_crypto/_errors.py`. The one place where a Python exception
//! is made.

use ::vault::{StoreError, VaultError};
use dukpt::KeyError;
use host_memory::LockError;
use p2pe_audit::{AuditError, LabelError};
use p2pe_config::{ConfigError, SealError};
use p2pe_crypto::{Error, ExpiryError, MerchantIdError, PanError, PayloadError, PolicyError, Refusal, TokenError};
use p2pe_vectors::LoadError;
use pkcs11_backend::{OpenError, PoolError};
use pyo3::{PyErr, exceptions::PyTypeError};

/// The exceptions' Python classes.
mod class {
    use pyo3::import_exception;

    import_exception!(p2pe_crypto._errors, Error);
    import_exception!(p2pe_crypto._errors, ArgumentError);
    import_exception!(p2pe_crypto._errors, AuditError);
    import_exception!(p2pe_crypto._errors, ConfigError);
    import_exception!(p2pe_crypto._errors, PayloadError);
    import_exception!(p2pe_crypto._errors, ClearAccountDataError);
    import_exception!(p2pe_crypto._errors, DeviceError);
    import_exception!(p2pe_crypto._errors, DecryptError);
    import_exception!(p2pe_crypto._errors, StoreError);
    import_exception!(p2pe_crypto._errors, TokenOpenError);
    import_exception!(p2pe_crypto._errors, WrongPinError);
    import_exception!(p2pe_crypto._errors, KeyStoreError);
    import_exception!(p2pe_crypto._errors, SelfTestError);
    import_exception!(p2pe_crypto._errors, MemoryProtectionError);
    import_exception!(p2pe_crypto._errors, PoolError);
    import_exception!(p2pe_crypto._errors, VaultError);
    import_exception!(p2pe_crypto._errors, CardError);
    import_exception!(p2pe_crypto._errors, UnknownTokenError);
    import_exception!(p2pe_crypto._errors, RateLimitedError);
    import_exception!(p2pe_crypto._errors, DatabaseError);
}

/// The code of [`class::SelfTestError`].
pub(crate) const SELF_TEST: &str = "self_test";
const TOKEN_OPEN: &str = "token_open";

/// Why a call from Python did not succeed.
pub(crate) enum Failure {
    /// An error of the core.
    Core(Error),
    /// Settings, key files, or the opening of a token.
    Config(ConfigError),
    /// Settings that only this binding can refuse.
    Settings(&'static str),
    /// A file of vectors.
    Vectors(LoadError),
    /// A vault, its database or what it was given.
    Vault(VaultError),
    /// Text that is no card number or expiry date, and its code.
    Card(String, &'static str),
    /// The vault was closed.
    VaultClosed,
    /// An argument that cannot be, and its code.
    Argument(String, &'static str),
    /// The audit log.
    Audit(AuditError),
    /// The store was closed, or broke in the middle of a call.
    Closed,
    /// The system does not keep this process's memory to itself.
    Memory(LockError),
    /// The pool has no result.
    Pool(PoolError),
    /// The report cannot be written.
    Report(serde_json::Error),
    /// An argument of another type; the text says of which type it must be.
    Type(&'static str),
    /// The object holds what must not be copied; its class.
    Copy(&'static str),
}

/// A variant for each error that `?` meets.
macro_rules! from {
    ($($error:ty => |$name:ident| $failure:expr),* $(,)?) => { $(
        impl From<$error> for Failure {
            fn from($name: $error) -> Self {
                $failure
            }
        }
    )* };
}

from! {
    Error => |error| Self::Core(error),
    Refusal => |refusal| Self::Core(refusal.into()),
    KeyError => |error| Self::Core(error.into()),
    ConfigError => |error| Self::Config(error),
    LoadError => |error| Self::Vectors(error),
    AuditError => |error| Self::Audit(error),
    LabelError => |error| Self::Argument(error.to_string(), "audit_actor"),
    MerchantIdError => |error| Self::Argument(error.to_string(), error.code()),
    PolicyError => |error| Self::Argument(error.to_string(), error.code()),
    PanError => |error| Self::Card(error.to_string(), error.code()),
    ExpiryError => |error| Self::Card(error.to_string(), error.code()),
    VaultError => |error| Self::Vault(error),
    StoreError => |error| Self::Vault(error.into()),
    OpenError => |error| Self::Config(error.into()),
    PoolError => |error| Self::Pool(error),
    serde_json::Error => |error| Self::Report(error),
}

impl From<p2pe_migrate::Error> for Failure {
    fn from(error: p2pe_migrate::Error) -> Self {
        match error {
            p2pe_migrate::Error::Vault(error) => Self::Vault(error),
            p2pe_migrate::Error::Token(TokenError::Key(error)) => Self::Vault(error.into()),
            p2pe_migrate::Error::Token(error) => Self::Vault(error.into()),
            error => Self::Argument(error.to_string(), error.code()),
        }
    }
}

impl Failure {
    /// An argument that cannot be.
    pub(crate) fn argument(message: &str, code: &'static str) -> Self {
        Self::Argument(message.into(), code)
    }

    /// The known answer that came out wrong, if that is why.
    pub(crate) fn self_test(&self) -> Option<&'static str> {
        match self {
            Self::Core(Error::Key(KeyError::SelfTest(test)))
            | Self::Config(ConfigError::Key(KeyError::SelfTest(test)) | ConfigError::Open(OpenError::SelfTest(test))) => {
                Some(test)
            }
            _ => None,
        }
    }

    /// The stable name of what went wrong with a payload, a card, a key or a token; nothing of other failures.
    pub(crate) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Core(error) => Some(error.code()),
            Self::Vault(error) => Some(error.code()),
            Self::Card(_, code) => Some(code),
            Self::Config(ConfigError::Open(OpenError::SelfTest(_))) | Self::Pool(PoolError::SelfTest) => {
                Some(SELF_TEST)
            }
            Self::Config(ConfigError::Open(_)) => Some(TOKEN_OPEN),
            _ => None,
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Core(error) => core(&error),
            Failure::Config(ConfigError::Open(error)) => token(&error),
            Failure::Config(ConfigError::Key(error) | ConfigError::Seal(SealError::Key(error))) => core(&error.into()),
            Failure::Config(error @ ConfigError::Seal(_)) => {
                class::ConfigError::new_err((error.to_string(), "config_seal"))
            }
            Failure::Config(error) => class::ConfigError::new_err((error.to_string(), "config")),
            Failure::Settings(message) => class::ConfigError::new_err((message, "config")),
            Failure::Vectors(error) => class::ConfigError::new_err((error.to_string(), "config")),
            Failure::Vault(error) => vault(&error),
            Failure::Card(message, code) => class::CardError::new_err((message, code)),
            Failure::VaultClosed => class::VaultError::new_err(("the vault is closed", "vault_closed")),
            Failure::Argument(message, code) => class::ArgumentError::new_err((message, code)),
            Failure::Audit(error) => class::AuditError::new_err((error.to_string(), error.code())),
            Failure::Closed => class::StoreError::new_err(("the store is closed", "store_closed")),
            Failure::Memory(error) => class::MemoryProtectionError::new_err((error.to_string(), "memory_not_locked")),
            Failure::Pool(error @ PoolError::SelfTest) => class::SelfTestError::new_err((error.to_string(), SELF_TEST)),
            Failure::Pool(error) => class::PoolError::new_err((error.to_string(), error.code())),
            Failure::Report(error) => class::Error::new_err((error.to_string(), "output")),
            Failure::Type(message) => PyTypeError::new_err(message),
            Failure::Copy(class) => PyTypeError::new_err(format!("cannot copy or pickle {class}")),
        }
    }
}

fn core(error: &Error) -> PyErr {
    let told = (error.to_string(), error.code());
    match error {
        Error::Payload(Refusal { error: PayloadError::ClearAccountData, offset }) => {
            class::ClearAccountDataError::new_err((told.0, told.1, *offset))
        }
        Error::Payload(refusal) => class::PayloadError::new_err((told.0, told.1, refusal.offset)),
        Error::UnknownDevice(..) | Error::ProfileMismatch(..) => class::DeviceError::new_err(told),
        Error::Key(KeyError::Device { function, code }) => {
            class::KeyStoreError::new_err((told.0, told.1, *function, *code))
        }
        Error::Key(KeyError::SelfTest(_)) => class::SelfTestError::new_err(told),
        Error::Key(_) => class::KeyStoreError::new_err(told),
        Error::DecryptFailed => class::DecryptError::new_err(told),
        _ => class::Error::new_err(told),
    }
}

fn vault(error: &VaultError) -> PyErr {
    let told = (error.to_string(), error.code());
    match error {
        VaultError::Key(error) | VaultError::Token(TokenError::Key(error)) => core(&error.clone().into()),
        VaultError::Unknown => class::UnknownTokenError::new_err(told),
        VaultError::RateLimited => class::RateLimitedError::new_err(told),
        VaultError::Name => class::ArgumentError::new_err(told),
        VaultError::Expiry => class::CardError::new_err(told),
        VaultError::Token(error) if *error != TokenError::Random => class::CardError::new_err(told),
        VaultError::Store(_) => class::DatabaseError::new_err(told),
        _ => class::VaultError::new_err(told),
    }
}

fn token(error: &OpenError) -> PyErr {
    let (message, code) = (error.to_string(), TOKEN_OPEN);
    match error {
        OpenError::SelfTest(_) => class::SelfTestError::new_err((message, SELF_TEST)),
        OpenError::WrongPin => class::WrongPinError::new_err((message, code)),
        OpenError::Device { function, code: returned } => {
            class::TokenOpenError::new_err((message, code, *function, *returned))
        }
        _ => class::TokenOpenError::new_err((message, code)),
    }
}
