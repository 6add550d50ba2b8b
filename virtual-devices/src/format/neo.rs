//! What ID TECH chip readers send: the answers of NEO and ViVOpay readers, and Augusta's Quick Chip.

use dukpt::KeyError;
use p2pe_crypto::Entry;

use super::{Written, enhanced, expected};
use crate::{
    Form, Setting,
    chip::{self, Account, Interface},
    crc::crc16,
    device::Reading,
    emission::Expected,
    tlv::{self, Flag},
    tracks::{self, Clear},
};

const KSN: u32 = 0xDF_EE12;
const FRAME: u32 = 0xDF_EE23;
const RESULT: u32 = 0xDF_EE25;
const ATTRIBUTION: u32 = 0xDF_EE26;
const TRACK_LENGTHS: u32 = 0xDF_EF4C;
const TRACKS: u32 = 0xDF_EF4D;
const MASKED_PAN: u32 = 0xDF_EF5B;
const MASKED_TRACK2: u32 = 0xDF_EF5D;
/// The texts of contactless magnetic stripe tracks.
const TEXT1: u32 = 0xFF_EE13;
const TEXT2: u32 = 0xFF_EE14;
/// The same as kernel 2 tells them: track 1, track 2, discretionary data of each.
const KERNEL2: [u32; 4] = [0x56, 0x9F6B, 0xDF_812A, 0xDF_812B];

pub(super) fn answer(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let aes = u8::from(reading.setup.is_aes()) << 1;
    let ksn = tlv::object(KSN, reading.transaction.ksn());
    let (kind, objects, expected) = if reading.has(Setting::SwipeFrame) {
        let (frame, expected) = enhanced::swiped_in_binary(reading)?;
        (0xC8, vec![tlv::object(RESULT, &[0x00, 0x11]), tlv::object(FRAME, &frame)], expected)
    } else if reading.has(Setting::SwipeObjects) {
        let (lengths, tracks, expected) = swiped_objects(reading)?;
        let objects = [tlv::object(TRACK_LENGTHS, &lengths), tlv::object(TRACKS, &tracks)];
        (0xC8, [vec![ksn, tlv::object(RESULT, &[0x00, 0x11])], objects.into()].concat(), expected)
    } else {
        let (kind, account, others, expected) = chip_objects(reading)?;
        let grouped = reading.has(Setting::Grouped);
        let account =
            if grouped { vec![tlv::object(0xFF_EE04, &tlv::object(0xE1, &tlv::all(&account)))] } else { account };
        let others = if grouped { vec![tlv::object(0xFF_8105, &tlv::all(&others))] } else { others };
        (kind, [vec![ksn, tlv::object(RESULT, &[0x00, 0x10])], account, others].concat(), expected)
    };
    let attribution = kind | aes;
    let objects = [objects, vec![tlv::object(ATTRIBUTION, &[attribution])]].concat();
    let bytes = transport(reading, attribution, &tlv::all(&objects));
    reading.written(bytes, Form::Binary, expected)
}

fn transport(reading: &Reading<'_, '_>, attribution: u8, objects: &[u8]) -> Vec<u8> {
    if reading.has(Setting::NoTransport) {
        return objects.to_vec();
    }
    let contact = reading.has(Setting::Contact);
    let head: &[u8] = match reading.has(Setting::Version2) {
        true if contact => b"ViVOtech2\0\x60\x00",
        true => b"ViVOtech2\0\x02\x00",
        false if contact => b"ViVOpayV3\0\x60\x01\x00",
        false => b"ViVOpayV3\0\x02\x40\x00",
    };
    let [.., high, low] = (objects.len() + 1).to_be_bytes();
    let mut bytes = [head, &[high, low, attribution], objects].concat();
    bytes.extend(crc16(&bytes).to_be_bytes());
    bytes
}

/// The clear lengths of the tracks, and the tracks, each its own CBC run.
fn swiped_objects(reading: &mut Reading<'_, '_>) -> Result<([u8; 6], Vec<u8>, Expected), KeyError> {
    let (texts, expected) = super::swipe(reading, b';')?;
    let (mut lengths, mut tracks) = ([0; 6], Vec::new());
    for (length, text) in lengths.iter_mut().zip(texts.iter().flatten()) {
        let clear = tracks::checked(text);
        *length = clear.len().to_le_bytes()[0];
        tracks.extend(reading.transaction.encrypt(&clear)?);
    }
    Ok((lengths, tracks, expected))
}

type ChipObjects = (u8, Vec<Clear>, Vec<Clear>, Expected);

