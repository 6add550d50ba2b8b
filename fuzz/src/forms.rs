//! Two routes to one payload: its forms, and its bytes as hex digits.

use p2pe_crypto::{Format, Payload, PayloadError, idtech::Form};

use crate::sealed;

/// A payload in every form that it has is the same payload.
pub(crate) fn forms(data: &[u8]) {
    for input in [Some(data.to_vec()), sealed::frame(data), sealed::typed(data)].into_iter().flatten() {
        let Ok(payload) = Payload::parse(&input) else { continue };
        if let Payload::IdTech(frame) = &payload {
            assert_eq!(Payload::parse(&frame.encode(frame.form())).as_ref(), Ok(&payload), "written again");
            for form in [Form::Binary, Form::Hex, Form::Keyboard] {
                // What are digits in one form may be clear text in another.
                match Payload::parse(&frame.encode(form)) {
                    Ok(other) => same(&payload, &other),
                    Err(refusal) => assert_eq!(refusal.error, PayloadError::ClearAccountData, "{form:?}"),
                }
            }
        }
        if is_binary(payload.format()) && Payload::parse_as(payload.format(), &input).as_ref() == Ok(&payload) {
            as_digits(&input, &payload);
        }
    }
    refused_alike(data);
}

fn is_binary(format: Format) -> bool {
    matches!(format, Format::Neo | Format::QuickChip | Format::MagTekReport | Format::MagTekTlv)
}

fn same(one: &Payload, other: &Payload) {
    let all = |payload: &Payload| {
        let fields = payload.encrypted().into_iter().map(|field| field.ciphertext.to_vec()).collect::<Vec<_>>();
        (*payload.ksn(), payload.features(), fields, payload.mac().map(|mac| (*mac.ksn, mac.code.to_vec())))
    };
    assert!(all(one) == all(other), "two forms, two payloads");
    let (Payload::IdTech(one), Payload::IdTech(other)) = (one, other) else { return };
    let slots = |frame: &p2pe_crypto::idtech::Frame| [0, 1, 2].map(|track| frame.masked(track).map(<[u8]>::to_vec));
    assert!(slots(one) == slots(other) && one.extra() == other.extra() && one.serial() == other.serial());
}

fn as_digits(input: &[u8], payload: &Payload) {
    let digits = hex::encode_upper(input);
    // What begins like the text of an ID TECH frame is read as one.
    if digits.starts_with('2') || digits.starts_with("02") {
        return;
    }
    assert_eq!(Payload::parse(digits.as_bytes()).as_ref(), Ok(payload), "as hex digits");
}

/// A binary frame and its hex digits are refused for the same thing in the same place.
fn refused_alike(data: &[u8]) {
    let Some(input) = sealed::frame(data) else { return };
    let digits = hex::encode_upper(&input);
    let binary = Payload::parse_as(Format::IdTechEnhanced, &input);
    let text = Payload::parse_as(Format::IdTechEnhanced, digits.as_bytes());
    match (binary, text) {
        (Err(binary), Err(text)) => {
            assert_eq!(binary.error, text.error);
            assert_eq!(binary.offset.map(|at| 2 * at), text.offset, "{binary}");
        }
        (Ok(binary), Ok(text)) => same(&binary, &text),
        (binary, text) => panic!("{binary:?} but {text:?}"),
    }
}
