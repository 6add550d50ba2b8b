//! One message while it is in work: its two halves as numbers, and what goes into each round.

use zeroize::Zeroize;

use crate::modulus::Modulus;

/// Rounds of the Feistel network (SP 800-38G, algorithm 7, step 6).
pub(crate) const ROUNDS: u8 = 10;

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

/// Two halves of up to 19 digits. Wiped on drop.
pub(crate) struct Lane {
    a: u64,
    b: u64,
    /// What no round changes: the CBC-MAC so far, with the last block of the tweak.
    base: u128,
    /// 10^u and 10^v, of the left half and of the right one.
    left: &'static Modulus,
    right: &'static Modulus,
    length: u8,
    tweak_length: u8,
}

impl Lane {
    /// `digits` are 6 to 38 ASCII digits, `tweak_length` is at most 255.
    pub(crate) fn new(digits: &[u8], tweak_length: usize) -> Self {
        let (left, right) = digits.split_at(digits.len() / 2);
        Self {
            a: number(left),
            b: number(right),
            base: 0,
            left: Modulus::power(left.len()),
            right: Modulus::power(right.len()),
            length: u8::try_from(digits.len()).unwrap_or(u8::MAX),
            tweak_length: u8::try_from(tweak_length).unwrap_or(u8::MAX),
        }
    }

    /// The block P (step 5): version, method, addition, radix, rounds, u, n and t.
    pub(crate) fn first_block(&self) -> [u8; 16] {
        [1, 2, 1, 0, 0, 10, ROUNDS, self.length / 2, 0, 0, 0, self.length, 0, 0, 0, self.tweak_length]
    }

    /// How many blocks of the tweak come before the last block of Q, which ends with round number and half (step 6.i).
    pub(crate) fn prefix(&self) -> usize {
        (usize::from(self.tweak_length) + self.right.bytes()) / 16
    }

    /// The CBC-MAC so far.
    pub(crate) fn chained(&self) -> [u8; 16] {
        self.base.to_be_bytes()
    }

    /// Takes what the cipher made of it.
    pub(crate) fn chain(&mut self, block: &[u8; 16]) {
        self.base = u128::from_be_bytes(*block);
    }

    /// Adds the next block to it.
    pub(crate) fn mix(&mut self, block: &[u8; 16]) {
        self.base ^= u128::from_be_bytes(*block);
    }

    /// The cipher's input in a round (steps 6.i and 6.ii).
    pub(crate) fn input(&self, round: u8, direction: Direction) -> [u8; 16] {
        let half = match direction {
            Direction::Encrypt => self.b,
            Direction::Decrypt => self.a,
        };
        (self.base ^ u128::from(half) ^ u128::from(round) << (8 * self.right.bytes())).to_be_bytes()
    }

    /// The rest of a round, with what the cipher made of the input (steps 6.iii to 6.ix).
    pub(crate) fn turn(&mut self, round: u8, direction: Direction, block: &[u8; 16]) {
        let modulus = if round.is_multiple_of(2) { self.left } else { self.right };
        let [high @ .., e, f, g, h, _, _, _, _] = block;
        // d = 4⌈b/4⌉ + 4 bytes (step 4): 8 or 12.
        let y = if self.right.bytes() <= 4 {
            modulus.reduce(u64::from_be_bytes(*high))
        } else {
            modulus.reduce_wide(u64::from_be_bytes(*high), u32::from_be_bytes([*e, *f, *g, *h]))
        };
        (self.a, self.b) = match direction {
            Direction::Encrypt => (self.b, modulus.add(self.a, y)),
            Direction::Decrypt => (modulus.subtract(self.b, y), self.a),
        };
    }

    /// The halves as digits.
    pub(crate) fn write(&self, digits: &mut [u8]) {
        let (left, right) = digits.split_at_mut(digits.len() / 2);
        for (half, mut number) in [(left, self.a), (right, self.b)] {
            for digit in half.iter_mut().rev() {
                // Under ten, so the cast loses nothing.
                *digit = b'0' | (number % 10) as u8;
                number /= 10;
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.a.zeroize();
        self.b.zeroize();
        self.base.zeroize();
    }
}

/// At most 19 digits. Wrapping, though nothing can: an overflow check is a branch.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit & 0x0F)))
}
