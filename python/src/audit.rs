//! `AuditLog`: where a store records each use of its keys.

use std::{path::PathBuf, sync::Arc, time::Duration};

use p2pe_audit::{Label, Log, Options, Sync, verify};
use pyo3::prelude::*;

use crate::error::Failure;

/// A hash-chained, append-only log in a folder: every use of a key of the stores that are opened with it, each alarm of
/// a gateway, each `self_test` and `run_conformance`. Never card data. One program writes a log at a time; its threads and
/// stores share it. Open it after a fork, not before.
///
/// `actor` is the name of this program in the records, 1 to 64 printable ASCII characters. `sync` says when a record is on
/// disk: `each`, before what was asked for is given out; `none`, when the operating system likes; or a pair of milliseconds
/// and records, after which they are. What is not on disk yet, a power failure takes. A new file is begun after `file_size`
/// bytes. If `required`, no key serves while its use cannot be recorded (`KeyStoreError`, code `key_not_recorded`).
///
/// Raises `AuditError`; `ArgumentError` for another `actor` or `sync`.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct AuditLog(pub(crate) Arc<Log>);

#[derive(FromPyObject)]
enum SyncArgument {
    Name(String),
    Every(u64, u64),
}

#[pymethods]
impl AuditLog {
    #[new]
    #[pyo3(signature = (folder, /, *, actor, sync = None, file_size = 67_108_864, required = true))]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        actor: &str,
        sync: Option<SyncArgument>,
        file_size: u64,
        required: bool,
    ) -> Result<Self, Failure> {
        let actor = Label::new(actor)?;
        let sync = match sync {
            None => Sync::EachRecord,
            Some(SyncArgument::Name(name)) if name == "each" => Sync::EachRecord,
            Some(SyncArgument::Name(name)) if name == "none" => Sync::Never,
            Some(SyncArgument::Name(_)) => {
                return Err(Failure::argument(
                    "sync is 'each', 'none' or a pair of milliseconds and records",
                    "audit_sync",
                ));
            }
            Some(SyncArgument::Every(milliseconds, records)) => {
                Sync::Every { time: Duration::from_millis(milliseconds), records }
            }
        };
        let options = Options { sync, file_size, required };
        Ok(Self(Arc::new(py.detach(|| Log::open(&folder, actor, options))?)))
    }

    /// Reads the log in a folder from its first line to its last, and returns what it is: the number of `records` and
    /// `files`, and the hash of the `last` record, which, kept elsewhere, shows later that nothing before it was made again.
    ///
    /// Raises `AuditError` with the file, the line and what is wrong if anything was changed, removed, added or moved.
    #[staticmethod]
    #[pyo3(signature = (folder, /))]
    fn verify(py: Python<'_>, folder: PathBuf) -> Result<Verified, Failure> {
        Ok(Verified(py.detach(|| verify(&folder, None))?))
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("AuditLog"))
    }
}

/// A log that is whole.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Verified(p2pe_audit::Verified);

#[pymethods]
impl Verified {
    /// How many records it has.
    #[getter]
    fn records(&self) -> u64 {
        self.0.records
    }

    /// How many files it has.
    #[getter]
    fn files(&self) -> usize {
        self.0.files
    }

    /// SHA-256 of the last record, in hex digits.
    #[getter]
    fn last(&self) -> &str {
        &self.0.last
    }

    fn __repr__(&self) -> String {
        format!("Verified(records={}, files={}, last='{}')", self.0.records, self.0.files, self.0.last)
    }
}
