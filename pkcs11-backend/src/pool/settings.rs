//! How a pool works.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

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
    /// Time between two attempts to open the token again; doubled with each that fails. The second half of each such time
    /// is left to chance.
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

    /// How long to wait after this many failures in a row: not at all after the first. Then a time that doubles, of which
    /// the second half is as long as the dice say: gateways that lost the same HSM do not all come back at one moment.
    pub(super) fn wait(&self, failures: u32, dice: u32) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            n => {
                let half = self.first_wait.saturating_mul(1 << (n - 2).min(20)).min(self.longest_wait) / 2;
                half + half.mul_f64(f64::from(dice) / f64::from(u32::MAX))
            }
        }
    }
}

/// Dice for [`PoolSettings::wait`]. Nothing secret hangs on them: the keys of a hash map are random enough.
pub(super) fn random() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PinSource, TokenSelector};

    fn settings() -> PoolSettings {
        PoolSettings::new(Settings::new("module", TokenSelector::label("token"), PinSource::Prompt))
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let milliseconds = |failures, dice| settings().wait(failures, dice).as_millis();
        // No wait after the first failure, whatever the dice say.
        assert_eq!([milliseconds(0, u32::MAX), milliseconds(1, u32::MAX)], [0, 0]);
        let longest = [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
        for (failures, wait) in (2..).zip(longest) {
            assert_eq!(milliseconds(failures, u32::MAX), wait);
            assert_eq!(milliseconds(failures, 0), wait / 2);
            assert!(milliseconds(failures, u32::MAX / 2).abs_diff(wait * 3 / 4) <= 1);
        }
        assert_eq!(milliseconds(u32::MAX, u32::MAX), 10_000);
    }

    /// Of a hundred gateways that fail together, no two tenths of a second get more than half.
    #[test]
    fn the_dice_scatter() {
        let mut settings = settings();
        settings.first_wait = Duration::from_secs(2);
        let tenths: Vec<_> = (0..100).map(|_| settings.wait(2, random()).as_millis() / 100).collect();
        assert!(tenths.iter().all(|tenth| (10..=20).contains(tenth)), "{tenths:?}");
        let most = (10..=20).map(|tenth| tenths.iter().filter(|at| **at == tenth).count()).max();
        assert!(most < Some(50), "{tenths:?}");
    }
}
