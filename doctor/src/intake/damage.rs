//! What happens to payloads between device and host, and how to undo it.

use p2pe_crypto::{Form as OuterForm, Payload, PayloadError, Refusal};
use zeroize::Zeroizing;

use super::{Form, Reading, refused};
use crate::{Cause, Code};

type Bytes = Zeroizing<Vec<u8>>;

/// What a text encoding writes for a byte that is no character: U+FFFD.
const REPLACEMENT: [u8; 3] = [0xEF, 0xBF, 0xBD];
/// Bits of evidence that bytes were lost: a ciphertext of so many bytes has one with its high bit set.
const LONG: usize = 48;

/// The payload with what was done to it undone.
pub(super) fn repaired(bytes: &[u8], refusal: Refusal) -> Option<Form> {
    if refusal.error == PayloadError::MissingStxNibble {
        let whole: Bytes = Zeroizing::new([b"0", bytes.trim_ascii()].concat());
        let fix = "put the 0 in front, and read the device's characters as text, never as a number";
        return Some(Form::repaired(
            Cause::new(Code::LeadingZeroLost, refusal.to_string(), fix),
            Payload::parse(&whole).ok()?,
            true,
        ));
    }
    if let Some(payload) = keyboard_checks(bytes) {
        let cause = Cause::new(
            Code::KeyboardChecks,
            "length, LRC or checksum were computed over bytes: in keyboard form they are those of the typed characters",
            "pass on the characters as the device typed them, or convert the whole frame to binary",
        );
        return Some(Form::repaired(cause, payload, true));
    }
    let runs = [Zeroizing::new(bytes.to_vec())];
    if let Some((cause, decoded)) = decoded_text(&runs)
        && let Ok(payload) = Payload::parse(decoded.first()?)
    {
        return Some(Form::repaired(cause, payload, true));
    }
    if bytes.windows(3).filter(|window| *window == REPLACEMENT).count() >= 2 {
        return lost_in_text(&runs).map(Form::only);
    }
    let binary = binary(bytes)?;
    match refusal.error {
        PayloadError::LrcMismatch | PayloadError::ChecksumMismatch => {
            Some(Form::repaired(refused(refusal), Payload::parse(&rechecked(&binary)?).ok()?, true))
        }
        PayloadError::FieldOverrun | PayloadError::FieldLayoutResidue => {
            let mut flipped = binary;
            *flipped.get_mut(8)? ^= 1 << 4;
            let cause = Cause::new(
                Code::CipherFlag,
                "the AES flag of the frame contradicts its layout: with the flag turned over, all fields add up",
                "find out what changes field byte 1 of the frame, or update the device's firmware",
            );
            Some(Form::repaired(cause, Payload::parse(&rechecked(&flipped)?).ok()?, true))
        }
        _ => None,
    }
}

/// An ID TECH frame in binary, from binary or hex digits.
fn binary(bytes: &[u8]) -> Option<Bytes> {
    match bytes.first()? {
        2 => Some(Zeroizing::new(bytes.to_vec())),
        _ => hex::decode(bytes.trim_ascii()).ok().map(Zeroizing::new),
    }
}

/// The frame with LRC and checksum made right.
fn rechecked(frame: &[u8]) -> Option<Bytes> {
    let [_, low, high, rest @ ..] = frame else { return None };
    let data = rest.get(..usize::from(u16::from_le_bytes([*low, *high])))?;
    let (lrc, sum) = checks(data);
    Some(Zeroizing::new([&frame[..3], data, &[lrc, sum, 3]].concat()))
}

fn checks(data: &[u8]) -> (u8, u8) {
    data.iter().fold((0, 0), |(lrc, sum), byte| (lrc ^ byte, byte.wrapping_add(sum)))
}

