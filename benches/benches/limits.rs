//! What the rows' limits are computed from: the clock, and what a DES pass, a key schedule and the moves into and out of the
//! bit planes take at each level. `cargo bench --package p2pe-benches --bench limits` prints them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bitsliced_des::lanes::{Gates, Job, Level, Planes, Word, dispatch};

/// The least time of one of `times` calls, of many tries: what the machine does when it does nothing else. Nanoseconds.
#[inline(always)]
fn least(times: u32, mut call: impl FnMut()) -> f64 {
    let mut least = Duration::MAX;
    for _ in 0..300 {
        let begun = Instant::now();
        for _ in 0..times {
            call();
        }
        least = least.min(begun.elapsed());
    }
    least.as_secs_f64() * 1e9 / f64::from(times)
}

/// Nanoseconds of a full word: one DES, one key schedule, one move into the planes, one out of them.
struct Parts;

impl Job for Parts {
    type Output = [f64; 4];

    #[inline(always)]
    fn run<W: Word>(self) -> [f64; 4] {
        let mut blocks = vec![[7; 8]; W::LANES];
        let mut planes = Planes::<W>::load(&blocks);
        let key = Planes::<W>::load(&blocks);
        let schedule = key.schedule();
        // A chain of three passes, as in TDES.
        let passes = [(&schedule, false), (&schedule, true), (&schedule, false)];
        [
            least(10, || planes.des(&passes)) / 3.0,
            least(100, || drop(black_box(black_box(&key).schedule()))),
            least(100, || drop(black_box(Planes::<W>::load(black_box(&blocks))))),
            least(100, || planes.store(black_box(&mut blocks))),
        ]
    }
}

/// Gates a nanosecond where none waits for another: twelve chains side by side.
struct Rate;

impl Job for Rate {
    type Output = f64;

    #[inline(always)]
    fn run<W: Word>(self) -> f64 {
        const TURNS: u32 = 100;
        let mut x: [W; 12] = core::array::from_fn(|i| black_box(W::splat(i as u64)));
        let (a, b) = (black_box(W::splat(5)), black_box(W::splat(9)));
        let turn = least(100, || {
            for _ in 0..TURNS {
                for x in &mut x {
                    *x = if W::GATES == Gates::Three { x.lut::<0x2D>(a, b).lut::<0x36>(b, a) } else { x.or(a).xor(b) };
                }
            }
            x = black_box(x);
        });
        2.0 * 12.0 * f64::from(TURNS) / turn
    }
}

/// The circuits that a word uses, and their gates in one DES: the eight S-boxes, 48 key bits and 32 sums in each round.
struct Circuit;

impl Job for Circuit {
    type Output = (&'static str, f64);

    #[inline(always)]
    fn run<W: Word>(self) -> (&'static str, f64) {
        let (name, boxes) = match W::GATES {
            Gates::Two => ("two-input", 414),
            Gates::Select => ("select", 303),
            Gates::Three => ("three-input", 189),
        };
        (name, f64::from(16 * (boxes + 48 + 32)))
    }
}

fn main() {
    // Each waits for the one before: a multiplication, three cycles on x86-64 of the last fifteen years, and a sum, one.
    let mut x = black_box(3u64);
    let chain = least(1000, || x = black_box((0..100).fold(x, |x, i| x.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i)));
    let clock = 4.0 * 100.0 / chain;
    println!("clock, taking a multiplication for three cycles and a sum for one: {clock:.2} GHz");
    for level in Level::ALL.into_iter().filter(|level| level.available()) {
        let [des, schedule, load, store] = dispatch(level, Parts);
        let (circuit, gates) = dispatch(level, Circuit);
        let rate = dispatch(level, Rate);
        println!(
            "{level:?}, {} lanes: DES {des:.0} ns ({gates} {circuit} gates, {:.2} a cycle of {:.2} possible), key schedule {schedule:.0} ns, \
             in {load:.0} ns, out {store:.0} ns",
            level.lanes(),
            gates / des / clock,
            rate / clock,
        );
        // Of one item: two TDES for the initial key, ten steps of two DES, two TDES for the data key, and fourteen blocks.
        let passes = 6.0 + 20.0 + 6.0 + 42.0;
        let schedules = 4.0 + 20.0 + 2.0 + 2.0;
        let moves = (6.0 + 3.0 + 2.0 + 14.0) * load + (2.0 + 2.0 + 14.0) * store;
        let per_item = |time: f64| time / level.lanes() as f64;
        let [des, schedules, moves] = [passes * des, schedules * schedule, moves].map(per_item);
        println!(
            "    \"tdes batch decrypt\": {:.0} ns are {des:.0} of DES, {schedules:.0} of key schedules, {moves:.0} of moves; \
             with every possible gate, DES takes {:.0}",
            des + schedules + moves,
            per_item(passes * gates / rate),
        );
    }
}
