//! The ID TECH original frames: no field bytes. Tracks 1 and 2 in one CBC run, or a keyed number.

use dukpt::KeyError;
use p2pe_crypto::Entry;
use sha1::{Digest, Sha1};

use super::{
    Written,
    envelope::{self, Data},
};
use crate::{
    Setting,
    device::Reading,
    tracks::{self, Clear},
};

pub(super) fn swiped(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let (texts, mut expected) = super::swipe(reading, b';')?;
    let [one, two, three] = texts;
    // The third track is sent in clear, so that it is one without a card number, and never decrypted.
    let three = three.map(|_| tracks::checked(&tracks::track3_without_number())).unwrap_or_default();
    expected.tracks[2] = None;
    let [one, two] = [one, two].map(|text| text.map(|text| tracks::checked(&text)).unwrap_or_default());
    let copy = |clear: &Clear| if clear.is_empty() { Vec::new() } else { tracks::masked(clear, b'*', false) };
    let typed = [&copy(&one)[..], &copy(&two), &three].concat();
    let present = |clear: &Clear, bit: u8| u8::from(!clear.is_empty()) << bit;
    let status = 0b111 | present(&one, 3) | present(&two, 4) | present(&three, 5);
    let length = |clear: &Clear| clear.len().to_le_bytes()[0];
    let head = vec![0x00, status, length(&one), length(&two), length(&three)];
    let mut rest = reading.transaction.encrypt(&tracks::joined(&[&one, &two]))?;
    for clear in [&one, &two] {
        let hashed = reading.has(Setting::Sha1Hashes) && !clear.is_empty();
        rest.extend(if hashed { Sha1::digest(&clear[..]).to_vec() } else { vec![0; 20] });
    }
    rest.extend(reading.transaction.ksn());
    let (bytes, form) = envelope::close(&Data { head, typed, rest }, reading.setup);
    reading.written(bytes, form, expected)
}

/// Card encode type `85`.
pub(super) fn keyed(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let card = reading.card;
    let code: Clear = if reading.has(Setting::SecurityCode) { card.security_code.clone() } else { Clear::default() };
    let clear = tracks::joined(&[card.number(), b"=", &card.expiry, b"=", &code]);
    let both = reading.has(Setting::StreetAndZip);
    let fields: [(bool, &[u8], u8); 3] = [
        (reading.has(Setting::ClearExpiry), &card.expiry, 2),
        (both || reading.has(Setting::Street), &card.street, 1),
        (both || reading.has(Setting::Zip), &card.zip, 0),
    ];
    let status = fields.iter().filter(|(sent, ..)| *sent).fold(0, |status, (_, _, bit)| status | 1 << bit);
    let head = vec![0x85, 0, 0, 0, 0, status, clear.len().to_le_bytes()[0]];
    let mut rest = reading.transaction.encrypt(&clear)?;
    rest.extend([0; 20]);
    for (_, value, _) in fields.iter().filter(|(sent, ..)| *sent) {
        rest.push(value.len().to_le_bytes()[0]);
        rest.extend(*value);
    }
    rest.extend(reading.transaction.ksn());
    let (bytes, form) = envelope::close(&Data { head, typed: Vec::new(), rest }, reading.setup);
    let mut expected = super::expected(card, Entry::Keyed)?;
    expected.security_code = (!code.is_empty()).then_some(code);
    reading.written(bytes, form, expected)
}
