//! Why there is no token, or why the child did not do its work.

use std::{fmt, io, path::PathBuf};

/// Why a token could not be made or a child process did not succeed.
///
/// `Debug` prints the message as `Display` does, because a `#[test]` that returns an error shows its `Debug` form.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SoftHSM is not installed.
    #[error("no SoftHSM module found: install softhsm2, or name the module in P2PE_SOFTHSM_MODULE")]
    NoModule,
    /// Something that a test needs, where every test must run.
    #[error("{0} is not installed, and P2PE_ALL_TESTS is set")]
    NotInstalled(String),
    /// A file or directory of the token.
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
    /// `softhsm2-util` failed; its output.
    #[error("softhsm2-util could not initialise the token:\n{0}")]
    Initialise(String),
    /// The child failed; its output.
    #[error("the isolated test {name} failed:\n{output}")]
    Child {
        /// The test.
        name: String,
        /// What the child printed.
        output: String,
    },
    /// The child ended well without running the test: its name is wrong.
    #[error("no test is called {0:?}: the name is the path inside the test binary, as in module::name")]
    NotRun(String),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
