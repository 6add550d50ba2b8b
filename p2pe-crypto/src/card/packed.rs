//! Card data in packed nibbles: card number and track 2 equivalent data of chips (EMV Book 3, Annex A), and stripe track 2
//! with its nibble codes.

use alloc::vec::Vec;

use zeroize::Zeroizing;

const SEPARATOR: u8 = 0xD;
const FILLER: u8 = 0xF;
/// Nibble codes of a stripe (ISO/IEC 7811-6): start and end sentinel.
const START: u8 = 0xB;
const END: u8 = 0xF;
/// Digits of the longest track 2, sentinels and check nibble included.
const LONGEST_TRACK: usize = 40;

pub(super) fn nibbles(bytes: &[u8]) -> impl DoubleEndedIterator<Item = u8> + Clone + '_ {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F])
}

/// The digits of a card number (tag `5A`): up to 10 bytes, filled up with `F`.
pub(super) fn digits(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let filler = nibbles(value).rev().take_while(|&nibble| nibble == FILLER).count();
    let mut digits = Zeroizing::new(Vec::with_capacity(2 * value.len()));
    for nibble in nibbles(value).take(2 * value.len() - filler) {
        digits.push(digit(nibble)?);
    }
    Some(digits)
}

/// The text of a stripe, `;…=…?`, of track 2 equivalent data (tag `57`): up to 19 bytes, one `F` at the end if odd.
pub(super) fn equivalent_text(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let filler = usize::from(value.last()? & 0x0F == FILLER);
    text(nibbles(value).take(2 * value.len() - filler))
}

/// The text of a packed stripe track 2: `B`, its nibbles, `F`, check nibble, and nothing but zeros behind.
pub(super) fn track_text(clear: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let end = nibbles(clear).take(LONGEST_TRACK - 1).position(|nibble| nibble == END)?;
    let mut track = nibbles(clear);
    let check = track.by_ref().take(end + 1).fold(0, |check, nibble| check ^ nibble);
    let closed = track.next() == Some(check) && track.all(|nibble| nibble == 0);
    let text = text(nibbles(clear).take(end).skip(1))?;
    (closed && nibbles(clear).next() == Some(START)).then_some(text)
}

/// Digits and separators between the sentinels of a stripe.
fn text(inner: impl Iterator<Item = u8>) -> Option<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: a buffer that grows leaves what it held behind.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_TRACK));
    text.push(b';');
    for nibble in inner {
        text.push(if nibble == SEPARATOR { b'=' } else { digit(nibble)? });
        // The end sentinel and the check character still have to fit on a stripe.
        if text.len() > LONGEST_TRACK - 2 {
            return None;
        }
    }
    text.push(b'?');
    Some(text)
}

fn digit(nibble: u8) -> Option<u8> {
    (nibble <= 9).then_some(b'0' + nibble)
}

/// Length of the card number at the start of a masked or clear value, whatever its nibbles are.
fn account_length(value: &[u8]) -> usize {
    let filled = 2 * value.len() - nibbles(value).rev().take_while(|&nibble| nibble == FILLER).count();
    nibbles(value).position(|nibble| nibble == SEPARATOR).unwrap_or(filled)
}

/// Whether a masked copy shows more of the number than may be shown of its length: the first 8 and last 4 of 16 digits
/// and more, the first 6 and last 4 of fewer (PCI DSS v4, 3.4.1).
pub(crate) fn shows_too_much(masked: &[u8]) -> bool {
    let length = account_length(masked);
    let bin = if length < 16 { 6 } else { 8 };
    let hidden = length.saturating_sub(4).saturating_sub(bin);
    length >= 12 && nibbles(masked).skip(bin).take(hidden).any(|nibble| nibble <= 9)
}

/// Whether a masked copy can be of this clear value: as long, and with the same digits where it shows the first six or
/// last four of the card number. What covers the others is a setting of the device.
pub(crate) fn agrees(masked: &[u8], clear: &[u8]) -> bool {
    let length = account_length(clear);
    let mut pairs = nibbles(masked).zip(nibbles(clear)).take(length).enumerate();
    let compared = |at: usize| at < 6 || length - at <= 4;
    masked.len() == clear.len() && pairs.all(|(at, (shown, digit))| !compared(at) || shown > 9 || shown == digit)
}

/// Whether a card number stands anywhere in a value.
pub(super) fn holds(value: &[u8], number: &[u8]) -> bool {
    let starts = 0..(2 * value.len() + 1).saturating_sub(number.len());
    let is_there = |start| nibbles(value).skip(start).zip(number).all(|(nibble, digit)| nibble == digit & 0x0F);
    !number.is_empty() && starts.into_iter().any(is_there)
}

/// Whether a value can be the clear one of this masked copy: nothing was encrypted then.
pub(crate) fn is_clear_of(masked: &[u8], value: &[u8]) -> bool {
    let length = account_length(value);
    (12..=19).contains(&length) && nibbles(value).take(length).all(|nibble| nibble <= 9) && agrees(masked, value)
}

/// Whether a value is a whole card number, or begins with one and a separator, that a scheme could have issued.
pub(crate) fn is_account_number(value: &[u8]) -> bool {
    let mut digits = Zeroizing::new([0; 19]);
    let length = account_length(value);
    let Some(room) = digits.get_mut(..length) else { return false };
    for (place, nibble) in room.iter_mut().zip(nibbles(value)) {
        match digit(nibble) {
            Some(digit) => *place = digit,
            None => return false,
        }
    }
    super::pan::plausible(room)
}
