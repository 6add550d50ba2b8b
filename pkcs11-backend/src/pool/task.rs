//! A request on its way: a job that can run more than once, and the caller that waits for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, Thread},
    time::Instant,
};

use super::{PoolError, Workshop};

/// A job whose type of result the pool need not know.
pub(super) trait Task<W: Workshop>: Send {
    /// Runs the job; a result of an earlier run is forgotten.
    fn run(&mut self, bench: &mut W::Bench<'_>);
    /// Hands the result of the last run to the caller.
    fn answer(self: Box<Self>);
    /// Tells the caller why there is none.
    fn refuse(self: Box<Self>, error: PoolError);
}

/// A task in the queue.
pub(super) struct Queued<W: Workshop> {
    pub(super) task: Box<dyn Task<W>>,
    pub(super) expires: Instant,
    /// Runs that a fault ended.
    pub(super) failed: u32,
}

pub(super) struct Request<J, T> {
    job: J,
    result: Option<T>,
    caller: Caller<T>,
}

impl<J, T> Request<J, T> {
    /// A request of this thread, and where its answer will be.
    pub(super) fn new(job: J) -> (Self, Answer<T>) {
        let place = Arc::new(Mutex::new(None));
        let caller = Caller { place: Arc::clone(&place), thread: thread::current(), told: false };
        (Self { job, result: None, caller }, Answer(place))
    }
}

impl<W, J, T> Task<W> for Request<J, T>
where
    W: Workshop,
    J: FnMut(&mut W::Bench<'_>) -> T + Send,
    T: Send,
{
    fn run(&mut self, bench: &mut W::Bench<'_>) {
        self.result = None;
        self.result = Some((self.job)(bench));
    }

    fn answer(mut self: Box<Self>) {
        let result = self.result.take().ok_or(PoolError::Panicked);
        self.caller.tell(result);
    }

    fn refuse(mut self: Box<Self>, error: PoolError) {
        self.caller.tell(Err(error));
    }
}

/// One result for one thread. A channel would take kilobytes of memory for each request, and a call of the kernel even
/// where nobody sleeps.
type Place<T> = Arc<Mutex<Option<Result<T, PoolError>>>>;

struct Caller<T> {
    place: Place<T>,
    thread: Thread,
    told: bool,
}

impl<T> Caller<T> {
    fn tell(&mut self, result: Result<T, PoolError>) {
        self.told = true;
        *lock(&self.place) = Some(result);
        self.thread.unpark();
    }
}

impl<T> Drop for Caller<T> {
    /// No caller waits for a request that is no more.
    fn drop(&mut self) {
        if !self.told {
            self.tell(Err(PoolError::Closed));
        }
    }
}

/// Where the result of a request will be.
pub(super) struct Answer<T>(Place<T>);

impl<T> Answer<T> {
    /// Waits for it. Only for the thread that made the request.
    pub(super) fn wait(self, until: Instant) -> Result<T, PoolError> {
        loop {
            if let Some(result) = lock(&self.0).take() {
                return result;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(PoolError::DeadlineExceeded);
            }
            thread::park_timeout(left);
        }
    }
}

fn lock<T>(place: &Place<T>) -> MutexGuard<'_, Option<Result<T, PoolError>>> {
    // Nothing is done under the lock but to put a value there or to take it.
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
