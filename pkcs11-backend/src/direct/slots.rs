//! The calls that need no session: initialisation, slots, and what is in them.

use std::{ffi::CStr, ptr};

use cryptoki_sys::{
    CK_BBOOL, CK_C_INITIALIZE_ARGS, CK_INFO, CK_MECHANISM_TYPE, CK_SLOT_ID, CK_TOKEN_INFO, CK_TRUE, CK_VERSION,
    CKF_OS_LOCKING_OK,
};

use super::{Calls, Noting, check};
use crate::failure::Failure;

/// What a token says of itself.
pub(crate) struct About {
    pub(crate) label: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) serial: String,
    pub(crate) firmware: String,
    pub(crate) hardware: String,
}

impl Calls {
    /// `C_Initialize` for many threads, with the module's own initialisation string where it wants one.
    pub(crate) fn initialize(&self, init: Option<&CStr>) -> Result<(), Failure> {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            // Modules that take one read a C string there.
            pReserved: init.map_or(ptr::null_mut(), |init| init.as_ptr().cast_mut().cast()),
        };
        call!(self.list, C_Initialize, (&raw mut arguments).cast())
    }

    /// `C_Finalize`.
    pub(crate) fn finalize(&self) -> Result<(), Failure> {
        call!(self.list, C_Finalize, ptr::null_mut())
    }

    /// The slots that have a token.
    pub(crate) fn slots(&self) -> Result<Vec<CK_SLOT_ID>, Failure> {
        const WITH_TOKEN: CK_BBOOL = CK_TRUE;
        let mut count = 0;
        call!(self.list, C_GetSlotList, WITH_TOKEN, ptr::null_mut(), &raw mut count)?;
        // No module has thousands. A token that comes between the two calls is an error of the second one.
        count = count.min(4096);
        let mut slots = vec![0; usize::try_from(count).unwrap_or_default()];
        call!(self.list, C_GetSlotList, WITH_TOKEN, slots.as_mut_ptr(), &raw mut count)?;
        slots.truncate(usize::try_from(count).unwrap_or_default());
        Ok(slots)
    }

    /// What the token in a slot says of itself.
    pub(crate) fn token(&self, slot: CK_SLOT_ID) -> Result<About, Failure> {
        let mut info = CK_TOKEN_INFO::default();
        call!(self.list, C_GetTokenInfo, slot, &raw mut info)?;
        Ok(About {
            label: text(&info.label),
            manufacturer: text(&info.manufacturerID),
            model: text(&info.model),
            serial: text(&info.serialNumber),
            firmware: version(info.firmwareVersion),
            hardware: version(info.hardwareVersion),
        })
    }

    /// What the module calls itself, and its version.
    pub(crate) fn library(&self) -> Result<(String, String), Failure> {
        let mut info = CK_INFO::default();
        call!(self.list, C_GetInfo, &raw mut info)?;
        Ok((text(&info.libraryDescription), version(info.libraryVersion)))
    }

    /// The mechanisms of a slot as plain numbers.
    pub(crate) fn mechanisms(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>, Failure> {
        let mut count = 0;
        call!(self.list, C_GetMechanismList, slot, ptr::null_mut(), &raw mut count)?;
        // No token has thousands; a module that says so is not believed.
        count = count.min(4096);
        let mut mechanisms = vec![0; usize::try_from(count).unwrap_or_default()];
        call!(self.list, C_GetMechanismList, slot, mechanisms.as_mut_ptr(), &raw mut count)?;
        mechanisms.truncate(usize::try_from(count).unwrap_or_default());
        Ok(mechanisms)
    }
}

/// A field, which is padded with blanks.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim_end_matches(' ').to_string()
}

fn version(CK_VERSION { major, minor }: CK_VERSION) -> String {
    format!("{major}.{minor}")
}
