//! The ID TECH enhanced frame, swiped and keyed.

use dukpt::KeyError;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::{
    Written,
    envelope::{self, Data},
};
use crate::{
    Form, Setting,
    device::Reading,
    emission::Expected,
    tracks::{self, Clear},
};

/// A track slot: the clear text, if it is encrypted, and the copy that is sent beside it.
#[derive(Default)]
struct Slot {
    clear: Option<Clear>,
    copy: Vec<u8>,
}

pub(super) fn keyed(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let (text, expected) = super::keyed(reading, reading.has(Setting::SecurityCode))?;
    let clear = tracks::checked(&text);
    let number = Slot { copy: tracks::masked(&clear, b'*', true), clear: Some(clear) };
    let extra = Slot { clear: None, copy: address(reading).to_vec() };
    let data = frame(reading, 0xC0, [Slot::default(), number, extra], None)?;
    let (bytes, form) = envelope::close(&data, reading.setup);
    reading.written(bytes, form, expected)
}

/// What stands in clear beside a keyed number. The inner order is not public: of the one capture the ZIP code is known.
fn address(reading: &Reading<'_, '_>) -> Clear {
    let (street, zip) = (reading.has(Setting::Street), reading.has(Setting::Zip));
    let both = reading.has(Setting::StreetAndZip);
    let street: &[u8] = if street || both { &reading.card.street } else { b"0" };
    let zip: &[u8] = if zip || both { &reading.card.zip } else { b"" };
    if reading.has(Setting::NoAddress) { Clear::default() } else { tracks::joined(&[street, zip, b"="]) }
}

pub(super) fn swiped(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let (data, expected) = swipe(reading)?;
    let (bytes, form) = envelope::close(&data, reading.setup);
    reading.written(bytes, form, expected)
}

/// The binary frame of a swipe, for the object of a NEO reader that holds one.
pub(super) fn swiped_in_binary(reading: &mut Reading<'_, '_>) -> Result<(Vec<u8>, Expected), KeyError> {
    let (data, expected) = swipe(reading)?;
    let (bytes, form) = envelope::close(&data, reading.setup);
    debug_assert!(form == Form::Binary, "such a reader has no other form");
    Ok((bytes, expected))
}

fn swipe(reading: &mut Reading<'_, '_>) -> Result<(Data, Expected), KeyError> {
    let (texts, mut expected) = super::swipe(reading, b';')?;
    let stripes = [Setting::StripeInSlot1, Setting::StripeInSlot2, Setting::StripeInSlot3];
    let stripe = stripes.iter().position(|slot| reading.has(*slot));
    let slot = |clear: Clear| Slot { copy: tracks::masked(&clear, b'*', false), clear: Some(clear) };
    let mut slots = if reading.has(Setting::TransArmor) {
        let texts: Vec<&[u8]> = texts.iter().flatten().map(|text| text.as_slice()).collect();
        let copies = texts.iter().flat_map(|text| tracks::masked(text, b'*', false)).collect();
        [Slot { clear: Some(tracks::joined(&texts)), copy: copies }, Slot::default(), Slot::default()]
    } else {
        texts.map(|text| text.map(|text| slot(tracks::checked(&text))).unwrap_or_default())
    };
    if let Some(index) = stripe {
        let stripe = tracks::stripe(reading.card);
        expected.stripe = Some(stripe.clone());
        slots[index] = slot(stripe);
    }
    if reading.has(Setting::NoCopies) {
        slots.iter_mut().for_each(|slot| slot.copy.clear());
    }
    let session_id = reading.has(Setting::SessionId).then(|| reading.bytes());
    expected.session_id = session_id;
    let encode_type = if stripe.is_some() { 0x86 } else { 0x80 };
    Ok((frame(reading, encode_type, slots, session_id)?, expected))
}

fn frame(
    reading: &Reading<'_, '_>,
    encode_type: u8,
    slots: [Slot; 3],
    session_id: Option<[u8; 8]>,
) -> Result<Data, KeyError> {
    let keyed = encode_type == 0xC0;
    let flag = |set: bool, bit: u8| u8::from(set) << bit;
    let each = |of: fn(&Slot) -> bool| (0..).zip(&slots).fold(0, |bits, (bit, slot)| bits | flag(of(slot), bit));
    let (copies, encrypted) = (each(|slot| !slot.copy.is_empty()), each(|slot| slot.clear.is_some()));
    let hashes = if reading.has(Setting::NoHashes) { 0 } else { encrypted };
    let transarmor = reading.has(Setting::TransArmor);
    let options = flag(reading.has(Setting::Sha256Hashes), 0)
        | if transarmor { 0b1_0010 } else { 0 }
        | flag(reading.has(Setting::Mac), 5);

    // The tracks that were decoded; an empty one counts as such.
    let sampled = if transarmor { each_of_joined(reading) } else { copies | encrypted };
    let status = 0b111 | sampled << 3 | flag(options != 0, 6);
    let length = |slot: &Slot| slot.clear.as_ref().map_or(slot.copy.len(), |clear| clear.len()).to_le_bytes()[0];
    let [one, two, three] = slots.each_ref().map(length);
    let serial = !reading.has(Setting::NoSerial);
    let field1 = copies
        | flag(reading.setup.is_aes(), 4)
        | flag(!keyed && reading.card.has_chip(), 5)
        | flag(reading.setup.is_pin_variant(), 6)
        | flag(serial, 7);
    let field2 = encrypted | hashes << 3 | flag(session_id.is_some(), 6) | flag(true, 7);
    let mut head = vec![encode_type, status, one, two, three, field1, field2];
    if options != 0 {
        head.extend([1, options]);
    }

    let typed = slots.iter().flat_map(|slot| &slot.copy).copied().collect();
    let clear = || slots.iter().filter_map(|slot| slot.clear.as_ref());
    let mut rest = Vec::new();
    for text in clear() {
        rest.extend(reading.transaction.encrypt(text)?);
    }
    if let Some(session_id) = session_id {
        rest.extend(reading.transaction.encrypt(&session_id)?);
    }
    for text in clear().filter(|_| hashes != 0) {
        rest.extend(hash(reading, text));
    }
    rest.extend(reading.serial.iter().filter(|_| serial));
    rest.extend(reading.transaction.ksn());
    let mut data = Data { head, typed, rest };
    if let Some(mac) = &reading.mac {
        data.rest.extend([32, 0]);
        let code = mac.hmac_sha256(&[&data.head[..], &data.typed, &data.rest].concat())?;
        data.rest.extend(code.as_bytes());
        data.rest.extend(mac.ksn());
    }
    Ok(data)
}

/// Which tracks stand in the joined one.
fn each_of_joined(reading: &Reading<'_, '_>) -> u8 {
    u8::from(!reading.has(Setting::Track2)) | u8::from(!reading.has(Setting::Track1)) << 1
}

fn hash(reading: &Reading<'_, '_>, text: &[u8]) -> Vec<u8> {
    match () {
        () if reading.has(Setting::Sha1Hashes) => Sha1::digest(text).to_vec(),
        () if reading.has(Setting::Sha256Hashes) => Sha256::digest(text).to_vec(),
        () => vec![0; 20],
    }
}
