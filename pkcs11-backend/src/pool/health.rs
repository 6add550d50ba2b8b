//! How a pool is, for a gateway's health page. No secret is in it.

use std::time::SystemTime;

/// How a pool is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// The best of the shards' states.
    pub state: HealthState,
    /// Requests that wait.
    pub queued: usize,
    /// Workers that have one.
    pub busy: usize,
    /// Workers whose request has outlived its deadline: calls that hang.
    pub overdue: usize,
    /// Each copy of the module.
    pub shards: Vec<ShardHealth>,
}

/// How one copy of the module is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardHealth {
    /// What it does now.
    pub state: HealthState,
    /// How often the token was opened. A session is of one epoch and does not outlive it.
    pub epoch: u64,
    /// Faults since the pool was opened.
    pub faults: u64,
    /// Failures since something last went well.
    pub failures_in_a_row: u32,
    /// The last fault.
    pub last_fault: Option<LastFault>,
}

/// A fault, and when it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastFault {
    /// What happened, as in `C_DeriveKey failed with 0x30`.
    pub what: String,
    /// When.
    pub at: SystemTime,
}

/// What a pool or one of its shards does, from good to bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HealthState {
    /// It serves.
    Serving,
    /// It opens the token again; requests wait.
    Recovering,
    /// Several attempts failed; requests are refused until one succeeds.
    Down,
    /// The PIN was refused, or a self-test failed: nothing is tried any more.
    Stopped,
}

impl HealthState {
    /// A stable name, for reports and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Recovering => "recovering",
            Self::Down => "down",
            Self::Stopped => "stopped",
        }
    }
}
