//! A column in MySQL or MariaDB.

use mysql::{Conn, Opts, OptsBuilder, Params, Value, prelude::Queryable};
use zeroize::Zeroizing;

use super::{Column, Database, Row, STATE, Work, quoted, sealed::Rows};
use crate::Error;

/// A database on this machine. The old values stay in the undo log until it is purged, and in the binary log where there is one.
#[expect(missing_debug_implementations, reason = "a connection")]
pub struct MySql {
    connection: Conn,
}

impl MySql {
    /// Connects to `mysql://USER@localhost/DATABASE?socket=/FILE` and the like, without TLS: through a socket or to this machine.
    ///
    /// # Errors
    /// [`Error::Refused`] for a host elsewhere or a password in the address; [`Error::Database`].
    pub fn connect(address: &str, password: Option<&str>) -> Result<Self, Error> {
        let options = Opts::from_url(address).map_err(|_| Error::Refused("not an address of MySQL".into()))?;
        if options.get_pass().is_some() {
            return Err(Error::Refused("a password stands in the address, where others see it".into()));
        }
        let host = options.get_ip_or_hostname();
        if options.get_socket().is_none() && !["localhost", "127.0.0.1", "::1"].contains(&&*host) {
            return Err(Error::Refused("only a socket or this machine: card numbers would go out without TLS".into()));
        }
        let mut connection = Conn::new(OptsBuilder::from_opts(options).pass(password))?;
        // A token that does not fit into the column is an error, not cut.
        connection.query_drop("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")?;
        connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
        Ok(Self { connection })
    }
}

impl Database for MySql {}

impl Rows for MySql {
    fn prepare(&mut self, column: &Column) -> Result<(), Error> {
        let (table, key) = (column.table('`'), quoted(&column.key, '`'));
        self.connection.query_drop(format!(
            "CREATE TABLE IF NOT EXISTS {STATE} (name VARCHAR(200) PRIMARY KEY, settings TEXT NOT NULL, last TEXT)"
        ))?;
        let sql = format!("SELECT COUNT(*) - COUNT(DISTINCT {key}) FROM {table}");
        let wrong: Option<i64> = self.connection.query_first(sql)?;
        column.must_be_key(wrong)
    }

    fn state(&mut self, column: &Column) -> Result<Option<(String, Option<String>)>, Error> {
        let sql = format!("SELECT settings, last FROM {STATE} WHERE name = ?");
        Ok(self.connection.exec_first(sql, (column.name(),))?)
    }

    fn count(&mut self, column: &Column) -> Result<u64, Error> {
        let rows = self.connection.query_first(format!("SELECT COUNT(*) FROM {}", column.table('`')))?;
        Ok(rows.unwrap_or_default())
    }

    fn page(&mut self, column: &Column, after: Option<&str>, most: usize) -> Result<Vec<Row>, Error> {
        page(&mut self.connection, column, after, most, "")
    }

    fn work(
        &mut self,
        column: &Column,
        settings: &str,
        after: Option<&str>,
        most: usize,
        work: Work<'_>,
    ) -> Result<Option<String>, Error> {
        let mut transaction = self.connection.start_transaction(mysql::TxOpts::default())?;
        let rows = page(&mut transaction, column, after, most, "FOR UPDATE")?;
        let new = work(&rows)?;
        let (table, key, cell) = (column.table('`'), quoted(&column.key, '`'), quoted(&column.column, '`'));
        let numbers = numbers(&mut transaction, column)?;
        let update = format!("UPDATE {table} SET {cell} = ? WHERE {key} = ?");
        for (row, new) in rows.iter().zip(&new) {
            let Some(new) = new else { continue };
            transaction.exec_drop(&update, (new, key_of(&row.key, numbers)))?;
            if transaction.affected_rows() != 1 {
                return Err(Error::Database("a row was not there any more, or not alone".into()));
            }
        }
        let last = rows.last().map(|row| row.key.clone());
        transaction.exec_drop(
            format!("REPLACE INTO {STATE} VALUES (?, ?, ?)"),
            (column.name(), settings, last.as_deref().or(after)),
        )?;
        transaction.commit()?;
        Ok(last)
    }

    fn done(&mut self, column: &Column) -> Result<(), Error> {
        Ok(self.connection.exec_drop(format!("DELETE FROM {STATE} WHERE name = ?"), (column.name(),))?)
    }
}

/// A number is compared as one, and a text as one: between the two, MySQL compares floating-point numbers.
fn key_of(key: &str, numbers: bool) -> Value {
    match (numbers, key.parse::<i64>(), key.parse::<u64>()) {
        (true, Ok(number), _) => Value::Int(number),
        (true, _, Ok(number)) => Value::UInt(number),
        _ => Value::Bytes(key.into()),
    }
}

/// Whether the key is a number.
fn numbers(connection: &mut impl Queryable, column: &Column) -> Result<bool, Error> {
    let sql = format!("SELECT {} FROM {}", quoted(&column.key, '`'), column.table('`'));
    let statement = connection.prep(sql)?;
    Ok(statement.columns().first().is_some_and(|key| key.column_type().is_numeric_type()))
}

fn page(
    connection: &mut impl Queryable,
    column: &Column,
    after: Option<&str>,
    most: usize,
    lock: &str,
) -> Result<Vec<Row>, Error> {
    let (table, key, cell) = (column.table('`'), quoted(&column.key, '`'), quoted(&column.column, '`'));
    let numbers = numbers(connection, column)?;
    let behind = if after.is_some() { format!("WHERE {key} > ?") } else { String::new() };
    let sql = format!(
        "SELECT CAST({key} AS CHAR), CAST({cell} AS CHAR) FROM {table} {behind} ORDER BY {key} LIMIT {most} {lock}"
    );
    let after = after.map_or(Params::Empty, |after| Params::Positional(vec![key_of(after, numbers)]));
    let found: Vec<(String, Option<String>)> = connection.exec(sql, after)?;
    Ok(found.into_iter().map(|(key, text)| Row { key, text: text.map(Zeroizing::new) }).collect())
}

impl From<mysql::Error> for Error {
    fn from(error: mysql::Error) -> Self {
        // The server's messages quote values.
        Self::Database(match error {
            mysql::Error::MySqlError(error) => format!("MySQL error {} ({})", error.code, error.state),
            error => error.to_string(),
        })
    }
}
