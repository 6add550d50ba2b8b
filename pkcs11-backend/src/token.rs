//! An open token: found, logged in, and kept so.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cryptoki_sys::{
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_PIN_EXPIRED, CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED, CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID, CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_PIN_NOT_INITIALIZED,
};
use dukpt::{KeyError, KeyId};

use crate::{
    OpenError, Pkcs11Store, Settings, TokenSelector,
    direct::{About, Session},
    dukpt_mechanisms,
    failure::Failure,
    fault::Fault,
    module::{ModuleUse, alone},
    self_test::Witness,
};

/// An open token with its user logged in. Share it between threads; each opens a [`Pkcs11Store`] of its own.
///
/// The login belongs to the application: it lasts until the token and its last store are dropped.
pub struct Token(Arc<Open>);

/// What the token and its stores share. The module is finalised when the last of them is gone: as long as a store is
/// there, its session is one of this initialisation.
pub(crate) struct Open {
    // Closing the last session would log out, so this one stays open. It runs no operation after the opening.
    anchor: Session,
    pub(crate) module: ModuleUse,
    pub(crate) allow_unsafe_keys: bool,
    pub(crate) forbid_hybrid: bool,
    pub(crate) still_decrypt: Vec<KeyId>,
    pub(crate) recheck: Duration,
    /// The token runs TDES DUKPT by itself, as it has shown.
    pub(crate) derives_tdes: bool,
    /// The keys that were found.
    pub(crate) known: Mutex<BTreeSet<KeyId>>,
    /// Keys derived so far.
    pub(crate) derived: AtomicU64,
    /// The self-test that gave a wrong answer.
    pub(crate) failed: OnceLock<&'static str>,
    /// Who remembers the check values of keys, so that they can be compared when the token is opened again.
    pub(crate) witness: Option<Arc<Witness>>,
    /// A session could not be closed: what was derived in it stays until the module is finalised.
    left_open: AtomicBool,
    slot: u64,
    info: TokenInfo,
}

impl Open {
    /// Closes a session, at the second try if need be.
    pub(crate) fn close(&self, session: &Session) {
        const GONE: [u64; 3] = [CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_CRYPTOKI_NOT_INITIALIZED];
        let closed = || match self.module.calls.close(session) {
            Err(Failure::Code { code, .. }) => GONE.contains(&code),
            _ => true,
        };
        if !closed() && !closed() {
            self.left_open.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close(&self.anchor);
    }
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

impl TokenInfo {
    /// Whether this is the same token, whatever has become of its firmware and its module.
    pub(crate) fn is_same_token(&self, other: &Self) -> bool {
        let identity = |info: &Self| [&info.manufacturer, &info.model, &info.serial, &info.label].map(Clone::clone);
        identity(self) == identity(other)
    }
}

impl fmt::Display for TokenInfo {
    /// As a `pkcs11:` URI that names this token only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |value: &String| Some(value.clone());
        let selector = TokenSelector {
            token: named(&self.label),
            manufacturer: named(&self.manufacturer),
            model: named(&self.model),
            serial: named(&self.serial),
            ..TokenSelector::default()
        };
        selector.fmt(f)
    }
}

impl Token {
    /// Loads the module, finds the token and logs in. The PIN is read when the token is found, and tried once.
    ///
    /// A second token of the same module may be opened in the same process; if the user of this token is logged in
    /// already, the PIN may not be checked again.
    ///
    /// Before it is there, known answers are executed on the host and in the token: [`Pkcs11Store::self_test`].
    ///
    /// # Errors
    /// [`OpenError`]. Do not try again after [`OpenError::WrongPin`]: tokens lock.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_before(settings, None)
    }

    /// The same, and the keys that the witness has seen must be the same ones.
    pub(crate) fn open_before(settings: &Settings, witness: Option<&Arc<Witness>>) -> Result<Self, OpenError> {
        let token = Self::log_in(settings, witness)?;
        let mut store = token.store()?;
        if let Err(error) = store.self_test() {
            // Once more in a new session, if only the session is to blame.
            match error {
                KeyError::Device { function, code } if Fault { function, code }.is_of_session() => {}
                error => return Err(error.into()),
            }
            store = token.store()?;
            store.self_test()?;
        }
        if let Some(witness) = witness {
            witness.compare(&store)?;
        }
        let clean = store.left_nothing();
        drop(store);
        // A session that stays open, with nothing in it, is no reason to initialise again.
        token.0.left_open.fetch_and(!clean, Ordering::Relaxed);
        Ok(token)
    }

