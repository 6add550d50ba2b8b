//! A connection with its prepared statements, and what every session is set to.

use std::{collections::HashMap, time::Instant};

use futures_util::future::{join_all, join3};
use tokio::{runtime::Runtime, time::timeout_at};
use tokio_postgres::{Client, Config, NoTls, Row, Statement, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::Fault;
use crate::StoreError;

/// The server, or those of which one takes writes.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) tls: Option<MakeRustlsConnect>,
}

/// A commit is on disk, and on the synchronous standbys if there are any, before it is answered. Plans are kept, and read rows
/// through indexes, so that a transaction conflicts with few others; the server takes such plans for dear ones and would
/// compile each (`jit`). A transaction whose caller is gone ends. A statement alone is serializable without `BEGIN` and `COMMIT`
/// around it, which are messages of their own; one that only reads is so too, at little cost. An engine that does not know one of
/// the settings does without.
const SETTINGS: &str = "
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit', true) NOT IN ('on', 'remote_apply');
    SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES
        ('plan_cache_mode', 'force_generic_plan'), ('enable_seqscan', 'off'), ('jit', 'off'),
        ('default_transaction_isolation', 'serializable'), ('lock_timeout', '10s'),
        ('idle_in_transaction_session_timeout', '60s')) AS ours (name, value) USING (name);
";
/// What a server must not be set to.
const DURABLE: &str = "SELECT coalesce(current_setting('fsync', true), 'on') = 'on'
    AND coalesce(current_setting('full_page_writes', true), 'on') = 'on'";

/// What writes rows or keys is serializable: whoever stores a row has looked at keys and policies that a rotation may be changing, and
/// one of the two has to try again.
pub(super) const SERIALIZABLE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
/// What only reads, or changes one row by what stands in it or under a lock, need not be.
pub(super) const READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A statement is prepared again whenever it was used twice as often, and each time it was used so often. Its plan was made for the
/// tables as they were: for one that was empty, any index that begins with the tenant looks as good as the one that leads to the
/// row. The server sees that only when it analyzes the table, a minute later or never.
const USES: u64 = 1024;

pub(super) struct Session {
    client: Client,
    /// With how often each was used.
    statements: HashMap<&'static str, (Statement, u64)>,
    /// Drives the connection while a call waits for it; dropped, it closes the socket.
    runtime: Option<Runtime>,
}

impl Session {
    pub(super) fn connect(server: &Server, deadline: Instant) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Unavailable(std::sync::Arc::new(error)))?;
        let connect = async {
            let client = match &server.tls {
                Some(tls) => {
                    let (client, connection) = server.config.connect(tls.clone()).await?;
                    tokio::spawn(connection);
                    client
                }
                None => {
                    let (client, connection) = server.config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    client
                }
            };
            client.batch_execute(SETTINGS).await?;
            let durable: bool = client.query_one(DURABLE, &[]).await?.try_get(0)?;
            if durable { Ok(client) } else { Err(Fault::from(StoreError::NotDurable)) }
        };
        let client =
            runtime.block_on(async { timeout_at(deadline.into(), connect).await }).map_err(|_| Fault::Late)??;
        Ok(Self { client, statements: HashMap::new(), runtime: Some(runtime) })
    }

    /// Does the work, and leaves no transaction open unless the connection broke.
    pub(super) fn work<T>(
        &mut self,
        deadline: Instant,
        work: &mut impl AsyncFnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(runtime) = self.runtime.take() else { return Err(Fault::Late) };
        let attempt = async {
            let done = work(self).await;
            if done.as_ref().is_err_and(|fault| !fault.broke()) {
                self.client.batch_execute("ROLLBACK").await?;
            }
            done
        };
        let done = runtime.block_on(async { timeout_at(deadline.into(), attempt).await }).unwrap_or(Err(Fault::Late));
        self.runtime = Some(runtime);
        done
    }

    pub(super) async fn query(&mut self, sql: &'static str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    pub(super) async fn query_opt(&mut self, sql: &'static str, values: Values<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    pub(super) async fn execute(&mut self, sql: &'static str, values: Values<'_>) -> Result<u64, Fault> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    /// A transaction whose statements do not wait for each other: all are sent at once. Returns what each returns.
    pub(super) async fn at_once(
        &mut self,
        begin: &str,
        statements: &[(&'static str, Values<'_>)],
    ) -> Result<Vec<Vec<Row>>, Fault> {
        let mut prepared = Vec::with_capacity(statements.len());
        for (sql, _) in statements {
            prepared.push(self.prepared(sql).await?);
        }
        let queries = prepared.iter().zip(statements).map(|(sql, (_, values))| self.client.query(sql, values));
        // Of a transaction that failed, the commit is a rollback.
        let (begun, done, committed) =
            join3(self.client.batch_execute(begin), join_all(queries), self.client.batch_execute("COMMIT")).await;
        begun?;
        let done = done.into_iter().collect::<Result<_, _>>()?;
        committed?;
        Ok(done)
    }

    /// Several statements without values, as `BEGIN`.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(sql).await?)
    }

    async fn prepared(&mut self, sql: &'static str) -> Result<Statement, Fault> {
        let uses = self.statements.get(sql).map_or(0, |(_, uses)| *uses);
        if !uses.is_power_of_two()
            && !uses.is_multiple_of(USES)
            && let Some((statement, uses)) = self.statements.get_mut(sql)
        {
            *uses += 1;
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, (statement.clone(), uses + 1));
        Ok(statement)
    }
}
