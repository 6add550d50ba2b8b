//! What a failed call says of the session and the token, and what helps.

use std::{cell::Cell, fmt};

use cryptoki_sys::*;

/// A call that failed because of the session, the token or the way to it: no answer to what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The function, as in `C_DeriveKey`.
    pub function: &'static str,
    /// Its return code (PKCS#11 `CK_RV`).
    pub code: u64,
}

impl Fault {
    /// A new session may help.
    pub(crate) fn is_of_session(self) -> bool {
        matches!(Suspicion::of(self), Some(Suspicion { remedy: Remedy::NewSession, .. }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with {:#x}", self.function, self.code)
    }
}

/// What helps, from mild to strong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Remedy {
    /// A new session, in which every key is found and derived again.
    NewSession,
    /// All sessions closed, the module finalised and initialised, and a new login.
    Reopen,
}

/// A fault, and what helps against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Suspicion {
    pub(crate) fault: Fault,
    pub(crate) remedy: Remedy,
}

impl Suspicion {
    /// `None` if the code is an answer, as that a key may not do something: to ask again would not change it.
    pub(crate) fn of(fault: Fault) -> Option<Self> {
        let remedy = match fault.code {
            // The session is gone or stuck in an operation; the object is gone, and derived ones go with their session;
            // the module has a trouble that it does not name, as vendors' own codes are.
            CKR_SESSION_HANDLE_INVALID
            | CKR_SESSION_CLOSED
            | CKR_OPERATION_ACTIVE
            | CKR_OPERATION_NOT_INITIALIZED
            | CKR_OBJECT_HANDLE_INVALID
            | CKR_KEY_HANDLE_INVALID
            | CKR_GENERAL_ERROR
            | CKR_FUNCTION_FAILED
            | CKR_FUNCTION_CANCELED
            | CKR_HOST_MEMORY
            | CKR_DEVICE_MEMORY
            | CKR_VENDOR_DEFINED.. => Remedy::NewSession,
            CKR_USER_NOT_LOGGED_IN
            | CKR_CRYPTOKI_NOT_INITIALIZED
            | CKR_DEVICE_ERROR
            | CKR_DEVICE_REMOVED
            | CKR_TOKEN_NOT_PRESENT
            | CKR_TOKEN_NOT_RECOGNIZED
            | CKR_SLOT_ID_INVALID
            | CKR_SESSION_COUNT => Remedy::Reopen,
            _ => return None,
        };
        Some(Self { fault, remedy })
    }

    /// It may be the data's fault: a module that does not tell bad data from its own troubles was given some.
    pub(crate) fn may_be_the_data(&self) -> bool {
        ["C_Decrypt", "C_Encrypt", "C_Sign"].contains(&self.fault.function) && self.remedy == Remedy::NewSession
    }
}

/// Notes a suspicion, if it is worse than the one that is there.
pub(crate) fn note(place: &Cell<Option<Suspicion>>, new: Option<Suspicion>) {
    if let Some(new) = new
        && place.get().is_none_or(|old| old.remedy < new.remedy)
    {
        place.set(Some(new));
    }
}
