//! Straight-line circuits over six inputs, their evaluation, and their text form.

use std::fmt::Write as _;

use crate::sbox;

/// Which gates a circuit may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// and, or, xor, andnot (and not, as xor with ones).
    Gates,
    /// The same and a bitwise select.
    Mux,
    /// Any function of three inputs.
    Lut,
}

impl Mode {
    pub(crate) const ALL: [(Self, &'static str); 3] = [(Self::Gates, "gates"), (Self::Mux, "mux"), (Self::Lut, "lut")];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(m, _)| *m == self).map_or("", |(_, n)| n)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(m, _)| *m)
    }
}

/// One gate: a function and its operands (signal numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    And(u8, u8),
    Or(u8, u8),
    Xor(u8, u8),
    /// First and not second.
    AndNot(u8, u8),
    /// Where the first is one the second, else the third.
    Mux(u8, u8, u8),
    /// Bit 4a + 2b + c of the table.
    Lut(u8, u8, u8, u8),
}

impl Gate {
    pub(crate) fn value(self, v: &[u64]) -> u64 {
        let g = |i: u8| v[usize::from(i)];
        match self {
            Self::And(a, b) => g(a) & g(b),
            Self::Or(a, b) => g(a) | g(b),
            Self::Xor(a, b) => g(a) ^ g(b),
            Self::AndNot(a, b) => g(a) & !g(b),
            Self::Mux(s, a, b) => g(b) ^ (g(s) & (g(a) ^ g(b))),
            Self::Lut(t, a, b, c) => lut(t, g(a), g(b), g(c)),
        }
    }

    pub(crate) fn operands(self) -> ([u8; 3], usize) {
        match self {
            Self::And(a, b) | Self::Or(a, b) | Self::Xor(a, b) | Self::AndNot(a, b) => ([a, b, 0], 2),
            Self::Mux(a, b, c) | Self::Lut(_, a, b, c) => ([a, b, c], 3),
        }
    }

    pub(crate) fn map(self, f: impl Fn(u8) -> u8) -> Self {
        match self {
            Self::And(a, b) => Self::And(f(a), f(b)),
            Self::Or(a, b) => Self::Or(f(a), f(b)),
            Self::Xor(a, b) => Self::Xor(f(a), f(b)),
            Self::AndNot(a, b) => Self::AndNot(f(a), f(b)),
            Self::Mux(a, b, c) => Self::Mux(f(a), f(b), f(c)),
            Self::Lut(t, a, b, c) => Self::Lut(t, f(a), f(b), f(c)),
        }
    }
}

fn lut(t: u8, a: u64, b: u64, c: u64) -> u64 {
    let bit = |i: u32| 0u64.wrapping_sub(u64::from(t >> i & 1));
    let by_c = |i: u32| (bit(i) & !c) | (bit(i + 1) & c);
    let (b0, b1) = ((by_c(0) & !b) | (by_c(2) & b), (by_c(4) & !b) | (by_c(6) & b));
    (b0 & !a) | (b1 & a)
}

/// Signals 0 to 5 are the inputs, 6 is the constant one, the gates follow in order.
pub(crate) const BASE: usize = 7;

/// Gates in an order in which operands come first, and the signals that are the outputs.
#[derive(Clone, Debug)]
pub(crate) struct Circuit {
    pub(crate) gates: Vec<Gate>,
    pub(crate) outs: Vec<u8>,
}

impl Circuit {
    pub(crate) fn inputs() -> Vec<u64> {
        let mut v: Vec<u64> = (0..6).map(sbox::input).collect();
        v.push(u64::MAX);
        v
    }

    pub(crate) fn values(&self) -> Vec<u64> {
        let mut v = Self::inputs();
        for g in &self.gates {
            let x = g.value(&v);
            v.push(x);
        }
        v
    }

    /// Whether the outputs are those of S-box `n`, over all 64 inputs.
    pub(crate) fn is_sbox(&self, n: usize) -> bool {
        let v = self.values();
        let outs: Vec<u64> = self.outs.iter().map(|o| v[usize::from(*o)]).collect();
        outs == sbox::outputs(n)
    }

    /// Gates no output needs are dropped and the rest is put into an order with operands first.
    pub(crate) fn sorted(gates: &[Gate], outs: &[u8]) -> Self {
        fn visit(s: u8, gates: &[Gate], at: &mut [u8], done: &mut Vec<Gate>) -> u8 {
            let i = usize::from(s);
            if i < BASE {
                return s;
            }
            if at[i] == 0 {
                let (ops, n) = gates[i - BASE].operands();
                for o in &ops[..n] {
                    visit(*o, gates, at, done);
                }
                let g = gates[i - BASE].map(|o| if usize::from(o) < BASE { o } else { at[usize::from(o)] });
                done.push(g);
                at[i] = (BASE + done.len() - 1) as u8;
            }
            at[i]
        }
        let mut at = [0u8; 256];
        let mut done = Vec::with_capacity(gates.len());
        let outs = outs.iter().map(|o| visit(*o, gates, &mut at, &mut done)).collect();
        Self { gates: done, outs }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut s = String::new();
        for g in &self.gates {
            let _ = match *g {
                Gate::And(a, b) => writeln!(s, "and {a} {b}"),
                Gate::Or(a, b) => writeln!(s, "or {a} {b}"),
                Gate::Xor(a, b) => writeln!(s, "xor {a} {b}"),
                Gate::AndNot(a, b) => writeln!(s, "andnot {a} {b}"),
                Gate::Mux(a, b, c) => writeln!(s, "mux {a} {b} {c}"),
                Gate::Lut(t, a, b, c) => writeln!(s, "lut {t} {a} {b} {c}"),
            };
        }
        let o: Vec<String> = self.outs.iter().map(u8::to_string).collect();
        let _ = writeln!(s, "out {}", o.join(" "));
        s
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (mut gates, mut outs) = (Vec::new(), Vec::new());
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let mut words = line.split_whitespace();
            let op = words.next()?;
            let n: Vec<u8> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
            match (op, n.as_slice()) {
                ("and", [a, b]) => gates.push(Gate::And(*a, *b)),
                ("or", [a, b]) => gates.push(Gate::Or(*a, *b)),
                ("xor", [a, b]) => gates.push(Gate::Xor(*a, *b)),
                ("andnot", [a, b]) => gates.push(Gate::AndNot(*a, *b)),
                ("mux", [a, b, c]) => gates.push(Gate::Mux(*a, *b, *c)),
                ("lut", [t, a, b, c]) => gates.push(Gate::Lut(*t, *a, *b, *c)),
                ("out", o) => outs = o.to_vec(),
                _ => return None,
            }
        }
        Some(Self { gates, outs })
    }
}
