//! What a call of the module came to, and what that means for the one who asked a key.

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
