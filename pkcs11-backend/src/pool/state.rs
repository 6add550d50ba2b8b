//! What callers and workers share: the queue and the shards, under one lock that nobody holds while the token is called.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Health, HealthState, PoolError, PoolSettings, Workshop,
    settings::random,
    shard::{Phase, Shard},
    task::Queued,
};
use crate::{
    Fault, OpenError, Settings, Token, TokenInfo,
    fault::{Remedy, Suspicion},
    observe,
    self_test::Witness,
};

/// How long a pool that is dropped waits for its workers.
const GRACE: Duration = Duration::from_secs(5);
/// How long a worker waits for a request before it looks after its bench.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Shared<W: Workshop> {
    pub(super) workshop: W,
    settings: PoolSettings,
    /// What the token of each shard is opened with.
    tokens: Vec<Settings>,
    /// Held while a token is opened. If the PIN was refused to one shard, no other tries it.
    pin_refused: Mutex<bool>,
    /// What the keys were in earlier epochs, and in other shards.
    witness: Arc<Witness>,
    state: Mutex<State<W>>,
    /// A request came.
    work: Condvar,
    /// A shard changed, or a worker ended.
    change: Condvar,
}

struct State<W: Workshop> {
    queue: VecDeque<Queued<W>>,
    shards: Vec<Shard>,
    /// Of each worker, when the request that it works on expires.
    jobs: Vec<Option<Instant>>,
    /// Workers that wait for a request.
    idle: usize,
    alive: usize,
    closed: bool,
    /// A self-test failed: the pool serves nothing any more.
    failed: bool,
    /// The token that was opened first.
    token: Option<TokenInfo>,
}

/// What a worker does next.
pub(super) enum Next<W: Workshop> {
    Run(Queued<W>),
    Idle,
    /// The epoch is over.
    Leave,
}

impl<W: Workshop> Shared<W> {
    pub(super) fn new(settings: PoolSettings, tokens: Vec<Settings>, workshop: W) -> Self {
        let shards = tokens.iter().map(|_| Shard::new()).collect();
        let queue = VecDeque::new();
        let state =
            State { queue, shards, jobs: Vec::new(), idle: 0, alive: 0, closed: false, failed: false, token: None };
        let (work, change, witness) = (Condvar::new(), Condvar::new(), Arc::default());
        let (pin_refused, state) = (Mutex::new(false), Mutex::new(state));
        Self { workshop, settings, tokens, pin_refused, witness, state, work, change }
    }

    /// Takes a request in.
    pub(super) fn submit(&self, request: Queued<W>) -> Result<(), PoolError> {
        let mut state = self.lock();
        if let Some(why) = state.hopeless(self.settings.patience) {
            return Err(why);
        }
        if state.queue.len() >= self.settings.queue.max(1) {
            // Those whose callers have gone make room.
            let now = Instant::now();
            state.queue.retain(|waiting| waiting.expires > now);
            if state.queue.len() >= self.settings.queue.max(1) {
                return Err(PoolError::Overloaded);
            }
        }
        observe::queued(state.queue.len() + 1);
        state.queue.push_back(request);
        // A worker that works looks here before it sleeps: then there is nobody to wake up, which is a call of the kernel.
        let asleep = state.idle > 0;
        drop(state);
        if asleep {
            self.work.notify_one();
        }
        Ok(())
    }

    /// One worker more; its number.
    pub(super) fn worker(&self) -> usize {
        let mut state = self.lock();
        state.alive += 1;
        state.jobs.push(None);
        state.jobs.len() - 1
    }

    /// A worker has ended.
    pub(super) fn gone(&self) {
        self.lock().alive -= 1;
        self.change.notify_all();
    }

    /// Waits for the shard's token; opens it when it is time to. `None`: there will be none.
    pub(super) fn join(&self, shard: usize) -> Option<(Token, u64)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(joined) = state.shards[shard].join() {
                return Some(joined);
            }
            state = match state.shards[shard].phase {
                Phase::Stopped => return None,
                Phase::Closed(until) => {
                    let wait = until.saturating_duration_since(Instant::now());
                    if wait.is_zero() {
                        state.shards[shard].phase = Phase::Opening;
                        drop(state);
                        // What went wrong is in the shard's health.
                        let _ = self.open(shard);
                        self.lock()
                    } else {
                        self.change.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                    }
                }
                _ => self.change.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Opens the token of a shard whose phase is [`Phase::Opening`].
    pub(super) fn open(&self, shard: usize) -> Result<(), OpenError> {
        let opened = self.log_in(shard);
        let mut state = self.lock();
        let refused = matches!(opened, Err(OpenError::WrongPin | OpenError::PinLocked | OpenError::PinToChange));
        let result = match opened {
            Ok(token) => {
                state.token.get_or_insert_with(|| token.info().clone());
                state.shards[shard].opened(token);
                Ok(())
            }
            Err(error) => {
                let wrong = matches!(error, OpenError::SelfTest(_));
                state.failed |= wrong;
                let (at, settings) = (&mut state.shards[shard], &self.settings);
                at.fault(error.to_string());
                let wait = settings.wait(at.failure(), random());
                at.phase = if refused || wrong { Phase::Stopped } else { Phase::Closed(Instant::now() + wait) };
                Err(error)
            }
        };
        observe::opened(shard, state.shards[shard].health(self.settings.patience).epoch, result.as_ref().err());
        self.changed(&mut state);
        result
    }

    fn log_in(&self, shard: usize) -> Result<Token, OpenError> {
        let mut refused = self.pin_refused.lock().unwrap_or_else(PoisonError::into_inner);
        if *refused {
            return Err(OpenError::WrongPin);
        }
        let opened = Token::open_before(&self.tokens[shard], Some(&self.witness));
        *refused = matches!(opened, Err(OpenError::WrongPin | OpenError::PinLocked | OpenError::PinToChange));
        let token = opened?;
        match self.lock().token.as_ref().filter(|first| !first.is_same_token(token.info())) {
            Some(first) => Err(OpenError::OtherToken { wanted: first.to_string(), found: token.info().to_string() }),
            None => Ok(token),
        }
    }

    /// The next request. `served`: the last one went well.
    pub(super) fn next(&self, shard: usize, epoch: u64, worker: usize, served: bool, token: &Token) -> Next<W> {
        let mut state = self.lock();
        state.jobs[worker] = None;
        if served && state.shards[shard].serves(epoch) {
            state.shards[shard].served();
        }
        loop {
            if state.closed || !state.shards[shard].serves(epoch) {
                // The call that woke this worker is for another one.
                self.work.notify_one();
                return Next::Leave;
            }
            if token.is_worn(self.settings.recycle_after) && state.others_serve(shard) {
                let old = state.shards[shard].end(Duration::ZERO);
                self.changed(&mut state);
                drop(state);
                self.leave(shard, old.into_iter().collect());
                return Next::Leave;
            }
            if let Some(request) = state.queue.pop_front() {
                observe::queued(state.queue.len());
                if request.expires <= Instant::now() {
                    request.task.refuse(PoolError::DeadlineExceeded);
                    continue;
                }
                state.jobs[worker] = Some(request.expires);
                return Next::Run(request);
            }
            state.idle += 1;
            let (again, timeout) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                return Next::Idle;
            }
        }
    }

