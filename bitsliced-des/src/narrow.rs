//! One or two blocks at a time on AVX-512 with VBMI, where a whole bitsliced DES would be waste: each bit of a half block is a
//! byte of one register, all ones or all zeros, for two blocks side by side.
//!
//! The S-boxes are multiplexers: a byte chooses among the 64 values of its output bit by the six input bits, as masks. Every
//! value takes part in every round, no address or branch depends on a key or a block, and each permutation (E, P, PC-1, PC-2
//! and the rotations) is a byte permutation by a constant.
#![expect(unsafe_code, reason = "CPU intrinsics")]
#![expect(clippy::cast_possible_truncation, reason = "places of bits are below 128, in constants")]

use core::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_movepi8_mask, _mm512_movm_epi8, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_ternarylogic_epi64,
    _mm512_xor_si512,
};

use crate::rounds::{P, PC1, PC2, ROTATIONS, initial, plane};

/// The plane of each bit of L‖R.
const IP: [usize; 64] = {
    let mut ip = [0; 64];
    let mut i = 0;
    while i < 64 {
        ip[i] = initial(i / 8 % 4, i % 8) + i / 32;
        i += 1;
    }
    ip
};

cpufeatures::new!(has_vbmi, "avx512f", "avx512bw", "avx512vbmi");

/// Whether this machine can run this.
pub(crate) fn available() -> bool {
    has_vbmi::get()
}

/// One byte for each bit of two half blocks.
type Bytes = [u8; 64];

/// The S-box whose output bit is bit `j` of f(R, K), and which of its outputs that is.
const fn source(j: usize) -> (usize, usize) {
    let k = P[j] as usize - 1;
    (k / 4, k % 4)
}

/// Where input `b` of that S-box is in R (E).
const EXPAND: [Bytes; 6] = {
    let mut t = [[0; 64]; 6];
    let mut i = 0;
    while i < 6 * 64 {
        let (b, p) = (i / 64, i % 64);
        t[b][p] = (p / 32 * 32 + (4 * source(p % 32).0 + 31 + b) % 32) as u8;
        i += 1;
    }
    t
};

/// Where input `b`'s key bit is in the two keys, for each round.
const KEY: [[Bytes; 6]; 16] = {
    let mut t = [[[0; 64]; 6]; 16];
    let mut i = 0;
    while i < 16 * 6 * 64 {
        let (round, b, p) = (i / 384, i / 64 % 6, i % 64);
        let k = PC2[6 * source(p % 32).0 + b] as usize - 1;
        let register = k / 28 * 28;
        let bit = PC1[register + (k - register + ROTATIONS[round]) % 28];
        t[round][b][p] = (p / 32 * 64 + plane(bit)) as u8;
        i += 1;
    }
    t
};

/// The complement of the outputs: byte p of vector q holds those for the inputs b1 b2 b3 = q, highest bit first.
const LEAVES: [Bytes; 8] = {
    let mut t = [[0; 64]; 8];
    let mut i = 0;
    while i < 8 * 64 * 8 {
        let (q, p, e) = (i / 512, i / 8 % 64, i % 8);
        let (s, o) = source(p % 32);
        t[q][p] |= (((crate::truth::TRUTH[s][o] >> (8 * q + e)) & 1 ^ 1) << (7 - e)) as u8;
        i += 1;
    }
    t
};

/// The initial permutation of two blocks: L, then R.
const INITIAL: [Bytes; 2] = {
    let mut t = [[0; 64]; 2];
    let mut i = 0;
    while i < 128 {
        let (half, p) = (i / 64, i % 64);
        t[half][p] = (p / 32 * 64 + IP[32 * half + p % 32]) as u8;
        i += 1;
    }
    t
};

/// Its inverse: where each bit of a block is in L (0 to 63) and R (64 to 127).
const FINAL: [Bytes; 2] = {
    let mut t = [[0; 64]; 2];
    let mut i = 0;
    while i < 128 {
        let (block, j) = (i / 64, i % 64);
        t[block][IP[j]] = (j / 32 * 64 + block * 32 + j % 32) as u8;
        i += 1;
    }
    t
};

/// One after another DES of two blocks, each under its own keys; all are little-endian integers, `true` decrypts.
pub(crate) fn des(blocks: [u64; 2], passes: &[([u64; 2], bool)]) -> [u64; 2] {
    assert!(available(), "AVX-512 VBMI");
    // SAFETY: the features have been found.
    unsafe { compiled(blocks, passes) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load(bytes: &Bytes) -> __m512i {
    // SAFETY: 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn compiled(blocks: [u64; 2], passes: &[([u64; 2], bool)]) -> [u64; 2] {
    /// First operand one: the second, else the third.
    const SELECT: i32 = 0b1100_1010;
    let expand = EXPAND.each_ref().map(|t| load(t));
    let leaves = LEAVES.each_ref().map(|t| load(t));
    let ones = _mm512_set1_epi8(-1);
    let (a, b) = (_mm512_movm_epi8(blocks[0]), _mm512_movm_epi8(blocks[1]));
    let mut l = _mm512_permutex2var_epi8(a, load(&INITIAL[0]), b);
    let mut r = _mm512_permutex2var_epi8(a, load(&INITIAL[1]), b);
    for (keys, decrypt) in passes {
        let (k0, k1) = (_mm512_movm_epi8(keys[0]), _mm512_movm_epi8(keys[1]));
        for i in 0..16 {
            let at = &KEY[if *decrypt { 15 - i } else { i }];
            let m = |b: usize| {
                let key = _mm512_permutex2var_epi8(k0, load(&at[b]), k1);
                _mm512_xor_si512(_mm512_permutexvar_epi8(expand[b], r), key)
            };
            let select = |m, one, zero| _mm512_ternarylogic_epi64::<SELECT>(m, one, zero);
            let m3 = m(2);
            let x = [0, 2, 4, 6].map(|q| select(m3, leaves[q + 1], leaves[q]));
            let m2 = m(1);
            let (x0, x1) = (select(m2, x[1], x[0]), select(m2, x[3], x[2]));
            let x = select(m(0), x1, x0);
            // What a shift brings in from the byte below is never looked at.
            let x = select(m(3), _mm512_slli_epi16::<4>(x), x);
            let x = select(m(4), _mm512_slli_epi16::<2>(x), x);
            let x = select(m(5), _mm512_slli_epi16::<1>(x), x);
            // All ones where the highest bit is clear: the shuffle makes zero of an index with that bit, and else takes a one.
            let f = _mm512_shuffle_epi8(ones, x);
            (l, r) = (r, _mm512_xor_si512(l, f));
        }
        (l, r) = (r, l);
    }
    FINAL.each_ref().map(|t| _mm512_movepi8_mask(_mm512_permutex2var_epi8(l, load(t), r)))
}
