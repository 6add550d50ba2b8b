//! Whole payloads, from bytes with a KSN to card data, beside the same ciphers called plainly: no parsing, no wiping.

use std::hint::black_box;

use dukpt::{KeyImport, Ksn, Lifetime, MemoryStore};
use p2pe_benches::{AES, AES_16_BITS, Bench, Row, Rows, TDES, TDES_10_BITS};
use p2pe_crypto::{Decryptor, Devices, Payload};
use p2pe_vectors::{
    Example, VectorFile,
    schema::{Case, Encoding},
};

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

/// What each family sends, from bytes to a checked payload, beside the decryption of a batch of such payloads of one device.
fn parsing(rows: &mut Rows) {
    const SIZE: usize = 256;
    let works = [
        ("swipe", "idtech-enh-augusta-s-swipe-tdes"),
        ("swipe, keyboard", "made-real-swipe-keyboard"),
        ("swipe, hex", "made-real-swipe-hex-text-upper"),
        ("keyed, keyboard", TDES),
        ("original swipe", "idtech-orig-ms246-tdes"),
        ("original swipe, hex", "idtech-original-hex-text"),
        ("xml", "idtech-xml-swiped"),
        ("neo, chip", "neo-contact-tdes"),
        ("neo, swipe", "neo-swipe-in-a-frame"),
        ("quick chip", "quick-chip-augusta"),
        ("magtek stream", "magtek-stream-three-tracks"),
        ("magtek report", "magtek-report-three-tracks"),
        ("magtek tlv", "magtek-tlv-dynapro-mini"),
        ("verifone vsd", "verifone-vsd-answer"),
    ];
    let files = VectorFile::builtin().expect("vectors");
    for (work, id) in works {
        let Example { payload, prefix, device, key } = Example::find(&files, id).expect("a payload with its device");
        let mut store = MemoryStore::new();
        store.import(&device.base_key, &key, Lifetime::Session).expect("the store takes the key");
        let mut devices = Devices::new();
        devices.insert(prefix, device);
        let decryptor = Decryptor::new(store, devices);
        let payloads = vec![payload; SIZE];
        assert!(decryptor.decrypt_batch(&payloads).iter().all(Result::is_ok), "cards");
        let bytes = sent(&files, id);
        let row = Row { name: format!("parse {work}, batch decryption"), target: Some(10.0), limit: "scans" };
        let ours = || Payload::parse(black_box(&bytes)).expect("a payload");
        rows.measure(&row, (1, ours), (SIZE, || decryptor.decrypt_batch(black_box(&payloads))));
    }
}

/// The bytes of the payload test named `id`.
fn sent(files: &[VectorFile], id: &str) -> Vec<u8> {
    let test =
        files.iter().flat_map(|file| &file.tests).find(|test| test.id == id).expect("the vectors have this test");
    let Case::Payload(case) = &test.case else { unreachable!("a payload test") };
    let digit = |at: usize| u8::from_str_radix(&case.payload[at..at + 2], 16).expect("hex digits");
    match case.encoding {
        Encoding::Ascii => case.payload.clone().into_bytes(),
        Encoding::Hex => (0..case.payload.len()).step_by(2).map(digit).collect(),
    }
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
