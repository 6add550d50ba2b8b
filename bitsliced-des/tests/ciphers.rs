//! The ciphers as types: known answers, chains and modes against the `des` crate.
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use bitsliced_des::{Des, TdesEde2, TdesEde3, lanes::Level};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use proptest::prelude::*;
use zeroize::ZeroizeOnDrop;

fn des_encrypt(key: u64, block: u64) -> u64 {
    let mut b = Array::from(block.to_be_bytes());
    Des::new(&key.to_be_bytes().into()).encrypt_block(&mut b);
    let cipher = u64::from_be_bytes(b.0);
    Des::new(&key.to_be_bytes().into()).decrypt_block(&mut b);
    assert_eq!(u64::from_be_bytes(b.0), block, "decryption");
    cipher
}

fn oracle(key: u64, block: u64) -> u64 {
    let mut b = Array::from(block.to_be_bytes());
    des::Des::new(&key.to_be_bytes().into()).encrypt_block(&mut b);
    u64::from_be_bytes(b.0)
}

/// SP 800-17, Appendix B: key, plaintext, ciphertext.
const PUBLISHED: [(u64, u64, u64); 15] = [
    // Variable plaintext, B.1.
    (0x0101_0101_0101_0101, 0x8000_0000_0000_0000, 0x95F8_A5E5_DD31_D900),
    (0x0101_0101_0101_0101, 0x4000_0000_0000_0000, 0xDD7F_121C_A501_5619),
    (0x0101_0101_0101_0101, 0x2000_0000_0000_0000, 0x2E86_5310_4F38_34EA),
    (0x0101_0101_0101_0101, 0x0000_0000_0000_0001, 0x166B_40B4_4ABA_4BD6),
    // Variable key, B.2.
    (0x8001_0101_0101_0101, 0, 0x95A8_D728_13DA_A94D),
    (0x4001_0101_0101_0101, 0, 0x0EEC_1487_DD8C_26D5),
    (0x2001_0101_0101_0101, 0, 0x7AD1_6FFB_79C4_5926),
    // Permutation operation, B.3.
    (0x1046_9134_8998_0131, 0, 0x88D5_5E54_F54C_97B4),
    (0x1007_1034_8998_8020, 0, 0x0C0C_C00C_83EA_48FD),
    // Substitution tables, B.4.
    (0x7CA1_1045_4A1A_6E57, 0x01A1_D6D0_3977_6742, 0x690F_5B0D_9A26_939B),
    (0x0131_D961_9DC1_376E, 0x5CD5_4CA8_3DEF_57DA, 0x7A38_9D10_354B_D271),
    (0x07A1_133E_4A0B_2686, 0x0248_D438_06F6_7172, 0x868E_BB51_CAB4_599A),
    (0x3849_674C_2602_319E, 0x5145_4B58_2DDF_440A, 0x7178_876E_01F1_9B2A),
    (0x04B9_15BA_43FE_B5B6, 0x42FD_4430_5957_7FA2, 0xAF37_FB42_1F8C_4095),
    // FIPS 81's key and text.
    (0x0123_4567_89AB_CDEF, 0x4E6F_7720_6973_2074, 0x3FA4_0E8A_984D_4815),
];

#[test]
fn published_answers() {
    for (key, plain, cipher) in PUBLISHED {
        assert_eq!(oracle(key, plain), cipher, "the oracle, key {key:016X}");
        assert_eq!(des_encrypt(key, plain), cipher, "key {key:016X}");
    }
}

#[test]
fn variable_plaintext_and_variable_key() {
    for bit in 0..64 {
        let x = 1u64 << bit;
        assert_eq!(des_encrypt(0x0101_0101_0101_0101, x), oracle(0x0101_0101_0101_0101, x), "plaintext bit {bit}");
        assert_eq!(des_encrypt(0x0101_0101_0101_0101 ^ x, 0), oracle(0x0101_0101_0101_0101 ^ x, 0), "key bit {bit}");
        assert_eq!(des_encrypt(!x, x ^ 0x5A5A), oracle(!x, x ^ 0x5A5A));
    }
}

