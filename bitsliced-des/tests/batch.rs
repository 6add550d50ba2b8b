//! Every level and every ragged length against the `des` crate.
#![expect(clippy::unwrap_used, reason = "lengths are right")]

use bitsliced_des::{batch, lanes::Level, x924};
use cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use proptest::prelude::*;

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|l| l.available())
}

/// Bytes from a seed.
fn bytes<const N: usize>(seed: u64, n: usize) -> Vec<[u8; N]> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    };
    (0..n).map(|_| core::array::from_fn(|_| next())).collect()
}

fn oracle_derive(initial: &[u8; 16], register: &[u8; 8], working: x924::Working) -> [u8; 16] {
    const VARIANT: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];
    let full = u64::from_be_bytes(*register);
    let mut reg = full & !0x1F_FFFF;
    let mut key = *initial;
    for bit in (0..21).rev().map(|b| 1u64 << b).filter(|b| full & b != 0) {
        reg |= bit;
        let half = |key: [u8; 16]| {
            let r = u64::from_be_bytes(key[8..].try_into().unwrap());
            let mut b = Array::from((reg ^ r).to_be_bytes());
            des::Des::new_from_slice(&key[..8]).unwrap().encrypt_block(&mut b);
            (u64::from_be_bytes(b.into()) ^ r).to_be_bytes()
        };
        let (r, l) = (half(key), half(core::array::from_fn(|i| key[i] ^ VARIANT[i])));
        key[..8].copy_from_slice(&l);
        key[8..].copy_from_slice(&r);
    }
    for (i, k) in key.iter_mut().enumerate() {
        *k ^= working.variant[i % 8];
    }
    if working.encrypt_under_itself {
        let c = des::TdesEde2::new_from_slice(&key).unwrap();
        for h in key.as_chunks_mut::<8>().0 {
            let mut b = Array::from(*h);
            c.encrypt_block(&mut b);
            *h = b.into();
        }
    }
    key
}

fn check(level: Level, n: usize, seed: u64) {
    let (keys, keys2, plain) = (bytes::<8>(seed, n), bytes::<16>(seed ^ 77, n), bytes::<8>(seed ^ 99, n));
    let mut b = plain.clone();
    batch::des_encrypt(level, &keys, &mut b);
    for i in 0..n {
        let mut x = Array::from(plain[i]);
        des::Des::new_from_slice(&keys[i]).unwrap().encrypt_block(&mut x);
        assert_eq!(b[i], x.0, "{level:?} {n} lane {i}");
    }
    batch::des_decrypt(level, &keys, &mut b);
    assert_eq!(b, plain);
    batch::tdes_encrypt(level, &keys2, &mut b);
    for i in 0..n {
        let mut x = Array::from(plain[i]);
        des::TdesEde2::new_from_slice(&keys2[i]).unwrap().encrypt_block(&mut x);
        assert_eq!(b[i], x.0, "{level:?} {n} lane {i}");
    }
    batch::tdes_decrypt(level, &keys2, &mut b);
    assert_eq!(b, plain);
}

#[test]
fn every_lane_count_at_every_level() {
    for level in levels() {
        for n in 1..=level.lanes() + 3 {
            check(level, n, n as u64 * 0x1234_5677);
        }
    }
}

fn working() -> [x924::Working; 2] {
    [
        x924::Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself: true },
        x924::Working { variant: [0, 0, 0, 0, 0, 0, 0, 0xFF], encrypt_under_itself: false },
    ]
}

fn check_derive(level: Level, n: usize, seed: u64) {
    let (initial, mut registers) = (bytes::<16>(seed, n), bytes::<8>(seed ^ 5, n));
    if n > 2 {
        registers[1][5..].fill(0);
    }
    for w in working() {
        let mut out = vec![[0; 16]; n];
        x924::derive(level, &initial, &registers, w, &mut out);
        for i in 0..n {
            assert_eq!(out[i], oracle_derive(&initial[i], &registers[i], w), "{level:?} {n} lane {i}");
        }
    }
}

#[test]
fn derivation() {
    for level in levels() {
        let w = level.lanes();
        for n in [1, 2, 3, 31, w / 2 - 1, w / 2, w / 2 + 1, w, w + 1] {
            check_derive(level, n, n as u64 * 0x9876_5431);
        }
    }
}

/// Messages of these lengths in blocks.
fn check_cbc(level: Level, lengths: &[usize], seed: u64) {
    let (keys, ivs) = (bytes::<16>(seed, lengths.len()), bytes::<8>(seed ^ 3, lengths.len()));
    let cipher: Vec<Vec<[u8; 8]>> =
        lengths.iter().enumerate().map(|(i, n)| bytes::<8>(seed ^ (i as u64) << 9, *n)).collect();
    let mut got = cipher.clone();
    let mut messages: Vec<batch::Message<'_>> =
        got.iter_mut().zip(&keys).zip(&ivs).map(|((data, key), iv)| batch::Message { key, iv: *iv, data }).collect();
    batch::tdes_cbc_decrypt(level, &mut messages);
    for (i, c) in cipher.iter().enumerate() {
        let mut blocks: Vec<_> = c.iter().map(|b| Array::from(*b)).collect();
        cbc::Decryptor::<des::TdesEde2>::new(&keys[i].into(), &ivs[i].into()).decrypt_blocks(&mut blocks);
        let want: Vec<[u8; 8]> = blocks.into_iter().map(|b| b.0).collect();
        assert_eq!(got[i], want, "{level:?} message {i} of {lengths:?}");
    }
}

#[test]
fn cbc_of_many_messages() {
    for level in levels() {
        let w = level.lanes();
        check_cbc(level, &[], 1);
        check_cbc(level, &[0], 2);
        check_cbc(level, &[0, 1, 0], 3);
        check_cbc(level, &[14], 4);
        check_cbc(level, &[w], 5);
        check_cbc(level, &[w, w], 6);
        check_cbc(level, &[3 * w + 5, 1, 2, w - 8, 0, 0, 7], 7);
        check_cbc(level, &[14; 100], 8);
        // A message a lane: of one length, of nearly one length with empty ones among them, and lanes to spare.
        for length in 1..=17 {
            check_cbc(level, &vec![length; w], 9);
        }
        check_cbc(level, &(0..2 * w + 3).map(|i| if i % 50 == 7 { 0 } else { 18 + i % 7 }).collect::<Vec<_>>(), 10);
        check_cbc(level, &vec![16; w - w / 8 - 1], 11);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_batch(level in 0usize..5, n in 1usize..1100, seed: u64) {
        if Level::ALL[level].available() {
            check(Level::ALL[level], n, seed);
        }
    }

    #[test]
    fn any_derivation(level in 0usize..5, n in 1usize..600, seed: u64) {
        if Level::ALL[level].available() {
            check_derive(Level::ALL[level], n, seed);
        }
    }

    #[test]
    fn any_messages(level in 0usize..5, lengths in proptest::collection::vec(0usize..90, 0..30), seed: u64) {
        if Level::ALL[level].available() {
            check_cbc(Level::ALL[level], &lengths, seed);
        }
    }
}
