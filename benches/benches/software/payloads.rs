//! Whole payloads, from bytes with a KSN to card data, beside the same ciphers called plainly: no parsing, no wiping.

use std::hint::black_box;

use dukpt::{Ksn, MemoryStore};
use p2pe_benches::{AES, AES_16_BITS, Bench, Row, Rows, TDES, TDES_10_BITS};
use p2pe_crypto::{Form, Payload};
use p2pe_vectors::{Example, VectorFile, schema::Case};

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
    parsing(rows);
}

/// A swipe in each form, and a chip's answer, from bytes to a checked payload, beside a copy of the bytes.
fn parsing(rows: &mut Rows) {
    let files = VectorFile::builtin().expect("vectors");
    let swipe = Example::find(&files, "idtech-enh-augusta-s-swipe-tdes").expect("a swipe");
    let Payload::IdTech(frame) = &swipe.payload else { return };
    for (form, name) in [(Form::Binary, "binary"), (Form::Keyboard, "keyboard"), (Form::Hex, "hex")] {
        let bytes = frame.encode(form);
        let row = Row { name: format!("parse a swipe, {name}, copy"), target: None, limit: "scans" };
        let ours = || Payload::parse(black_box(&bytes)).expect("a payload");
        rows.measure(&row, (1, ours), (1, || black_box(&bytes).clone()));
    }
    let chip = files.iter().flat_map(|file| &file.tests).find(|test| test.id == "neo-contact-tdes");
    let Some(Case::Payload(chip)) = chip.map(|test| &test.case) else { return };
    let digit = |at: usize| u8::from_str_radix(&chip.payload[at..at + 2], 16).expect("hex digits");
    let bytes: Vec<u8> = (0..chip.payload.len()).step_by(2).map(digit).collect();
    let row = Row { name: "parse a chip's answer, copy".into(), target: None, limit: "scans" };
    let ours = || Payload::parse(black_box(&bytes)).expect("a payload");
    rows.measure(&row, (1, ours), (1, || black_box(&bytes).clone()));
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
