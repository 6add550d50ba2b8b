//! Whole payloads, from bytes with a KSN to card data, beside the same ciphers called plainly: no parsing, no wiping.

use std::hint::black_box;

use dukpt::{Ksn, MemoryStore};
use p2pe_benches::{AES, AES_16_BITS, Bench, Row, Rows, TDES, TDES_10_BITS};
use p2pe_crypto::Payload;

use crate::{plain, rustcrypto::RustCrypto};

pub(crate) fn rows(rows: &mut Rows, bench: &Bench, store: &MemoryStore) {
    let works = [
        ("payload tdes 5 bits", TDES, "latency"),
        ("payload tdes 10 bits", TDES_10_BITS, "latency"),
        ("payload aes 1 bit", AES, "key schedules"),
        ("payload aes 16 bits", AES_16_BITS, "key schedules"),
    ];
    for (work, id, limit) in works {
        let (payload, decryptor) = (bench.payload(id), bench.decryptor(id, store));
        let key = bench.example(id).key.expose().try_into().expect("16 bytes");
        let row = |yardstick| Row { name: format!("{work}, {yardstick}"), target: None, limit };
        let ours = || decryptor.decrypt(black_box(payload)).expect("a card");
        match payload.ksn() {
            Ksn::Tdes(ksn) => rows.measure(&row("des crate"), (1, ours), (1, || tdes(black_box(&key), ksn, payload))),
            Ksn::Aes(ksn) => rows.measure(&row("aes crate"), (1, ours), (1, || aes(black_box(&key), ksn, payload))),
        }
    }
    batch(rows, bench, store);
}

/// 512 transactions of 512 devices.
fn batch(rows: &mut Rows, bench: &Bench, store: &MemoryStore) {
    const SIZE: usize = 512;
    let decryptor = bench.decryptor(TDES_10_BITS, store);
    let payloads = bench.population(SIZE);
    let key = bench.example(TDES_10_BITS).key.expose().try_into().expect("16 bytes");
    let row = Row { name: format!("payload batch of {SIZE} tdes 10 bits, des crate"), target: None, limit: "gates" };
    assert!(decryptor.decrypt_batch(&payloads).iter().all(Result::is_ok), "cards");
    rows.measure(
        &row,
        (SIZE, || decryptor.decrypt_batch(black_box(&payloads))),
        (8, || {
            for payload in &black_box(&payloads)[..8] {
                if let Ksn::Tdes(ksn) = payload.ksn() {
                    black_box(tdes(&key, ksn, payload));
                }
            }
        }),
    );
}

fn ciphertext(payload: &Payload) -> Vec<u8> {
    payload.encrypted().into_iter().next().expect("an encrypted field").ciphertext.to_vec()
}

fn tdes(base_key: &[u8; 16], ksn: &dukpt::tdes::Ksn, payload: &Payload) -> Vec<u8> {
    let mut data = ciphertext(payload);
    plain::tdes(&mut RustCrypto, base_key, ksn.as_bytes(), data.as_chunks_mut().0);
    data
}

fn aes(base_key: &[u8; 16], ksn: &dukpt::aes::Ksn, payload: &Payload) -> Vec<u8> {
    let mut data = ciphertext(payload);
    plain::aes(&mut RustCrypto, base_key, ksn.as_bytes(), data.as_chunks_mut().0);
    data
}
