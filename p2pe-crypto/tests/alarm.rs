//! The alarm: a card number in clear is never taken for a payload, and a masked one never raises it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::cast_possible_truncation, reason = "lengths of a test's own making")]

#[path = "support/envelope.rs"]
mod envelope;

use envelope::close;
use p2pe_crypto::{Form, Pan, Payload, PayloadError};
use proptest::{prelude::*, sample::select};

const SWIPED: u8 = 0x80;
const KEYED: u8 = 0xC0;
const FORMS: [Form; 3] = [Form::Binary, Form::Hex, Form::Keyboard];
const KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x08];

/// A frame with one clear slot. `encrypted` is field byte 2; its fields follow as the lengths and flags demand.
fn frame(encode_type: u8, slot: usize, text: &str, field1: u8, field2: u8, form: Form) -> Vec<u8> {
    let mut lengths = [0; 3];
    lengths[slot] = text.len() as u8;
    let mut data = vec![encode_type, 0x1F];
    data.extend(lengths);
    data.extend([field1 | 1 << slot, field2]);
    data.extend(text.bytes());
    if field2 >> slot & 1 == 1 {
        let block = if field1 & 0x10 == 0 { 8 } else { 16 };
        data.extend(vec![0xE5; text.len().next_multiple_of(block)]);
    }
    data.extend(vec![0; 20 * (field2 >> 3 & 7).count_ones() as usize]);
    if field2 & 0x80 != 0 {
        data.extend(KSN);
    }
    close(&data, form, 7..7 + text.len())
}

#[test]
fn table() {
    let alarm = Err(PayloadError::ClearAccountData);
    for (text, expected) in [
        (";4761739001010010=2212?", &alarm),
        ("%B4761739001010010^NAME^2212?", &alarm),
        ("%*4761739001010010^NAME^2212?", &alarm),
        ("4761739001010010=", &alarm),
        ("4761739001010010^", &alarm),
        (";476173900101=", &alarm),            // 12 digits
        (";4761739001010010123=", &alarm),     // 19
        (";47617390010100101234567=", &alarm), // more than any card has
        (";4761********0010=2212?476173900101=", &alarm),
        ("********4761739001010010=", &alarm),                    // behind a mask
        (";47617390010=2212?", &Err(PayloadError::NotEncrypted)), // 11
        (";4761739001010010", &alarm),                            // no separator
        ("x4761739001010010x", &alarm),
        (";4761739001010011", &Err(PayloadError::NotEncrypted)), // no separator, and a wrong check digit
        (";47617390010100100000", &Err(PayloadError::NotEncrypted)), // more digits than any card has
        (";0000000000000000", &Err(PayloadError::NotEncrypted)), // no scheme has this range
        (";4761********0010=2212:***?*", &Err(PayloadError::NotEncrypted)),
        ("=", &Err(PayloadError::NotEncrypted)),
    ] {
        for encode_type in [SWIPED, KEYED] {
            for slot in 0..3 {
                for form in FORMS {
                    let payload = frame(encode_type, slot, text, 0x00, 0x80, form);
                    assert_eq!(
                        Payload::parse(&payload).map_err(|refusal| refusal.error),
                        *expected,
                        "{encode_type:x} {slot} {form:?} {text}"
                    );
                }
            }
        }
    }
}

/// Of every length, at every place of a slot, behind digits that are none: fewer, and more than any card has.
#[test]
fn a_number_without_a_separator_at_any_place() {
    let number = |length: usize| {
        let with = |check| format!("{:0<1$}{check}", "50201234567", length - 1);
        let (right, wrong): (Vec<_>, Vec<_>) =
            (0..10).map(with).partition(|pan| Pan::new(pan.as_bytes()).unwrap().luhn());
        (right[0].clone(), wrong[0].clone())
    };
    for (right, wrong) in (12..=19).map(number) {
        for before in (0..30).flat_map(|count| ["x".repeat(count), format!("{}x", "9".repeat(count))]) {
            for (pan, expected) in [(&right, PayloadError::ClearAccountData), (&wrong, PayloadError::NotEncrypted)] {
                let text = format!("{before}{pan}x12345");
                let payload = frame(SWIPED, 2, &text, 0x00, 0x80, Form::Binary);
                assert_eq!(Payload::parse(&payload).map_err(|refusal| refusal.error), Err(expected), "{text}");
            }
        }
    }
}

