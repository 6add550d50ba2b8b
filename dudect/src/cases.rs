//! What is timed: the block operations and derivations of `bitsliced-des` at each level of this machine, FF1, and the comparisons.

use bitsliced_des::{
    TdesEde3, batch,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
    lanes::Level,
    x924::{self, Working},
};
use dukpt::tdes::{InitialKey, Ksn, TransactionKey};
use dukpt::{
    KeyId, KeyImport as _, KeyMaterial, KeyStore as _, Lifetime, MacAlgorithm, MacFormat, MemoryStore, Padding,
};
use ff1::{Ff1, Message};
use p2pe_crypto::constant_time::{Charset, agrees};
use p2pe_crypto::{MerchantId, Pan, Token, Tokenizer};
use subtle::ConstantTimeEq as _;

use crate::measure::Case;

pub(crate) type Failure = Box<dyn std::error::Error>;

const TRACK: &[u8] = b";5413330089604111=2512101123400001230?";

/// Bytes that are in the fixed class.
fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0]).collect()
}

fn first_word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

pub(crate) fn cases() -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for level in Level::ALL.into_iter().filter(|level| level.available()) {
        for n in [1, level.lanes()] {
            batches(&mut cases, level, n);
        }
        cases.push(Case::new(format!("{level:?} TDES-CBC of 14 blocks"), &sample(24 + 14 * 8), move |secret| {
            let (key, data) = secret.split_at(24);
            let mut data = data.to_vec();
            if let Ok(cipher) = TdesEde3::new_from_slice(key) {
                cipher.cbc_decrypt_at(level, &[1; 8], data.as_chunks_mut().0);
            }
            first_word(&data)
        }));
    }
    macs(&mut cases)?;
    format_preserving(&mut cases)?;
    comparisons(&mut cases)?;
    Ok(cases)
}

fn batches(cases: &mut Vec<Case>, level: Level, n: usize) {
    type Batch<const N: usize> = fn(Level, &[[u8; N]], &mut [[u8; 8]]);
    fn push<const N: usize>(cases: &mut Vec<Case>, level: Level, n: usize, name: &str, batch: Batch<N>) {
        cases.push(Case::new(format!("{level:?} {name} of {n}"), &sample((N + 8) * n), move |secret| {
            let (keys, blocks) = secret.split_at(N * n);
            let mut blocks = blocks.to_vec();
            batch(level, keys.as_chunks().0, blocks.as_chunks_mut().0);
            first_word(&blocks)
        }));
    }
    push(cases, level, n, "DES", batch::des_encrypt);
    push(cases, level, n, "TDES", batch::tdes_encrypt);
    push(cases, level, n, "TDES decryption", batch::tdes_decrypt);
    // The registers are public: the same in both classes.
    let register = 0x9876_5432_10E0_1234u64.to_be_bytes();
    cases.push(Case::new(format!("{level:?} derivation of {n}"), &sample(16 * n), move |secret| {
        let working = Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself: true };
        let mut out = vec![[0; 16]; n];
        x924::derive(level, secret.as_chunks().0, &vec![register; n], working, &mut out);
        first_word(out.as_flattened())
    }));
}

/// Secret is how far the received MAC is right: up to its last byte, or not at all.
fn macs(cases: &mut Vec<Case>) -> Result<(), Failure> {
    let ksn = Ksn::try_from(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x01][..])?;
    let initial = InitialKey::try_filled(|key| {
        *key = [0x5C; 16];
        Ok(())
    })?;
    for (algorithm, length) in [(MacAlgorithm::Retail(Padding::Zeros), 8), (MacAlgorithm::Cmac, 8)] {
        let format = MacFormat::new(algorithm, length)?;
        let message = [0xA5; 16];
        let mut device = dukpt::tdes::terminal::Terminal::new(&initial, &ksn);
        let mut mac = device.next_transaction()?.mac_key().generate(format, &message)?.as_bytes().to_vec();
        if let Some(last) = mac.last_mut() {
            *last ^= 1;
        }
        let key = TransactionKey::derive(&initial, &ksn)?.mac_key();
        let name = format!("MAC verification, {algorithm:?}");
        cases.push(Case::new(name, &mac, move |mac| key.verify(format, &message, mac).is_ok().into()));
    }
    Ok(())
}

