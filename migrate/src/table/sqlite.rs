//! A column in SQLite.

use std::path::Path;

use rusqlite::{
    Connection, OptionalExtension, Transaction, TransactionBehavior,
    ffi::SQLITE_CONSTRAINT_TRIGGER,
    params,
    types::{Value, ValueRef},
};
use zeroize::Zeroizing;

use super::{Column, Database, Row, STATE, Work, quoted, sealed::Rows};
use crate::Error;

/// A database in a file. What is overwritten is zeroed (`secure_delete`), but for pieces in its pages that go with `VACUUM` only, and its
/// write-ahead log is emptied at the end.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(30))?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(Self { connection })
    }
}

impl Database for Sqlite {}

impl Rows for Sqlite {
    fn prepare(&mut self, column: &Column) -> Result<(), Error> {
        let (table, key) = (column.table('"'), quoted(&column.key, '"'));
        self.connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {STATE} (name TEXT PRIMARY KEY, settings TEXT NOT NULL, last TEXT)"
        ))?;
        let wrong: i64 = self.connection.query_row(
            &format!("SELECT count(*) - count(DISTINCT t.{key}) FROM {table} AS t"),
            [],
            |row| row.get(0),
        )?;
        column.must_be_key(Some(wrong))
    }

    fn state(&mut self, column: &Column) -> Result<Option<(String, Option<String>)>, Error> {
        let sql = format!("SELECT settings, last FROM {STATE} WHERE name = ?1");
        Ok(self.connection.query_row(&sql, [column.name()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    fn count(&mut self, column: &Column) -> Result<u64, Error> {
        Ok(self.connection.query_row(&format!("SELECT count(*) FROM {}", column.table('"')), [], |row| row.get(0))?)
    }

    fn page(&mut self, column: &Column, after: Option<&str>, most: usize) -> Result<Vec<Row>, Error> {
        page(&self.connection, column, after, most)
    }

    fn work(
        &mut self,
        column: &Column,
        settings: &str,
        after: Option<&str>,
        most: usize,
        work: Work<'_>,
    ) -> Result<Option<String>, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows = page(&transaction, column, after, most)?;
        let new = work(&rows)?;
        update(&transaction, column, &rows, &new)?;
        let last = rows.last().map(|row| row.key.clone());
        transaction.execute(
            &format!("INSERT OR REPLACE INTO {STATE} VALUES (?1, ?2, ?3)"),
            params![column.name(), settings, last.as_deref().or(after)],
        )?;
        transaction.commit()?;
        Ok(last)
    }

    fn done(&mut self, column: &Column) -> Result<(), Error> {
        self.connection.execute(&format!("DELETE FROM {STATE} WHERE name = ?1"), [column.name()])?;
        // The write-ahead log has the old pages; without one, this does nothing.
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

/// A quoted name that is no column's would be a text to SQLite, but not behind the name of a table.
///
/// Keys are shown and remembered with a letter in front, so that a number stays one.
fn page(connection: &Connection, column: &Column, after: Option<&str>, most: usize) -> Result<Vec<Row>, Error> {
    let (table, key, cell) = (column.table('"'), quoted(&column.key, '"'), quoted(&column.column, '"'));
    let sql = format!(
        "SELECT t.{key}, t.{cell} FROM {table} AS t WHERE ?1 IS NULL OR t.{key} > ?1 ORDER BY t.{key} LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params![after.map(key_of).transpose()?, most])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let key = match row.get_ref(0)? {
            ValueRef::Integer(key) => format!("i{key}"),
            ValueRef::Text(key) => format!("t{}", str::from_utf8(key).map_err(|_| not_text(column))?),
            _ => return Err(Error::Refused("a key is an integer or a text".into())),
        };
        let text = match row.get_ref(1)? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(of(&number)),
            ValueRef::Real(number) => Some(of(&format_args!("{number:.1}"))),
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                Some(of(&str::from_utf8(text).map_err(|_| not_text(column))?))
            }
        };
        rows.push(Row { key, text });
    }
    Ok(rows)
}

fn update(transaction: &Transaction<'_>, column: &Column, rows: &[Row], new: &[Option<String>]) -> Result<(), Error> {
    let (table, key, cell) = (column.table('"'), quoted(&column.key, '"'), quoted(&column.column, '"'));
    let mut statement =
        transaction.prepare_cached(&format!("UPDATE {table} SET {cell} = ?1 WHERE {table}.{key} = ?2"))?;
    for (row, new) in rows.iter().zip(new) {
        if let Some(new) = new
            && statement.execute(params![new, key_of(&row.key)?])? != 1
        {
            return Err(Error::Database("a row was not there any more".into()));
        }
    }
    Ok(())
}

fn key_of(key: &str) -> Result<Value, Error> {
    let wrong = || Error::Database("the remembered key is none".into());
    match key.split_at_checked(1) {
        Some(("i", number)) => Ok(Value::Integer(number.parse().map_err(|_| wrong())?)),
        Some(("t", text)) => Ok(Value::Text(text.into())),
        _ => Err(wrong()),
    }
}

fn of(value: &dyn std::fmt::Display) -> Zeroizing<String> {
    // Longer texts grow; a number does not.
    let mut text = Zeroizing::new(String::with_capacity(64));
    let _ = std::fmt::Write::write_fmt(&mut *text, format_args!("{value}"));
    text
}

fn not_text(column: &Column) -> Error {
    Error::Refused(format!("{} or its key holds bytes that are no UTF-8", column.name()))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(match error {
            // What a trigger says may quote a value.
            rusqlite::Error::SqliteFailure(error, _) if error.extended_code == SQLITE_CONSTRAINT_TRIGGER => {
                format!("SQLite error {}, of a trigger", error.extended_code)
            }
            error => error.to_string(),
        })
    }
}
