//! An open store with a thread of its own, so that what its cache keeps stays from call to call.

use std::{
    process,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use dukpt::cache::{Cached, Limits};
use p2pe_config::{Access, Store, StoreSettings};
use pyo3::prelude::*;

use crate::error::Failure;

/// How often a store with nothing to do looks for remembered keys that have reached their age.
const IDLE: Duration = Duration::from_secs(1);

/// What a `Store` and the gateways over it share.
pub(crate) struct Handle {
    /// `None` once closed. Nothing under this lock takes the GIL.
    worker: Mutex<Option<Worker>>,
    /// The process with the thread in it: a fork has none.
    process: u32,
    /// For `repr`: kind, and the token's label.
    shown: String,
}

struct Worker {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
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

impl Handle {
    /// Opens a store. Called with the GIL released.
    pub(crate) fn open(settings: &StoreSettings, cache: Option<Limits>) -> Result<Arc<Self>, Failure> {
        let store = Store::open(settings, Access::Use)?;
        let about = store.describe();
        let shown = match about.get("token") {
            Some(label) => format!("pkcs11, token={label:?}"),
            None => about.get("kind").cloned().unwrap_or_default(),
        };
        let (jobs, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("p2pe-store".into());
        let thread = thread.spawn(move || serve(store, cache, &receiver)).map_err(|_| Failure::Closed)?;
        let worker = Mutex::new(Some(Worker { jobs, thread }));
        Ok(Arc::new(Self { worker, process: process::id(), shown }))
    }

    /// Runs `work` over the open store and what it remembers, the GIL released.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Cached<'_, Store>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.send(py, |answer| Job::Use(Box::new(move |store| drop(answer.send(work(store))))))
    }

    /// Runs `work` over the open store, keys of which it may change, the GIL released.
    pub(crate) fn with_mut<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Store) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.send(py, |answer| Job::Change(Box::new(move |store| drop(answer.send(work(store))))))
    }

    /// Executes the known answers.
    pub(crate) fn self_test(&self, py: Python<'_>) -> Result<(), Failure> {
        self.with_mut(py, |store| Ok(store.self_test()?))
    }

    fn send<T: Send>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(Sender<Result<T, Failure>>) -> Job + Send,
    ) -> Result<T, Failure> {
        py.detach(|| {
            let (answer, answered) = mpsc::channel();
            {
                let worker = self.worker.lock().map_err(|_| Failure::Closed)?;
                let worker = worker.as_ref().filter(|_| process::id() == self.process).ok_or(Failure::Closed)?;
                worker.jobs.send(job(answer)).map_err(|_| Failure::Closed)?;
            }
            // A panic in the middle of a call ends the thread, and leaves a store that nobody can use.
            answered.recv().map_err(|_| Failure::Closed)?
        })
    }

    /// Closes the store, after the calls that other threads may be in. A second time it does nothing.
    pub(crate) fn close(&self, py: Python<'_>) {
        py.detach(|| {
            let worker = self.worker.lock().ok().and_then(|mut worker| worker.take());
            if let Some(Worker { jobs, thread }) = worker.filter(|_| process::id() == self.process) {
                drop(jobs);
                // Of a thread that panicked nothing is left to close.
                let _ = thread.join();
            }
        });
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
