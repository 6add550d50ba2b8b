//! Verifone VSD: TLV with a ciphertext over a string of objects and a random initialisation vector of its own.

use base64ct::{Base64, Encoding};
use dukpt::KeyError;
use p2pe_crypto::Entry;

use super::{Written, expected};
use crate::{
    Form, Setting,
    chip::{self, Account},
    device::Reading,
    tlv, tracks,
};

/// Command E07, status 00, encryption type 05, data type 02 (chip).
const ANSWER: &[u8] = b"E070005\x1C02\x1C";

pub(super) fn vsd(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let card = reading.card;
    let account = Account::of(card, reading.random);
    let mut expected = expected(card, Entry::Chip)?;
    expected.track(1, &account.text, card);
    let discretionary = tracks::discretionary(card, reading.random);
    let clear = tlv::all(&[
        tlv::object(chip::PAN, &tlv::nibbles(card.number())),
        tlv::object(chip::EXPIRY, &account.expiry),
        tlv::object(chip::TRACK2, &tlv::nibbles(&account.track2)),
        tlv::object(0x9F1F, &discretionary),
    ]);
    let iv = reading.bytes::<16>();
    let ciphertext = reading.transaction.encrypt_from(iv, &clear)?;
    let objects = tlv::all(&[
        tlv::object(0xDF_900F, b"FF"),
        tlv::object(0xDF_9001, &[0x00, 0x02]),
        tlv::object(0xDF_9009, b"05"),
        tlv::object(0xDF_9020, &ciphertext),
        tlv::object(0xDF_9021, reading.transaction.ksn()),
        tlv::object(0xDF_9022, &iv[..reading.transaction.block()]),
    ]);
    if reading.has(Setting::Objects) {
        return reading.written(objects.to_vec(), Form::Binary, expected);
    }
    let text = Base64::encode_string(&objects).into_bytes();
    if reading.has(Setting::Base64) {
        return reading.written(text, Form::Text, expected);
    }
    reading.written([ANSWER, &text].concat(), Form::Text, expected)
}