/// Whatever else is wrong with the encryption that a frame announces, the clear number comes first.
#[test]
fn the_alarm_comes_before_all_that_is_told_of_encryption() {
    let text = ";4761739001010010=2212?";
    for (what, field1, field2) in [
        ("nothing encrypted, no KSN", 0x00, 0x00),
        ("nothing encrypted, a KSN", 0x00, 0x80),
        ("encrypted, no KSN", 0x00, 0x02),
        ("encrypted, KSN", 0x00, 0x92),
        ("AES", 0x10, 0x92),
        ("a serial number that is not there", 0x80, 0x92),
        ("an AES session id", 0x10, 0xD2),
        ("a session id that is not there", 0x00, 0xC2),
        ("a chip card", 0x20, 0x92),
        ("the PIN key", 0x40, 0x92),
    ] {
        for form in FORMS {
            let payload = frame(SWIPED, 1, text, field1, field2, form);
            assert_eq!(
                Payload::parse(&payload).map_err(|refusal| refusal.error),
                Err(PayloadError::ClearAccountData),
                "{what}"
            );
        }
    }
}

/// One track encrypted, another one in clear.
#[test]
fn one_clear_track_beside_an_encrypted_one() {
    for (clear, encrypted) in [(0, 1), (1, 0), (2, 1)] {
        let text = "%B4761739001010010^N/N^2212201?";
        let mut lengths = [0; 3];
        lengths[clear] = text.len() as u8;
        lengths[encrypted] = 16;
        let mut data = vec![SWIPED, 0x1F];
        data.extend(lengths);
        data.extend([1 << clear, 0x80 | 1 << encrypted]);
        data.extend(text.bytes());
        data.extend([0xE5; 16]);
        data.extend(KSN);
        for form in FORMS {
            let payload = close(&data, form, 7..7 + text.len());
            assert_eq!(
                Payload::parse(&payload).map_err(|refusal| refusal.error),
                Err(PayloadError::ClearAccountData),
                "{clear}"
            );
        }
    }
}

/// A masked copy may show the first six (of 16 digits and more, eight) and the last four digits, no more: each further
/// one would be a question that the gateway answers.
#[test]
fn a_masked_copy_that_shows_too_much() {
    for (text, alarm) in [
        (";476173******0010=2212?", false),
        (";47617390****0010=2212?", false), // 16 digits: BIN of eight
        (";476173901***0010=2212?", true),
        (";47617390***10010=2212?", true),
        (";476173900101*010=2212?", true),
        (";476173****0010=2212?", false),
        (";4761739***0010=2212?", true), // 14 digits: BIN of six
        (";476173*****00010=2212?", true),
        ("%*476173******0010^NAME^2212?", false),
        ("%*4761739*0***0010^NAME^2212?", true),
        (";****************=2212?", false),
        (";4761********0010=2212:***?", false),
        (";4761********0010=2212:7**?", true), // a security code
    ] {
        for form in FORMS {
            let payload = frame(SWIPED, 1, text, 0, 0x82, form);
            let refused = Payload::parse(&payload).err().map(|refusal| refusal.error);
            assert_eq!(refused == Some(PayloadError::ClearAccountData), alarm, "{text} {refused:?}");
        }
    }
}

