//! Building outputs one by one, in the manner of Kwan: an existing signal, one gate, two gates, or else a split: by an input
//! bit, or by an existing signal that leaves less to care about. Every way is bounded by the gates it may still use.

use crate::circuit::{BASE, Circuit, Gate, Mode};
use crate::fit::{self, Goal};
use crate::rng::Rng;
use crate::sbox;

#[derive(Clone)]
struct State {
    gates: Vec<Gate>,
    v: Vec<u64>,
}

impl State {
    fn push(&mut self, g: Gate) -> u8 {
        let x = g.value(&self.v);
        self.gates.push(g);
        self.v.push(x);
        (BASE + self.gates.len() - 1) as u8
    }

    fn pop(&mut self) {
        self.gates.pop();
        self.v.pop();
    }
}

const FUEL: u32 = 60;

struct Search<'a> {
    mode: Mode,
    rng: &'a mut Rng,
    /// Nodes that may still branch; after them only one way is followed at each.
    fuel: u32,
}

/// A circuit of S-box `n`: outputs in a random order, each built from what is there already.
pub(crate) fn start(n: usize, mode: Mode, rng: &mut Rng) -> Option<Circuit> {
    let targets = sbox::outputs(n);
    let mut order = [0usize, 1, 2, 3];
    rng.shuffle(&mut order);
    let mut st = State { gates: Vec::new(), v: Circuit::inputs() };
    let mut outs = vec![0u8; 4];
    let mut search = Search { mode, rng, fuel: 0 };
    for o in order {
        search.fuel = FUEL;
        outs[o] = search.build(&mut st, Goal { want: targets[o], care: u64::MAX }, 0b11_1111, 120)?;
    }
    Some(Circuit::sorted(&st.gates, &outs))
}

/// The circuit with some outputs of S-box `n` built anew from the gates the other outputs need, with at most `limit` gates.
pub(crate) fn rebuild(c: &Circuit, n: usize, limit: usize, mode: Mode, rng: &mut Rng) -> Option<Circuit> {
    let mut order = [0usize, 1, 2, 3];
    rng.shuffle(&mut order);
    // One output mostly, two often, three at times.
    let anew = [1, 1, 1, 2, 2, 3][rng.below(6)];
    let kept: Vec<u8> = order[anew..].iter().map(|o| c.outs[*o]).collect();
    let rest = Circuit::sorted(&c.gates, &kept);
    let mut outs = [0; 4];
    for (o, s) in order[anew..].iter().zip(&rest.outs) {
        outs[*o] = *s;
    }
    let mut st = State { v: rest.values(), gates: rest.gates };
    for o in &order[..anew] {
        let goal = Goal { want: sbox::outputs(n)[*o], care: u64::MAX };
        outs[*o] = Search { mode, rng, fuel: FUEL }.build(&mut st, goal, 0b11_1111, limit)?;
    }
    Some(Circuit::sorted(&st.gates, &outs))
}

/// The same circuit without selects, each made of three gates.
pub(crate) fn without_selects(c: &Circuit) -> Circuit {
    let mut gates = Vec::new();
    let mut at: Vec<u8> = (0..BASE as u8).collect();
    for g in &c.gates {
        let moved = g.map(|o| at[usize::from(o)]);
        if let Gate::Mux(s, a, b) = moved {
            gates.push(Gate::Xor(a, b));
            gates.push(Gate::And(s, (BASE + gates.len() - 1) as u8));
            gates.push(Gate::Xor(b, (BASE + gates.len() - 1) as u8));
        } else {
            gates.push(moved);
        }
        at.push((BASE + gates.len() - 1) as u8);
    }
    let outs: Vec<u8> = c.outs.iter().map(|o| at[usize::from(*o)]).collect();
    Circuit::sorted(&gates, &outs)
}

/// A gate of which one operand is a known signal: what the other has to be.
struct Reduction {
    goal: Goal,
    gate: fn(u8, u8) -> Gate,
    by: u8,
}

