//! `bitsliced-des`: single keys, batches, CBC and the DUKPT derivation, at each level that valgrind can run.

use bitsliced_des::batch::{self, Message};
use bitsliced_des::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, Key, KeyInit, KeySizeUser, typenum::Unsigned,
};
use bitsliced_des::lanes::Level;
use bitsliced_des::x924::{self, Working};
use bitsliced_des::{Des, TdesEde2, TdesEde3};

use crate::case::Case;

/// Valgrind knows no AVX-512, and CPUID under it shows none.
const LEVELS: [Level; 3] = [Level::Portable, Level::Bits128, Level::Avx2];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    each_way::<Des>(&mut cases, "Des");
    each_way::<TdesEde2>(&mut cases, "TdesEde2");
    each_way::<TdesEde3>(&mut cases, "TdesEde3");
    for level in LEVELS.into_iter().filter(|level| level.available()) {
        batches(&mut cases, level);
        cbc(&mut cases, level);
        derivations(&mut cases, level);
    }
    cases
}

/// One block, a few, a parallel set of 64 and what is left over.
fn each_way<C>(cases: &mut Vec<Case>, name: &str)
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + KeySizeUser + 'static,
{
    for n in [1, 3, 6, 70] {
        let run = |cipher: fn(&C, &mut [Block<C>])| {
            move |secret: &[u8], results: &mut crate::case::Results| {
                let (key, data) = secret.split_at(C::KeySize::USIZE);
                let mut data = data.to_vec();
                let cipher_of = C::new(&Key::<C>::try_from(key)?);
                cipher(&cipher_of, Block::<C>::slice_as_chunks_mut(&mut data).0);
                results.put(&data);
                Ok(())
            }
        };
        let bytes = C::KeySize::USIZE + 8 * n;
        cases.push(Case::new(format!("{name} encrypts {n}"), bytes, run(|c, b| c.encrypt_blocks(b))));
        cases.push(Case::new(format!("{name} decrypts {n}"), bytes, run(|c, b| c.decrypt_blocks(b))));
    }
}

/// How many: in pairs, just beyond, a full word, and one more than a word.
fn counts(level: Level) -> [usize; 5] {
    [1, 4, 5, level.lanes(), level.lanes() + 3]
}

fn batches(cases: &mut Vec<Case>, level: Level) {
    type Batch<const N: usize> = fn(Level, &[[u8; N]], &mut [[u8; 8]]);
    fn push<const N: usize>(cases: &mut Vec<Case>, level: Level, name: &str, batch: Batch<N>) {
        for n in counts(level) {
            let case = Case::new(format!("batch::{name} {level:?} {n}"), (N + 8) * n, move |secret, results| {
                let (keys, blocks) = secret.split_at(N * n);
                let mut blocks = blocks.to_vec();
                batch(level, keys.as_chunks().0, blocks.as_chunks_mut().0);
                results.put(&blocks);
                Ok(())
            });
            cases.push(case);
        }
    }
    push(cases, level, "des_encrypt", batch::des_encrypt);
    push(cases, level, "des_decrypt", batch::des_decrypt);
    push(cases, level, "tdes_encrypt", batch::tdes_encrypt);
    push(cases, level, "tdes_decrypt", batch::tdes_decrypt);
}

/// Messages of one length (a message a lane), of many lengths (a block a lane), and one alone.
fn cbc(cases: &mut Vec<Case>, level: Level) {
    let lanes = level.lanes();
    let lengths: [(&str, Vec<usize>); 3] = [
        ("equal lengths", vec![10; lanes]),
        ("many lengths", (0..lanes / 4).map(|i| 1 + i % 9).collect()),
        ("one message", vec![lanes + 1]),
    ];
    for (name, lengths) in lengths {
        let blocks: usize = lengths.iter().sum();
        let bytes = 24 * lengths.len() + 8 * blocks;
        let case = Case::new(format!("batch::tdes_cbc_decrypt {level:?} {name}"), bytes, move |secret, results| {
            let (keys, rest) = secret.split_at(16 * lengths.len());
            let (ivs, data) = rest.split_at(8 * lengths.len());
            let mut data = data.to_vec();
            let mut rest = data.as_chunks_mut().0;
            let mut messages = Vec::new();
            for ((key, iv), length) in keys.as_chunks().0.iter().zip(ivs.as_chunks().0).zip(&lengths) {
                let (data, others) = rest.split_at_mut(*length);
                messages.push(Message { key, iv: *iv, data });
                rest = others;
            }
            batch::tdes_cbc_decrypt(level, &mut messages);
            drop(messages);
            results.put(&data);
            Ok(())
        });
        cases.push(case);
    }
    let case =
        Case::new(format!("TdesEde3::cbc_decrypt_at {level:?}"), 32 + 8 * (lanes + 1), move |secret, results| {
            let (key, rest) = secret.split_at(24);
            let (iv, data) = rest.split_at(8);
            let mut data = data.to_vec();
            let cipher = TdesEde3::new(&Key::<TdesEde3>::try_from(key)?);
            cipher.cbc_decrypt_at(level, iv.try_into()?, data.as_chunks_mut().0);
            results.put(&data);
            Ok(())
        });
    cases.push(case);
}

/// Keys are secret; the registers, with their counters, are public. In pairs, with two lanes for a device, and with one.
fn derivations(cases: &mut Vec<Case>, level: Level) {
    for n in [1, 2, 3, level.lanes() / 2, level.lanes(), level.lanes() + 1] {
        for encrypt_under_itself in [false, true] {
            let name = if encrypt_under_itself { "data keys" } else { "variants" };
            let case = Case::new(format!("x924::derive {level:?} {n} {name}"), 16 * n, move |secret, results| {
                let registers: Vec<[u8; 8]> = (0..n as u64)
                    .map(|i| ((i * 0x9876_5432) << 21 | (i * 0x1_2345 + 0x0A_8D31) & 0x1F_FFFF).to_be_bytes())
                    .collect();
                let working = Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself };
                let mut out = vec![[0; 16]; n];
                x924::derive(level, secret.as_chunks().0, &registers, working, &mut out);
                results.put(out.as_flattened());
                Ok(())
            });
            cases.push(case);
        }
    }
}
