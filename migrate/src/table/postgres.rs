//! A column in PostgreSQL.

use postgres::{
    Client, GenericClient, NoTls,
    config::{Config, Host},
};
use zeroize::Zeroizing;

use super::{Column, Database, Row, STATE, Work, quoted, sealed::Rows};
use crate::Error;

/// A database on this machine. The old values stay in dead rows until `VACUUM`, and in the write-ahead log and its archives.
#[expect(missing_debug_implementations, reason = "a connection")]
pub struct Postgres {
    client: Client,
}

impl Postgres {
    /// Connects to `postgresql://USER@/DATABASE?host=/FOLDER` and the like, without TLS: through a socket or to this machine.
    ///
    /// # Errors
    /// [`Error::Refused`] for a host elsewhere or a password in the address; [`Error::Database`].
    pub fn connect(address: &str, password: Option<&str>) -> Result<Self, Error> {
        let mut config: Config = address.parse().map_err(|_| Error::Refused("not an address of PostgreSQL".into()))?;
        if config.get_password().is_some() {
            return Err(Error::Refused("a password stands in the address, where others see it".into()));
        }
        let local = |host: &Host| match host {
            Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
            Host::Unix(_) => true,
        };
        if config.get_hosts().is_empty() || !config.get_hosts().iter().all(local) {
            return Err(Error::Refused("only a socket or this machine: card numbers would go out without TLS".into()));
        }
        password.map(|password| config.password(password));
        Ok(Self { client: config.connect(NoTls)? })
    }
}

impl Database for Postgres {}

impl Rows for Postgres {
    fn prepare(&mut self, column: &Column) -> Result<(), Error> {
        let (table, key) = (column.table('"'), quoted(&column.key, '"'));
        self.client.batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {STATE} (name text PRIMARY KEY, settings text NOT NULL, last text)"
        ))?;
        let sql = format!("SELECT count(*) - count(DISTINCT {key}) FROM {table}");
        let wrong: i64 = self.client.query_one(&sql, &[])?.try_get(0)?;
        column.must_be_key(Some(wrong))
    }

    fn state(&mut self, column: &Column) -> Result<Option<(String, Option<String>)>, Error> {
        let sql = format!("SELECT settings, last FROM {STATE} WHERE name = $1");
        let row = self.client.query_opt(&sql, &[&column.name()])?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    fn count(&mut self, column: &Column) -> Result<u64, Error> {
        let rows: i64 =
            self.client.query_one(&format!("SELECT count(*) FROM {}", column.table('"')), &[])?.try_get(0)?;
        Ok(rows.unsigned_abs())
    }

    fn page(&mut self, column: &Column, after: Option<&str>, most: usize) -> Result<Vec<Row>, Error> {
        page(&mut self.client, column, after, most, "")
    }

    fn work(
        &mut self,
        column: &Column,
        settings: &str,
        after: Option<&str>,
        most: usize,
        work: Work<'_>,
    ) -> Result<Option<String>, Error> {
        let mut transaction = self.client.transaction()?;
        let rows = page(&mut transaction, column, after, most, "FOR UPDATE")?;
        let new = work(&rows)?;
        let (keys, values): (Vec<&str>, Vec<&str>) =
            rows.iter().zip(&new).filter_map(|(row, new)| Some((&*row.key, new.as_deref()?))).unzip();
        let (table, key, cell) = (column.table('"'), quoted(&column.key, '"'), quoted(&column.column, '"'));
        let kind = kind(&mut transaction, column)?;
        let updated = transaction.execute(
            &format!(
                "UPDATE {table} AS t SET {cell} = n.value FROM unnest($1::text[], $2::text[]) AS n(key, value) \
                 WHERE t.{key} = CAST(n.key AS {kind})"
            ),
            &[&keys, &values],
        )?;
        if updated != keys.len() as u64 {
            return Err(Error::Database("a row was not there any more".into()));
        }
        let last = rows.last().map(|row| row.key.clone());
        transaction.execute(
            &format!("INSERT INTO {STATE} VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET last = EXCLUDED.last"),
            &[&column.name(), &settings, &last.as_deref().or(after)],
        )?;
        transaction.commit()?;
        Ok(last)
    }

    fn done(&mut self, column: &Column) -> Result<(), Error> {
        self.client.execute(&format!("DELETE FROM {STATE} WHERE name = $1"), &[&column.name()])?;
        Ok(())
    }
}

/// The key's type, so that keys go there and back as text.
fn kind(client: &mut impl GenericClient, column: &Column) -> Result<String, Error> {
    let row = client.query_one(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2",
        &[&column.table('"'), &column.key],
    )?;
    Ok(row.try_get(0)?)
}

fn page(
    client: &mut impl GenericClient,
    column: &Column,
    after: Option<&str>,
    most: usize,
    lock: &str,
) -> Result<Vec<Row>, Error> {
    let (table, key, cell) = (column.table('"'), quoted(&column.key, '"'), quoted(&column.column, '"'));
    let kind = kind(client, column)?;
    let sql = format!(
        "SELECT {key}::text, {cell}::text FROM {table} WHERE $1::text IS NULL OR {key} > CAST($1::text AS {kind}) \
         ORDER BY {key} LIMIT $2 {lock}"
    );
    let found = client.query(&sql, &[&after, &i64::try_from(most).unwrap_or(i64::MAX)])?;
    let row = |row: &postgres::Row| {
        let text: Option<String> = row.try_get(1)?;
        Ok(Row { key: row.try_get(0)?, text: text.map(Zeroizing::new) })
    };
    found.iter().map(row).collect()
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        // The server's details may quote a row; messages on data (class 22) and of triggers (P0) may quote a value.
        Self::Database(match error.as_db_error() {
            Some(error) => match error.code().code() {
                code if code.starts_with("22") || code.starts_with("P0") => format!("PostgreSQL error {code}"),
                code => format!("{} ({code})", error.message()),
            },
            None => error.to_string(),
        })
    }
}
