//! An open token: found, logged in, and kept so.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use cryptoki::{
    error::{Error, RvError},
    session::{Session, UserType},
    slot::Slot,
};

use cryptoki_sys::CKR_GENERAL_ERROR;

use crate::{
    OpenError, Pkcs11Store, Settings,
    failure::{Failure, device},
    module::{ModuleUse, alone},
};

/// An open token with its user logged in. Share it between threads; each opens a [`Pkcs11Store`] of its own.
///
/// The login belongs to the application: it lasts until the token and its last store are dropped.
pub struct Token(Arc<Open>);

/// What the token and its stores share. The anchor session is closed before the module is released.
pub(crate) struct Open {
    // Closing the last session would log out, so this one stays open. It runs no operation.
    _anchor: Mutex<Session>,
    pub(crate) module: ModuleUse,
    pub(crate) allow_unsafe_keys: bool,
    slot: Slot,
    info: TokenInfo,
}

/// Which token this is, as it describes itself: for logs, reports and support cases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenInfo {
    /// The module's file, links resolved.
    pub module: PathBuf,
    /// Who made the token.
    pub manufacturer: String,
    /// The model.
    pub model: String,
    /// The serial number.
    pub serial: String,
    /// The label that it was given.
    pub label: String,
    /// Firmware version, as in `2.6`.
    pub firmware: String,
    /// Hardware version, as in `2.6`.
    pub hardware: String,
    /// What the module calls itself.
    pub library: String,
    /// The module's version, as in `2.6`.
    pub library_version: String,
}

impl Token {
    /// Loads the module, finds the token and logs in. The PIN is read when the token is found, and tried once.
    ///
    /// A second token of the same module may be opened in the same process; if the user of this token is logged in
    /// already, the PIN may not be checked again.
    ///
    /// # Errors
    /// [`OpenError`]. Do not try again after [`OpenError::WrongPin`]: tokens lock.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let module = ModuleUse::open(&settings.module, settings.init.as_deref())?;
        let (slot, info) = find(&module, settings)?;
        let anchor = module.pkcs11.open_ro_session(slot).map_err(device("C_OpenSession"))?;
        let pin = settings.pin.read(&info.label)?;
        match alone(|| anchor.login_with_raw(UserType::User, &pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            // Of a login, the other two say as well that this is not the PIN.
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                return Err(OpenError::WrongPin);
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => return Err(OpenError::PinLocked),
            Err(error) => return Err(device("C_Login")(error)),
        }
        let allow_unsafe_keys = settings.allow_unsafe_keys;
        Ok(Self(Arc::new(Open { _anchor: Mutex::new(anchor), module, allow_unsafe_keys, slot, info })))
    }

    /// A store for one worker: one read-only session, which is enough for derived keys.
    ///
    /// # Errors
    /// [`OpenError::Device`]: the token has no session left, or is gone.
    pub fn store(&self) -> Result<Pkcs11Store, OpenError> {
        let session = self.0.module.pkcs11.open_ro_session(self.0.slot);
        Ok(Pkcs11Store::new(session.map_err(device("C_OpenSession"))?, Arc::clone(&self.0)))
    }

    /// A store for ceremonies: one read-write session, which can make and delete permanent keys.
    ///
    /// # Errors
    /// As [`Token::store`]; a write-protected token has no such session.
    pub fn admin(&self) -> Result<Pkcs11Store, OpenError> {
        let session = self.0.module.pkcs11.open_rw_session(self.0.slot);
        Ok(Pkcs11Store::new(session.map_err(device("C_OpenSession"))?, Arc::clone(&self.0)))
    }

    /// Which token this is.
    #[must_use]
    pub fn info(&self) -> &TokenInfo {
        &self.0.info
    }

    /// The mechanisms that the token lists (`CKM_…` numbers). A list is no proof: some are listed and fail when run.
    ///
    /// # Errors
    /// [`OpenError::Device`].
    pub fn mechanisms(&self) -> Result<Vec<u64>, OpenError> {
        let listed = self.0.module.calls.mechanisms(self.0.slot.into());
        listed.map_err(|failure| match failure {
            Failure::Code { function, code } => OpenError::Device { function, code },
            _ => OpenError::Device { function: "C_GetMechanismList", code: CKR_GENERAL_ERROR },
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.0.info).finish()
    }
}

fn find(module: &ModuleUse, settings: &Settings) -> Result<(Slot, TokenInfo), OpenError> {
    let wanted = &settings.token;
    let (mut fitting, mut labels) = (Vec::new(), Vec::new());
    if wanted.fits_module(&module.path) {
        for slot in module.pkcs11.get_slots_with_token().map_err(device("C_GetSlotList"))? {
            // One broken reader must not hide the token in another.
            let Ok(info) = module.pkcs11.get_token_info(slot) else { continue };
            // A token without a label is not initialised: it has no keys.
            if info.label().is_empty() {
                continue;
            }
            labels.push(info.label().to_owned());
            if wanted.fits_token(slot.id(), &info) {
                fitting.push((slot, info));
            }
        }
    }
    match &fitting[..] {
        [(slot, info)] => Ok((*slot, describe(module, info)?)),
        [] => Err(OpenError::TokenNotFound { module: module.path.clone(), wanted: wanted.to_string(), found: labels }),
        several => Err(OpenError::TokenAmbiguous {
            module: module.path.clone(),
            wanted: wanted.to_string(),
            count: several.len(),
        }),
    }
}

fn describe(module: &ModuleUse, info: &cryptoki::slot::TokenInfo) -> Result<TokenInfo, OpenError> {
    let library = module.pkcs11.get_library_info().map_err(device("C_GetInfo"))?;
    Ok(TokenInfo {
        module: module.path.clone(),
        manufacturer: info.manufacturer_id().to_owned(),
        model: info.model().to_owned(),
        serial: info.serial_number().to_owned(),
        label: info.label().to_owned(),
        firmware: info.firmware_version().to_string(),
        hardware: info.hardware_version().to_string(),
        library: library.library_description().to_owned(),
        library_version: library.library_version().to_string(),
    })
}
