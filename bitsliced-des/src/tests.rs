//! What only the inside can see: each circuit over all its inputs, words no machine here picks, and wiping.
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use crate::circuits::{gates, lut, mux};
use crate::lanes::Planes;
use crate::pair::Pair;
use crate::truth::TRUTH;
use crate::word::Word;

/// The 64 inputs of an S-box, one a lane; lane x is bit x of the truth tables.
fn inputs() -> [u64; 6] {
    core::array::from_fn(|i| (0..64).fold(0, |t, x: u64| t | (x >> (5 - i) & 1) << x))
}

#[test]
fn every_circuit_over_all_inputs() {
    macro_rules! check {
        ($($set:ident),*) => {$(
            let all = [$set::s1, $set::s2, $set::s3, $set::s4, $set::s5, $set::s6, $set::s7, $set::s8];
            for (n, s) in all.into_iter().enumerate() {
                assert_eq!(s(inputs()), TRUTH[n], "{} of S{}", stringify!($set), n + 1);
            }
        )*};
    }
    check!(gates, mux, lut);
}

/// FIPS 46-3, Appendix 1: each row of each S-box is a permutation; and two values in print.
#[test]
fn the_truth_tables_are_s_boxes() {
    let value = |s: usize, x: usize| (0..4).fold(0, |v, o| v << 1 | (TRUTH[s][o] >> x & 1));
    for s in 0..8 {
        for row in [0, 1, 32, 33] {
            let seen = (0..16).fold(0u32, |m, column| m | 1 << value(s, row + 2 * column));
            assert_eq!(seen, 0xFFFF, "S{} row {row}", s + 1);
        }
    }
    assert_eq!((value(0, 0b01_1011), value(7, 0b11_1111)), (5, 11));
}

#[test]
fn pairs_of_words_do_what_words_do() {
    let keys: [[u8; 8]; 128] = core::array::from_fn(|i| [i as u8, 1, 2, 3, 4, 5, 6, 7]);
    let mut a = keys;
    let mut p = Planes::<Pair>::load(&a);
    p.des(&[(&Planes::load(&keys).schedule(), false)]);
    p.store(&mut a);
    for half in [0, 64] {
        let mut b: [[u8; 8]; 64] = core::array::from_fn(|i| keys[half + i]);
        let mut p = Planes::<u64>::load(&b);
        p.des(&[(&Planes::load(&b).schedule(), false)]);
        p.store(&mut b);
        assert_eq!(a[half..half + 64], b);
    }
}

#[test]
fn planes_and_schedules_are_wiped() {
    let mut words = [u64::MAX; 64];
    u64::wipe(&mut words);
    assert_eq!(words, [0; 64]);
    let mut pairs = [Pair::ONES; 64];
    Pair::wipe(&mut pairs);
    assert!(pairs.iter().all(|p| !p.any()));
    const { assert!(core::mem::needs_drop::<Planes<u64>>() && core::mem::needs_drop::<crate::lanes::Schedule<u64>>()) };
}
