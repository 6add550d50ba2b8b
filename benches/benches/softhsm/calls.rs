//! One session on one thread: what the library costs beside its calls.

use std::hint::black_box;

use dukpt::{Key, KeyStore, Ksn};
use p2pe_benches::{AES, AES_16_BITS, Bench, Rows, TDES, merchant, token_key};
use p2pe_crypto::Tokenizer;
use pkcs11_backend::Pkcs11Store;

use crate::{bare::Bare, row};

pub(crate) fn rows(rows: &mut Rows, bench: &Bench, store: &Pkcs11Store, bare: &Bare) {
    for (work, id) in [("payload aes 1 bit, cryptoki", AES), ("payload aes 16 bits, cryptoki", AES_16_BITS)] {
        let (payload, decryptor) = (bench.payload(id), bench.decryptor(id, store));
        let Ksn::Aes(ksn) = payload.ksn() else { continue };
        let ciphertext = payload.encrypted().into_iter().next().expect("a track").ciphertext;
        let bdk = bare.aes_key(bench.example(id).key.expose());
        rows.measure(
            &row(work, None),
            (1, || decryptor.decrypt(black_box(payload)).expect("a card")),
            (1, || bare.decrypt(black_box(bdk), ksn, ciphertext)),
        );
    }

    let id = &bench.example(TDES).device.base_key;
    let Ksn::Tdes(ksn) = bench.payload(TDES).ksn() else { return };
    let keys = [bare.find(id.as_str()), bare.find(&format!("{id}.variant"))];
    rows.measure(
        &row("initial key tdes, cryptoki", None),
        (1, || store.key(id).and_then(|key| key.tdes_initial_key(black_box(ksn))).expect("an initial key")),
        (1, || keys.map(|key| bare.des3(black_box(key), &ksn.initial_key_block()))),
    );

    let card = bench.decryptor(TDES, store).decrypt(bench.payload(TDES)).expect("a card");
    let (tokenizer, merchant) = (Tokenizer::new(store, token_key()), merchant());
    let key = bare.find(token_key().as_str());
    rows.measure(
        &row("merchant token, cryptoki", None),
        (1, || tokenizer.token(&merchant, black_box(card.pan())).expect("a token")),
        (1, || bare.hmac(black_box(key))),
    );
}
