//! Two blocks at a time on any machine: each 64-bit word holds one bit of half a block in each bit, for two blocks side by side.
//!
//! The S-boxes are multiplexers: for each of the 32 outputs in both halves of the word, the six input bits choose among 64
//! constant bits, as masks. All 64 constants take part in every round; no address or branch depends on a key or a block.

use zeroize::Zeroize;

use crate::few::Pass;
use crate::lanes::all;
use crate::rounds::{P_INVERSE, PC1, PC2, ROTATIONS, plane};
use crate::truth::TRUTH;

/// The lowest byte of each half.
const BYTE: u64 = 0x0000_00FF_0000_00FF;

/// The word for each input x: bit 8o + s of a half is output o of S-box s; first for b1 = 0, then what b1 = 1 changes.
const LEAVES: [[u64; 32]; 2] = {
    let mut t = [[0; 32]; 2];
    let mut i = 0;
    while i < 32 * 32 {
        let (x, o, s) = (i / 32, i / 8 % 4, i % 8);
        let (zero, one) = (TRUTH[s][o] >> x & 1, TRUTH[s][o] >> (32 + x) & 1);
        t[0][x] |= (zero * 0x1_0000_0001) << (8 * o + s);
        t[1][x] |= ((zero ^ one) * 0x1_0000_0001) << (8 * o + s);
        i += 1;
    }
    t
};

/// P by distance: what goes up by d, and what goes down by d. Bit 4s + c of R is bit 8c + s of a half.
const MOVES: [[u64; 32]; 2] = {
    let mut t = [[0; 32]; 2];
    let mut i = 0;
    while i < 32 {
        let (from, r) = (8 * (i % 4) + i / 4, P_INVERSE[i]);
        let to = 8 * (r % 4) + r / 4;
        if to >= from {
            t[0][to - from] |= 0x1_0000_0001 << from;
        } else {
            t[1][from - to] |= 0x1_0000_0001 << from;
        }
        i += 1;
    }
    t
};

/// Where a key bit goes: byte pair 6·round + b of the schedule has the two keys' bits for input b of the S-boxes, in order.
const KEY: [[u64; 24]; 56] = {
    let mut t = [[0; 24]; 56];
    let mut i = 0;
    while i < 16 * 48 {
        let (round, s, b) = (i / 48, i / 6 % 8, i % 6);
        let k = PC2[6 * s + b] as usize - 1;
        let register = k / 28 * 28;
        let from = register + (k - register + ROTATIONS[round]) % 28;
        let at = 6 * round + b;
        t[from][at / 4] |= 0x0101 << (16 * (at % 4) + s);
        i += 1;
    }
    t
};

/// The initial permutation in the order of bits above: an inversion of all 64 and one exchange. L is the high half.
fn initial(block: u64) -> u64 {
    exchange(block.reverse_bits())
}

/// The inverse of [`initial`].
fn last(halves: u64) -> u64 {
    exchange(halves).reverse_bits()
}

/// Bits whose number has bit 0 set and bit 5 clear change places with those where it is the other way round.
fn exchange(x: u64) -> u64 {
    let t = (x >> 31 ^ x) & 0xAAAA_AAAA;
    x ^ t ^ t << 31
}

/// The schedules of two keys, a byte pair for each round and input.
#[inline(always)]
fn schedule(keys: [u64; 2]) -> [u64; 24] {
    let mut k = [0; 24];
    for (n, to) in PC1.iter().zip(&KEY) {
        let mask =
            (all(keys[0], plane(*n)) & 0x00FF_00FF_00FF_00FF) | (all(keys[1], plane(*n)) & 0xFF00_FF00_FF00_FF00);
        for (k, to) in k.iter_mut().zip(to) {
            *k |= mask & to;
        }
    }
    k
}

/// f(R, K) of both halves.
#[inline(always)]
fn f(r: u64, key: impl Fn(usize) -> u64) -> u64 {
    let byte = |c: u32| r >> (8 * c) & BYTE;
    // E: the outer inputs of an S-box are the neighbours' inner ones.
    let (first, fourth) = (byte(0), byte(3));
    let left = (fourth << 1 | fourth >> 7) & BYTE;
    let right = (first >> 1 | first << 7) & BYTE;
    let inputs = [left, first, byte(1), byte(2), fourth, right];
    let mask = |b: usize| (inputs[b] ^ key(b)) * 0x0101_0101;
    let mut x = [0; 32];
    let m = mask(0);
    for i in 0..32 {
        x[i] = LEAVES[0][i] ^ (m & LEAVES[1][i]);
    }
    macro_rules! halve {
        ($b:literal, $n:literal) => {
            let m = mask($b);
            for i in 0..$n {
                x[i] ^= m & (x[i] ^ x[i + $n]);
            }
        };
    }
    halve!(1, 16);
    halve!(2, 8);
    halve!(3, 4);
    halve!(4, 2);
    halve!(5, 1);
    permute(x[0])
}

/// P.
#[inline(always)]
fn permute(x: u64) -> u64 {
    macro_rules! all {
        ($($d:literal)*) => {{
            let mut y = 0;
            $(
                const { assert!($d < 32) };
                if MOVES[0][$d] != 0 {
                    y |= (x & MOVES[0][$d]) << $d;
                }
                if MOVES[1][$d] != 0 {
                    y |= (x & MOVES[1][$d]) >> $d;
                }
            )*
            y
        }};
    }
    all!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
}

/// One DES after another of two blocks, each under its own keys; all are little-endian integers, `true` decrypts.
#[inline(always)]
pub(crate) fn des(blocks: [u64; 2], passes: &[Pass]) -> [u64; 2] {
    const LOW: u64 = 0xFFFF_FFFF;
    let (a, b) = (initial(blocks[0]), initial(blocks[1]));
    let (mut l, mut r) = (a >> 32 | b & !LOW, a & LOW | b << 32);
    for (keys, decrypt) in passes {
        let mut k = schedule(*keys);
        for i in 0..16 {
            let round = if *decrypt { 15 - i } else { i };
            let key = |b: usize| {
                let at = 6 * round + b;
                let pair = k[at / 4] >> (16 * (at % 4));
                pair & 0xFF | (pair & 0xFF00) << 24
            };
            (l, r) = (r, l ^ f(r, key));
        }
        k.zeroize();
        (l, r) = (r, l);
    }
    [l << 32 | r & LOW, l & !LOW | r >> 32].map(last)
}