impl Search<'_> {
    fn build(&mut self, st: &mut State, goal: Goal, free: u8, limit: usize) -> Option<u8> {
        if let Some(i) = st.v.iter().position(|x| goal.met_by(*x)) {
            return Some(i as u8);
        }
        if st.gates.len() >= limit {
            return None;
        }
        let lut = self.mode == Mode::Lut;
        let mut signals: Vec<u8> = (0..st.v.len() as u8).filter(|s| !lut || *s != 6).collect();
        self.rng.shuffle(&mut signals);
        if let Some(g) = fit::one_gate(goal, &st.v, &signals, self.mode, self.rng, |_| true) {
            return Some(st.push(g));
        }
        if st.gates.len() + 2 > limit {
            return None;
        }
        let two = if lut { self.two_luts(st, goal, &signals) } else { self.two_gates(st, goal, &signals) };
        if two.is_some() || st.gates.len() + 3 > limit {
            return two;
        }
        let mut best: Option<(State, u8)> = None;
        let mut limit = limit;
        let mut keep = |trial: State, s: Option<u8>, limit: &mut usize| {
            if let Some(s) = s {
                *limit = trial.gates.len() - 1;
                best = Some((trial, s));
            }
        };
        let branch = self.fuel > 0;
        self.fuel = self.fuel.saturating_sub(1);
        let mut ways = if branch { 2 } else { 1 };
        if !lut && (branch || self.rng.below(2) == 0) {
            for r in self.reductions(st, goal, &signals).into_iter().take(ways) {
                if !branch {
                    ways = 0;
                }
                let mut trial = st.clone();
                let s = self.build(&mut trial, r.goal, free, limit - 1).map(|x| trial.push((r.gate)(x, r.by)));
                keep(trial, s, &mut limit);
            }
        }
        let mut bits: Vec<u8> = (0..6).filter(|b| free >> b & 1 == 1).collect();
        self.rng.shuffle(&mut bits);
        bits.truncate(ways);
        for b in bits {
            let mut trial = st.clone();
            let s = self.split(&mut trial, goal, b, free & !(1 << b), limit);
            keep(trial, s, &mut limit);
        }
        let (trial, s) = best?;
        *st = trial;
        Some(s)
    }

    fn split(&mut self, st: &mut State, goal: Goal, bit: u8, free: u8, limit: usize) -> Option<u8> {
        let s = st.v[usize::from(bit)];
        if self.mode != Mode::Gates {
            let first = self.rng.below(2) == 1;
            let part = |one: bool| Goal { care: goal.care & if one { s } else { !s }, ..goal };
            let x = self.build(st, part(first), free, limit - 1)?;
            let y = self.build(st, part(!first), free, limit - 1)?;
            let (one, zero) = if first { (x, y) } else { (y, x) };
            return Some(st.push(if self.mode == Mode::Mux {
                Gate::Mux(bit, one, zero)
            } else {
                Gate::Lut(0b1100_1010, bit, one, zero)
            }));
        }
        // f = base ^ (difference where the bit is one), or where it is zero, or the inverse with an or.
        let how = self.rng.below(3);
        let side = if how == 1 { !s } else { s };
        let flip = if how == 2 { u64::MAX } else { 0 };
        // With or: the gated part is one where the bit is one, so there base is the inverse of the goal.
        let (outside, inside) = if how == 2 { (side, !side) } else { (!side, side) };
        let base = self.build(st, Goal { want: goal.want ^ flip, care: goal.care & outside }, free, limit - 2)?;
        let want = goal.want ^ st.v[usize::from(base)];
        let diff = self.build(st, Goal { want, care: goal.care & inside }, free, limit - 2)?;
        let gated = st.push(match how {
            0 => Gate::And(diff, bit),
            1 => Gate::AndNot(diff, bit),
            _ => Gate::Or(diff, bit),
        });
        Some(st.push(Gate::Xor(base, gated)))
    }

    /// Up to two of the reductions that leave the fewest inputs to care about.
    fn reductions(&mut self, st: &State, goal: Goal, signals: &[u8]) -> Vec<Reduction> {
        let (on, off) = (goal.want & goal.care, !goal.want & goal.care);
        let mut all = Vec::new();
        for by in signals.iter().copied() {
            let y = st.v[usize::from(by)];
            let within = |care: u64, want: u64| Goal { want, care: goal.care & care };
            if on & !y == 0 {
                all.push(Reduction { goal: within(y, goal.want), gate: Gate::And, by });
                all.push(Reduction { goal: within(y, !goal.want), gate: |x, y| Gate::AndNot(y, x), by });
            } else if on & y == 0 {
                all.push(Reduction { goal: within(!y, goal.want), gate: Gate::AndNot, by });
            }
            if off & y == 0 {
                all.push(Reduction { goal: within(!y, goal.want), gate: Gate::Or, by });
            }
        }
        all.sort_by_key(|r| r.goal.care.count_ones());
        all.truncate(2);
        all
    }

    /// All circuits of one gate over a pair and another over it and a signal (and pairs of pairs by xor are left to luck).
    fn two_gates(&mut self, st: &mut State, goal: Goal, signals: &[u8]) -> Option<u8> {
        let (on, off) = (goal.want & goal.care, !goal.want & goal.care);
        let value = |s: &u8| st.v[usize::from(*s)];
        let of = |f: &dyn Fn(u64) -> bool| signals.iter().copied().filter(|s| f(value(s))).collect::<Vec<u8>>();
        let covers = of(&|y| on & !y == 0);
        let within = of(&|y| off & y == 0);
        let avoids = of(&|y| on & y == 0);
        let mut filter = [0u64; 16];
        let hash = |x: u64| ((x & goal.care).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
        for s in signals {
            let h = hash(value(s));
            filter[h >> 6] |= 1 << (h & 63);
        }
        let mut tops: Vec<(Gate, u8)> = Vec::new();
        'all: for (i, a) in signals.iter().enumerate() {
            for b in &signals[..i] {
                let (p, q) = (value(a), value(b));
                let first = [
                    (p ^ q, Gate::Xor(*a, *b)),
                    (p & q, Gate::And(*a, *b)),
                    (p | q, Gate::Or(*a, *b)),
                    (p & !q, Gate::AndNot(*a, *b)),
                    (q & !p, Gate::AndNot(*b, *a)),
                ];
                for (x, g) in first {
                    let h = hash(x ^ goal.want);
                    let may_xor = filter[h >> 6] >> (h & 63) & 1 == 1;
                    let may_and = on & !x == 0;
                    let may_or = off & x == 0;
                    let may_not = on & x == 0;
                    let met = |z: u64| goal.met_by(z);
                    let found = |l: &[u8], f: &dyn Fn(u64) -> u64| l.iter().copied().find(|s| met(f(value(s))));
                    let top = may_xor
                        .then(|| found(signals, &|y| x ^ y).map(|s| (0, s)))
                        .flatten()
                        .or_else(|| may_and.then(|| found(&covers, &|y| x & y).map(|s| (1, s))).flatten())
                        .or_else(|| may_and.then(|| found(&avoids, &|y| x & !y).map(|s| (2, s))).flatten())
                        .or_else(|| may_or.then(|| found(&within, &|y| x | y).map(|s| (3, s))).flatten())
                        .or_else(|| may_not.then(|| found(&covers, &|y| y & !x).map(|s| (4, s))).flatten());
                    if let Some((op, s)) = top {
                        let x = st.v.len() as u8;
                        let t =
                            [Gate::Xor(x, s), Gate::And(x, s), Gate::AndNot(x, s), Gate::Or(x, s), Gate::AndNot(s, x)]
                                [op];
                        tops.push((g, 0));
                        tops.push((t, 0));
                        break 'all;
                    }
                }
            }
        }
        let mut last = None;
        for (g, _) in tops {
            last = Some(st.push(g));
        }
        if last.is_none() && self.mode == Mode::Mux {
            return self.two_with_select(st, goal, signals);
        }
        last
    }

    /// A random sample of selects under another gate.
    fn two_with_select(&mut self, st: &mut State, goal: Goal, signals: &[u8]) -> Option<u8> {
        for _ in 0..200 {
            let g = random_gate(signals, self.mode, self.rng);
            let x = st.push(g);
            if let Some(l) = signals.iter().find_map(|y| fit::two_input(goal, &st.v, x, *y)) {
                return Some(st.push(l));
            }
            st.pop();
        }
        None
    }

    /// Two tables: for the pairs of signals that leave the fewest inputs open, the third operand is a table.
    fn two_luts(&mut self, st: &mut State, goal: Goal, signals: &[u8]) -> Option<u8> {
        let (on, off) = (goal.want & goal.care, !goal.want & goal.care);
        let mut pairs: Vec<(u64, u8, u8)> = Vec::new();
        for (i, d) in signals.iter().enumerate() {
            for e in &signals[..i] {
                let (p, q) = (st.v[usize::from(*d)], st.v[usize::from(*e)]);
                let open = [!p & !q, !p & q, p & !q, p & q]
                    .into_iter()
                    .filter(|c| c & on != 0 && c & off != 0)
                    .fold(0, |m, c| m | c);
                pairs.push((open & goal.care, *d, *e));
            }
        }
        pairs.sort_by_key(|p| p.0.count_ones());
        for (care, d, e) in pairs.into_iter().take(10) {
            let (p, q) = (st.v[usize::from(d)], st.v[usize::from(e)]);
            for turn in 0..8u64 {
                // In each of the four cells the table below may be the goal or its inverse; one cell is fixed.
                let flip = [!p & q, p & !q, p & q]
                    .iter()
                    .enumerate()
                    .filter(|(k, _)| turn >> k & 1 == 1)
                    .fold(0, |m, (_, c)| m | c);
                let sub = Goal { want: goal.want ^ flip, care };
                if flip & care == 0 && turn != 0 {
                    continue;
                }
                if let Some(g) = fit::one_gate(sub, &st.v, signals, Mode::Lut, self.rng, |_| true) {
                    let x = st.push(g);
                    if let Some(top) = fit::one_gate(goal, &st.v, &[d, e, x], Mode::Lut, self.rng, |_| true) {
                        return Some(st.push(top));
                    }
                    st.pop();
                }
            }
        }
        None
    }
}

/// Any gate of the mode over `signals`.
pub(crate) fn random_gate(signals: &[u8], mode: Mode, rng: &mut Rng) -> Gate {
    let mut pick = || signals[rng.below(signals.len())];
    let (a, b, c) = (pick(), pick(), pick());
    match mode {
        Mode::Lut => Gate::Lut((rng.next() >> 33) as u8, a, b, c),
        Mode::Mux if rng.below(3) == 0 => Gate::Mux(a, b, c),
        _ => match rng.below(5) {
            0 => Gate::And(a, b),
            1 => Gate::Or(a, b),
            2 | 3 => Gate::Xor(a, b),
            _ => Gate::AndNot(a, b),
        },
    }
}