/// The attribution byte, the objects of the account, the others, and what is expected of them.
fn chip_objects(reading: &mut Reading<'_, '_>) -> Result<ChipObjects, KeyError> {
    let card = reading.card;
    let (texts, kernel2) = (reading.has(Setting::ContactlessMsd), reading.has(Setting::ContactlessKernel2));
    let (kind, interface, entry) = match reading.has(Setting::Contact) {
        true => (0xC0, Interface::Contact, Entry::Chip),
        false if texts || kernel2 => (0xD1, Interface::ContactlessMagstripe, Entry::Contactless),
        false => (0xC1, Interface::Contactless, Entry::Contactless),
    };
    let mut expected = expected(card, entry)?;
    let account = Account::of(card, reading.random);
    expected.track(1, &account.text, card);
    let transaction = chip::transaction(interface, reading.counter, reading.random);
    let mut objects = Vec::new();
    if texts || kernel2 {
        let discretionary = tracks::discretionary(card, reading.random);
        let track1 = tracks::track1(card, &discretionary);
        expected.track(0, &track1, card);
        let one = &track1[1..track1.len() - 1];
        let copy1 = [b"B", &tracks::masked(&track1, b'*', false)[2..track1.len() - 1]].concat();
        let copy2 = &tracks::masked(&account.text, b'*', false)[1..account.text.len() - 1];
        if texts {
            objects.extend(protected(reading, TEXT1, &copy1, one)?);
            objects.extend(protected(reading, TEXT2, copy2, &account.track2)?);
        } else {
            let [tag1, tag2, discretionary1, discretionary2] = KERNEL2;
            objects.extend(protected(reading, tag1, &copy1, one)?);
            objects.extend(protected(reading, tag2, &tlv::covered(&account.track2), &tlv::nibbles(&account.track2))?);
            objects.push(encrypted(reading, discretionary1, &discretionary)?);
            objects.push(encrypted(reading, discretionary2, &tlv::nibbles(&discretionary))?);
        }
    } else {
        let (number, track2) = (card.number(), &account.track2);
        objects.extend(protected(reading, chip::TRACK2, &tlv::covered(track2), &tlv::nibbles(track2))?);
        objects.extend(protected(reading, chip::PAN, &tlv::covered(number), &tlv::nibbles(number))?);
        expected.name = Some(card.name.clone());
        objects.push(tlv::object(chip::NAME, &card.name));
    }
    objects.push(tlv::object(chip::EXPIRY, &account.expiry));
    let others = chip::objects(&transaction);
    expected.chip = transaction;
    Ok((kind, objects, others, expected))
}

/// The masked copy of a value, if the device sends those, and the whole object, encrypted.
fn protected(reading: &Reading<'_, '_>, tag: u32, copy: &[u8], value: &[u8]) -> Result<Vec<Clear>, KeyError> {
    let copy = reading.has(Setting::MaskedCopies).then(|| tlv::flagged(tag, Flag::Masked, copy));
    Ok(copy.into_iter().chain([encrypted(reading, tag, value)?]).collect())
}

fn encrypted(reading: &Reading<'_, '_>, tag: u32, value: &[u8]) -> Result<Clear, KeyError> {
    Ok(tlv::flagged(tag, Flag::Encrypted, &reading.transaction.encrypt(&tlv::object(tag, value))?))
}

/// Objects without flags: of the number and track 2 the ciphertext of the value alone, and masked copies under tags of
/// their own.
pub(super) fn quick_chip(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let card = reading.card;
    let mut expected = expected(card, Entry::Chip)?;
    let account = Account::of(card, reading.random);
    expected.track(1, &account.text, card);
    expected.name = Some(card.name.clone());
    expected.chip = chip::transaction(Interface::Contact, reading.counter, reading.random);
    let mut objects = vec![
        tlv::object(RESULT, &[0x00, 0x02]),
        tlv::object(ATTRIBUTION, &[0x20, 0x00]),
        tlv::object(KSN, reading.transaction.ksn()),
        tlv::object(chip::NAME, &card.name),
        tlv::object(chip::EXPIRY, &account.expiry),
    ];
    objects.extend(chip::objects(&expected.chip));
    for (copy, tag, value) in
        [(MASKED_TRACK2, chip::TRACK2, &account.track2[..]), (MASKED_PAN, chip::PAN, card.number())]
    {
        objects.push(tlv::object(copy, &tlv::covered(value)));
        objects.push(tlv::object(tag, &reading.transaction.encrypt(&tlv::nibbles(value))?));
    }
    reading.written(tlv::all(&objects).to_vec(), Form::Binary, expected)
}
