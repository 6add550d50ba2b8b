//! Tests of payloads and tokens: the whole way from a device's bytes to card data.

use dukpt::KeyStore;
use p2pe_crypto::{
    CardData, Decryptor, Devices, Entry, Error, Format, MerchantId, Pan, Payload, Refusal, Tokenizer, TrackNumber,
    idtech::Frame,
};

use crate::{
    conformance::Attempt,
    dukpt_cases::key_id,
    example,
    file::{DeviceEntry, ExpectedCard, ExpectedFrame, Hex, PayloadCase, TokenCase, TrackCase},
};

pub(crate) fn payload<S: KeyStore>(store: &S, case: &PayloadCase) -> Attempt {
    let payload = match example::parse(case) {
        Ok(Ok(payload)) => payload,
        Ok(Err(error)) => return refused(error),
        Err(what) => return Attempt::Broken(what),
    };
    if let Some(what) = case.frame.as_ref().and_then(|expected| frame_difference(&payload, expected)) {
        return Attempt::Differs(what);
    }
    // A good payload under settings that are not its device's: the right ones must give the card.
    if let Some(right) = &case.right_device {
        match decrypt(store, &payload, Some(right), case.card.as_ref()) {
            Attempt::AsExpected => return decrypt(store, &payload, case.device.as_ref(), None),
            other => return other,
        }
    }
    decrypt(store, &payload, case.device.as_ref(), case.card.as_ref())
}

pub(crate) fn track<S: KeyStore>(store: &S, case: &TrackCase) -> Attempt {
    let ciphertexts: Vec<&[u8]> = case.tracks.iter().map(|track| &track.0[..]).collect();
    match Payload::from_tracks(&case.ksn.0, &ciphertexts) {
        Ok(payload) => decrypt(store, &payload, case.device.as_ref(), case.card.as_ref()),
        Err(error) => refused(error),
    }
}

pub(crate) fn token<S: KeyStore>(store: &S, case: &TokenCase) -> Attempt {
    let pan = match Pan::new(case.pan.as_bytes()) {
        Ok(pan) => pan,
        Err(error) => return Attempt::Error { code: error.code(), at_parse: true, offset: None },
    };
    let merchant = match MerchantId::new(&case.merchant) {
        Ok(merchant) => merchant,
        Err(error) => return Attempt::Error { code: error.code(), at_parse: true, offset: None },
    };
    let key = match key_id(&case.key) {
        Ok(key) => key,
        Err(broken) => return broken,
    };
    match Tokenizer::new(store, key).token(&merchant, &pan) {
        Ok(token) if case.token.as_deref() == Some(&token.to_string()) => Attempt::AsExpected,
        Ok(_) => Attempt::Differs("the token differs".into()),
        Err(error) => error.into(),
    }
}

fn refused(refusal: Refusal) -> Attempt {
    Attempt::Error { code: refusal.code(), at_parse: true, offset: refusal.offset }
}

fn decrypt<S: KeyStore>(
    store: &S,
    payload: &Payload,
    device: Option<&DeviceEntry>,
    expected: Option<&ExpectedCard>,
) -> Attempt {
    // Without a device the key is not public: the layout was all there is to test.
    let Some(device) = device else { return Attempt::AsExpected };
    let mut devices = Devices::new();
    match example::population(device) {
        Ok((prefix, device)) => devices.insert(prefix, device),
        Err(what) => return Attempt::Broken(what),
    };
    match Decryptor::new(store, devices).decrypt(payload) {
        Ok(card) => match expected {
            None => Attempt::AsExpected,
            Some(expected) => match card_difference(&card, expected) {
                None => Attempt::AsExpected,
                Some(field) => Attempt::Differs(format!("the card's {field} differs")),
            },
        },
        Err(Error::Key(error)) => error.into(),
        Err(Error::Payload(Refusal { error, offset })) => {
            Attempt::Error { code: error.code(), at_parse: false, offset }
        }
        Err(error) => Attempt::error(error.code()),
    }
}

fn entry_name(entry: Entry) -> &'static str {
    match entry {
        Entry::Swiped => "swiped",
        Entry::Keyed => "keyed",
        Entry::Chip => "chip",
        Entry::Contactless => "contactless",
    }
}

/// Of any format: its name, KSN and ciphertexts. Of an ID TECH enhanced frame its own fields too.
fn frame_difference(payload: &Payload, expected: &ExpectedFrame) -> Option<String> {
    let ciphertexts = || payload.encrypted().into_iter().map(|field| field.ciphertext);
    let format = expected.format.as_deref().unwrap_or(Format::IdTechEnhanced.name());
    let own = match payload {
        Payload::IdTech(frame) => same_frame(frame, expected),
        _ => expected.fields.is_some(),
    };
    let fields = [
        ("format", payload.format().name() == format),
        ("KSN", payload.ksn().as_bytes() == expected.ksn.0),
        ("own fields", own),
        (
            "ciphertexts",
            expected.fields.as_ref().is_none_or(|fields| ciphertexts().eq(fields.iter().map(|field| &field.0[..]))),
        ),
    ];
    fields.iter().find(|(_, same)| !same).map(|(field, _)| format!("the frame's {field}: not as expected"))
}

fn same_frame(frame: &Frame, expected: &ExpectedFrame) -> bool {
    let text = |found: Option<&[u8]>, text: &Option<String>| found == text.as_deref().map(str::as_bytes);
    let bytes = |found: Option<&[u8]>, bytes: &Option<Hex>| found == bytes.as_ref().map(|hex| &hex.0[..]);
    Some(entry_name(frame.entry())) == expected.entry.as_deref()
        && text(frame.serial(), &expected.serial)
        && Some(frame.lengths()) == expected.lengths
        && expected.masked.as_ref().is_some_and(|masked| (0..3).all(|i| text(frame.masked(i), &masked[i])))
        && expected.ciphertext.as_ref().is_some_and(|c| (0..3).all(|i| bytes(frame.ciphertext(i), &c[i])))
        && text(frame.extra(), &expected.extra)
}

fn card_difference(card: &CardData, expected: &ExpectedCard) -> Option<&'static str> {
    let track = |number| card.sensitive().track(number).map(|track| track.expose());
    let jis2 = card.sensitive().jis2().map(|stripe| stripe.expose());
    let fields = [
        ("number", card.pan().expose() == expected.pan),
        ("expiry", card.expiry().map(|expiry| expiry.to_string()) == expected.expiry),
        ("name", card.name() == expected.name.as_deref()),
        ("service code", card.service_code().map(|code| code.to_string()) == expected.service_code),
        ("security code", card.sensitive().security_code().map(|c| c.expose()) == expected.security_code.as_deref()),
        ("entry", entry_name(card.entry()) == expected.entry),
        ("check digit", card.pan().luhn() == expected.luhn),
        ("track 1", track(TrackNumber::One) == expected.tracks[0].as_deref()),
        ("track 2", track(TrackNumber::Two) == expected.tracks[1].as_deref()),
        ("track 3", track(TrackNumber::Three) == expected.tracks[2].as_deref()),
        ("chip data", card.emv().as_bytes() == expected.emv.as_ref().map_or(&[][..], |emv| &emv.0)),
        ("session id", card.session_id().map(|id| &id[..]) == expected.session_id.as_ref().map(|hex| &hex.0[..])),
        ("JIS II stripe", jis2 == expected.jis2.as_deref().map(str::as_bytes)),
    ];
    fields.iter().find(|(_, same)| !same).map(|(field, _)| *field)
}
