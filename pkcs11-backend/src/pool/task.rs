//! A request on its way: a job that can run more than once, and the caller that waits for it.

use std::{sync::mpsc::Sender, time::Instant};

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
    pub(super) job: J,
    pub(super) result: Option<T>,
    pub(super) caller: Sender<Result<T, PoolError>>,
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

    fn answer(self: Box<Self>) {
        // A caller whose time is up does not listen any more.
        let _ = self.caller.send(self.result.ok_or(PoolError::Panicked));
    }

    fn refuse(self: Box<Self>, error: PoolError) {
        let _ = self.caller.send(Err(error));
    }
}