    /// A fault ended the run of a request, or there was none. The request goes back to the queue at once with the end of the
    /// epoch, so that no other worker runs it on the token that failed.
    pub(super) fn failed(&self, shard: usize, epoch: u64, worker: usize, why: Suspicion, request: Option<Queued<W>>) {
        observe::faulted(shard, &why.fault, request.is_some());
        let mut state = self.lock();
        state.jobs[worker] = None;
        let mut old = None;
        if state.shards[shard].serves(epoch) {
            let at = &mut state.shards[shard];
            at.fault(why.fault.to_string());
            if why.remedy == Remedy::Reopen {
                let wait = self.settings.wait(at.failure(), random());
                old = at.end(wait);
            }
        }
        match request {
            Some(request) if !state.closed => state.queue.push_front(request),
            Some(request) => request.task.refuse(PoolError::Closed),
            None => {}
        }
        self.changed(&mut state);
        drop(state);
        self.leave(shard, old.into_iter().collect());
    }

    /// The token cannot be used: no session was to be had.
    pub(super) fn no_session(&self, shard: usize, epoch: u64, worker: usize, error: &OpenError) {
        let code = if let OpenError::Device { code, .. } = error { *code } else { 0 };
        let fault = Fault { function: "C_OpenSession", code };
        self.failed(shard, epoch, worker, Suspicion { fault, remedy: Remedy::Reopen }, None);
    }

    /// Drops the tokens, each of which was one use of this shard's epoch.
    pub(super) fn leave(&self, shard: usize, tokens: Vec<Token>) {
        let users = tokens.len();
        // The last one finalises the module.
        drop(tokens);
        if users > 0 {
            let mut state = self.lock();
            state.shards[shard].leave(users);
            self.changed(&mut state);
        }
    }

    /// Ends all: who waits is told, workers end after their job.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.changed(&mut state);
        let ended = self.change.wait_timeout_while(state, GRACE, |state| state.alive > 0);
        let mut state = ended.unwrap_or_else(PoisonError::into_inner).0;
        let tokens: Vec<_> = state.shards.iter_mut().filter_map(|shard| shard.end(Duration::ZERO)).collect();
        drop(state);
        drop(tokens);
    }

    pub(super) fn health(&self) -> Health {
        let (state, now) = (self.lock(), Instant::now());
        let shards: Vec<_> = state.shards.iter().map(|shard| shard.health(self.settings.patience)).collect();
        Health {
            state: match state.failed {
                true => HealthState::Stopped,
                false => shards.iter().map(|shard| shard.state).min().unwrap_or(HealthState::Down),
            },
            queued: state.queue.len(),
            busy: state.jobs.iter().flatten().count(),
            overdue: state.jobs.iter().flatten().filter(|expires| **expires <= now).count(),
            shards,
        }
    }

    /// After each change of a shard: those who wait look again, and requests that nobody will serve soon are refused.
    fn changed(&self, state: &mut State<W>) {
        for (number, shard) in state.shards.iter().enumerate() {
            observe::changed(number, &shard.health(self.settings.patience));
        }
        if let Some(why) = state.hopeless(self.settings.patience) {
            state.queue.drain(..).for_each(|request| request.task.refuse(why));
        }
        self.change.notify_all();
        self.work.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // No job runs under the lock: nothing of others can panic there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Workshop> State<W> {
    /// Why no request can be served, now or soon.
    fn hopeless(&self, patience: u32) -> Option<PoolError> {
        if self.closed {
            Some(PoolError::Closed)
        } else if self.failed {
            Some(PoolError::SelfTest)
        } else if self.shards.iter().all(Shard::is_stopped) {
            Some(PoolError::Stopped)
        } else {
            self.shards.iter().all(|shard| shard.is_down(patience)).then_some(PoolError::Unavailable)
        }
    }

    /// Whether requests are served while this shard is not. A shard that is alone takes the break.
    fn others_serve(&self, shard: usize) -> bool {
        self.shards.iter().enumerate().all(|(other, at)| other == shard || at.is_up())
    }
}
