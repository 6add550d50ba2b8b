//! The threads of a vault. Each has a session of its own at the key store, and all are over one database, which puts what they
//! do at the same time into one transaction.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use ::vault::{RateLimit, Vault, VaultError, VaultStore};
use dukpt::KeyError;
use p2pe_audit::Audited;
use p2pe_config::Store;
use pkcs11_backend::PoolError;

use crate::{error::Failure, handle::Further};

/// A thread without work closes its session after so long, and wipes its data keys: a pool beside it can then open the token
/// anew after a fault.
const IDLE: Duration = Duration::from_secs(60);

/// A vault as one thread has it.
pub(crate) type Open = Vault<Audited<Store>>;

/// Answers by itself, and says whether the session may go on.
type Job = Box<dyn FnOnce(Result<&Open, Failure>) -> bool + Send>;

/// What each thread opens.
pub(crate) struct Plan {
    pub(crate) keys: Further,
    pub(crate) rows: Arc<dyn VaultStore>,
    pub(crate) limit: RateLimit,
}

impl Plan {
    fn open(&self) -> Result<Open, Failure> {
        Ok(Vault::open(Arc::clone(&self.rows), self.keys.open()?)?.with_rate_limit(self.limit))
    }
}

/// The threads. They end, and close what they have open, when this is dropped.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    /// The process with the threads in it: a fork has none.
    process: u32,
}

impl Workers {
    /// So many threads. Each opens the vault at its first job.
    pub(crate) fn start(count: usize, plan: Plan) -> Result<Self, Failure> {
        let mut workers = Self { queue: Arc::default(), threads: Vec::with_capacity(count), process: process::id() };
        let plan = Arc::new(plan);
        for _ in 0..count {
            let (queue, plan) = (Arc::clone(&workers.queue), Arc::clone(&plan));
            let thread = thread::Builder::new().name("p2pe-vault".into());
            workers.threads.push(thread.spawn(move || serve(&queue, &plan)).map_err(|_| Failure::VaultClosed)?);
        }
        Ok(workers)
    }

    /// Runs `work` on the next free thread, and waits for its result. A thread whose token failed opens it again for its next
    /// job.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Open) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = mpsc::channel();
        self.queue.add(Box::new(move |vault| {
            let result = vault.and_then(work);
            let fault = matches!(result, Err(Failure::Vault(VaultError::Key(KeyError::Device { .. }))));
            drop(answer.send(result));
            !fault
        }));
        // Of a job that panicked there is no answer.
        answered.recv().map_err(|_| PoolError::Panicked)?
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // In a fork the lock may be that of a thread which is not there.
        if process::id() != self.process {
            return;
        }
        self.queue.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Queue, plan: &Plan) {
    let mut vault = None;
    loop {
        vault = match queue.next() {
            Next::Job(job) => {
                let run = || match vault.take().map_or_else(|| plan.open(), Ok) {
                    Ok(vault) => job(Ok(&vault)).then_some(vault),
                    Err(failure) => {
                        job(Err(failure));
                        None
                    }
                };
                catch_unwind(AssertUnwindSafe(run)).unwrap_or_default()
            }
            Next::Idle => {
                // A thread that a panic ended would leave later calls without an answer.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(vault.take())));
                None
            }
            Next::Closed => return,
        };
    }
}

/// Jobs that wait, for whichever thread is free first. Nothing that panics runs under its lock.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

enum Next {
    Job(Job),
    /// There was none for a while.
    Idle,
    Closed,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Next {
        let nothing = |state: &mut State| state.jobs.is_empty() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), IDLE, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.jobs.pop_front() {
            Some(job) => Next::Job(job),
            None if state.closed => Next::Closed,
            None => Next::Idle,
        }
    }
}
