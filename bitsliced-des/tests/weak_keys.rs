//! Weak keys (FIPS 74, 3.6; SP 800-67, 3.3.2) are taken and are as weak as the standard says, as every type and at every level.

use bitsliced_des::{Des, TdesEde2, TdesEde3, batch, lanes::Level};
use cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Encryption under one is its own inverse.
const WEAK: [u64; 4] = [0x0101_0101_0101_0101, 0xFEFE_FEFE_FEFE_FEFE, 0xE0E0_E0E0_F1F1_F1F1, 0x1F1F_1F1F_0E0E_0E0E];

/// Encryption under one is decryption under the other.
const SEMI_WEAK: [[u64; 2]; 6] = [
    [0x01FE_01FE_01FE_01FE, 0xFE01_FE01_FE01_FE01],
    [0x1FE0_1FE0_0EF1_0EF1, 0xE01F_E01F_F10E_F10E],
    [0x01E0_01E0_01F1_01F1, 0xE001_E001_F101_F101],
    [0x1FFE_1FFE_0EFE_0EFE, 0xFE1F_FE1F_FE0E_FE0E],
    [0x011F_011F_010E_010E, 0x1F01_1F01_0E01_0E01],
    [0xE0FE_E0FE_F1FE_F1FE, 0xFEE0_FEE0_FEF1_FEF1],
];

const TEXTS: [u64; 4] = [0, 42, 0x0123_4567_89AB_CDEF, u64::MAX];

/// All pairs: a weak key is one with itself.
fn pairs() -> impl Iterator<Item = [u64; 2]> {
    let both_ways = SEMI_WEAK.into_iter().flat_map(|[a, b]| [[a, b], [b, a]]);
    WEAK.into_iter().map(|key| [key; 2]).chain(both_ways)
}

fn des(key: u64, block: u64) -> u64 {
    let mut block = Array::from(block.to_be_bytes());
    Des::new(&key.to_be_bytes().into()).encrypt_block(&mut block);
    u64::from_be_bytes(block.0)
}

#[test]
fn as_a_type() {
    for [a, b] in pairs() {
        for text in TEXTS {
            let once = des(a, text);
            assert_ne!(once, text);
            let mut block = Array::from(text.to_be_bytes());
            des::Des::new(&a.to_be_bytes().into()).encrypt_block(&mut block);
            assert_eq!(once.to_be_bytes(), block.0, "{a:016X}");
            assert_eq!(des(b, once), text, "{a:016X} {b:016X}");
            assert_ne!(des(a ^ 2, once), text, "its neighbour is not weak");
        }
    }
}

#[test]
fn at_every_level() {
    let (first, second): (Vec<_>, Vec<_>) =
        pairs().flat_map(|[a, b]| TEXTS.map(|_| (a.to_be_bytes(), b.to_be_bytes()))).unzip();
    let texts: Vec<_> = pairs().flat_map(|_| TEXTS.map(u64::to_be_bytes)).collect();
    for level in Level::ALL.into_iter().filter(|level| level.available()) {
        for size in [texts.len(), 2] {
            let mut blocks = texts.clone();
            for keys in [&first, &second] {
                for (keys, blocks) in keys.chunks(size).zip(blocks.chunks_mut(size)) {
                    batch::des_encrypt(level, keys, blocks);
                }
                assert_eq!(blocks == texts, std::ptr::eq(keys, &second), "{level:?}");
            }
        }
    }
}

/// Of TDES keys with two neighbours equal, one DES is left.
#[test]
fn tdes_keys_that_are_one_des_key() {
    let [a, b] = [0x0123_4567_89AB_CDEFu64, 0xFEDC_BA98_7654_3210].map(u64::to_be_bytes);
    for ([one, two, three], left) in [([a, a, b], b), ([b, a, a], b), ([a, a, a], a)] {
        let key: [u8; 24] = std::array::from_fn(|i| [one, two, three][i / 8][i % 8]);
        let mut block = Array::from([7; 8]);
        TdesEde3::new(&key.into()).encrypt_block(&mut block);
        assert_eq!(u64::from_be_bytes(block.0), des(u64::from_be_bytes(left), u64::from_be_bytes([7; 8])));
    }
    let key: [u8; 16] = std::array::from_fn(|i| a[i % 8]);
    let mut block = Array::from([7; 8]);
    TdesEde2::new(&key.into()).encrypt_block(&mut block);
    assert_eq!(u64::from_be_bytes(block.0), des(u64::from_be_bytes(a), u64::from_be_bytes([7; 8])));
}
