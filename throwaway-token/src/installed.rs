//! What is installed, and what a test does when it is not.

use std::{env, fs, path::PathBuf};

use crate::Error;

/// The SoftHSM module: `P2PE_SOFTHSM_MODULE`, else where it is installed.
#[must_use]
pub fn find_module() -> Option<PathBuf> {
    match env::var_os("P2PE_SOFTHSM_MODULE") {
        Some(named) => Some(named.into()),
        None => find_library("libsofthsm2.so"),
    }
}

/// A PKCS#11 library where Debian, Fedora, Arch and Homebrew install such.
#[must_use]
pub fn find_library(name: &str) -> Option<PathBuf> {
    // Debian's folders carry the name of the architecture.
    let architectures = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let architectures = architectures.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let others = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib"].map(PathBuf::from);
    others
        .into_iter()
        .chain(architectures)
        .flat_map(|folder| ["softhsm", "", "pkcs11"].map(|inner| folder.join(inner).join(name)))
        .find(|path| path.is_file())
}

/// For a test that cannot run because something is not installed: says so, or fails where every test must run
/// (`P2PE_ALL_TESTS` is set, as by `tools/test`).
///
/// # Errors
/// [`Error::NotInstalled`].
pub fn skipped(what: &str) -> Result<(), Error> {
    if env::var_os("P2PE_ALL_TESTS").is_some() {
        return Err(Error::NotInstalled(what.into()));
    }
    println!("skipped: {what} is not installed");
    Ok(())
}
