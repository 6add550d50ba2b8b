//! Why a log cannot be opened, written or trusted.

use std::{io, path::PathBuf};

use dukpt::KeyError;

use crate::Fault;

/// Why an audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Another program writes this log.
    #[error("{0} is written by another program")]
    Busy(PathBuf),
    /// An earlier record could not be written or taken back: open the log again.
    #[error("the audit log stopped after a failed write")]
    Stopped,
    /// This process came of a fork, and its parent writes the log.
    #[error("the audit log belongs to the process that opened it, not to a fork")]
    Forked,
    /// The log is not what was written.
    #[error("{file}, line {line}: {fault}")]
    Broken {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1; 0 for the file itself.
        line: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The key of the seals does not work.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl AuditError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(..) => "audit_file",
            Self::Busy(_) => "audit_busy",
            Self::Stopped => "audit_stopped",
            Self::Forked => "audit_forked",
            Self::Broken { fault, .. } => fault.code(),
            Self::Key(error) => error.code(),
        }
    }
}
