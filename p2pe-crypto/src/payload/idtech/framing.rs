//! The envelope of an ID TECH frame: STX, length, data, LRC, checksum, ETX, in its three outer forms.

use alloc::vec::Vec;
use zeroize::Zeroizing;

use super::super::{Format, PayloadError, alarm, hex};

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// Bytes in front of the data: STX and the length.
const HEAD: usize = 3;
/// Card encode type, track status and three track lengths: what the data of every layout begins with.
const HEADER: usize = 5;
/// Bytes behind the data: LRC, checksum and ETX.
const TAIL: usize = 3;

/// How a frame reaches the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// Bytes, as over RS-232 or USB-HID.
    Binary,
    /// The binary frame written as hex digits.
    Hex,
    /// Typed by a keyboard device: hex digits, but the clear and masked tracks as plain characters. Length, LRC and
    /// checksum are those of the typed characters.
    Keyboard,
}

/// The counted data of a frame in its form. Wiped on drop: a device that is not in encrypting mode sends a card number
/// in here.
pub(super) enum Data<'i> {
    Binary(&'i [u8]),
    Hex(Zeroizing<Vec<u8>>),
    /// The typed characters.
    Keyboard(&'i [u8]),
}

/// Opens the envelope and checks all of it.
pub(super) fn open(input: &[u8]) -> Result<Data<'_>, PayloadError> {
    match input.first() {
        None => Err(PayloadError::StxMissing),
        Some(&STX) => binary(input).map(Data::Binary),
        Some(_) => text(input.trim_ascii()),
    }
}

/// Which of the layouts in this envelope the bytes begin like. What is too short to tell is taken for the usual one.
pub(crate) fn format(input: &[u8]) -> Option<Format> {
    let head = match input {
        [STX, _, _, head @ ..] => head.first_chunk::<HEADER>().copied(),
        [STX, ..] => None,
        _ => match input.trim_ascii() {
            [b'0', b'2', rest @ ..] => {
                rest.get(2 * 2..2 * (2 + HEADER)).and_then(|digits| hex::decode_array(digits).ok())
            }
            // Its first digit got lost.
            [b'2', ..] => None,
            _ => return None,
        },
    };
    Some(match head {
        // No track has a length: keyed. The number is that of a JIS II stripe too.
        Some([0x85, _, 0, 0, 0]) => Format::IdTechKeyed,
        Some([0x00..=0x7F, ..]) => Format::IdTechOriginal,
        _ => Format::IdTechEnhanced,
    })
}

/// Closes the envelope around counted data: bytes, or typed characters for the keyboard form.
pub(super) fn close(data: &[u8], form: Form) -> Vec<u8> {
    // One-byte track lengths keep a frame under 4,000 characters: the length field always has room.
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_le_bytes();
    let (lrc, sum) = checks(data);
    match form {
        Form::Binary => [&[STX], &length[..], data, &[lrc, sum, ETX]].concat(),
        Form::Hex => hex::encode(&close(data, Form::Binary)),
        Form::Keyboard => [&hex::encode(&[STX]), &hex::encode(&length), data, &hex::encode(&[lrc, sum, ETX])].concat(),
    }
}

fn binary(input: &[u8]) -> Result<&[u8], PayloadError> {
    let (head, rest) = input.split_at_checked(HEAD).ok_or(PayloadError::Truncated)?;
    if head[0] != STX {
        return Err(PayloadError::StxMissing);
    }
    let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
    let Some((data, rest)) = rest.split_at_checked(length).filter(|(_, rest)| rest.len() >= TAIL) else {
        return Err(too_short(rest, |data, tail| closes(data, tail.try_into().ok())));
    };
    let (tail, padding) = rest.split_at(TAIL);
    check_tail(data, tail.try_into().map_err(|_| PayloadError::Truncated)?)?;
    // A USB-HID report is filled up with zeros.
    if padding.iter().any(|&byte| byte != 0) {
        return Err(PayloadError::TrailingBytes);
    }
    Ok(data)
}

fn text(input: &[u8]) -> Result<Data<'_>, PayloadError> {
    if !input.starts_with(b"02") {
        return Err(if lost_its_first_digit(input) {
            PayloadError::MissingStxNibble
        } else {
            PayloadError::StxMissing
        });
    }
    let length = match input.get(2..6) {
        Some(digits) => hex::decode_array(digits)?,
        None => return Err(PayloadError::Truncated),
    };
    let length = usize::from(u16::from_le_bytes(length));
    let is_hex = || input.iter().all(u8::is_ascii_hexdigit);
    // The two text forms of a frame never have the same length, so the length field tells them apart; where it is
    // damaged, a character that is no hex digit does.
    if input.len() != length + 2 * (HEAD + TAIL) && (input.len() == 2 * (length + HEAD + TAIL) || is_hex()) {
        let mut bytes = hex::decode(input)?;
        alarm::check(&bytes, false)?;
        let length = binary(&bytes)?.len();
        bytes.drain(..HEAD);
        bytes.truncate(length);
        return Ok(Data::Hex(bytes));
    }
    let rest = &input[2 * HEAD..];
    let Some((data, rest)) = rest.split_at_checked(length).filter(|(_, rest)| rest.len() >= 2 * TAIL) else {
        return Err(too_short(rest, |data, tail| closes(data, typed_tail(tail).ok())));
    };
    let (tail, trailing) = rest.split_at(2 * TAIL);
    check_tail(data, typed_tail(tail)?)?;
    if !trailing.is_empty() {
        return Err(PayloadError::TrailingBytes);
    }
    Ok(Data::Keyboard(data))
}

/// A keyboard wedge, or software behind it, drops the first `0` now and then.
fn lost_its_first_digit(input: &[u8]) -> bool {
    let repaired = Zeroizing::new([b"0", input].concat());
    input.first() == Some(&b'2') && text(&repaired).is_ok()
}

/// Fewer bytes than the length field says: if what is there ends like a frame, the length field is at fault.
fn too_short(rest: &[u8], closes: impl Fn(&[u8], &[u8]) -> bool) -> PayloadError {
    let complete = [TAIL, 2 * TAIL].into_iter().any(|tail| {
        rest.len().checked_sub(tail).is_some_and(|at| {
            let (data, tail) = rest.split_at(at);
            closes(data, tail)
        })
    });
    if complete { PayloadError::LengthExceedsInput } else { PayloadError::Truncated }
}

fn closes(data: &[u8], tail: Option<[u8; TAIL]>) -> bool {
    tail.is_some_and(|tail| check_tail(data, tail).is_ok())
}

fn check_tail(data: &[u8], [lrc, sum, etx]: [u8; TAIL]) -> Result<(), PayloadError> {
    let expected = checks(data);
    if etx != ETX {
        Err(PayloadError::EtxMissing)
    } else if lrc != expected.0 {
        Err(PayloadError::LrcMismatch)
    } else if sum != expected.1 {
        Err(PayloadError::ChecksumMismatch)
    } else {
        Ok(())
    }
}

fn typed_tail(tail: &[u8]) -> Result<[u8; TAIL], PayloadError> {
    hex::decode_array(tail)
}

/// LRC (exclusive-or) and checksum (sum modulo 256).
fn checks(data: &[u8]) -> (u8, u8) {
    data.iter().fold((0, 0), |(lrc, sum), byte| (lrc ^ byte, byte.wrapping_add(sum)))
}
