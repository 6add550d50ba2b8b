//! Known answers of NIST's validation programme, every row of them, as every type and at every level.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;

use bitsliced_des::{Des, TdesEde2, TdesEde3, batch, lanes::Level};
use cipher::{
    Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeEncrypt, BlockSizeUser, InnerIvInit, KeyInit,
    consts::U8,
};

type Bytes8 = [u8; 8];

struct Row {
    mode: &'static str,
    table: &'static str,
    /// One key, or three.
    keys: Vec<Bytes8>,
    iv: Bytes8,
    plain: Vec<Bytes8>,
    cipher: Vec<Bytes8>,
}

fn blocks(hex: &str) -> Vec<Bytes8> {
    assert!(hex.len().is_multiple_of(16) && !hex.is_empty());
    let block = |at| u64::from_str_radix(&hex[at..at + 16], 16).unwrap().to_be_bytes();
    (0..hex.len()).step_by(16).map(block).collect()
}

fn rows() -> Vec<Row> {
    let lines = include_str!("data/nist-cavp.txt").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| match line.split(' ').collect::<Vec<_>>()[..] {
        [mode, table, keys, iv, plain, cipher] => {
            let iv = if iv == "-" { Bytes8::default() } else { blocks(iv)[0] };
            Row { mode, table, keys: blocks(keys), iv, plain: blocks(plain), cipher: blocks(cipher) }
        }
        _ => panic!("{line}"),
    };
    lines.map(row).collect()
}

/// The tables, each row of which is one block under one key.
fn tables() -> Vec<Row> {
    rows().into_iter().filter(|row| row.keys.len() == 1).collect()
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.available())
}

