//! Many callers, few sessions: workers that keep theirs, and open the token again when it fails.

mod copies;
mod error;
mod health;
mod settings;
mod shard;
mod state;
mod task;
mod worker;

use std::{
    fmt, mem, process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

pub use error::PoolError;
pub use health::{Health, HealthState, LastFault, ShardHealth};
pub use settings::PoolSettings;
use state::Shared;
use task::{Queued, Request};
use tempfile::TempDir;

use crate::{OpenError, PinSource, Pkcs11Store, observe};

/// What a worker keeps beside its store from one job to the next, as a cache of derived keys. It borrows the store, so
/// nothing of it outlives the session.
pub trait Workshop: Send + Sync + 'static {
    /// What jobs are given.
    type Bench<'s>;

    /// Made once for each session.
    fn bench<'s>(&self, store: &'s Pkcs11Store) -> Self::Bench<'s>;

    /// Called about once a second while there is nothing to do.
    fn idle(&self, _bench: &mut Self::Bench<'_>) {}
}

/// Workers that keep nothing: jobs are given the store.
#[derive(Clone, Copy, Default, Debug)]
pub struct PlainStores;

impl Workshop for PlainStores {
    type Bench<'s> = &'s Pkcs11Store;

    fn bench<'s>(&self, store: &'s Pkcs11Store) -> &'s Pkcs11Store {
        store
    }
}

/// A token for many callers. Share it by reference or in an `Arc`.
///
/// A job runs on a worker, which has a session of its own. When the token fails while it runs, its result is dropped,
/// the fault is mended (a new session; or every session closed, the module finalised and initialised, a new login and
/// the same token found again), and it runs again, three times at most. So a job must be one that may run twice, as derivations and
/// decryptions are. Each caller gets the result of a run without fault, or that of the last one, or a [`PoolError`].
///
/// No session is used after its epoch, because none is left: jobs can only borrow their store, a worker drops it when the
/// epoch is over, and the module is finalised when the last one is dropped. A call that hangs so keeps its shard from
/// being opened again until it returns; its caller has long been told [`PoolError::DeadlineExceeded`].
///
/// Other users of the same module in this process (a [`Token`](crate::Token) that is open) keep it initialised: close
/// them, or the pool cannot initialise it again.
///
/// ```no_run
/// use std::time::Duration;
///
/// use dukpt::{Key, KeyId, KeyStore};
/// use pkcs11_backend::{PinSource, Pool, PoolSettings, Settings, TokenSelector};
///
/// let token = Settings::new(
///     "/usr/lib/softhsm/libsofthsm2.so",
///     TokenSelector::label("p2pe"),
///     PinSource::File("/run/secrets/hsm-pin".into()),
/// );
/// let pool = Pool::open(PoolSettings { workers: 4, ..PoolSettings::new(token) })?;
///
/// let id = KeyId::new("tokens")?;
/// let mac = pool.run(Duration::from_millis(500), move |store| store.key(&id)?.hmac_sha256(b"data"))??;
/// # let _ = mac;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A store, or a key of it, that a job keeps for later does not compile:
///
/// ```compile_fail,E0521
/// # use std::{cell::Cell, time::Duration};
/// # use pkcs11_backend::{Pkcs11Store, Pool};
/// thread_local!(static KEPT: Cell<Option<&'static Pkcs11Store>> = const { Cell::new(None) });
///
/// fn keep(pool: &Pool) {
///     let _ = pool.run(Duration::from_secs(1), |store| KEPT.set(Some(*store)));
/// }
/// ```
pub struct Pool<W: Workshop = PlainStores> {
    shared: Arc<Shared<W>>,
    process: u32,
    _copies: Option<TempDir>,
}

impl Pool {
    /// Opens the token, once for each shard, and starts the workers.
    ///
    /// # Errors
    /// As of [`Pool::with`].
    pub fn open(settings: PoolSettings) -> Result<Self, OpenError> {
        Self::with(settings, PlainStores)
    }
}

impl<W: Workshop> Pool<W> {
    /// Opens the token, once for each shard, and starts the workers, whose benches `workshop` makes.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::PinPrompt`] for a PIN from the terminal, because nobody is there when the token must be
    /// opened again.
    pub fn with(settings: PoolSettings, workshop: W) -> Result<Self, OpenError> {
        if settings.token.pin == PinSource::Prompt {
            let why = "a pool logs in again by itself: name a file or an environment variable";
            return Err(OpenError::PinPrompt(std::io::Error::new(std::io::ErrorKind::Unsupported, why)));
        }
        let (shards, copies) = copies::settings(&settings.token, settings.shards)?;
        let (count, workers) = (shards.len(), settings.workers.max(1));
        // From here on the pool closes what it has opened, whatever fails.
        let shared = Arc::new(Shared::new(settings, shards, workshop));
        let pool = Self { shared, process: process::id(), _copies: copies };
        for shard in 0..count {
            pool.shared.open(shard)?;
        }
        for shard in 0..count {
            for number in 0..workers {
                let (shared, worker) = (Arc::clone(&pool.shared), pool.shared.worker());
                let name = format!("pkcs11-{shard}-{number}");
                let spawned = thread::Builder::new().name(name).spawn(move || worker::work(&shared, shard, worker));
                if let Err(source) = spawned {
                    pool.shared.gone();
                    return Err(OpenError::Thread(source));
                }
            }
        }
        Ok(pool)
    }

    /// Runs a job on the next free worker and waits for its result, `within` this time.
    ///
    /// # Errors
    /// [`PoolError`]: there is no result. What the job returns, errors included, is its result.
    pub fn run<T, J>(&self, within: Duration, mut job: J) -> Result<T, PoolError>
    where
        T: Send + 'static,
        J: FnMut(&mut W::Bench<'_>) -> T + Send + 'static,
    {
        let started = Instant::now();
        let mut waiting = true;
        let result = self.run_unseen(within, move |bench: &mut W::Bench<'_>| {
            if mem::take(&mut waiting) {
                observe::waited(started.elapsed());
            }
            job(bench)
        });
        observe::requested(started, &result);
        result
    }

    fn run_unseen<T, J>(&self, within: Duration, job: J) -> Result<T, PoolError>
    where
        T: Send + 'static,
        J: FnMut(&mut W::Bench<'_>) -> T + Send + 'static,
    {
        if process::id() != self.process {
            return Err(PoolError::Forked);
        }
        let (request, answer) = Request::new(job);
        let expires = Instant::now() + within;
        self.shared.submit(Queued { task: Box::new(request), expires, failed: 0 })?;
        answer.wait(expires)
    }

    /// How the pool is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health()
    }
}

impl<W: Workshop> Drop for Pool<W> {
    /// Lets each worker finish its job, for five seconds at most: one that hangs is left behind, with its session.
    fn drop(&mut self) {
        if process::id() == self.process {
            self.shared.close();
        }
    }
}

impl<W: Workshop> fmt::Debug for Pool<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