/// Without a frame around it, in a broken one, as hex digits in a ciphertext's place: a card number is a card number.
#[test]
fn the_alarm_comes_before_the_envelope() {
    let clear = ";4761739001010010=22122011143878089?";
    let whole = frame(SWIPED, 1, clear, 0, 0x82, Form::Binary);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes();
    let mut lrc = whole.clone();
    *lrc.iter_mut().rev().nth(2).unwrap() ^= 1;
    let mut in_ciphertext = vec![SWIPED, 0x1F, 0, 36, 0, 0x82 & 0xFD, 0x82];
    in_ciphertext.extend([clear.as_bytes(), &[0; 4], b"SERIAL0001", &KSN].concat());
    for input in [
        clear.as_bytes().to_vec(),
        format!("\r\n{clear}\r\n").into_bytes(),
        b"%B4761739001010010^NAME^2212?".to_vec(),
        whole[..whole.len() - 9].to_vec(),
        hex(&whole[..whole.len() - 9]),
        hex(&lrc),
        lrc,
        close(&in_ciphertext, Form::Binary, 0..0),
        hex(&close(&in_ciphertext, Form::Binary, 0..0)),
        close(&in_ciphertext, Form::Keyboard, 7..7),
    ] {
        assert_eq!(
            Payload::parse(&input).map_err(|refusal| refusal.error),
            Err(PayloadError::ClearAccountData),
            "{}",
            input.escape_ascii()
        );
    }
}

/// A counter that no device has does not hide the alarm.
#[test]
fn the_alarm_comes_before_the_ksn() {
    let mut payload = frame(SWIPED, 1, ";4761739001010010=2212?", 0, 0x82, Form::Binary);
    let end = payload.len() - 3;
    payload[end - 2..end].copy_from_slice(&[0, 0]);
    payload[end - 3] &= 0xE0;
    let payload = close(&payload[3..end], Form::Binary, 0..0);
    assert_eq!(Payload::parse(&payload).map_err(|refusal| refusal.error), Err(PayloadError::ClearAccountData));
}

/// The text of the alarm shows nothing of the card.
#[test]
fn the_alarm_shows_no_digits() {
    let error = PayloadError::ClearAccountData;
    let shown = format!("{error} {error:?} {}", error.code());
    assert!(shown.starts_with("ALARM") && !shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
}

proptest! {
    #[test]
    fn any_clear_number_in_any_slot(
        before in "[%;+B*]{0,4}", pan in "[0-9]{12,19}", separator in select(vec!["=", "^"]), behind in "[ -~]{0,40}",
        keyed: bool, slot in 0usize..3, field1: u8, field2: u8, form in select(FORMS.to_vec()),
    ) {
        // A keyed frame has one encrypted field only; a fixed key is refused by name; one clear slot at a time.
        let field2 = if keyed { field2 & !0b101 } else { field2 };
        let encode_type = if keyed { KEYED } else { SWIPED };
        let text = format!("{before}{pan}{separator}{behind}");
        let payload = frame(encode_type, slot, &text, field1 & 0xF0, field2, form);
        prop_assert_eq!(Payload::parse(&payload).map_err(|refusal| refusal.error), Err(PayloadError::ClearAccountData), "{}", text);
    }

    /// Six and four, four and four, none: as devices are set up, with any mask character that was seen.
    #[test]
    fn a_masked_number_never_alarms(
        start in select(vec!["%B", "%*", ";", "+", ""]), pan in "[0-9]{12,19}", separator in select(vec!["=", "^"]),
        behind in "([0-9]{4})?[*]{0,20}[?]?[*]?", first in 0usize..=6, last in 0usize..=4,
        mask in select(vec!["*", " ", "~"]), slot in 0usize..3, form in select(FORMS.to_vec()),
    ) {
        let hidden = mask.repeat(pan.len() - first - last);
        let text = format!("{start}{}{hidden}{}{separator}{behind}", &pan[..first], &pan[pan.len() - last..]);
        let field2 = 0x80 | 1 << slot;
        let payload = Payload::parse(&frame(SWIPED, slot, &text, 0, field2, form));
        prop_assert!(payload.is_ok(), "{:?} {}", payload, text);
    }
}
