//! Software: the library beside the same ciphers called plainly.
#![expect(clippy::expect_used, reason = "a bench may stop")]

use std::hint::black_box;

use cipher::{Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use criterion::{Criterion, criterion_group, criterion_main};
use dukpt::{Ksn, Lifetime, MemoryStore, tdes};
use p2pe_benches::{AES, AES_16_BITS, Bench, TDES, TDES_10_BITS};
use p2pe_crypto::Payload;

/// What a keypad frame or a track costs from its KSN to card data.
fn decrypt(criterion: &mut Criterion) {
    let bench = Bench::load();
    let mut store = MemoryStore::new();
    bench.import(&mut store, Lifetime::Session);
    let rows = [("tdes", TDES), ("tdes 10 bits", TDES_10_BITS), ("aes", AES), ("aes 16 bits", AES_16_BITS)];
    for (name, id) in rows {
        let mut group = criterion.benchmark_group(format!("memory decrypt {name}"));
        let (payload, decryptor) = (bench.payload(id), bench.decryptor(id, &store));
        group.bench_function("library", |b| b.iter(|| decryptor.decrypt(black_box(payload)).expect("a card")));
        let key = bench.example(id).key.expose();
        let ciphertext = ciphertext(payload);
        match payload.ksn() {
            Ksn::Tdes(ksn) => {
                group.bench_function("yardstick", |b| b.iter(|| plain_tdes(black_box(key), ksn, &ciphertext)));
            }
            Ksn::Aes(ksn) => {
                let ksn = *ksn.as_bytes();
                group.bench_function("yardstick", |b| b.iter(|| plain_aes(black_box(key), &ksn, &ciphertext)));
            }
        }
        group.finish();
    }
}

/// What a batch of 512 transactions of 512 devices costs, counters with 10 bits.
fn batch(criterion: &mut Criterion) {
    const SIZE: usize = 512;
    let bench = Bench::load();
    let mut store = MemoryStore::new();
    bench.import(&mut store, Lifetime::Session);
    let decryptor = bench.decryptor(TDES_10_BITS, &store);
    let one = bench.payload(TDES_10_BITS);
    let ciphertext = ciphertext(one);
    // The bytes behind the prefix name the device; what they decrypt to is no card, which costs the same until the end.
    let payloads: Vec<Payload> = (0..SIZE)
        .map(|device| {
            let mut ksn = one.ksn().as_bytes().to_vec();
            ksn[5..7].copy_from_slice(&u16::try_from(device).expect("small").to_be_bytes());
            Payload::from_tracks(&ksn, &[&ciphertext]).expect("a payload")
        })
        .collect();
    let key = bench.example(TDES_10_BITS).key.expose();
    let mut group = criterion.benchmark_group("memory batch of 512 tdes 10 bits");
    group.bench_function("library", |b| b.iter(|| decryptor.decrypt_batch(black_box(&payloads))));
    group.bench_function("yardstick", |b| {
        b.iter(|| {
            for payload in black_box(&payloads) {
                if let Ksn::Tdes(ksn) = payload.ksn() {
                    black_box(plain_tdes(key, ksn, &ciphertext));
                }
            }
        });
    });
    group.finish();
}

/// What the derivation alone costs: the initial key of a device at hand, its data key wanted.
fn derive(criterion: &mut Criterion) {
    let bench = Bench::load();
    let mut group = criterion.benchmark_group("memory derive tdes data key 10 bits");
    let Ksn::Tdes(ksn) = bench.payload(TDES_10_BITS).ksn() else { return };
    let initial = plain_initial_key(bench.example(TDES_10_BITS).key.expose(), ksn);
    let key = tdes::InitialKey::try_filled(|key| {
        key.copy_from_slice(&initial);
        Ok(())
    })
    .expect("an initial key");
    group.bench_function("library", |b| {
        b.iter(|| tdes::DataKey::derive(black_box(&key), ksn, tdes::Variant::DataRequest).expect("a data key"))
    });
    group.bench_function("yardstick", |b| b.iter(|| plain_data_key(black_box(&initial), ksn)));
    group.finish();
}

fn ciphertext(payload: &Payload) -> Vec<u8> {
    payload.encrypted().into_iter().next().expect("an encrypted field").ciphertext.to_vec()
}

fn plain_aes(bdk: &[u8], ksn: &[u8; 12], ciphertext: &[u8]) -> Vec<u8> {
    type Aes = aes::Aes128;
    let step = |key: &[u8], usage: [u8; 2], tail: &[u8]| {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&[1, 1, usage[0], usage[1], 0, 2, 0, 0x80]);
        block[8..].copy_from_slice(tail);
        Aes::new_from_slice(key).expect("16 bytes").encrypt_block((&mut block).into());
        block
    };
    let counter = u32::from_be_bytes(ksn[8..].try_into().expect("4 bytes"));
    let mut key = step(bdk, [0x80, 1], &ksn[..8]);
    let mut tail = [0; 8];
    tail[..4].copy_from_slice(&ksn[4..8]);
    let mut accumulated = 0u32;
    for bit in (0..32).rev().map(|i| 1u32 << i).filter(|bit| counter & bit != 0) {
        accumulated |= bit;
        tail[4..].copy_from_slice(&accumulated.to_be_bytes());
        key = step(&key, [0x80, 0], &tail);
    }
    let key = step(&key, [0x30, 0], &tail);
    let mut data = ciphertext.to_vec();
    let blocks = Block::<Aes>::slice_as_chunks_mut(&mut data).0;
    cbc::Decryptor::inner_iv_init(Aes::new_from_slice(&key).expect("16 bytes"), &Array([0; 16])).decrypt_blocks(blocks);
    data
}

