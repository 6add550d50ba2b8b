//! Hex digits.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{PayloadError, Refusal};

/// Hex digits that are read at once.
const STEP: usize = 32;

/// The value of a hex digit of either case; of other characters, anything.
fn value(digit: u8) -> u8 {
    (digit & 0x0F).wrapping_add(9 * (digit >> 6))
}

/// Whether all are hex digits. Looks at all of them, as that is faster.
fn all_legal(digits: &[u8]) -> bool {
    digits.iter().fold(true, |legal, digit| legal & digit.is_ascii_hexdigit())
}

/// Reads hex digits of either case.
pub(super) fn decode(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    decode_into(digits, &mut bytes)?;
    Ok(bytes)
}

/// Reads hex digits of either case, behind what is there.
pub(super) fn decode_into(digits: &[u8], bytes: &mut Vec<u8>) -> Result<(), Refusal> {
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(PayloadError::OddHexLength.at(digits.len())) };
    let start = bytes.len();
    bytes.resize(start + pairs.len(), 0);
    let read = |[high, low]: [u8; 2]| value(high) << 4 | value(low);
    let (steps, rest) = pairs.as_chunks::<{ STEP / 2 }>();
    let (places, last) = bytes[start..].as_chunks_mut::<{ STEP / 2 }>();
    let mut legal = true;
    for (place, step) in places.iter_mut().zip(steps) {
        legal &= all_legal(step.as_flattened());
        *place = step.map(read);
    }
    last.iter_mut().zip(rest).for_each(|(place, pair)| *place = read(*pair));
    if legal && all_legal(rest.as_flattened()) { Ok(()) } else { Err(not_hex(digits)) }
}

/// Whether these are whole bytes in hex digits of either case.
pub(super) fn check(digits: &[u8]) -> Result<(), Refusal> {
    if !digits.len().is_multiple_of(2) {
        return Err(PayloadError::OddHexLength.at(digits.len()));
    }
    if all_legal(digits) { Ok(()) } else { Err(not_hex(digits)) }
}

/// Reads `N` bytes and nothing else.
pub(super) fn decode_array<const N: usize>(digits: &[u8]) -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return Err(PayloadError::Truncated.at(digits.len()));
    }
    if !all_legal(digits) {
        return Err(not_hex(digits));
    }
    bytes.iter_mut().zip(pairs).for_each(|(byte, [high, low])| *byte = value(*high) << 4 | value(*low));
    Ok(bytes)
}

/// At the first character that is no hex digit.
fn not_hex(digits: &[u8]) -> Refusal {
    let at = digits.iter().position(|digit| !digit.is_ascii_hexdigit());
    Refusal { error: PayloadError::NotHex, offset: at }
}

/// Writes upper-case hex digits, as devices do.
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]).collect()
}
