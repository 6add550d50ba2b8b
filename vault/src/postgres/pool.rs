//! So many connections at most; who finds none waits, up to the deadline.
//!
//! A connection is driven by the thread that uses it, so a call costs no change of threads, and nothing runs while nobody calls.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    fault::Fault,
    session::{Server, Session},
};

pub(super) struct Pool {
    server: Server,
    most: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    out: usize,
}

impl Pool {
    pub(super) fn new(server: Server, most: usize) -> Self {
        Self { server, most, state: Mutex::default(), given_back: Condvar::new() }
    }

    /// Does the work once, on a connection that is there or a new one.
    pub(super) fn attempt<T>(
        &self,
        deadline: Instant,
        work: &mut impl AsyncFnMut(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut place = Place { pool: self, session: self.wait(deadline)? };
        let mut session = match place.session.take() {
            Some(session) => session,
            None => Session::connect(&self.server, deadline)?,
        };
        let done = session.work(deadline, work);
        // After a broken connection, those that wait idle are most likely broken too.
        match &done {
            Err(fault) if fault.broke() => self.state().idle.clear(),
            _ => place.session = Some(session),
        }
        done
    }

    /// A place, and an idle connection if there is one.
    fn wait(&self, deadline: Instant) -> Result<Option<Session>, Fault> {
        let mut state = self.state();
        while state.out >= self.most {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Late);
            }
            state = self.given_back.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.out += 1;
        Ok(state.idle.pop())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back when it is dropped, in a panic too.
struct Place<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.out -= 1;
        state.idle.extend(self.session.take());
        drop(state);
        self.pool.given_back.notify_one();
    }
}
