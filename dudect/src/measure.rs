//! Times of two classes of secrets, interleaved at random, and Welch's t between them.

use std::{hint::black_box, time::Instant};

/// Percentiles above which times are left out: all times, then fewer and fewer of those that an interruption made long.
const CROPS: [f64; 6] = [1.0, 0.99, 0.95, 0.9, 0.75, 0.5];

/// About how long one measurement takes; short work is repeated so often.
const NANOSECONDS: u128 = 2_000;

/// Work on secret bytes. What it returns is not optimised away.
type Work = Box<dyn Fn(&[u8]) -> u64>;

/// Work, with the secret bytes of the fixed class.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The secret of one class; in the other, as many random bytes.
    fixed: Vec<u8>,
    work: Work,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, fixed: &[u8], work: impl Fn(&[u8]) -> u64 + 'static) -> Self {
        Self { name: name.into(), fixed: fixed.into(), work: Box::new(work) }
    }

    /// A round of `count` measurements.
    pub(crate) fn round(&self, count: usize, random: &mut Random) -> Outcome {
        let repeats = self.repeats();
        let size = self.fixed.len();
        let (mut times, mut left) = ([Vec::with_capacity(count), Vec::with_capacity(count)], count);
        // Secrets lie ready before they are timed, so that nothing but their bytes differs.
        let mut secrets = vec![0; size * 64];
        while left > 0 {
            let classes: [usize; 64] = std::array::from_fn(|_| usize::from(random.next() & 1 == 1));
            for (secret, class) in secrets.chunks_exact_mut(size).zip(classes) {
                // Both are written over alike.
                random.fill(secret);
                if class == 0 {
                    secret.copy_from_slice(&self.fixed);
                }
            }
            for (secret, class) in secrets.chunks_exact(size).zip(classes) {
                let time = self.time(secret, repeats);
                times[class].push(time);
            }
            left = left.saturating_sub(64);
        }
        outcome(&times, repeats)
    }

    fn time(&self, secret: &[u8], repeats: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..repeats {
            black_box((self.work)(black_box(secret)));
        }
        start.elapsed().as_secs_f64() * 1e9
    }

    fn repeats(&self) -> u32 {
        let (start, mut runs) = (Instant::now(), 0u128);
        while start.elapsed().as_micros() < 500 {
            black_box((self.work)(black_box(&self.fixed)));
            runs += 1;
        }
        let one = (start.elapsed().as_nanos() / runs).max(1);
        u32::try_from((NANOSECONDS / one).max(1)).unwrap_or(1)
    }
}

/// The result of a round, at the crop where the classes differ most.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Welch's t.
    pub(crate) t: f64,
    /// By how much the fixed class is slower, in nanoseconds of one run.
    pub(crate) difference: f64,
}

fn outcome(times: &[Vec<f64>; 2], repeats: u32) -> Outcome {
    let mut sorted = times.concat();
    sorted.sort_by(f64::total_cmp);
    let limits = CROPS.map(|crop| crop_at(&sorted, crop));
    let outcomes = limits.map(|limit| {
        let [fixed, random] = times.each_ref().map(|times| Moments::of(times.iter().copied().filter(|t| *t <= limit)));
        let (t, difference) = fixed.welch(&random);
        Outcome { t, difference: difference / f64::from(repeats) }
    });
    outcomes.into_iter().max_by(|a, b| a.t.abs().total_cmp(&b.t.abs())).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the number of times")]
fn crop_at(sorted: &[f64], crop: f64) -> f64 {
    sorted.get((sorted.len() as f64 * crop) as usize).copied().unwrap_or(f64::INFINITY)
}

/// Number, mean and sum of squared deviations (Welford).
#[derive(Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of(times: impl Iterator<Item = f64>) -> Self {
        times.fold(Self::default(), |Self { n, mean, squares }, time| {
            let (n, before) = (n + 1.0, time - mean);
            let mean = mean + before / n;
            Self { n, mean, squares: squares + before * (time - mean) }
        })
    }

    /// t, and the difference of the means. No t for classes too small, or without any variance.
    fn welch(&self, other: &Self) -> (f64, f64) {
        let difference = self.mean - other.mean;
        let variance = |m: &Self| m.squares / (m.n - 1.0) / m.n;
        let error = (variance(self) + variance(other)).sqrt();
        if self.n < 10.0 || other.n < 10.0 || error <= 0.0 {
            (0.0, difference)
        } else {
            (difference / error, difference)
        }
    }
}

/// Random enough for secrets of a test.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos());
        Self(u64::try_from(time & u128::from(u64::MAX)).unwrap_or(1) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 24
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(4) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Welch's t by hand: means 2 and 5, variances 1 and 4, 3 and 3 values; too few, so ten times each.
    #[test]
    fn t_of_known_numbers() {
        let times = |values: [f64; 3]| Moments::of(values.into_iter().cycle().take(30));
        let (t, difference) = times([1.0, 2.0, 3.0]).welch(&times([3.0, 5.0, 7.0]));
        assert!((difference + 3.0).abs() < 1e-9);
        // Variances 20/29 and 80/29: the error is the root of 100/29/30.
        assert!((t + 3.0 / (100.0f64 / 29.0 / 30.0).sqrt()).abs() < 1e-9, "{t}");
        assert_eq!(Moments::of([1.0; 20].into_iter()).welch(&Moments::of([2.0; 20].into_iter())).0, 0.0);
    }

    /// Long interruptions hide a small difference in the mean of all, and not in the crops.
    #[test]
    fn crops_see_through_interruptions() {
        let mut random = Random(12345);
        let mut times = [Vec::new(), Vec::new()];
        for i in 0..20_000usize {
            let noise = (random.next() % 64) as f64 + if random.next().is_multiple_of(20) { 1e6 } else { 0.0 };
            times[i % 2].push(1000.0 + noise + if i % 2 == 0 { 4.0 } else { 0.0 });
        }
        let all = Moments::of(times[0].iter().copied()).welch(&Moments::of(times[1].iter().copied())).0;
        assert!(all.abs() < 5.0, "{all}");
        let outcome = outcome(&times, 2);
        assert!(outcome.t > 10.0 && (1.0..3.0).contains(&outcome.difference), "{} {}", outcome.t, outcome.difference);
        times[0].iter_mut().for_each(|time| *time -= 4.0);
        assert!(super::outcome(&times, 1).t.abs() < 5.0);
    }
}
