//! The envelope of an ID TECH frame: STX, length, data, LRC, checksum, ETX, in its three outer forms.

use alloc::vec::Vec;
use core::ops::Range;

use zeroize::Zeroizing;

use super::super::{Format, PayloadError, Refusal, alarm, hex};

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

/// The counted data in binary.
pub(super) struct Opened {
    pub(super) form: Form,
    /// Wiped on drop: a device that is not in encrypting mode sends a card number in here.
    pub(super) data: Zeroizing<Vec<u8>>,
    pub(super) places: Places,
}

/// Where the counted data stood in the input.
pub(super) struct Places {
    start: usize,
    /// Those that stood there as they are; the others as two hex digits each.
    plain: Range<usize>,
}

impl Places {
    /// A refusal of the data, as one of the input.
    pub(super) fn refusal(&self, refusal: Refusal) -> Refusal {
        let plain = |at: usize| at.saturating_sub(self.plain.start).min(self.plain.len());
        refusal.moved(|at| self.start + 2 * at - plain(at))
    }
}

/// Typed characters as binary data, and which of these were typed as they are.
pub(super) type Untyped = (Zeroizing<Vec<u8>>, Range<usize>);

/// The counted data in their form.
enum Data<'i> {
    Hex(Zeroizing<Vec<u8>>),
    /// The typed characters.
    Keyboard(&'i [u8]),
}