const C0: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

fn xor(key: &[u8], mask: &[u8; 16]) -> [u8; 16] {
    core::array::from_fn(|i| key[i] ^ mask[i])
}

fn plain_initial_key(bdk: &[u8], ksn: &tdes::Ksn) -> [u8; 16] {
    let mut key = [0; 16];
    for (half, parent) in key.chunks_exact_mut(8).zip([xor(bdk, &[0; 16]), xor(bdk, &C0)]) {
        half.copy_from_slice(&ksn.initial_key_block());
        des::TdesEde2::new(&Array(parent)).encrypt_block(half.try_into().expect("8 bytes"));
    }
    key
}

fn plain_data_key(initial: &[u8; 16], ksn: &tdes::Ksn) -> [u8; 16] {
    let bytes = ksn.as_bytes();
    let mut register = u64::from_be_bytes(bytes[2..].try_into().expect("8 bytes")) & !0x1F_FFFF;
    let mut key = *initial;
    let half = |key: [u8; 16], register: u64| {
        let mut block = register.to_be_bytes();
        (0..8).for_each(|i| block[i] ^= key[8 + i]);
        des::Des::new_from_slice(&key[..8]).expect("8 bytes").encrypt_block((&mut block).into());
        (0..8).for_each(|i| block[i] ^= key[8 + i]);
        block
    };
    for bit in (0..21).rev().map(|i| 1u64 << i).filter(|bit| u64::from(ksn.counter()) & bit != 0) {
        register |= bit;
        let (right, left) = (half(key, register), half(xor(&key, &C0), register));
        key[..8].copy_from_slice(&left);
        key[8..].copy_from_slice(&right);
    }
    let mask = [0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0];
    let mut key = xor(&key, &mask);
    let cipher = des::TdesEde2::new(&Array(key));
    key.chunks_exact_mut(8).for_each(|half| cipher.encrypt_block(half.try_into().expect("8 bytes")));
    key
}

fn plain_tdes(bdk: &[u8], ksn: &tdes::Ksn, ciphertext: &[u8]) -> Vec<u8> {
    let key = plain_data_key(&plain_initial_key(bdk, ksn), ksn);
    let mut data = ciphertext.to_vec();
    let cipher = des::TdesEde2::new(&Array(key));
    let mut previous = [0; 8];
    for block in data.chunks_exact_mut(8) {
        let next: [u8; 8] = (&*block).try_into().expect("8 bytes");
        cipher.decrypt_block((&mut *block).try_into().expect("8 bytes"));
        (0..8).for_each(|i| block[i] ^= previous[i]);
        previous = next;
    }
    data
}

criterion_group!(benches, decrypt, derive, batch);
criterion_main!(benches);
