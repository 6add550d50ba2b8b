//! The optional blocks of a header (X9.143:2021, 6.3.6): an identifier, a length and characters each.

use alloc::{string::String, vec::Vec};

use dukpt::{KeyKind, KeyMaterial};

use crate::{KeyBlockError, Version};

/// Padding to whole cipher blocks: always the last one.
const PADDING: [u8; 2] = *b"PB";

/// The KSN of a DUKPT key.
const KSN: [u8; 2] = *b"KS";

/// The check value of the wrapped key.
pub(crate) const KEY_CHECK: [u8; 2] = *b"KC";

/// Whether a `KC` is of this key: `00` and the legacy check value, or `01` and the CMAC one, in hex (X9.143:2021, 6.3.6). Of
/// another method nothing is known, and HMAC keys have none.
pub(crate) fn is_check_value(data: &str, key: &KeyMaterial) -> bool {
    let found = match data.split_at_checked(2) {
        _ if key.kind() == KeyKind::Hmac => return true,
        Some(("00", stated)) => (Some(key.check_value()), stated),
        Some(("01", stated)) => (key.cmac_check_value(), stated),
        _ => return true,
    };
    matches!((found.0, found.1.parse()), (Some(found), Ok(stated)) if found.agrees(&stated))
}

/// One optional block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptionalBlock {
    /// Two characters, as `KS` (KSN) or `TS` (time stamp).
    pub id: [u8; 2],
    /// What it says.
    pub data: String,
}

/// Reads `count` blocks; returns them and what is behind them.
pub(crate) fn read(mut text: &[u8], count: usize) -> Result<(Vec<OptionalBlock>, &[u8]), KeyBlockError> {
    let mut blocks: Vec<OptionalBlock> = Vec::new();
    for _ in 0..count {
        let (block, rest) = one(text)?;
        if blocks.iter().any(|other| other.id == block.id) {
            return Err(KeyBlockError::OptionalTwice);
        }
        blocks.push(block);
        text = rest;
    }
    Ok((blocks, text))
}

/// A block and what is behind it: the length is two hex digits and counts the whole block; `00` says that the
/// number of digits of the length, and then the length, follow.
fn one(text: &[u8]) -> Result<(OptionalBlock, &[u8]), KeyBlockError> {
    let (id, rest) = text.split_first_chunk::<2>().ok_or(KeyBlockError::OptionalTruncated)?;
    let (length, rest) = number(rest, 2)?;
    let (length, rest) = match length {
        0 => {
            let (digits, rest) = number(rest, 2)?;
            if !(1..=4).contains(&digits) {
                return Err(KeyBlockError::OptionalLength);
            }
            number(rest, digits)?
        }
        length => (length, rest),
    };
    let head = text.len() - rest.len();
    let data = length.checked_sub(head).ok_or(KeyBlockError::OptionalLength)?;
    let (data, rest) = rest.split_at_checked(data).ok_or(KeyBlockError::OptionalOverrun)?;
    Ok((OptionalBlock { id: *id, data: data.iter().map(|byte| char::from(*byte)).collect() }, rest))
}

/// A number of `digits` hex digits, and what is behind it.
fn number(text: &[u8], digits: usize) -> Result<(usize, &[u8]), KeyBlockError> {
    let (number, rest) = text.split_at_checked(digits).ok_or(KeyBlockError::OptionalTruncated)?;
    let number = number.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number << 4 | usize::from(digit - b'0')),
        b'A'..=b'F' => Some(number << 4 | usize::from(digit - b'A' + 10)),
        _ => None,
    });
    Ok((number.ok_or(KeyBlockError::OptionalLength)?, rest))
}

/// What the standard says of the content and the order of blocks.
pub(crate) fn check(blocks: &[OptionalBlock], version: Version, header: usize) -> Result<(), KeyBlockError> {
    let ksn = blocks.iter().find(|block| block.id == KSN);
    let is_ksn = |data: &str| matches!(data.len(), 16 | 20 | 24) && data.bytes().all(|digit| digit.is_ascii_hexdigit());
    if ksn.is_some_and(|block| !is_ksn(&block.data)) {
        return Err(KeyBlockError::Ksn);
    }
    let padding = blocks.iter().position(|block| block.id == PADDING);
    let is_last = padding.is_none_or(|at| at + 1 == blocks.len());
    if !is_last || !header.is_multiple_of(version.block_length()) {
        return Err(KeyBlockError::OptionalPadding);
    }
    Ok(())
}

/// Writes the blocks, and a padding block where one is needed. `None` if one is too long, or there are too many.
pub(crate) fn write(blocks: &[OptionalBlock], version: Version) -> Option<(Vec<u8>, usize)> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let (mut text, mut count) = (Vec::new(), blocks.len());
    let mut add = |id: [u8; 2], data: &[u8]| {
        let length = data.len() + 4;
        text.extend_from_slice(&id);
        text.extend([HEX.get(length >> 4)?, &HEX[length & 15]]);
        text.extend_from_slice(data);
        Some(text.len())
    };
    let mut length = 0;
    for block in blocks {
        length = add(block.id, block.data.as_bytes())?;
    }
    let unit = version.block_length();
    if !length.is_multiple_of(unit) {
        let with_head = (length + 4).next_multiple_of(unit);
        add(PADDING, &b"0".repeat(with_head - length - 4))?;
        count += 1;
    }
    (count < 100).then_some((text, count))
}