/// Opens the envelope and checks all of it. What was typed is made binary by `untype`, and had no alarm behind its
/// `header` yet.
pub(super) fn open(
    input: &[u8],
    header: usize,
    untype: impl FnOnce(&[u8]) -> Result<Untyped, Refusal>,
) -> Result<Opened, Refusal> {
    if let [STX, ..] = input {
        let data = Zeroizing::new(binary(input)?.to_vec());
        return Ok(Opened { form: Form::Binary, data, places: Places { start: HEAD, plain: 0..usize::MAX } });
    }
    let blank = input.len() - input.trim_ascii_start().len();
    let start = blank + 2 * HEAD;
    match text(input.trim_ascii()).map_err(|refusal| refusal.moved(|at| blank + at))? {
        Data::Hex(data) => Ok(Opened { form: Form::Hex, data, places: Places { start, plain: 0..0 } }),
        Data::Keyboard(typed) => {
            let (data, plain) = untype(typed).map_err(|refusal| refusal.moved(|at| start + at))?;
            let places = Places { start, plain };
            // Typed digits may have hidden a card number in a ciphertext's place.
            let behind = data.get(header..).unwrap_or_default();
            alarm::check_slot(behind).map_err(|refusal| places.refusal(refusal.inside(&data, behind)))?;
            Ok(Opened { form: Form::Keyboard, data, places })
        }
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

/// The counted data of a binary frame.
pub(super) fn binary(input: &[u8]) -> Result<&[u8], Refusal> {
    let (head, rest) = input.split_at_checked(HEAD).ok_or(PayloadError::Truncated.at(input.len()))?;
    if head[0] != STX {
        return Err(PayloadError::StxMissing.at(0));
    }
    let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
    let Some((data, rest)) = rest.split_at_checked(length).filter(|(_, rest)| rest.len() >= TAIL) else {
        return Err(too_short(input, rest, |data, tail| closes(data, tail.try_into().ok())));
    };
    let (tail, padding) = rest.split_at(TAIL);
    check_tail(data, tail.try_into().map_err(|_| PayloadError::Truncated)?)
        .map_err(|refusal| refusal.inside(input, tail))?;
    // A USB-HID report is filled up with zeros.
    match padding.iter().position(|&byte| byte != 0) {
        Some(at) => Err(PayloadError::TrailingBytes.within(input, &padding[at..])),
        None => Ok(data),
    }
}

fn text(input: &[u8]) -> Result<Data<'_>, Refusal> {
    if !input.starts_with(b"02") {
        let lost = lost_its_first_digit(input);
        return Err(if lost { PayloadError::MissingStxNibble } else { PayloadError::StxMissing }.at(0));
    }
    let digits = input.get(2..6).ok_or(PayloadError::Truncated.at(input.len()))?;
    let length = hex::decode_array(digits).map_err(|refusal| refusal.inside(input, digits))?;
    let length = usize::from(u16::from_le_bytes(length));
    let is_hex = || input.iter().all(u8::is_ascii_hexdigit);
    // The two text forms of a frame never have the same length, so the length field tells them apart; where it is
    // damaged, a character that is no hex digit does.
    if input.len() != length + 2 * (HEAD + TAIL) && (input.len() == 2 * (length + HEAD + TAIL) || is_hex()) {
        let mut bytes = hex::decode(input)?;
        let data = alarm::check(&bytes, false).and_then(|()| binary(&bytes));
        let length = data.map_err(|refusal| refusal.moved(|at| 2 * at))?.len();
        bytes.drain(..HEAD);
        bytes.truncate(length);
        return Ok(Data::Hex(bytes));
    }
    let rest = &input[2 * HEAD..];
    let Some((data, rest)) = rest.split_at_checked(length).filter(|(_, rest)| rest.len() >= 2 * TAIL) else {
        return Err(too_short(input, rest, |data, tail| closes(data, typed_tail(tail).ok())));
    };
    let (tail, trailing) = rest.split_at(2 * TAIL);
    let checked = typed_tail(tail)
        .and_then(|checks| check_tail(data, checks).map_err(|refusal| refusal.moved(|at| 2 * at)))
        .map_err(|refusal| refusal.inside(input, tail));
    checked?;
    if !trailing.is_empty() {
        return Err(PayloadError::TrailingBytes.within(input, trailing));
    }
    Ok(Data::Keyboard(data))
}

/// A keyboard wedge, or software behind it, drops the first `0` now and then.
fn lost_its_first_digit(input: &[u8]) -> bool {
    let repaired = Zeroizing::new([b"0", input].concat());
    input.first() == Some(&b'2') && text(&repaired).is_ok()
}

/// Fewer bytes than the length field says: if what is there ends like a frame, the length field is at fault.
fn too_short(input: &[u8], rest: &[u8], closes: impl Fn(&[u8], &[u8]) -> bool) -> Refusal {
    let complete = [TAIL, 2 * TAIL].into_iter().any(|tail| {
        rest.len().checked_sub(tail).is_some_and(|at| {
            let (data, tail) = rest.split_at(at);
            closes(data, tail)
        })
    });
    // The length field stands behind STX, in a third of what is in front of the data.
    let head = input.len() - rest.len();
    if complete { PayloadError::LengthExceedsInput.at(head / HEAD) } else { PayloadError::Truncated.at(input.len()) }
}

fn closes(data: &[u8], tail: Option<[u8; TAIL]>) -> bool {
    tail.is_some_and(|tail| check_tail(data, tail).is_ok())
}

/// The place of a refusal is one of the three bytes.
fn check_tail(data: &[u8], [lrc, sum, etx]: [u8; TAIL]) -> Result<(), Refusal> {
    let expected = checks(data);
    if etx != ETX {
        Err(PayloadError::EtxMissing.at(2))
    } else if lrc != expected.0 {
        Err(PayloadError::LrcMismatch.at(0))
    } else if sum != expected.1 {
        Err(PayloadError::ChecksumMismatch.at(1))
    } else {
        Ok(())
    }
}

fn typed_tail(tail: &[u8]) -> Result<[u8; TAIL], Refusal> {
    hex::decode_array(tail)
}

/// LRC (exclusive-or) and checksum (sum modulo 256).
fn checks(data: &[u8]) -> (u8, u8) {
    data.iter().fold((0, 0), |(lrc, sum), byte| (lrc ^ byte, byte.wrapping_add(sum)))
}
