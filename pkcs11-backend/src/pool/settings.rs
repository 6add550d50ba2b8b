//! How a pool works.

use std::time::Duration;

use crate::Settings;

/// How a pool works. Start from [`PoolSettings::new`] and change what is to be different.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The token.
    pub token: Settings,
    /// Threads a shard, each with one session; at least 1.
    pub workers: usize,
    /// Copies of the module in this process; at least 1. Some modules let one thread at a time work: with a copy a core,
    /// each loaded from a file of its own in a private temporary folder, all cores work.
    pub shards: usize,
    /// Most requests that wait; at least 1. One more is refused.
    pub queue: usize,
    /// Derived keys after which a shard initialises its module again, because modules do not give back all memory of
    /// destroyed objects (SoftHSM keeps some 250 bytes of each).
    pub recycle_after: u64,
    /// Least time between two attempts to open the token again; doubled with each that fails.
    pub first_wait: Duration,
    /// Most time between two attempts.
    pub longest_wait: Duration,
    /// Failures in a row after which requests are refused at once, until the token is open again.
    pub patience: u32,
}

impl PoolSettings {
    /// One shard of two workers, 256 requests that wait, waits of 50 ms to 10 s, and patience for three failures.
    #[must_use]
    pub fn new(token: Settings) -> Self {
        Self {
            token,
            workers: 2,
            shards: 1,
            queue: 256,
            recycle_after: 400_000,
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(10),
            patience: 3,
        }
    }

    /// How long to wait after this many failures in a row: not at all after the first.
    pub(super) fn wait(&self, failures: u32) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            n => self.first_wait.saturating_mul(1 << (n - 2).min(20)).min(self.longest_wait),
        }
    }
}
