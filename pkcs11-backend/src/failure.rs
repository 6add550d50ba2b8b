//! What a call of the module came to, and what that means for the one who asked a key.

use cryptoki::error::{Error, Rv, RvError};
use cryptoki_sys::*;
use dukpt::KeyError;

use crate::{
    OpenError,
    fault::{Fault, Suspicion},
};

/// A call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The function returned another code than `CKR_OK`.
    Code { function: &'static str, code: CK_RV },
    /// The function succeeded, with a result of the wrong length.
    Length { function: &'static str },
    /// The key is of another kind than the operation needs; nothing was called.
    WrongKind,
}

impl Failure {
    /// The handle is of an object that is gone: find it again.
    pub(crate) fn is_stale_handle(self) -> bool {
        matches!(self, Self::Code { code: CKR_OBJECT_HANDLE_INVALID | CKR_KEY_HANDLE_INVALID, .. })
    }

    /// What it says of session and token; `None` if it is an answer.
    pub(crate) fn suspicion(self) -> Option<Suspicion> {
        match self {
            Self::Code { function, code } => Suspicion::of(Fault { function, code }),
            Self::Length { .. } | Self::WrongKind => None,
        }
    }

    /// The token does not know an attribute of the template, or not with this value. NSS says `CKR_GENERAL_ERROR`.
    pub(crate) fn is_refused_template(self) -> bool {
        let refusals =
            [CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_GENERAL_ERROR];
        matches!(self, Self::Code { code, .. } if refusals.contains(&code))
    }

    /// The error of an operation that runs `mechanism`.
    pub(crate) fn in_mechanism(self, mechanism: &'static str) -> KeyError {
        match self {
            // A key whose size the mechanism does not take, as HMAC keys under 32 bytes: the store cannot do it.
            Self::Code { code: CKR_MECHANISM_INVALID | CKR_FUNCTION_NOT_SUPPORTED | CKR_KEY_SIZE_RANGE, .. } => {
                KeyError::Unsupported(mechanism)
            }
            Self::Code { code: CKR_KEY_FUNCTION_NOT_PERMITTED, .. } | Self::WrongKind => KeyError::NotPermitted,
            Self::Code { function, code } => KeyError::Device { function, code },
            // The token's fault, not the data's: those were checked before the call.
            Self::Length { function } => KeyError::Device { function, code: CKR_GENERAL_ERROR },
        }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Code { function, code } => Self::Device { function, code },
            Failure::Length { function } => Self::Device { function, code: CKR_GENERAL_ERROR },
            Failure::WrongKind => Self::Device { function: "", code: CKR_GENERAL_ERROR },
        }
    }
}

impl From<Failure> for KeyError {
    /// The error of a call that runs no mechanism: a missing function is what is not supported.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Code { function, .. } | Failure::Length { function } => failure.in_mechanism(function),
            Failure::WrongKind => KeyError::NotPermitted,
        }
    }
}

/// Turns an error of `cryptoki` into the function and its return code.
pub(crate) fn device(function: &'static str) -> impl Fn(Error) -> OpenError {
    move |error| OpenError::Device { function, code: code(&error) }
}

/// The return code behind an error of `cryptoki`, which has no way to tell it.
fn code(error: &Error) -> CK_RV {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), _) => Some(*code),
        Error::Pkcs11(error, _) => OPENING.into_iter().find(|code| Rv::from(*code) == Rv::Error(*error)),
        Error::NullFunctionPointer => Some(CKR_FUNCTION_NOT_SUPPORTED),
        _ => None,
    }
    .unwrap_or(CKR_GENERAL_ERROR)
}

/// What initialising, opening a session and logging in may return (PKCS#11 5.4 to 5.6).
const OPENING: [CK_RV; 40] = [
    CKR_HOST_MEMORY,
    CKR_SLOT_ID_INVALID,
    CKR_GENERAL_ERROR,
    CKR_FUNCTION_FAILED,
    CKR_ARGUMENTS_BAD,
    CKR_NEED_TO_CREATE_THREADS,
    CKR_CANT_LOCK,
    CKR_DEVICE_ERROR,
    CKR_DEVICE_MEMORY,
    CKR_DEVICE_REMOVED,
    CKR_FUNCTION_CANCELED,
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_EXPIRED,
    CKR_PIN_LOCKED,
    CKR_PIN_TOO_WEAK,
    CKR_SESSION_CLOSED,
    CKR_SESSION_COUNT,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED,
    CKR_SESSION_READ_ONLY,
    CKR_SESSION_READ_ONLY_EXISTS,
    CKR_SESSION_READ_WRITE_SO_EXISTS,
    CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED,
    CKR_TOKEN_WRITE_PROTECTED,
    CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_PIN_NOT_INITIALIZED,
    CKR_USER_TOO_MANY_TYPES,
    CKR_USER_TYPE_INVALID,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_LIBRARY_LOAD_FAILED,
    CKR_FIPS_SELF_TEST_FAILED,
    CKR_FUNCTION_REJECTED,
];
