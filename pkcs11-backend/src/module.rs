//! Modules in use by this process: each is loaded and initialised once, however many tokens are opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cryptoki::{
    context::Pkcs11,
    error::{Error, RvError},
};

use crate::{
    OpenError,
    direct::{self, Calls},
    failure::device,
};

/// The lock also serialises `C_Initialize` and `C_Finalize`, which modules do not.
static MODULES: Mutex<Modules> = Mutex::new(Modules { in_use: BTreeMap::new(), unfinalized: BTreeSet::new() });

/// The modules of this process, by canonical path.
struct Modules {
    in_use: BTreeMap<PathBuf, (usize, Arc<Module>)>,
    /// Those whose `C_Finalize` failed: they were initialised here, and not by another library.
    unfinalized: BTreeSet<PathBuf>,
}

/// An initialised module.
pub(crate) struct Module {
    pub(crate) pkcs11: Pkcs11,
    pub(crate) calls: Calls,
    pub(crate) path: PathBuf,
    init: Option<CString>,
    ours: bool,
}

/// One use of a module. The last one to go finalises the module, if it was initialised here: if some other library
/// of the process had done so before, the module is that library's to finalise.
pub(crate) struct ModuleUse(Arc<Module>);

impl ModuleUse {
    /// Loads and initialises the module, or joins those who use it already.
    pub(crate) fn open(path: &Path, init: Option<&str>) -> Result<Self, OpenError> {
        // One file has one instance in a process, whatever links lead to it. A bare name is not looked up in the
        // loader's path: which library gets the PIN must not depend on the environment.
        let canonical = path.canonicalize().ok().filter(|found| found.is_file());
        let path = canonical.ok_or_else(|| OpenError::ModuleNotFound(path.to_path_buf()))?;
        let not_loadable = |reason| OpenError::ModuleNotLoadable { module: path.clone(), reason };
        let init = init.map(CString::new).transpose().map_err(|nul| not_loadable(nul.into()))?;

        let mut modules = lock();
        if let Some((uses, module)) = modules.in_use.get_mut(&path) {
            if init.is_some() && init != module.init {
                return Err(OpenError::InitMismatch(path));
            }
            *uses += 1;
            return Ok(Self(Arc::clone(module)));
        }
        let pkcs11 = Pkcs11::new(&path).map_err(|error| not_loadable(error.into()))?;
        let calls = Calls::load(&path).ok_or_else(|| not_loadable("it has no C_GetFunctionList".into()))?;
        if modules.unfinalized.contains(&path) {
            finalize(&pkcs11).map_err(device("C_Finalize"))?;
            modules.unfinalized.remove(&path);
        }
        let ours = match direct::initialize(&pkcs11, init.as_deref()) {
            Ok(()) => true,
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => false,
            Err(error) => return Err(device("C_Initialize")(error)),
        };
        let module = Arc::new(Module { pkcs11, calls, path: path.clone(), init, ours });
        modules.in_use.insert(path, (1, Arc::clone(&module)));
        Ok(Self(module))
    }
}

/// Runs a login while no other thread logs in, initialises or finalises. Two copies of one module file may be loaded
/// in a process to make use of two cores, and their logins must not meet.
pub(crate) fn alone<T>(run: impl FnOnce() -> T) -> T {
    let _modules = lock();
    run()
}

/// `C_Finalize`. A module that is not initialised is as good as finalised.
fn finalize(module: &Pkcs11) -> cryptoki::error::Result<()> {
    match module.clone().finalize() {
        Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => Ok(()),
        done => done,
    }
}

impl std::ops::Deref for ModuleUse {
    type Target = Module;

    fn deref(&self) -> &Module {
        &self.0
    }
}

impl Drop for ModuleUse {
    fn drop(&mut self) {
        // Under the lock: nobody joins, or initialises again, while the module is being finalised.
        let mut modules = lock();
        let Some((uses, _)) = modules.in_use.get_mut(&self.path) else { return };
        *uses -= 1;
        if *uses == 0 {
            modules.in_use.remove(&self.path);
            // Nobody is left to be told of a failure, but who opens the module next.
            if self.ours && finalize(&self.pkcs11).is_err() {
                modules.unfinalized.insert(self.path.clone());
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Modules> {
    // Nothing panics while holding it; and a count that is too high only means no C_Finalize.
    MODULES.lock().unwrap_or_else(PoisonError::into_inner)
}
