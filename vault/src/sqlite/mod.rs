//! SQLite as the vault's database: one file, write-ahead log, synced at every commit.

mod put;
mod rotate;
mod rows;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use put::Known;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, types::FromSqlError};
use writer::Writer;

use crate::StoreError;

/// Each step of the schema, from one version to the next.
const MIGRATIONS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// Of the connection that writes: KiB, negative for SQLite to take it as such.
const CACHE: i64 = -65_536;

/// A vault in one file. Share it between threads; other processes may open the same file.
///
/// Writes of many threads go into one transaction (group commit); each reads on a connection of its own.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens the file, makes it if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::Full`], [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // Rows go to random places of six indices: with the default of 2 MB, a batch writes pages to the log more than once.
        connection.pragma_update(None, "cache_size", CACHE)?;
        // What is deleted is overwritten.
        connection.pragma_update(None, "secure_delete", true)?;
        migrate(&mut connection)?;
        Ok(Self { path: path.into(), writer: Writer::new(connection)?, readers: Mutex::default() })
    }

    /// Reads on a connection of those that are free, or on a new one.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let free = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = free().pop();
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path)?;
                connection.pragma_update(None, "query_only", true)?;
                connection
            }
        };
        let done = work(&connection);
        free().push(connection);
        done
    }

    /// `work` may be called twice: others' work in the same transaction may have failed.
    fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(changing(work))
    }
}

/// Work that may change keys and policies.
fn changing<T>(
    mut work: impl FnMut(&Transaction<'_>) -> Result<T, StoreError>,
) -> impl FnMut(&Transaction<'_>, &mut Known) -> Result<T, StoreError> {
    move |transaction, known| {
        *known = Known::default();
        work(transaction)
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or(StoreError::NewerSchema(version))?;
    if done == MIGRATIONS.len() {
        // Nothing to write: a vault opens on a full disk.
        return Ok(());
    }
    for step in &MIGRATIONS[done..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    Ok(transaction.commit()?)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Database(Arc::new(error)),
        }
    }
}

impl From<FromSqlError> for StoreError {
    fn from(error: FromSqlError) -> Self {
        Self::Database(Arc::new(error))
    }
}
