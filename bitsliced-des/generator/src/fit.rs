//! One gate over given signals that has wanted values wherever they matter.

use crate::circuit::{Gate, Mode};
use crate::rng::Rng;

/// What a signal has to be (`want`) and at which of the 64 inputs it matters (`care`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) want: u64,
    pub(crate) care: u64,
}

impl Goal {
    pub(crate) fn met_by(self, x: u64) -> bool {
        (x ^ self.want) & self.care == 0
    }
}

/// The first gate over `signals` (in their order, so shuffle them) that meets the goal and that `accept` takes.
pub(crate) fn one_gate(
    goal: Goal,
    v: &[u64],
    signals: &[u8],
    mode: Mode,
    rng: &mut Rng,
    accept: impl Fn(Gate) -> bool,
) -> Option<Gate> {
    if mode == Mode::Lut {
        return triple(goal, v, signals, rng, accept);
    }
    let start = rng.below(signals.len().max(1));
    for i in 0..signals.len() {
        let a = signals[(i + start) % signals.len()];
        for b in &signals[..(i + start) % signals.len()] {
            if let Some(g) = two_input(goal, v, a, *b).filter(|g| accept(*g)) {
                return Some(g);
            }
        }
    }
    if mode == Mode::Mux { select(goal, v, signals, rng, accept) } else { None }
}

pub(crate) fn two_input(goal: Goal, v: &[u64], a: u8, b: u8) -> Option<Gate> {
    let (x, y) = (v[usize::from(a)], v[usize::from(b)]);
    let met = |z: u64| goal.met_by(z);
    if met(x ^ y) {
        Some(Gate::Xor(a, b))
    } else if met(x & y) {
        Some(Gate::And(a, b))
    } else if met(x | y) {
        Some(Gate::Or(a, b))
    } else if met(x & !y) {
        Some(Gate::AndNot(a, b))
    } else if met(y & !x) {
        Some(Gate::AndNot(b, a))
    } else {
        None
    }
}

fn select(goal: Goal, v: &[u64], signals: &[u8], rng: &mut Rng, accept: impl Fn(Gate) -> bool) -> Option<Gate> {
    let start = rng.below(signals.len());
    for i in 0..signals.len() {
        let s = signals[(i + start) % signals.len()];
        let m = v[usize::from(s)];
        let fits = |side: u64| {
            signals.iter().copied().filter(move |x| (v[usize::from(*x)] ^ goal.want) & goal.care & side == 0)
        };
        let no: Vec<u8> = fits(!m).collect();
        if no.is_empty() {
            continue;
        }
        for a in fits(m) {
            let skip = rng.below(no.len());
            for b in no[skip..].iter().chain(&no[..skip]) {
                if a != *b && s != a && s != *b && accept(Gate::Mux(s, a, *b)) {
                    return Some(Gate::Mux(s, a, *b));
                }
            }
        }
    }
    None
}

fn triple(goal: Goal, v: &[u64], signals: &[u8], rng: &mut Rng, accept: impl Fn(Gate) -> bool) -> Option<Gate> {
    let (on, off) = (goal.want & goal.care, !goal.want & goal.care);
    let n = signals.len();
    let (si, sj) = (rng.below(n), rng.below(n));
    for i in 0..n {
        let a = v[usize::from(signals[(i + si) % n])];
        let ai = (i + si) % n;
        for j in 0..ai {
            let bj = (j + sj) % ai;
            let b = v[usize::from(signals[bj])];
            let sides = [!a & !b, !a & b, a & !b, a & b].map(|s| (s & on, s & off));
            for ck in 0..bj {
                let c = v[usize::from(signals[ck])];
                let clash = |(p, q): &(u64, u64)| (p & c != 0 && q & c != 0) || (p & !c != 0 && q & !c != 0);
                if sides.iter().any(clash) {
                    continue;
                }
                let mut table = 0u8;
                for (k, (p, q)) in sides.iter().enumerate() {
                    for (l, side) in [!c, c].into_iter().enumerate() {
                        // A cell no input reaches may be anything: a random value keeps the search moving.
                        let one = if p & side != 0 {
                            1
                        } else if q & side != 0 {
                            0
                        } else {
                            (rng.next() >> 40 & 1) as u8
                        };
                        table |= one << (2 * k + l);
                    }
                }
                let g = Gate::Lut(table, signals[ai], signals[bj], signals[ck]);
                if accept(g) {
                    return Some(g);
                }
            }
        }
    }
    None
}
