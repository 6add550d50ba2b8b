//! The ciphers as types: blocks and modes against the `des` crate.
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use bitsliced_des::{Des, TdesEde2, TdesEde3, lanes::Level};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use proptest::prelude::*;
use zeroize::ZeroizeOnDrop;

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
