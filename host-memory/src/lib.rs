#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::io;

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, capabilities},
};

/// Why no memory is locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The limit on locked memory, in bytes, and no right to lift it: nothing was locked.
    #[error("memory is not locked: the limit is {0} bytes (set LimitMEMLOCK=infinity, or give CAP_IPC_LOCK)")]
    Limit(u64),
    /// The system refuses.
    #[error("memory is not locked: {0}")]
    Refused(io::Error),
}

/// Writes no core dump of this process, also none through a handler (`core_pattern` with a pipe, which heeds no limit), and lets
/// no other program of the same user read its memory or attach a debugger. It cannot be undone but by starting anew.
///
/// # Errors
/// What the system says; then the program must not take a key.
pub fn no_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Locks every page of this process, now and when it is first touched later: none goes to swap. A child process locks its own.
///
/// # Errors
/// [`LockError`]: nothing is locked, and the caller decides what that means.
pub fn lock() -> Result<(), LockError> {
    let refused = |error: rustix::io::Errno| LockError::Refused(error.into());
    let limit = getrlimit(Resource::Memlock);
    // Under a limit, an allocation beyond it would fail later: all or nothing. Who may lift it does.
    let lifted = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_ok();
    if !lifted && !capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK)) {
        return Err(LockError::Limit(limit.current.unwrap_or_default()));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).map_err(refused)
}
