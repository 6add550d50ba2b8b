//! FF1 of a card's digits under a key of 256 bits, beside the `fpe` crate with its key expanded before.

use std::hint::black_box;

use aes::Aes256;
use dukpt::{KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};
use ff1::{Ff1, Message};
use fpe::ff1::{FF1, FlexibleNumeralString};
use p2pe_benches::{Row, Rows};

const KEY: [u8; 32] = [0x5A; 32];
/// As a token policy has it: version, shape, merchant and the kept digits.
const TWEAK: &[u8] = b"\0\0\0\x01\x06\x04\x06shop-14761730010";
const MANY: usize = 512;

/// As a user of `fpe` calls it, digits in and out as text.
fn plainly(cipher: &FF1<Aes256>, digits: &mut [u8]) {
    let numerals = FlexibleNumeralString::from(digits.iter().map(|digit| u16::from(digit - b'0')).collect::<Vec<_>>());
    let encrypted = Vec::from(cipher.encrypt(TWEAK, &numerals).expect("digits"));
    digits.iter_mut().zip(encrypted).for_each(|(to, digit)| *to = b'0' + u8::try_from(digit).expect("a digit"));
}

pub(crate) fn rows(rows: &mut Rows) {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("ff1").expect("a name"));
    let key = KeyMaterial::new("ff1", &KEY).expect("a key");
    store.import(&id, &key, Lifetime::Session).expect("the store takes the key");
    let (ff1, cipher) = (Ff1::new(store.key(&id).expect("the key")), FF1::<Aes256>::new(&KEY, 10).expect("a key"));
    for digits in [&b"900101"[..], b"4761739001010010"] {
        let (mut ours, mut theirs) = (digits.to_vec(), digits.to_vec());
        ff1.encrypt(TWEAK, &mut ours).expect("digits");
        plainly(&cipher, &mut theirs);
        assert_eq!(ours, theirs);
        let row = |work, target, limit| Row {
            name: format!("ff1 {work}, {} digits, fpe", digits.len()),
            target: Some(target),
            limit,
        };
        rows.measure(
            &row("single", 3.0, "the latency of twelve calls of AES, one after the other"),
            (1, || ff1.encrypt(TWEAK, black_box(&mut ours)).expect("digits")),
            (1, || plainly(&cipher, black_box(&mut theirs))),
        );
        let (mut ours, mut theirs) = (vec![digits.to_vec(); MANY], vec![digits.to_vec(); MANY]);
        rows.measure(
            &row("batch", 8.0, "AES at full width, then digits to numbers and back"),
            (MANY, || {
                let messages = black_box(&mut ours).iter_mut().map(|digits| Message { tweak: TWEAK, digits });
                ff1.encrypt_batch(&mut messages.collect::<Vec<_>>()).expect("digits");
            }),
            (MANY, || black_box(&mut theirs).iter_mut().for_each(|digits| plainly(&cipher, digits))),
        );
    }
}
