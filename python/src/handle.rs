//! An open store that all threads may call: one session with a thread of its own, so that what its cache keeps stays from
//! call to call, or a pool of sessions.

use std::{
    process,
    sync::{
        Arc, OnceLock, RwLock,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use dukpt::{
    KeyError, KeyStore,
    cache::{Cached, Limits},
};
use p2pe_audit::{Audited, Event, Log, Record};
use p2pe_config::{Access, PoolOptions, Store, StoreSettings, TokenPool};
use pkcs11_backend::{Health, PinSource};
use pyo3::prelude::*;

use crate::error::{Failure, SELF_TEST};

/// How often a store with nothing to do looks for remembered keys that have reached their age.
const IDLE: Duration = Duration::from_secs(1);

/// What is asked of a store. A pool may run it twice.
pub(crate) trait Work: Send + 'static {
    type Result: Send + 'static;

    fn run(&mut self, store: &impl KeyStore) -> Result<Self::Result, Failure>;
}

/// What a `Store` and the gateways over it share.
pub(crate) struct Handle {
    /// `None` once closed. A call holds it until it has its result. Nothing under this lock takes the GIL.
    open: RwLock<Option<Open>>,
    /// The process with the threads in it: a fork has none.
    process: u32,
    /// How a further session is opened.
    settings: Arc<StoreSettings>,
    /// The known answer that came out wrong.
    failed: OnceLock<&'static str>,
    /// Where calls are recorded.
    audit: Option<Arc<Log>>,
    /// For `repr`: kind, and the token's label.
    shown: String,
}

enum Open {
    One(Worker),
    Pool(TokenPool),
}

struct Worker {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// Opens sessions beside those of a store, as it was opened.
pub(crate) struct Further {
    settings: Arc<StoreSettings>,
    audit: Option<Arc<Log>>,
}

impl Further {
    /// One of them. Each use of a key is recorded.
    pub(crate) fn open(&self) -> Result<Audited<Store>, Failure> {
        Ok(Audited::new(Store::open(&self.settings, Access::Use)?, self.audit.clone()))
    }

    /// Whether it opens them without asking anybody for a PIN.
    pub(crate) fn opens_alone(&self) -> bool {
        !matches!(&*self.settings, StoreSettings::Pkcs11(token) if token.pin == PinSource::Prompt)
    }
}

type Use = dyn FnOnce(&Cached<'_, Store>) + Send;
type Change = dyn FnOnce(&mut Store) + Send;

enum Job {
    Use(Box<Use>),
    Change(Box<Change>),
}

/// Runs jobs until nobody can send one. A change of the store empties the cache, which borrows it.
fn serve(mut store: Store, cache: Option<Limits>, jobs: &Receiver<Job>) {
    loop {
        let cached = store.cached(cache);
        let change = loop {
            // What has reached its age does not wait for the next call.
            let job = match cache {
                Some(_) => jobs.recv_timeout(IDLE),
                None => jobs.recv().map_err(RecvTimeoutError::from),
            };
            match job {
                Ok(Job::Use(work)) => work(&cached),
                Ok(Job::Change(work)) => break work,
                Err(RecvTimeoutError::Timeout) => cached.expire(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        drop(cached);
        change(&mut store);
    }
}

impl Worker {
    fn send<T: Send>(
        &self,
        job: impl FnOnce(Sender<Result<T, Failure>>) -> Job + Send,
    ) -> Result<Receiver<Result<T, Failure>>, Failure> {
        let (answer, answered) = mpsc::channel();
        self.jobs.send(job(answer)).map_err(|_| Failure::Closed)?;
        Ok(answered)
    }
}

/// A panic in the middle of a call ends the thread, and leaves a store that nobody can use.
fn wait<T>(answered: &Receiver<Result<T, Failure>>) -> Result<T, Failure> {
    answered.recv().map_err(|_| Failure::Closed)?
}

impl Handle {
    /// Opens a store of one session. Called with the GIL released.
    pub(crate) fn open(
        settings: StoreSettings,
        cache: Option<Limits>,
        audit: Option<Arc<Log>>,
    ) -> Result<Arc<Self>, Failure> {
        let store = Store::open(&settings, Access::Use)?;
        let about = store.describe();
        let shown = match about.get("token") {
            Some(label) => format!("pkcs11, token={label:?}"),
            None => about.get("kind").cloned().unwrap_or_default(),
        };
        let (jobs, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("p2pe-store".into());
        let thread = thread.spawn(move || serve(store, cache, &receiver)).map_err(|_| Failure::Closed)?;
        Ok(Self::new(Open::One(Worker { jobs, thread }), settings, audit, shown))
    }

    /// Opens a pool. Called with the GIL released.
    pub(crate) fn pool(
        options: PoolOptions,
        cache: Option<Limits>,
        audit: Option<Arc<Log>>,
    ) -> Result<Arc<Self>, Failure> {
        let pool = &options.settings;
        let settings = StoreSettings::Pkcs11(Box::new(pool.token.clone()));
        let shown = format!("{}, workers={}, shards={}", pool.token.token, pool.workers, pool.shards);
        Ok(Self::new(Open::Pool(TokenPool::open(options, cache)?), settings, audit, shown))
    }

    fn new(open: Open, settings: StoreSettings, audit: Option<Arc<Log>>, shown: String) -> Arc<Self> {
        let (open, settings, failed) = (RwLock::new(Some(open)), Arc::new(settings), OnceLock::new());
        Arc::new(Self { open, process: process::id(), settings, failed, audit, shown })
    }

    /// What opens sessions beside the store's own, which serve only while the store does: see [`Handle::while_serving`].
    pub(crate) fn further(&self) -> Further {
        Further { settings: Arc::clone(&self.settings), audit: self.audit.clone() }
    }

    /// Runs `work` over the open store and what it remembers, the GIL released. Each use of a key is recorded.
    pub(crate) fn with<W: Work>(&self, py: Python<'_>, mut work: W) -> Result<W::Result, Failure> {
        let audit = self.audit.clone();
        self.while_open(py, |open| match open {
            Open::One(worker) => {
                let mut work = move |store: &Cached<'_, Store>| work.run(&Audited::new(store, audit.clone()));
                wait(&worker.send(|answer| Job::Use(Box::new(move |store| drop(answer.send(work(store))))))?)
            }
            Open::Pool(pool) => pool.run(move |store| work.run(&Audited::new(store, audit.clone())))?,
        })
    }

    /// Runs `work` over the open store, keys of which it may change, the GIL released. Over a pool it has a session of its
    /// own.
    pub(crate) fn with_mut<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Store) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.while_open(py, |open| match open {
            Open::One(worker) => {
                wait(&worker.send(|answer| Job::Change(Box::new(move |store| drop(answer.send(work(store))))))?)
            }
            Open::Pool(_) => work(&mut Store::open(&self.settings, Access::Use)?),
        })
    }

    /// Executes the known answers. A pool, whose sessions know nothing of a wrong one, is closed.
    pub(crate) fn self_test(&self, py: Python<'_>) -> Result<(), Failure> {
        let tested = self.with_mut(py, |store| Ok(store.self_test()?));
        let result = tested.as_ref().err().map_or(Some("ok"), Failure::code);
        if result == Some(SELF_TEST) && matches!(self.health(py), Ok(Some(_))) {
            self.close(py);
        }
        if let Some(test) = tested.as_ref().err().and_then(Failure::self_test) {
            // A second one changes nothing.
            let _ = self.failed.set(test);
        }
        result.map_or(Ok(()), |result| self.record(py, &Record::new(Event::SelfTest, result))).and(tested)
    }

    /// How the pool is; nothing of one session.
    pub(crate) fn health(&self, py: Python<'_>) -> Result<Option<Health>, Failure> {
        self.while_open(py, |open| match open {
            Open::One(_) => Ok(None),
            Open::Pool(pool) => Ok(Some(pool.health())),
        })
    }

    /// Runs `call` beside the store, the GIL released: the store is open, no known answer came out wrong, and it is not closed
    /// before the call has ended.
    pub(crate) fn while_serving<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        self.while_open(py, |_| match self.failed.get() {
            Some(test) => Err(KeyError::SelfTest(test).into()),
            None => call(),
        })
    }

    fn while_open<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Open) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        py.detach(|| {
            // In a fork the lock may be that of a thread which is not there.
            if process::id() != self.process {
                return Err(Failure::Closed);
            }
            let open = self.open.read().map_err(|_| Failure::Closed)?;
            call(open.as_ref().ok_or(Failure::Closed)?)
        })
    }

    /// Closes the store, after the calls that other threads may be in. A second time it does nothing.
    pub(crate) fn close(&self, py: Python<'_>) {
        py.detach(|| {
            if process::id() != self.process {
                return;
            }
            let open = self.open.write().ok().and_then(|mut open| open.take());
            if let Some(Open::One(Worker { jobs, thread })) = open {
                drop(jobs);
                // Of a thread that panicked nothing is left to close.
                let _ = thread.join();
            }
        });
    }

    /// Records what is no use of a key, unless there is no log.
    pub(crate) fn record(&self, py: Python<'_>, record: &Record<'_>) -> Result<(), Failure> {
        let Some(log) = &self.audit else { return Ok(()) };
        match py.detach(|| log.append(record)) {
            Err(error) if log.options().required => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closing a session is a call to the device too. While the interpreter ends there is no GIL to release.
        let _ = Python::try_attach(|py| self.close(py));
    }
}
