//! AES DUKPT with keys of 128 bits, counters with 16 bits set: from base key and KSN to data key.

use std::hint::black_box;

use dukpt::{KeyStore, Ksn, MemoryStore, aes};
use p2pe_benches::{AES_16_BITS, Bench, Row, Rows};

use crate::plain::{self, Ciphers};

const MANY: usize = 64;

pub(crate) fn rows<C: Ciphers>(
    rows: &mut Rows,
    bench: &Bench,
    store: &MemoryStore,
    ciphers: &mut C,
    has_targets: bool,
) {
    let example = bench.example(AES_16_BITS);
    let clear_key: [u8; 16] = example.key.expose().try_into().expect("16 bytes");
    let base_key = store.key(&example.device.base_key).expect("the base key");
    let one: [u8; 12] = example.payload.ksn().as_bytes().try_into().expect("12 bytes");
    let bytes: Vec<[u8; 12]> = (0..MANY)
        .map(|device| {
            let mut ksn = one;
            ksn[7] ^= u8::try_from(device).expect("few");
            ksn
        })
        .collect();
    let ksn = |bytes: &[u8; 12]| match Ksn::of_transaction(bytes) {
        Ok(Ksn::Aes(ksn)) => ksn,
        _ => unreachable!("twelve bytes are a KSN of AES DUKPT"),
    };
    let ksns: Vec<_> = bytes.iter().map(ksn).collect();
    let size = aes::KeyType::Aes128;
    let suite = aes::Suite::new(size, size, aes::DataUsage::Encrypt).expect("a suite");
    let ours = |ksn| aes::DataKey::derive(&base_key, ksn, suite).expect("a data key");

    let key = plain::aes_data_key(ciphers, &clear_key, &one);
    let (mut a, mut b) = ([7; 16], [[7; 16]]);
    ours(&ksns[0]).decrypt_cbc(&[0; 16], &mut a).expect("a block");
    ciphers.aes_cbc_decrypt(&key, &mut b);
    assert_eq!(a, b[0]);

    let row = |work, target| Row {
        name: format!("aes {work} derive, {}", C::AES),
        target: Some(target).filter(|_| has_targets),
        limit: "key schedules",
    };
    rows.measure(
        &row("single", 0.95),
        (1, || ours(black_box(&ksns[0]))),
        (1, || plain::aes_data_key(ciphers, black_box(&clear_key), &one)),
    );
    let many = || {
        aes::DataKey::derive_each(&base_key, black_box(&ksns), suite, |_, key| {
            Some(black_box(key.expect("a data key")))
        });
    };
    rows.measure(
        &row("batch", 2.0),
        (MANY, many),
        (MANY, || {
            for ksn in black_box(&bytes) {
                black_box(plain::aes_data_key(ciphers, &clear_key, ksn));
            }
        }),
    );
}
