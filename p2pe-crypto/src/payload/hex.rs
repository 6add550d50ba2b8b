//! Hex digits.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::PayloadError;

/// The value of each character, and `FF` for what is no hex digit.
const VALUES: [u8; 256] = {
    let mut values = [0xFF; 256];
    let mut value: u8 = 0;
    while value < 16 {
        values[b"0123456789ABCDEF"[value as usize] as usize] = value;
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Reads hex digits of either case.
pub(super) fn decode(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    decode_into(digits, &mut bytes)?;
    Ok(bytes)
}

/// Reads hex digits of either case, behind what is there.
pub(super) fn decode_into(digits: &[u8], bytes: &mut Vec<u8>) -> Result<(), PayloadError> {
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(PayloadError::OddHexLength) };
    let mut illegal = 0;
    bytes.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        illegal |= (high | low) & 0xF0;
        high << 4 | low & 0x0F
    }));
    if illegal == 0 { Ok(()) } else { Err(PayloadError::NotHex) }
}

/// Whether these are whole bytes in hex digits of either case.
pub(super) fn check(digits: &[u8]) -> Result<(), PayloadError> {
    if !digits.len().is_multiple_of(2) {
        return Err(PayloadError::OddHexLength);
    }
    if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(PayloadError::NotHex) }
}

/// Reads `N` bytes and nothing else.
pub(super) fn decode_array<const N: usize>(digits: &[u8]) -> Result<[u8; N], PayloadError> {
    let mut bytes = [0; N];
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return Err(PayloadError::Truncated);
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        if (high | low) & 0xF0 != 0 {
            return Err(PayloadError::NotHex);
        }
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

/// Writes upper-case hex digits, as devices do.
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]).collect()
}
