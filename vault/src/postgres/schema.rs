//! The schema, from one version to the next.

use tokio_postgres::error::SqlState;

use super::{fault::Fault, session::Session};
use crate::StoreError;

const MIGRATIONS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

const FIRST: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE;
    CREATE TABLE IF NOT EXISTS vault_schema (one INT PRIMARY KEY CHECK (one = 1), version INT NOT NULL);
    INSERT INTO vault_schema VALUES (1, 0) ON CONFLICT (one) DO NOTHING;
    UPDATE vault_schema SET version = version";

/// Brings the schema up to date. Of many that do so at once, one does; the others wait for its lock, or are sent to try again.
pub(super) async fn migrate(session: &mut Session) -> Result<(), Fault> {
    if current(session).await? == Some(MIGRATIONS.len()) {
        return Ok(());
    }
    session.run(FIRST).await.map_err(met)?;
    let done = current(session).await?.unwrap_or(0);
    for step in &MIGRATIONS[done..] {
        session.run(step).await.map_err(met)?;
    }
    session.run(&format!("UPDATE vault_schema SET version = {}; COMMIT", MIGRATIONS.len())).await
}

/// The version that is there; `None` before the first.
async fn current(session: &mut Session) -> Result<Option<usize>, Fault> {
    let sql = "SELECT 1 FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name = 'vault_schema'";
    if session.query_opt(sql, &[]).await?.is_none() {
        return Ok(None);
    }
    let Some(row) = session.query_opt("SELECT version FROM vault_schema", &[]).await? else { return Ok(None) };
    let version: i32 = row.try_get(0)?;
    let known = usize::try_from(version).ok().filter(|version| *version <= MIGRATIONS.len());
    known.map(Some).ok_or_else(|| StoreError::NewerSchema(version.into()).into())
}

/// Two who make the same table meet in the server's own.
fn met(fault: Fault) -> Fault {
    let known = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
    match fault {
        Fault::Server(error) if error.code().is_some_and(|code| known.contains(code)) => Fault::Met,
        other => other,
    }
}
