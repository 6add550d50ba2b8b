//! Why there is no configuration, or no store behind it.

use std::{io, path::PathBuf};

use dukpt::{KeyId, MaterialError};
use p2pe_audit::LabelError;
use pkcs11_backend::OpenError;

use crate::{KeyFileError, SealError, TokenSettingsError};

/// Why there is no configuration, or no store behind it. No error repeats what may be a PIN or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// What is wrong in this file.
    #[error("{}: {}", .0.display(), .1)]
    InFile(PathBuf, Box<ConfigError>),
    /// The file cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    /// Not TOML, or not these names: the line, and what is wrong there. The line itself is not shown.
    #[error("line {0}: {1}")]
    Toml(usize, String),
    /// A device table that cannot be.
    #[error("device {0:?}: {1}")]
    Device(String, String),
    /// A profile table that cannot be.
    #[error("profile {0:?}: {1}")]
    Profile(String, String),
    /// A key name that cannot be, by the setting that it stands in. It is not shown.
    #[error("{0}: a key name is 1 to 64 printable ASCII characters")]
    KeyName(&'static str),
    /// `[audit] actor` is no text for a record. It is not shown.
    #[error("[audit] actor: {0}")]
    Actor(#[from] LabelError),
    /// The parts of the settings of a token that do not make a whole.
    #[error(transparent)]
    Token(#[from] TokenSettingsError),
    /// A key file that holds no key. What it holds is not shown.
    #[error("key {0}: {1}")]
    KeyFile(KeyId, KeyFileError),
    /// A key file whose bytes are no key of its kind.
    #[error("{}: {}", .0.display(), .1)]
    Material(PathBuf, MaterialError),
    /// The seal over the settings is missing or wrong.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The file cannot be written.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, io::Error),
    /// The memory store got the same key twice.
    #[error(transparent)]
    Key(#[from] dukpt::KeyError),
    /// The token could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}