/// FF1 of all zeros and of random digits, the shortest and the longest among them; and under a key of zeros and random keys.
fn format_preserving(cases: &mut Vec<Case>) -> Result<(), Failure> {
    let id = KeyId::new("ff1")?;
    for (digits, count) in [(6, 1), (10, 1), (16, 1), (38, 1), (10, 64)] {
        let (mut store, id) = (MemoryStore::new(), id.clone());
        store.import(&id, &KeyMaterial::new("ff1", &[7; 32])?, Lifetime::Session)?;
        let name = format!("FF1 of {digits} digits, {count} at once, and back");
        cases.push(Case::new(name, &vec![0; digits * count], move |secret| {
            let Ok(key) = store.key(&id) else { return 0 };
            let (ff1, mut all) = (Ff1::new(key), secret.iter().map(|byte| b'0' + byte % 10).collect::<Vec<_>>());
            for batch in [Ff1::encrypt_batch, Ff1::decrypt_batch] {
                let messages = all.chunks_exact_mut(digits).map(|digits| Message { tweak: &[7; 11], digits });
                if batch(&ff1, &mut messages.collect::<Vec<_>>()).is_err() {
                    return 0;
                }
            }
            first_word(&all)
        }));
    }
    cases.push(Case::new("FF1 of 16 digits, by the key", &[0; 32], move |secret| {
        let (mut store, mut digits) = (MemoryStore::new(), *b"4761739001010010");
        let done = KeyMaterial::new("ff1", secret)
            .map_err(|_| ())
            .and_then(|key| store.import(&id, &key, Lifetime::Session).map_err(|_| ()))
            .and_then(|()| store.key(&id).map_err(|_| ()))
            .and_then(|key| Ff1::new(key).encrypt(&[7; 20], &mut digits).map_err(|_| ()));
        if done.is_ok() { first_word(&digits) } else { 0 }
    }));
    Ok(())
}

/// Equal in one class and random in the other.
fn comparisons(cases: &mut Vec<Case>) -> Result<(), Failure> {
    let mut store = MemoryStore::new();
    let id = KeyId::new("tokens")?;
    store.import(&id, &KeyMaterial::new("hmac", &[7; 32])?, Lifetime::Session)?;
    let tokenizer = Tokenizer::new(store, id);
    let shops = [MerchantId::new("one")?, MerchantId::new("two")?];
    let pan = Pan::new(b"5413330089604111")?;
    let tokens: [Token; 2] = [tokenizer.token(&shops[0], &pan)?, tokenizer.token(&shops[1], &pan)?];
    // The two are at hand in both classes; one secret bit says which is compared.
    cases.push(Case::new("Token::eq", &[0], move |secret| (tokens[0] == tokens[usize::from(secret[0] & 1)]).into()));

    cases.push(Case::new("Pan::ct_eq", &[b'1'; 16], move |secret| {
        let digits: [u8; 16] = std::array::from_fn(|i| b'0' + (secret[i] & 7));
        Pan::new(&digits).map_or(2, |other| bool::from(pan.ct_eq(&other)).into())
    }));
    let masked: Vec<u8> =
        TRACK.iter().enumerate().map(|(at, byte)| if (7..13).contains(&at) { b'*' } else { *byte }).collect();
    cases.push(Case::new("masked::agrees", TRACK, move |clear| bool::from(agrees(&masked, clear, b'*')).into()));
    let check = TRACK.iter().fold(0, |lrc, byte| lrc ^ byte & 0x0F) | 0x30;
    let padded = [TRACK, &[check], &[0; 20]].concat();
    cases.push(Case::new("end of a track, check character, padding", &padded, |clear| {
        Charset::Numeric.text_length(clear, None).unwrap_or(0)
    }));
    Ok(())
}

/// Leaks on purpose, which must be found.
pub(crate) fn planted() -> Vec<Case> {
    let expected = sample(32);
    vec![
        Case::new("planted: compared up to the first difference", &sample(32), move |secret| {
            std::hint::black_box(&expected).iter().zip(secret).all(|(a, b)| a == b).into()
        }),
        Case::new("planted: padding looked at up to the first byte", &[0; 64], |secret| {
            secret.iter().all(|byte| *byte == 0).into()
        }),
        // Whatever the level, a batch does not hide one block.
        Case::new("planted: one more block when a byte is not zero", &[0; 512 * 24], |secret| {
            let (keys, blocks) = secret.split_at(512 * 16);
            let (keys, mut blocks) = (keys.as_chunks().0, blocks.to_vec());
            batch::tdes_encrypt(Level::best_for(512), keys, blocks.as_chunks_mut().0);
            if secret[0] != 0 {
                batch::tdes_encrypt(Level::best_for(1), &keys[..1], &mut blocks.as_chunks_mut().0[..1]);
            }
            first_word(&blocks)
        }),
    ]
}

/// A cipher with tables; whether its time shows the key depends on the machine's caches, so that it is printed only.
pub(crate) fn with_tables() -> Case {
    Case::new("for comparison: the table-based des crate", &[0; 32], |secret| {
        let (key, block) = secret.split_at(24);
        let mut block: [u8; 8] = block.first_chunk().copied().unwrap_or_default();
        if let Ok(cipher) = des::TdesEde3::new_from_slice(key) {
            cipher.encrypt_block((&mut block).into());
        }
        u64::from_le_bytes(block)
    })
}