/// FIPS 74 and SP 800-67, 3.3.2: weak and semi-weak keys are taken, as `des` takes them, and are as weak.
#[test]
fn weak_keys_are_ciphers_like_others() {
    for key in [0x0101_0101_0101_0101, 0xFEFE_FEFE_FEFE_FEFE, 0xE0E0_E0E0_F1F1_F1F1, 0x1F1F_1F1F_0E0E_0E0E] {
        let x = 0x0123_4567_89AB_CDEF;
        assert_eq!(des_encrypt(key, x), oracle(key, x));
        assert_eq!(des_encrypt(key, des_encrypt(key, x)), x, "a weak key is its own inverse");
    }
    for (a, b) in [(0x01FE_01FE_01FE_01FE, 0xFE01_FE01_FE01_FE01), (0x1FE0_1FE0_0EF1_0EF1, 0xE01F_E01F_F10E_F10E)] {
        assert_eq!(des_encrypt(a, des_encrypt(b, 42)), 42, "semi-weak keys undo each other");
    }
}

/// SP 800-20, Monte Carlo: 400 keys are too many for a test, the chains are what matters.
#[test]
fn monte_carlo() {
    let (mut key, mut x) = ([0x13u8; 24], 0x0123_4567_89AB_CDEFu64);
    for _ in 0..20 {
        let (ours, theirs) = (TdesEde3::new(&key.into()), des::TdesEde3::new(&key.into()));
        let (mut a, mut b) = (Array::from(x.to_be_bytes()), Array::from(x.to_be_bytes()));
        for _ in 0..500 {
            ours.encrypt_block(&mut a);
            theirs.encrypt_block(&mut b);
        }
        assert_eq!(a, b);
        x = u64::from_be_bytes(a.0);
        for (i, k) in key.iter_mut().enumerate() {
            *k ^= a[i % 8].rotate_left(i as u32);
        }
    }
}

#[test]
fn wiped_on_drop() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Des>();
    wiped::<TdesEde2>();
    wiped::<TdesEde3>();
}

macro_rules! against_des {
    ($name:ident, $ours:ty, $theirs:ty, $bytes:literal) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(60))]

            #[test]
            fn $name(key: [u8; $bytes], iv: [u8; 8], n in 0usize..300, seed: u8) {
                let plain: Vec<Array<u8, _>> = (0..n).map(|i| Array::from([seed ^ i as u8, (i >> 8) as u8, 2, 3, 4, 5, 6, seed])).collect();
                let mut cipher = plain.clone();
                cbc::Encryptor::<$theirs>::new(&key.into(), &iv.into()).encrypt_blocks(&mut cipher);
                let mut same = plain.clone();
                cbc::Encryptor::<$ours>::new(&key.into(), &iv.into()).encrypt_blocks(&mut same);
                prop_assert_eq!(&cipher, &same);

                let mut back = cipher.clone();
                cbc::Decryptor::<$ours>::new(&key.into(), &iv.into()).decrypt_blocks(&mut back);
                prop_assert_eq!(&back, &plain);

                for level in Level::ALL.into_iter().filter(|l| l.available()) {
                    let mut back: Vec<[u8; 8]> = cipher.iter().map(|b| b.0).collect();
                    <$ours>::new(&key.into()).cbc_decrypt_at(level, &iv, &mut back);
                    prop_assert!(back.iter().zip(&plain).all(|(a, b)| *a == b.0));
                }

                let (mut a, mut b) = (plain.clone(), plain.clone());
                <$ours>::new(&key.into()).encrypt_blocks(&mut a);
                <$theirs>::new(&key.into()).encrypt_blocks(&mut b);
                prop_assert_eq!(&a, &b);
                <$ours>::new(&key.into()).decrypt_blocks(&mut a);
                prop_assert_eq!(&a, &plain);
            }
        }
    };
}

against_des!(des_as_des, Des, des::Des, 8);
against_des!(tdes_with_two_keys, TdesEde2, des::TdesEde2, 16);
against_des!(tdes_with_three_keys, TdesEde3, des::TdesEde3, 24);
