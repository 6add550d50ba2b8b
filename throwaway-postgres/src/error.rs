//! Why there is no server.

use std::{fmt, io, path::PathBuf};

/// Why a server could not be made, or did not do what it was told.
///
/// `Debug` prints the message as `Display` does, because a `#[test]` that returns an error shows its `Debug` form.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PostgreSQL is not installed.
    #[error("no PostgreSQL server found: install postgresql, or name its programs' folder in P2PE_POSTGRESQL_BIN")]
    NotInstalled,
    /// A file or directory of the server.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A program that cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A program that failed; its output, and the end of the server's log.
    #[error("{program} failed:\n{output}")]
    Failed {
        /// The program.
        program: String,
        /// What it said.
        output: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
