//! A pool over the token of the settings, whose workers remember devices as the settings say.

use std::time::Duration;

use dukpt::cache::{Cached, Limits};
use pkcs11_backend::{Health, OpenError, Pkcs11Store, Pool, PoolError, PoolSettings, Settings, Workshop};

use crate::{file::PoolTable, store::cached};

/// A pool over the token of the settings.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// How the pool works, and over which token.
    pub settings: PoolSettings,
    /// How long a call may take, time in the queue included.
    pub deadline: Duration,
}

impl PoolOptions {
    /// The usual pool, with a second for each call.
    #[must_use]
    pub fn new(token: Settings) -> Self {
        Self { settings: PoolSettings::new(token), deadline: Duration::from_secs(1) }
    }
}

impl PoolTable {
    pub(crate) fn options(self, token: &Settings) -> PoolOptions {
        let PoolOptions { settings: usual, deadline } = PoolOptions::new(token.clone());
        let settings = PoolSettings {
            workers: self.workers.unwrap_or(usual.workers),
            shards: self.shards.unwrap_or(usual.shards),
            queue: self.queue.unwrap_or(usual.queue),
            recycle_after: self.recycle_after.unwrap_or(usual.recycle_after),
            first_wait: self.first_wait.map_or(usual.first_wait, Duration::from_millis),
            longest_wait: self.longest_wait.map_or(usual.longest_wait, Duration::from_millis),
            patience: self.patience.unwrap_or(usual.patience),
            token: usual.token,
        };
        PoolOptions { settings, deadline: self.deadline.map_or(deadline, Duration::from_millis) }
    }
}

/// A pool and the deadline of its calls. Share it by reference or in an `Arc`.
#[derive(Debug)]
pub struct TokenPool {
    pool: Pool<Memories>,
    deadline: Duration,
}

impl TokenPool {
    /// Opens the token. Each worker has limits of its own for what it remembers of devices.
    ///
    /// # Errors
    /// As of [`Pool::with`].
    pub fn open(options: PoolOptions, cache: Option<Limits>) -> Result<Self, OpenError> {
        Ok(Self { pool: Pool::with(options.settings, Memories(cache))?, deadline: options.deadline })
    }

    /// Runs a job on the next free worker. It may run twice.
    ///
    /// # Errors
    /// [`PoolError`]: there is no result. What the job returns, errors included, is its result.
    pub fn run<T, J>(&self, mut job: J) -> Result<T, PoolError>
    where
        T: Send + 'static,
        J: FnMut(&Cached<'_, Pkcs11Store>) -> T + Send + 'static,
    {
        self.pool.run(self.deadline, move |store| job(store))
    }

    /// How the pool is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.pool.health()
    }
}

/// What a worker remembers of devices from job to job.
#[derive(Debug)]
struct Memories(Option<Limits>);

impl Workshop for Memories {
    type Bench<'s> = Cached<'s, Pkcs11Store>;

    fn bench<'s>(&self, store: &'s Pkcs11Store) -> Self::Bench<'s> {
        cached(store, self.0)
    }

    fn idle(&self, bench: &mut Self::Bench<'_>) {
        bench.expire();
    }
}
