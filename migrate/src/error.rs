//! Why card data was not moved.

use std::{io, path::PathBuf};

use p2pe_crypto::TokenError;
use vault::VaultError;

/// Why a file or column was not moved, or not wholly. No variant holds a card number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    /// What would be written is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Another process moves the same.
    #[error("another run is at work on {}", .0.display())]
    Busy(PathBuf),
    /// What was begun is of another input, other tokens or other options.
    #[error("{} was begun with another {what}", .path.display())]
    OtherRun {
        /// The journal.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The input was changed while it was read.
    #[error("the input changed while it was read")]
    Changed,
    /// Something about the whole input that this cannot read or keep as it is.
    #[error("{0}")]
    Refused(String),
    /// A record that cannot be read.
    #[error("row {row}: {what}")]
    Malformed {
        /// Counted from 1, a header too.
        row: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An Arrow array of this type holds no card numbers that can be read.
    #[error("no card numbers are read from an array of {0}: cast it to strings")]
    ArrayType(String),
    /// No column has this name or number.
    #[error("there is no column {0:?}")]
    UnknownColumn(String),
    /// No column holds card numbers.
    #[error("no column holds card numbers")]
    NoColumn,
    /// Columns of which it cannot be told whether they hold card numbers.
    #[error("card numbers may stand in: {}", .0.join(", "))]
    Unsure(Vec<String>),
    /// A number that gets no token, where that is to stop the run.
    #[error("row {row}, column {column}: {reason}")]
    Rejected {
        /// Counted from 1, a header too.
        row: u64,
        /// Its name.
        column: String,
        /// As in the list of rejects.
        reason: &'static str,
    },
    /// The output is not what it must be. It is not put in its place.
    #[error("the output does not reconcile: {0}")]
    NotReconciled(String),
    /// Tokens that work once cannot be asked for again after an interruption.
    #[error("old data is moved to multi-use tokens only")]
    SingleUse,
    /// A database of which a column is moved.
    #[error("database: {0}")]
    Database(String),
    /// What the tokens' key or form says to all numbers.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Error {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(..) => "migrate_file",
            Self::Exists(_) => "migrate_exists",
            Self::Busy(_) => "migrate_busy",
            Self::OtherRun { .. } => "migrate_other_run",
            Self::Changed => "migrate_input_changed",
            Self::Refused(_) => "migrate_refused",
            Self::Malformed { .. } => "migrate_malformed",
            Self::ArrayType(_) => "migrate_array_type",
            Self::UnknownColumn(_) => "migrate_unknown_column",
            Self::NoColumn => "migrate_no_column",
            Self::Unsure(_) => "migrate_unsure",
            Self::Rejected { .. } => "migrate_rejected",
            Self::NotReconciled(_) => "migrate_not_reconciled",
            Self::Database(_) => "migrate_database",
            Self::SingleUse => "migrate_single_use",
            Self::Token(error) => error.code(),
            Self::Vault(error) => error.code(),
        }
    }
}
