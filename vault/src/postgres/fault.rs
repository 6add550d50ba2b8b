//! What went wrong with an attempt, and whether another one may go right.

use std::{io, sync::Arc};

use tokio_postgres::error::SqlState;

use crate::StoreError;

/// An attempt that failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server or the connection.
    Server(tokio_postgres::Error),
    /// Another caller does the same at this moment.
    Met,
    /// No answer, or no free connection, before the deadline.
    Late,
    /// Nothing that passes.
    Store(StoreError),
}

impl Fault {
    /// Whether the same work may succeed a little later: a conflict with another transaction, a server that restarts, is replaced or
    /// has no room for one more connection.
    pub(super) fn is_passing(&self) -> bool {
        let error = match self {
            Self::Server(error) => error,
            Self::Met => return true,
            Self::Late | Self::Store(_) => return false,
        };
        match error.code() {
            Some(code) => {
                // Class 08: the connection. 57P: the server goes down or comes up. 25006: it is a standby by now.
                code.code().starts_with("08")
                    || code.code().starts_with("57P")
                    || [
                        SqlState::T_R_SERIALIZATION_FAILURE,
                        SqlState::T_R_DEADLOCK_DETECTED,
                        SqlState::LOCK_NOT_AVAILABLE,
                        SqlState::TOO_MANY_CONNECTIONS,
                        SqlState::READ_ONLY_SQL_TRANSACTION,
                    ]
                    .contains(code)
            }
            // A certificate that is not the server's stays so.
            None => match source(error).map(|source| source.downcast_ref::<io::Error>()) {
                Some(Some(error)) => error.kind() != io::ErrorKind::InvalidData,
                Some(None) => false,
                None => true,
            },
        }
    }

    /// Whether the connection is of no further use.
    pub(super) fn broke(&self) -> bool {
        match self {
            Self::Server(error) => match error.as_db_error() {
                Some(said) => said.severity() != "ERROR",
                // Not an answer of the server: the socket, or no connection to any host. What this side cannot encode or decode
                // has another source.
                None => source(error).is_none_or(|source| source.is::<io::Error>()),
            },
            Self::Late => true,
            Self::Met | Self::Store(_) => false,
        }
    }
}

fn source(error: &tokio_postgres::Error) -> Option<&(dyn std::error::Error + 'static)> {
    std::error::Error::source(error)
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is told of an error: never the values that the server repeats in its detail.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let passing = fault.is_passing();
        let error = match fault {
            Fault::Store(error) => return error,
            Fault::Met => return Self::Unavailable(Arc::new(Said("others make the tables".into()))),
            Fault::Late => return Self::Unavailable(Arc::new(Said("no answer before the deadline".into()))),
            Fault::Server(error) => error,
        };
        if error.code().is_some_and(|code| [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(code)) {
            return Self::Full;
        }
        let said = match (error.as_db_error(), source(&error)) {
            (Some(said), _) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
            (None, Some(source)) => format!("{error}: {source}"),
            (None, None) => error.to_string(),
        };
        if passing { Self::Unavailable(Arc::new(Said(said))) } else { Self::Database(Arc::new(Said(said))) }
    }
}
