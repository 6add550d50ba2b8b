//! The threads of a vault. Each has a session of its own at the key store, and all are over the same databases, which put what
//! they do at the same time into one transaction.

use std::{
    collections::VecDeque,
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use ::vault::{CardOnFile, RateLimit, ShardedVault, Stats, VaultError, VaultStore};
use dukpt::KeyError;
use p2pe_audit::Audited;
use p2pe_config::Store;
use p2pe_migrate::ArrowTokens;
use pkcs11_backend::PoolError;

use crate::{error::Failure, handle::Further};

/// A thread without work closes its session after so long, and wipes its data keys: a pool beside it can then open the token
/// anew after a fault.
const IDLE: Duration = Duration::from_secs(60);

/// A vault, or a set, as one thread has it.
pub(crate) type Open = ShardedVault<Audited<Store>>;

/// What a job has for whoever waits for it.
pub(crate) trait Outcome: Send + 'static {
    /// Errors of single cards.
    fn errors(&self) -> impl Iterator<Item = &VaultError> {
        iter::empty()
    }
}

impl Outcome for () {}
impl Outcome for String {}
impl Outcome for Vec<String> {}
impl Outcome for Vec<Stats> {}
impl Outcome for CardOnFile {}
impl Outcome for ArrowTokens {}

impl Outcome for Vec<Result<String, VaultError>> {
    fn errors(&self) -> impl Iterator<Item = &VaultError> {
        self.iter().filter_map(|answer| answer.as_ref().err())
    }
}

/// Answers by itself, and says whether the session may go on.
type Job = Box<dyn FnOnce(Result<&Open, Failure>) -> bool + Send>;

/// What each thread opens.
pub(crate) struct Plan {
    pub(crate) keys: Further,
    pub(crate) rows: Vec<Arc<dyn VaultStore>>,
    pub(crate) limit: RateLimit,
}

impl Plan {
    fn open(&self) -> Result<Open, Failure> {
        Ok(ShardedVault::open(self.rows.clone(), self.keys.open()?)?.with_rate_limit(self.limit))
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

    /// Runs `work` on the next free thread, and waits for its result. A thread whose token failed, for all or for the cards of
    /// one shard, opens it again for its next job.
    pub(crate) fn run<T: Outcome>(
        &self,
        work: impl FnOnce(&Open) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = mpsc::channel();
        self.queue.add(Box::new(move |vault| {
            let result = vault.and_then(work);
            let failed = |error: &VaultError| matches!(error, VaultError::Key(KeyError::Device { .. }));
            let fault = match &result {
                Ok(outcome) => outcome.errors().any(failed),
                Err(Failure::Vault(error)) => failed(error),
                Err(_) => false,
            };
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
