//! Shrinking a right circuit: each move replaces one gate by another that no output can tell from it.
//!
//! A gate matters only at the inputs where flipping it changes an output. Any signal or new gate that agrees with it there
//! may take its place, so every move leaves the circuit right; moves that do not make it larger are taken (neutral drift),
//! and now and then one that makes it a gate larger, which is what gets it out of dead ends.

use crate::circuit::{BASE, Circuit, Gate, Mode};
use crate::fit::{self, Goal};
use crate::kwan;
use crate::rng::Rng;

/// One move, if one was found.
fn step(c: &Circuit, v: &[u64], mode: Mode, rng: &mut Rng) -> Option<Circuit> {
    let at = rng.below(c.gates.len());
    let me = BASE + at;
    // Flip the gate and see where the outputs notice; the gates behind it may not become its operands.
    let mut flipped = v.to_vec();
    flipped[me] = !v[me];
    let mut behind: u128 = 1 << me;
    for (i, g) in c.gates.iter().enumerate().skip(at + 1) {
        let (ops, n) = g.operands();
        if ops[..n].iter().any(|o| behind >> o & 1 == 1) {
            behind |= 1 << (BASE + i);
            flipped[BASE + i] = g.value(&flipped);
        }
    }
    let care = c.outs.iter().fold(0, |m, o| m | (v[usize::from(*o)] ^ flipped[usize::from(*o)]));
    let goal = Goal { want: v[me], care };
    let ones = mode != Mode::Lut;
    let mut signals: Vec<u8> = (0..v.len() as u8).filter(|s| behind >> s & 1 == 0 && (ones || *s != 6)).collect();
    rng.shuffle(&mut signals);
    if let Some(s) = signals.iter().find(|s| goal.met_by(v[usize::from(**s)])) {
        return Some(replace(c, me, None, *s));
    }
    let old = c.gates[at];
    if rng.below(8) == 0 {
        return two_gates(c, v, me, goal, &signals, mode, rng);
    }
    let g = fit::one_gate(goal, v, &signals, mode, rng, |g| !same(g, old))?;
    let mut gates = c.gates.clone();
    gates[at] = g;
    Some(Circuit::sorted(&gates, &c.outs))
}

/// Same operands (in any order): not a move.
fn same(a: Gate, b: Gate) -> bool {
    let sorted = |g: Gate| {
        let (mut o, n) = g.operands();
        o[..n].sort_unstable();
        (o, n)
    };
    sorted(a) == sorted(b) && std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// Every use of signal `me` becomes signal `by`; `extra` is appended first.
fn replace(c: &Circuit, me: usize, extra: Option<Gate>, by: u8) -> Circuit {
    let swap = |o: u8| if usize::from(o) == me { by } else { o };
    let mut gates: Vec<Gate> = c.gates.iter().map(|g| g.map(swap)).collect();
    gates.extend(extra);
    let outs: Vec<u8> = c.outs.iter().map(|o| swap(*o)).collect();
    Circuit::sorted(&gates, &outs)
}

fn two_gates(
    c: &Circuit,
    v: &[u64],
    me: usize,
    goal: Goal,
    signals: &[u8],
    mode: Mode,
    rng: &mut Rng,
) -> Option<Circuit> {
    let mut v = v.to_vec();
    let x = v.len() as u8;
    v.push(0);
    for _ in 0..if mode == Mode::Lut { 30 } else { 150 } {
        let g = kwan::random_gate(signals, mode, rng);
        v[usize::from(x)] = g.value(&v);
        let top = if mode == Mode::Lut {
            lut_with(goal, &v, x, signals, rng)
        } else {
            signals.iter().find_map(|y| fit::two_input(goal, &v, x, *y))
        };
        if let Some(top) = top {
            let mut gates = c.gates.clone();
            gates.push(g);
            gates[me - BASE] = top;
            return Some(Circuit::sorted(&gates, &c.outs));
        }
    }
    None
}

/// A 3-input table over `x` and two of the signals.
fn lut_with(goal: Goal, v: &[u64], x: u8, signals: &[u8], rng: &mut Rng) -> Option<Gate> {
    let few = [
        signals[rng.below(signals.len())],
        signals[rng.below(signals.len())],
        signals[rng.below(signals.len())],
        signals[rng.below(signals.len())],
        signals[rng.below(signals.len())],
        signals[rng.below(signals.len())],
        x,
    ];
    fit::one_gate(goal, v, &few, Mode::Lut, rng, |_| true)
}

/// Drift and rebuilt outputs in turn from `start`, for `rounds` rounds; the smallest circuit met and the round it was met in.
pub(crate) fn shrink(start: Circuit, n: usize, mode: Mode, rounds: u64, rng: &mut Rng) -> (Circuit, u64) {
    let (mut cur, mut best, mut when) = (start.clone(), start, 0);
    let moves = if mode == Mode::Lut { 300 } else { 1000 };
    for k in 0..rounds {
        let mut v = cur.values();
        for _ in 0..moves {
            let Some(next) = step(&cur, &v, mode, rng) else { continue };
            let slack = usize::from(rng.below(64) == 0 && cur.gates.len() <= best.gates.len());
            if next.gates.len() <= cur.gates.len() + slack {
                cur = next;
                v = cur.values();
            }
            if cur.gates.len() < best.gates.len() {
                (best, when) = (cur.clone(), k);
            }
        }
        let room = [0, 0, 0, 1, 1, 2][rng.below(6)];
        let limit = cur.gates.len().max(best.gates.len() + room).min(best.gates.len() + 2);
        if let Some(next) = kwan::rebuild(&cur, n, limit, mode, rng) {
            cur = next;
            if cur.gates.len() < best.gates.len() {
                (best, when) = (cur.clone(), k);
            }
        }
        // Give a drift that went nowhere its best circuit back.
        if k % 64 == 63 && cur.gates.len() > best.gates.len() {
            cur = best.clone();
        }
    }
    // A circuit as small as the best but another one: the next run goes on from there.
    if cur.gates.len() == best.gates.len() {
        best = cur;
    }
    (best, when)
}
