//! Modules in use by this process: each is loaded and initialised once, however many tokens are opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cryptoki_sys::{CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_CRYPTOKI_NOT_INITIALIZED};

use crate::{OpenError, direct::Calls, failure::Failure};

/// The lock also serialises `C_Initialize` and `C_Finalize`, which modules do not.
static MODULES: Mutex<Modules> =
    Mutex::new(Modules { loaded: BTreeMap::new(), in_use: BTreeMap::new(), unfinalized: BTreeSet::new() });

/// The modules of this process, by canonical path.
struct Modules {
    /// A module is loaded once: it stays in memory, and what it is asked twice may be an instance of its own.
    loaded: BTreeMap<PathBuf, Arc<Calls>>,
    in_use: BTreeMap<PathBuf, (usize, Arc<Module>)>,
    /// Those whose `C_Finalize` failed: they were initialised here, and not by another library.
    unfinalized: BTreeSet<PathBuf>,
}

/// An initialised module.
pub(crate) struct Module {
    pub(crate) calls: Arc<Calls>,
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
        let calls = match modules.loaded.get(&path) {
            Some(calls) => Arc::clone(calls),
            None => {
                let calls = Arc::new(Calls::load(&path).map_err(not_loadable)?);
                modules.loaded.insert(path.clone(), Arc::clone(&calls));
                calls
            }
        };
        if modules.unfinalized.contains(&path) {
            finalize(&calls)?;
            modules.unfinalized.remove(&path);
        }
        let ours = match calls.initialize(init.as_deref()) {
            Ok(()) => true,
            Err(Failure::Code { code: CKR_CRYPTOKI_ALREADY_INITIALIZED, .. }) => false,
            Err(failure) => return Err(failure.into()),
        };
        let module = Arc::new(Module { calls, path: path.clone(), init, ours });
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
fn finalize(calls: &Calls) -> Result<(), Failure> {
    match calls.finalize() {
        Err(Failure::Code { code: CKR_CRYPTOKI_NOT_INITIALIZED, .. }) => Ok(()),
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
            if self.ours && finalize(&self.calls).is_err() {
                modules.unfinalized.insert(self.path.clone());
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Modules> {
    // Nothing panics while holding it; and a count that is too high only means no C_Finalize.
    MODULES.lock().unwrap_or_else(PoisonError::into_inner)
}