/// A keyboard form whose length or checks are those of the binary frame.
fn keyboard_checks(bytes: &[u8]) -> Option<Payload> {
    let text = bytes.trim_ascii();
    let data = text.strip_prefix(b"02")?.get(4..)?;
    let (data, tail) = data.split_at_checked(data.len().checked_sub(6)?)?;
    let (lrc, sum) = checks(data);
    let length = u16::try_from(data.len()).ok()?.to_le_bytes();
    let head = format!("02{:02X}{:02X}", length[0], length[1]);
    let foot = format!("{lrc:02X}{sum:02X}03");
    let whole: Bytes = Zeroizing::new([head.as_bytes(), data, foot.as_bytes()].concat());
    let payload = Payload::parse(&whole).ok()?;
    let Payload::IdTech(frame) = &payload else { return None };
    let binary = Zeroizing::new(frame.encode(OuterForm::Binary));
    let checks = binary.last_chunk::<3>()?;
    (hex::decode(tail).ok()? == checks && frame.form() == OuterForm::Keyboard).then_some(payload)
}

/// Bytes that were written as UTF-8, each of them a character: undone.
pub(super) fn decoded_text(runs: &[Bytes]) -> Option<(Cause, Vec<Bytes>)> {
    let decoded: Vec<Bytes> = runs
        .iter()
        .map(|run| {
            let characters = core::str::from_utf8(run).ok()?.chars();
            let bytes: Option<Vec<u8>> = characters.map(|character| u8::try_from(u32::from(character)).ok()).collect();
            bytes.map(Zeroizing::new)
        })
        .collect::<Option<_>>()?;
    if decoded.iter().map(|run| run.len()).eq(runs.iter().map(|run| run.len())) {
        return None;
    }
    let cause = Cause::new(
        Code::TextEncoding,
        "the bytes were written as UTF-8 text: each byte above 7F became two",
        "pass bytes on as bytes, hex or Base64, never through a text encoding",
    );
    Some((cause, decoded))
}

/// Bytes that a text encoding lost for good.
pub(super) fn lost_in_text(runs: &[Bytes]) -> Option<Cause> {
    let replaced: usize = runs.iter().map(|run| run.windows(3).filter(|window| *window == REPLACEMENT).count()).sum();
    let length: usize = runs.iter().map(|run| run.len()).sum();
    let what = if replaced >= 2 {
        format!("the bytes went through a text encoding: {replaced} were replaced by U+FFFD and are lost")
    } else if length >= LONG && runs.iter().all(|run| run.iter().all(u8::is_ascii)) {
        "the bytes went through a text encoding: none of them is above 7F, and those that were are lost".to_owned()
    } else {
        return None;
    };
    Some(Cause::new(Code::TextEncoding, what, "pass bytes on as bytes, hex or Base64, never through a text encoding"))
}

/// Whole blocks out of ciphertext that is none: a lost leading zero, or bytes too many on either side.
pub(super) fn slices(runs: &[Bytes]) -> Vec<Reading> {
    let [run] = runs else { return Vec::new() };
    let surplus = run.len() % 8;
    if surplus == 0 || run.len() < 8 {
        return Vec::new();
    }
    let mut readings = Vec::new();
    if surplus == 7 {
        let cause = Cause::new(
            Code::LeadingZeroLost,
            "the ciphertext is one byte short: a leading byte of zero got lost, as in a number that was converted",
            "put 00 in front, and keep ciphertext as text or bytes, never as a number",
        );
        let whole = Zeroizing::new([&[0], run.as_slice()].concat());
        readings.push(Reading { cause: Some(cause), runs: vec![whole], certain: false });
    }
    for front in 0..=surplus {
        let back = surplus - front;
        let cause = Cause::new(
            Code::WrongSlice,
            format!("the ciphertext has {front} byte(s) too many in front and {back} behind"),
            "cut the ciphertext out of the payload where its layout puts it",
        );
        let cut = Zeroizing::new(run[front..run.len() - back].to_vec());
        readings.push(Reading { cause: Some(cause), runs: vec![cut], certain: false });
    }
    readings
}