fn first<const N: usize>(keys: &[Bytes8]) -> [u8; N] {
    keys.iter().cycle().flatten().copied().take(N).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn the_tables_are_whole() {
    let mut counts = BTreeMap::new();
    for row in rows() {
        *counts.entry((row.mode, row.table)).or_insert(0) += 1;
    }
    let expected = [
        (("CBC", "multi-block-1"), 10 * 2),
        (("CBC", "multi-block-2"), 10 * 2),
        (("CBC", "multi-block-3"), 10 * 2),
        (("ECB", "inverse-permutation"), 64),
        (("ECB", "multi-block-1"), 10 * 2),
        (("ECB", "multi-block-2"), 10 * 2),
        (("ECB", "multi-block-3"), 10 * 2),
        (("ECB", "permutation-operation"), 32),
        (("ECB", "substitution-table"), 19),
        (("ECB", "variable-key"), 56),
        (("ECB", "variable-plaintext"), 64),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    // Every data bit, and every key bit but parity, stands alone in one row.
    let alone = |table, text: fn(&Row) -> u64| {
        tables().iter().filter(|row| row.table == table).map(text).fold(0, |bits, bit| {
            assert!(bit.is_power_of_two() && bits & bit == 0);
            bits | bit
        })
    };
    assert_eq!(alone("variable-plaintext", |row| u64::from_be_bytes(row.plain[0])), u64::MAX);
    let key_bit = |row: &Row| u64::from_be_bytes(row.keys[0]) & 0xFEFE_FEFE_FEFE_FEFE;
    assert_eq!(alone("variable-key", key_bit), 0xFEFE_FEFE_FEFE_FEFE);
}

fn one_block<C>(name: &str, cipher: &C, row: &Row)
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8>,
{
    let mut block = Array::from(row.plain[0]);
    cipher.encrypt_block(&mut block);
    assert_eq!(block.0, row.cipher[0], "{name} {} {:02X?}", row.table, row.keys);
    cipher.decrypt_block(&mut block);
    assert_eq!(block.0, row.plain[0], "{name} {} {:02X?}", row.table, row.keys);
}

#[test]
fn single_blocks() {
    for row in tables() {
        one_block("the des crate", &des::Des::new(&first(&row.keys).into()), &row);
        one_block("Des", &Des::new(&first(&row.keys).into()), &row);
        one_block("TdesEde2", &TdesEde2::new(&first(&row.keys).into()), &row);
        one_block("TdesEde3", &TdesEde3::new(&first(&row.keys).into()), &row);
    }
}

/// All rows in one batch, and in batches that a pair of blocks makes.
#[test]
fn batches_at_every_level() {
    let rows = tables();
    let keys: Vec<Bytes8> = rows.iter().map(|row| row.keys[0]).collect();
    let doubled: Vec<[u8; 16]> = rows.iter().map(|row| first(&row.keys)).collect();
    let plain: Vec<Bytes8> = rows.iter().map(|row| row.plain[0]).collect();
    let cipher: Vec<Bytes8> = rows.iter().map(|row| row.cipher[0]).collect();
    for level in levels() {
        for size in [rows.len(), 2] {
            for at in (0..rows.len()).step_by(size) {
                let part = at..rows.len().min(at + size);
                let mut blocks = plain[part.clone()].to_vec();
                batch::des_encrypt(level, &keys[part.clone()], &mut blocks);
                assert_eq!(blocks, cipher[part.clone()], "{level:?}");
                batch::des_decrypt(level, &keys[part.clone()], &mut blocks);
                assert_eq!(blocks, plain[part.clone()], "{level:?}");
                batch::tdes_encrypt(level, &doubled[part.clone()], &mut blocks);
                assert_eq!(blocks, cipher[part.clone()], "{level:?}");
                batch::tdes_decrypt(level, &doubled[part.clone()], &mut blocks);
                assert_eq!(blocks, plain[part], "{level:?}");
            }
        }
    }
}

fn message<C>(name: &str, key: &[u8], row: &Row)
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit,
{
    let cipher = || C::new_from_slice(key).unwrap();
    let mut data: Vec<Block<C>> = row.plain.iter().map(|block| Array::from(*block)).collect();
    if row.mode == "ECB" {
        cipher().encrypt_blocks(&mut data);
        assert!(data.iter().map(|block| block.0).eq(row.cipher.iter().copied()), "{name} {}", row.table);
        cipher().decrypt_blocks(&mut data);
        assert!(data.iter().map(|block| block.0).eq(row.plain.iter().copied()), "{name} {}", row.table);
    } else {
        let mut mode = cbc::Encryptor::<C>::inner_iv_init(cipher(), &row.iv.into());
        mode.encrypt_blocks(&mut data);
        assert!(data.iter().map(|block| block.0).eq(row.cipher.iter().copied()), "{name} {}", row.table);
    }
}

#[test]
fn messages() {
    for row in rows().iter().filter(|row| row.keys.len() == 3) {
        let (two, three) = (first::<16>(&row.keys), first::<24>(&row.keys));
        message::<des::TdesEde3>("the des crate", &three, row);
        message::<TdesEde3>("TdesEde3", &three, row);
        if row.table != "multi-block-3" {
            message::<TdesEde2>("TdesEde2", &two, row);
        }
        for level in levels().filter(|_| row.mode == "CBC") {
            let mut data = row.cipher.clone();
            TdesEde3::new(&three.into()).cbc_decrypt_at(level, &row.iv, &mut data);
            assert_eq!(data, row.plain, "{level:?} {}", row.table);
        }
    }
}

/// All CBC messages of two keys at once.
#[test]
fn messages_in_a_batch() {
    let rows = rows();
    let rows: Vec<_> = rows.iter().filter(|row| row.mode == "CBC" && row.table != "multi-block-3").collect();
    let keys: Vec<[u8; 16]> = rows.iter().map(|row| first(&row.keys)).collect();
    for level in levels() {
        let mut data: Vec<_> = rows.iter().map(|row| row.cipher.clone()).collect();
        let messages = data.iter_mut().zip(&keys).zip(&rows);
        let mut messages: Vec<_> =
            messages.map(|((data, key), row)| batch::Message { key, iv: row.iv, data }).collect();
        batch::tdes_cbc_decrypt(level, &mut messages);
        assert!(data.iter().eq(rows.iter().map(|row| &row.plain)), "{level:?}");
    }
}
