//! `protect_memory`: what a process that holds card data says to its operating system.

use host_memory::LockError;
use pyo3::prelude::*;

use crate::error::Failure;

/// Keeps the memory of this whole process out of core dumps, debuggers and swap, until it ends. Call it first.
///
/// To lock memory takes `CAP_IPC_LOCK` or no limit on locked memory (`LimitMEMLOCK=infinity`). With `require_lock=False` the
/// process goes on without: `False` is returned. Linux only.
///
/// Raises `MemoryProtectionError`.
#[pyfunction]
#[pyo3(signature = (*, require_lock = true))]
pub(crate) fn protect_memory(require_lock: bool) -> Result<bool, Failure> {
    host_memory::no_core_dumps().map_err(|error| Failure::Memory(LockError::Refused(error)))?;
    match host_memory::lock() {
        Ok(()) => Ok(true),
        Err(_) if !require_lock => Ok(false),
        Err(error) => Err(Failure::Memory(error)),
    }
}
