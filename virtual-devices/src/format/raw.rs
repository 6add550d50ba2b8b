//! Ciphertext with its KSN beside it, one run a line, as many gateways' JSON carries it.

use dukpt::KeyError;
use p2pe_crypto::Entry;

use super::{Written, expected};
use crate::{
    Form, Model, Setting,
    chip::{self, Account},
    device::Reading,
    emission::Expected,
    hex::hex,
    tlv,
    tracks::{self, Clear},
};

pub(super) fn tracks(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let with_code = reading.has(Setting::KeyedWithCode);
    let (texts, expected) = if with_code || reading.has(Setting::Keyed) {
        let (text, expected) = super::keyed(reading, with_code)?;
        (vec![text], expected)
    } else {
        // A start sentinel alone tells which track it is.
        let (texts, expected) = super::swipe(reading, b'+')?;
        (texts.into_iter().flatten().collect(), expected)
    };
    let bare = reading.setup.model() == Model::WisePad || reading.has(Setting::NoCheckCharacter);
    let texts = if bare { texts } else { texts.iter().map(|text| tracks::checked(text)).collect() };
    lines(reading, &texts, expected)
}

pub(super) fn tlv(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let card = reading.card;
    let account = Account::of(card, reading.random);
    let mut expected = expected(card, Entry::Chip)?;
    expected.track(1, &account.text, card);
    let clear = tlv::all(&[
        tlv::object(chip::TRACK2, &tlv::nibbles(&account.track2)),
        tlv::object(chip::PAN, &tlv::nibbles(card.number())),
    ]);
    lines(reading, &[clear], expected)
}

pub(super) fn packed(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let (texts, expected) = super::swipe(reading, b'+')?;
    let [one, two, _] = texts;
    let one = one.map(|text| tracks::checked(&text));
    let two = two.map(|text| tlv::packed_track2(&text[1..text.len() - 1]));
    let texts: Vec<Clear> = [one, two].into_iter().flatten().collect();
    lines(reading, &texts, expected)
}

fn lines(reading: &Reading<'_, '_>, texts: &[Clear], expected: Expected) -> Result<Written, KeyError> {
    let mut lines = Vec::new();
    for text in texts {
        lines.push(hex(&reading.transaction.encrypt(text)?));
    }
    reading.written(lines.join(&b'\n'), Form::Beside, expected)
}
