//! The sixteen rounds (FIPS 46-3) on words: the permutations are names of words and cost nothing, the S-boxes are circuits.

use crate::circuits::{gates, lut, mux};
use crate::word::{Gates, Word};

/// Bit n of a block (1 to 64, FIPS 46-3 numbering) is plane `plane(n)`: byte by byte, lowest bit first.
pub(crate) const fn plane(n: u8) -> usize {
    let n = n as usize - 1;
    n / 8 * 8 + 7 - n % 8
}

/// Permuted choice 1.
pub(crate) const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
    47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];

/// Permuted choice 2.
pub(crate) const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
    40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

/// The permutation P.
pub(crate) const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
];

/// How far C and D are rotated in each round.
pub(crate) const ROTATIONS: [usize; 16] = [1, 2, 4, 6, 8, 10, 12, 14, 15, 17, 19, 21, 23, 25, 27, 28];

/// Where output bit k of the S-boxes (0 to 31) goes in f(R, K): the inverse of P.
pub(crate) const P_INVERSE: [usize; 32] = {
    let mut inverse = [0; 32];
    let mut i = 0;
    while i < 32 {
        inverse[P[i] as usize - 1] = i;
        i += 1;
    }
    inverse
};

/// The initial permutation: bit `8 * row + column` of L is plane `initial(row, column)`, and of R the plane after it. The rows
/// are 58, 50, … 2; 60 …; 62 …; 64 …, and of R 57, 49, … 1; 59 …; 61 …; 63 ….
#[inline(always)]
pub(crate) const fn initial(row: usize, column: usize) -> usize {
    8 * (7 - column) + 6 - 2 * row
}

/// The planes of C and D: permuted choice 1.
const KEY_PLANES: [usize; 56] = {
    let mut planes = [0; 56];
    let mut i = 0;
    while i < 56 {
        planes[i] = plane(PC1[i]);
        i += 1;
    }
    planes
};

/// The key registers C and D of each lane after PC-1, each written twice in a row: rotated by s they start at word s.
#[expect(missing_debug_implementations, reason = "holds key bits")]
pub struct Schedule<W: Word> {
    c: [W; 56],
    d: [W; 56],
}

impl<W: Word> Schedule<W> {
    /// All keys zero.
    pub(crate) const ZERO: Self = Self { c: [W::ZERO; 56], d: [W::ZERO; 56] };

    /// From the 64 planes of the keys; parity bits are not looked at.
    #[inline(always)]
    pub(crate) fn set(&mut self, key: &[W; 64]) {
        for i in 0..28 {
            let (c, d) = (key[KEY_PLANES[i]], key[KEY_PLANES[28 + i]]);
            self.c[i] = c;
            self.c[i + 28] = c;
            self.d[i] = d;
            self.d[i + 28] = d;
        }
    }
}

impl<W: Word> Drop for Schedule<W> {
    fn drop(&mut self) {
        W::wipe(&mut self.c);
        W::wipe(&mut self.d);
    }
}

#[inline(always)]
fn sbox<W: Word, const N: usize>(x: [W; 6]) -> [W; 4] {
    match (W::GATES, N) {
        (Gates::Two, 0) => gates::s1(x),
        (Gates::Two, 1) => gates::s2(x),
        (Gates::Two, 2) => gates::s3(x),
        (Gates::Two, 3) => gates::s4(x),
        (Gates::Two, 4) => gates::s5(x),
        (Gates::Two, 5) => gates::s6(x),
        (Gates::Two, 6) => gates::s7(x),
        (Gates::Two, _) => gates::s8(x),
        (Gates::Select, 0) => mux::s1(x),
        (Gates::Select, 1) => mux::s2(x),
        (Gates::Select, 2) => mux::s3(x),
        (Gates::Select, 3) => mux::s4(x),
        (Gates::Select, 4) => mux::s5(x),
        (Gates::Select, 5) => mux::s6(x),
        (Gates::Select, 6) => mux::s7(x),
        (Gates::Select, _) => mux::s8(x),
        (Gates::Three, 0) => lut::s1(x),
        (Gates::Three, 1) => lut::s2(x),
        (Gates::Three, 2) => lut::s3(x),
        (Gates::Three, 3) => lut::s4(x),
        (Gates::Three, 4) => lut::s5(x),
        (Gates::Three, 5) => lut::s6(x),
        (Gates::Three, 6) => lut::s7(x),
        (Gates::Three, _) => lut::s8(x),
    }
}

/// S-box `N` of a round: E, the key, the circuit, P, and the sum with the other half.
#[inline(always)]
fn part<W: Word, const N: usize>(l: &mut [W; 32], r: &[W; 32], c: &[W; 28], d: &[W; 28]) {
    let key = |i: usize| {
        let k = PC2[6 * N + i] as usize - 1;
        if k < 28 { c[k] } else { d[k - 28] }
    };
    let x = |i: usize| r[(4 * N + 31 + i) % 32].xor(key(i));
    let y = sbox::<W, N>([x(0), x(1), x(2), x(3), x(4), x(5)]);
    for (i, y) in y.into_iter().enumerate() {
        let to = P_INVERSE[4 * N + i];
        l[to] = l[to].xor(y);
    }
}

#[inline(always)]
fn round<W: Word>(l: &mut [W; 32], r: &[W; 32], schedule: &Schedule<W>, rotation: usize) {
    let (Some(c), Some(d)) = (schedule.c[rotation..].first_chunk(), schedule.d[rotation..].first_chunk()) else {
        return;
    };
    part::<W, 0>(l, r, c, d);
    part::<W, 1>(l, r, c, d);
    part::<W, 2>(l, r, c, d);
    part::<W, 3>(l, r, c, d);
    part::<W, 4>(l, r, c, d);
    part::<W, 5>(l, r, c, d);
    part::<W, 6>(l, r, c, d);
    part::<W, 7>(l, r, c, d);
}

/// L0, R0 become L16, R16; in decryption the keys come in the reverse order.
#[inline(always)]
pub(crate) fn rounds<W: Word>(l: &mut [W; 32], r: &mut [W; 32], schedule: &Schedule<W>, decrypt: bool) {
    for pair in 0..8 {
        let (first, second) = if decrypt { (15 - 2 * pair, 14 - 2 * pair) } else { (2 * pair, 2 * pair + 1) };
        round(l, r, schedule, ROTATIONS[first]);
        round(r, l, schedule, ROTATIONS[second]);
    }
}

/// One DES after another over the 64 planes of the blocks; between two the permutations cancel and the halves change places.
#[inline(always)]
pub(crate) fn chain<W: Word>(planes: &mut [W; 64], passes: &[(&Schedule<W>, bool)]) {
    let (mut a, mut b) = ([W::ZERO; 32], [W::ZERO; 32]);
    for row in 0..4 {
        for column in 0..8 {
            a[8 * row + column] = planes[initial(row, column)];
            b[8 * row + column] = planes[initial(row, column) + 1];
        }
    }
    let (mut l, mut r) = (&mut a, &mut b);
    for (schedule, decrypt) in passes {
        W::rounds(l, r, schedule, *decrypt);
        core::mem::swap(&mut l, &mut r);
    }
    for row in 0..4 {
        for column in 0..8 {
            planes[initial(row, column)] = l[8 * row + column];
            planes[initial(row, column) + 1] = r[8 * row + column];
        }
    }
    W::wipe(l);
    W::wipe(r);
}
