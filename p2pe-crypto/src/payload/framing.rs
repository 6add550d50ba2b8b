//! The envelope of an ID TECH frame: STX, length, data, LRC, checksum, ETX, in its three outer forms.

use alloc::vec::Vec;
use zeroize::Zeroizing;

use super::{PayloadError, alarm};

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// Bytes in front of the data: STX and the length.
const HEAD: usize = 3;
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

/// The counted data of a frame, as it stands in its form: bytes, or typed characters.
pub(super) struct Data {
    pub(super) form: Form,
    /// Wiped on drop: a device that is not in encrypting mode sends a card number in here.
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Opens the envelope and checks all of it.
pub(super) fn open(input: &[u8]) -> Result<Data, PayloadError> {
    // The alarm goes before every refusal.
    if alarm::sounds(input) {
        return Err(PayloadError::ClearAccountData);
    }
    match input.first() {
        None => Err(PayloadError::StxMissing),
        Some(&STX) => binary(input).map(|data| Data { form: Form::Binary, bytes: Zeroizing::new(data.to_vec()) }),
        Some(_) => text(input.trim_ascii()),
    }
}

/// Closes the envelope around counted data: bytes, or typed characters for the keyboard form.
pub(super) fn close(data: &[u8], form: Form) -> Vec<u8> {
    // One-byte track lengths keep a frame under 4,000 characters: the length field always has room.
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_le_bytes();
    let (lrc, sum) = checks(data);
    match form {
        Form::Binary => [&[STX], &length[..], data, &[lrc, sum, ETX]].concat(),
        Form::Hex => to_hex(&close(data, Form::Binary)),
        Form::Keyboard => [&to_hex(&[STX]), &to_hex(&length), data, &to_hex(&[lrc, sum, ETX])].concat(),
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

fn text(input: &[u8]) -> Result<Data, PayloadError> {
    if !input.starts_with(b"02") {
        return Err(if lost_its_first_digit(input) {
            PayloadError::MissingStxNibble
        } else {
            PayloadError::StxMissing
        });
    }
    let length = match input.get(2..6) {
        Some(digits) => <[u8; 2]>::try_from(&from_hex(digits)?[..]).map_err(|_| PayloadError::Truncated)?,
        None => return Err(PayloadError::Truncated),
    };
    let length = usize::from(u16::from_le_bytes(length));
    let is_hex = input.iter().all(u8::is_ascii_hexdigit);
    // The two text forms of a frame never have the same length, so the length field tells them apart; where it is
    // damaged, a character that is no hex digit does.
    if input.len() != length + 2 * (HEAD + TAIL) && (is_hex || input.len() == 2 * (length + HEAD + TAIL)) {
        let bytes = from_hex(input)?;
        if alarm::sounds(&bytes) {
            return Err(PayloadError::ClearAccountData);
        }
        return Ok(Data { form: Form::Hex, bytes: Zeroizing::new(binary(&bytes)?.to_vec()) });
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
    Ok(Data { form: Form::Keyboard, bytes: Zeroizing::new(data.to_vec()) })
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
    from_hex(tail)?[..].try_into().map_err(|_| PayloadError::EtxMissing)
}

/// LRC (exclusive-or) and checksum (sum modulo 256).
fn checks(data: &[u8]) -> (u8, u8) {
    data.iter().fold((0, 0), |(lrc, sum), byte| (lrc ^ byte, byte.wrapping_add(sum)))
}

/// Reads hex digits of either case.
pub(super) fn from_hex(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(PayloadError::NotHex),
    };
    if !digits.len().is_multiple_of(2) {
        return Err(PayloadError::OddHexLength);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks_exact(2) {
        bytes.push(nibble(pair[0])? << 4 | nibble(pair[1])?);
    }
    Ok(bytes)
}

/// Writes upper-case hex digits, as devices do.
pub(super) fn to_hex(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]).collect()
}
