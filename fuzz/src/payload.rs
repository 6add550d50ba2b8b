//! What holds for whatever a payload parser does with any bytes.

use base64ct::{Base64, Encoding};
use p2pe_crypto::{Fields, Format, Payload, PayloadError, Refusal};

use crate::sealed;

type Parsed = Result<Payload, Refusal>;

/// The layout that is recognised.
pub(crate) fn any(data: &[u8]) {
    for input in
        [Some(data.to_vec()), sealed::frame(data), sealed::neo(data), sealed::stream(data)].into_iter().flatten()
    {
        check(&input, || Payload::parse(&input));
    }
}

/// One layout: the bytes as they are, and with the checks made right that would stop nearly all of them at the door.
pub(crate) fn of(format: Format, data: &[u8]) {
    check(data, || Payload::parse_as(format, data));
    let sealed = match format {
        Format::IdTechEnhanced | Format::IdTechOriginal | Format::IdTechKeyed => {
            [sealed::frame(data), sealed::typed(data)]
        }
        Format::Neo => [sealed::neo(data), None],
        Format::MagTek => [sealed::stream(data), None],
        Format::Verifone => [sealed::answer(data), None],
        _ => [None, None],
    };
    for input in sealed.into_iter().flatten() {
        check(&input, || Payload::parse_as(format, &input));
    }
}

/// Parses twice, and checks what came of it, the alarm too.
pub(crate) fn check(input: &[u8], parse: impl Fn() -> Parsed) {
    let parsed = consistent(input, parse);
    if clear_number(input).is_some() {
        assert_eq!(parsed.map_err(|refusal| refusal.error), Err(PayloadError::ClearAccountData), "no alarm");
    }
}

/// The same without the alarm, of an input that comes in parts.
pub(crate) fn consistent(input: &[u8], parse: impl Fn() -> Parsed) -> Parsed {
    let parsed = parse();
    assert_eq!(parsed, parse(), "parsed twice, two outcomes");
    match &parsed {
        Ok(payload) => taken(input, payload),
        Err(refusal) => {
            assert!(refusal.offset.is_none_or(|at| at <= input.len()), "{refusal} behind {} bytes", input.len());
            shows_no_number(&format!("{refusal:?} {refusal} {}", refusal.code()), "");
        }
    }
    parsed
}

fn taken(input: &[u8], payload: &Payload) {
    assert!(payload.ksn().counter() > 0);
    // A KSN of eight bytes is filled up in front.
    let (_, ksn) = payload.ksn().as_bytes().split_last_chunk::<8>().expect("10 or 12 bytes");
    assert!(holds(input, ksn, 2), "the KSN is not in the input");
    let (mut fields, mut bytes) = (0, 0);
    for field in payload.encrypted() {
        let ciphertext = field.ciphertext;
        assert!(!ciphertext.is_empty() && ciphertext.len().is_multiple_of(8));
        assert!(holds(input, ciphertext, 2), "a ciphertext is not in the input");
        (fields, bytes) = (fields + 1, bytes + ciphertext.len());
    }
    assert!((1..=Fields::MOST).contains(&fields) && bytes < input.len(), "{fields} fields, {bytes} bytes");
    let own: Vec<_> = [Some(payload.ksn()), payload.mac().map(|mac| mac.ksn)].into_iter().flatten().collect();
    let shown = own.iter().fold(format!("{payload:?} {payload:#?}"), |shown, ksn| shown.replace(&ksn.to_string(), ""));
    shows_no_number(&shown, "a payload");
}

/// Nothing that is printed has as many digits in a row as a card number.
pub(crate) fn shows_no_number(shown: &str, what: &str) {
    let run = shown.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    assert!(run < Some(12), "{what} shows {} digits in a row", run.unwrap_or_default());
}

/// Whether bytes stand in the input: as they are, or in its hex digits or Base64, as many of them inside one another.
fn holds(input: &[u8], bytes: &[u8], layers: usize) -> bool {
    let found = |text: &[u8]| text.windows(bytes.len()).any(|window| window == bytes);
    if found(input) {
        return true;
    }
    // A run of digits may begin or end amid other characters.
    let runs = input.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() >= 2);
    let digits = runs.flat_map(|run| [run, &run[1..]]).filter_map(|run| hex::decode(&run[..run.len() & !1]).ok());
    let text = input.rsplit(|byte| *byte == 0x1C).next().unwrap_or_default().trim_ascii_end();
    let base64 = str::from_utf8(text).ok().and_then(|text| Base64::decode_vec(text).ok());
    layers > 0 && digits.chain(base64).any(|inner| holds(&inner, bytes, layers - 1))
}

/// A number of 16 digits with a right check digit, of Visa or Mastercard, whose middle no device masked, in front of a
/// field separator and behind all that may be a header.
pub(crate) fn clear_number(input: &[u8]) -> Option<&[u8]> {
    input.get(20..)?.windows(18).find_map(|window| {
        let (number, separated) = (&window[1..17], matches!(window[17], b'=' | b'^'));
        let whole = !window[0].is_ascii_digit() && number.iter().all(u8::is_ascii_digit);
        let clear = number[6..12].iter().filter(|digit| **digit != b'0').count() > 1;
        (separated && whole && clear && matches!(number[0], b'4' | b'5') && luhn(number)).then_some(number)
    })
}

fn luhn(number: &[u8]) -> bool {
    let sum = number.iter().rev().enumerate().map(|(at, digit)| {
        let value = u32::from(digit - b'0') << (at % 2);
        value / 10 + value % 10
    });
    sum.sum::<u32>().is_multiple_of(10)
}
