//! PostgreSQL as the vault's database, or an engine that speaks its language: pooled, over TLS, each call one serializable
//! transaction that is tried again until it is done or the deadline is over.

mod address;
mod claims;
mod fault;
mod keys;
mod passfile;
mod policies;
mod pool;
mod put;
mod rows;
mod schema;
mod session;
mod store;
mod values;

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use fault::Fault;
use pool::Pool;
use session::Session;

use crate::StoreError;

#[doc = include_str!("../../POSTGRES.md")]
pub struct Postgres {
    pool: Pool,
    deadline: Duration,
    /// The schema was found up to date, or was brought so.
    ready: AtomicBool,
}

impl Postgres {
    /// Opens the database at this URL and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Address`], [`StoreError::NotDurable`], [`StoreError::NewerSchema`], [`StoreError::Unavailable`],
    /// [`StoreError::Database`].
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::at(url)?;
        store.prepare()?;
        Ok(store)
    }

    /// The database at this URL, which is opened with the first call: its server may be down until then.
    ///
    /// # Errors
    /// [`StoreError::Address`]. The first call may have the other errors of [`Postgres::open`].
    pub fn at(url: &str) -> Result<Self, StoreError> {
        let address = address::parse(url)?;
        let pool = Pool::new(address.server, address.connections);
        Ok(Self { pool, deadline: address.deadline, ready: AtomicBool::new(false) })
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.done(schema::migrate)?;
        self.ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn call<T>(&self, work: impl AsyncFnMut(&mut Session) -> Result<T, Fault>) -> Result<T, StoreError> {
        if !self.ready.load(Ordering::Relaxed) {
            self.prepare()?;
        }
        self.done(work)
    }

    /// Does a piece of work until it is done. It may be done more than once: whether a transaction was committed is unknown if
    /// the connection broke, so the work itself has to find out.
    fn done<T>(&self, mut work: impl AsyncFnMut(&mut Session) -> Result<T, Fault>) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.deadline;
        let mut pause = Duration::from_millis(1);
        loop {
            let fault = match self.pool.attempt(deadline, &mut work) {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            pause = (pause * 2).min(Duration::from_millis(500));
            // Callers that met once should not meet again.
            let wait = pause.mul_f64(jitter());
            if !fault.is_passing() || Instant::now() + wait >= deadline {
                return Err(fault.into());
            }
            std::thread::sleep(wait);
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

/// Between 0.5 and 1.
fn jitter() -> f64 {
    0.5 + f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX) / 2.0
}
