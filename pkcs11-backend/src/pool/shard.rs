//! One copy of the module, from epoch to epoch: open, being left, closed for a while, open again.

use std::time::{Duration, Instant, SystemTime};

use super::{HealthState, LastFault, ShardHealth};
use crate::Token;

/// One copy of the module.
pub(super) struct Shard {
    pub(super) phase: Phase,
    epoch: u64,
    /// Who holds the token of this epoch, this shard among them. Nobody opens the next before this is zero.
    users: usize,
    faults: u64,
    failures: u32,
    last_fault: Option<LastFault>,
}

pub(super) enum Phase {
    Up(Token),
    /// Nobody joins; those who hold the old token let it go. Then, after this time, it is opened again.
    Leaving(Duration),
    Closed(Instant),
    Opening,
    /// The PIN was refused.
    Stopped,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Opening, epoch: 0, users: 0, faults: 0, failures: 0, last_fault: None }
    }

    pub(super) fn opened(&mut self, token: Token) {
        self.phase = Phase::Up(token);
        self.epoch += 1;
        self.users = 1;
    }

    /// The token, its epoch, and one user more.
    pub(super) fn join(&mut self) -> Option<(Token, u64)> {
        let Phase::Up(token) = &self.phase else { return None };
        self.users += 1;
        Some((token.share(), self.epoch))
    }

    pub(super) fn serves(&self, epoch: u64) -> bool {
        self.is_up() && self.epoch == epoch
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// It failed so often that requests need not wait for it.
    pub(super) fn is_down(&self, patience: u32) -> bool {
        self.is_stopped() || (!self.is_up() && self.failures >= patience)
    }

    pub(super) fn served(&mut self) {
        self.failures = 0;
    }

    pub(super) fn fault(&mut self, what: String) {
        self.faults += 1;
        self.last_fault = Some(LastFault { what, at: SystemTime::now() });
    }

    /// One failure more in a row; how many there are.
    pub(super) fn failure(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// Ends the epoch. The caller drops the token that it gets and then [leaves](Self::leave) for it.
    pub(super) fn end(&mut self, wait: Duration) -> Option<Token> {
        match std::mem::replace(&mut self.phase, Phase::Leaving(wait)) {
            Phase::Up(token) => Some(token),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// So many users let go. The last one closes the epoch.
    pub(super) fn leave(&mut self, users: usize) {
        self.users -= users;
        if let (0, Phase::Leaving(wait)) = (self.users, &self.phase) {
            self.phase = Phase::Closed(Instant::now() + *wait);
        }
    }

    pub(super) fn health(&self, patience: u32) -> ShardHealth {
        let state = match &self.phase {
            Phase::Up(_) => HealthState::Serving,
            Phase::Stopped => HealthState::Stopped,
            _ if self.is_down(patience) => HealthState::Down,
            _ => HealthState::Recovering,
        };
        ShardHealth {
            state,
            epoch: self.epoch,
            faults: self.faults,
            failures_in_a_row: self.failures,
            last_fault: self.last_fault.clone(),
        }
    }
}