    fn log_in(settings: &Settings, witness: Option<&Arc<Witness>>) -> Result<Self, OpenError> {
        let module = ModuleUse::open(&settings.module, settings.init.as_deref())?;
        let (slot, info) = find(&module, settings)?;
        let anchor = module.calls.open(slot, false)?;
        let mut open = Open {
            anchor,
            module,
            allow_unsafe_keys: settings.allow_unsafe_keys,
            forbid_hybrid: settings.forbid_hybrid,
            still_decrypt: settings.still_decrypt.clone(),
            recheck: settings.recheck,
            derives_tdes: false,
            known: Mutex::default(),
            derived: AtomicU64::new(0),
            failed: OnceLock::new(),
            witness: witness.map(Arc::clone),
            left_open: AtomicBool::new(false),
            slot,
            info,
        };
        let pin = settings.pin.read(&open.info.label)?;
        let suspicion = Cell::new(None);
        match alone(|| open.module.calls.on(&open.anchor, &suspicion).login(&pin)) {
            Ok(()) | Err(Failure::Code { code: CKR_USER_ALREADY_LOGGED_IN, .. }) => {
                open.derives_tdes = dukpt_mechanisms::work(&open.module.calls, &open.anchor, open.slot)?;
                Ok(Self(Arc::new(open)))
            }
            // Of a login, the other two say as well that this is not the PIN.
            Err(Failure::Code { code: CKR_PIN_INCORRECT | CKR_PIN_INVALID | CKR_PIN_LEN_RANGE, .. }) => {
                Err(OpenError::WrongPin)
            }
            Err(Failure::Code { code: CKR_PIN_LOCKED, .. }) => Err(OpenError::PinLocked),
            Err(Failure::Code { code: CKR_PIN_EXPIRED | CKR_USER_PIN_NOT_INITIALIZED, .. }) => {
                Err(OpenError::PinToChange)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// A store for one worker: one read-only session, which is enough for derived keys.
    ///
    /// # Errors
    /// [`OpenError::Device`]: the token has no session left, or is gone.
    pub fn store(&self) -> Result<Pkcs11Store, OpenError> {
        self.session(false)
    }

    /// A store for ceremonies: one read-write session, which can make and delete permanent keys.
    ///
    /// # Errors
    /// As [`Token::store`]; a write-protected token has no such session.
    pub fn admin(&self) -> Result<Pkcs11Store, OpenError> {
        self.session(true)
    }

    fn session(&self, writable: bool) -> Result<Pkcs11Store, OpenError> {
        let session = self.0.module.calls.open(self.0.slot, writable)?;
        Ok(Pkcs11Store::new(session, Arc::clone(&self.0)))
    }

    /// The same token, for one more user.
    pub(crate) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// It has derived this many keys, or has some that cannot be destroyed: initialising again would free memory.
    pub(crate) fn is_worn(&self, keys: u64) -> bool {
        self.0.derived.load(Ordering::Relaxed) >= keys || self.0.left_open.load(Ordering::Relaxed)
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
        Ok(self.0.module.calls.mechanisms(self.0.slot)?)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.0.info).finish()
    }
}

fn find(module: &ModuleUse, settings: &Settings) -> Result<(u64, TokenInfo), OpenError> {
    let wanted = &settings.token;
    let (mut fitting, mut labels) = (Vec::new(), Vec::new());
    if wanted.fits_module(&module.path) {
        for slot in module.calls.slots()? {
            // One broken reader must not hide the token in another.
            let Ok(about) = module.calls.token(slot) else { continue };
            // A token without a label is not initialised: it has no keys.
            if about.label.is_empty() {
                continue;
            }
            labels.push(about.label.clone());
            if wanted.fits_token(slot, &about) {
                fitting.push((slot, about));
            }
        }
    }
    match fitting.len() {
        0 => Err(OpenError::TokenNotFound { module: module.path.clone(), wanted: wanted.to_string(), found: labels }),
        1 => {
            let (slot, about) = fitting.remove(0);
            Ok((slot, describe(module, about)?))
        }
        count => Err(OpenError::TokenAmbiguous { module: module.path.clone(), wanted: wanted.to_string(), count }),
    }
}

fn describe(module: &ModuleUse, about: About) -> Result<TokenInfo, OpenError> {
    let (library, library_version) = module.calls.library()?;
    let About { label, manufacturer, model, serial, firmware, hardware } = about;
    let module = module.path.clone();
    Ok(TokenInfo { module, manufacturer, model, serial, label, firmware, hardware, library, library_version })
}
