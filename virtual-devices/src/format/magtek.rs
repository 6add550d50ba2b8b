//! What MagTek readers send: the stream and the report of a swipe, and the TLV of a chip.

use dukpt::KeyError;
use p2pe_crypto::Entry;

use super::{Written, expected};
use crate::{
    Form, Setting,
    chip::{self, Account, Interface},
    crc::crc16,
    device::Reading,
    hex::hex,
    tlv,
    tracks::{self, Clear},
};

/// Reader encryption status: bit 13 says that the data key is used, not the PIN-variant key.
fn status(reading: &Reading<'_, '_>) -> [u8; 2] {
    if reading.setup.is_pin_variant() { [0x00, 0x06] } else { [0x20, 0x06] }
}

/// MagnePrint: its status, and 54 bytes that fill seven blocks.
const MAGNEPRINT_STATUS: [u8; 4] = [0xA1, 0x05, 0x00, 0x00];
const MAGNEPRINT: usize = 54;

/// Both encrypted: a MagnePrint, and the session id of a host that has set none.
fn magneprint(reading: &mut Reading<'_, '_>) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let print = reading.bytes::<MAGNEPRINT>();
    Ok((reading.transaction.encrypt(&print)?, reading.transaction.encrypt(&[0; 8])?))
}

/// Fields between `|`. The tracks have no check characters, and masked digits are zeros.
pub(super) fn stream(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let (texts, expected) = super::swipe(reading, b'+')?;
    let [high, low] = status(reading);
    let mut text: Vec<u8> = texts.iter().flatten().flat_map(|text| tracks::masked(text, b'0', true)).collect();
    let mut field = |value: &[u8]| {
        text.push(b'|');
        text.extend(value);
    };
    field(&hex(&[low, high]));
    for text in &texts {
        let ciphertext = text.as_ref().map(|text| reading.transaction.encrypt(text)).transpose()?;
        field(&hex(&ciphertext.unwrap_or_default()));
    }
    let (print, session_id) = magneprint(reading)?;
    field(&hex(&MAGNEPRINT_STATUS));
    field(&hex(&print));
    field(reading.serial);
    field(&hex(&session_id));
    field(&hex(reading.transaction.ksn()));
    text.push(b'|');
    let crc = crc16(&text).to_le_bytes();
    text.extend(hex(&crc));
    text.extend(b"||0000");
    reading.written(text, Form::Text, expected)
}

/// Fields at fixed places, 856 bytes.
pub(super) fn report(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    const AREA: usize = 112;
    let (texts, expected) = super::swipe(reading, b'+')?;
    let mut report = vec![0; 856];
    let mut put = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
    for (index, text) in texts.iter().enumerate().filter_map(|(index, text)| Some((index, text.as_ref()?))) {
        let ciphertext = reading.transaction.encrypt(text)?;
        let length = |bytes: &[u8]| [bytes.len().to_le_bytes()[0]];
        put(3 + index, &length(&ciphertext));
        put(7 + AREA * index, &ciphertext);
        put(505 + index, &length(text));
        put(508 + AREA * index, &tracks::masked(text, b'0', true));
        put(852 + index, &length(text));
    }
    let (print, session_id) = magneprint(reading)?;
    put(344, &MAGNEPRINT_STATUS);
    put(348, &[print.len().to_le_bytes()[0]]);
    put(349, &print);
    put(477, reading.serial);
    put(493, &status(reading));
    put(495, reading.transaction.ksn());
    put(844, &session_id);
    put(855, &[MAGNEPRINT.to_le_bytes()[0]]);
    reading.written(report, Form::Binary, expected)
}

const CIPHERTEXT: u32 = 0xDF_DF59;
const KSN: u32 = 0xDF_DF56;
const ENCRYPTION: u32 = 0xDF_DF57;
const PADDING: u32 = 0xDF_DF58;
const MASKED: u32 = 0xDF_DF4D;
const SERIAL: u32 = 0xDF_DF25;

/// One ciphertext over a container of objects.
pub(super) fn tlv(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let card = reading.card;
    let account = Account::of(card, reading.random);
    let mut expected = expected(card, Entry::Chip)?;
    expected.track(1, &account.text, card);
    expected.name = Some(card.name.clone());
    expected.chip = chip::transaction(Interface::Contact, reading.counter, reading.random);
    let mut objects = vec![
        tlv::object(chip::TRACK2, &tlv::nibbles(&account.track2)),
        tlv::object(chip::PAN, &tlv::nibbles(card.number())),
        tlv::object(chip::NAME, &card.name),
        tlv::object(chip::EXPIRY, &account.expiry),
    ];
    objects.extend(chip::objects(&expected.chip));
    let clear = tlv::wide(0xFC, &tlv::wide(0xF2, &tlv::all(&objects)));
    let ciphertext = reading.transaction.encrypt(&clear)?;
    let padding = (ciphertext.len() - clear.len()).to_le_bytes()[0];
    let mut container = vec![tlv::wide(CIPHERTEXT, &ciphertext), tlv::object(KSN, reading.transaction.ksn())];
    // What is sent for another key than the data key is not public.
    if !reading.setup.is_pin_variant() {
        container.push(tlv::object(ENCRYPTION, &[0x80]));
    }
    container.push(tlv::object(PADDING, &[padding]));
    let container = tlv::wide(0xF8, &tlv::all(&container));
    let masked = reading.has(Setting::MaskedTrack).then(|| masked_track2(&account.text));
    let parts: Vec<Clear> = masked.into_iter().chain([container]).collect();
    let bytes = if reading.has(Setting::Wrapped) {
        tlv::wide(0xF9, &tlv::all(&[vec![tlv::object(SERIAL, reading.serial)], parts].concat()))
    } else {
        // A container is what a message begins with.
        tlv::all(&parts.into_iter().rev().collect::<Vec<_>>())
    };
    reading.written(bytes.to_vec(), Form::Binary, expected)
}

fn masked_track2(text: &[u8]) -> Clear {
    tlv::object(MASKED, &tracks::masked(text, b'0', true))
}
