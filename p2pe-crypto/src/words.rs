//! Eight bytes at a time, in one word with the first byte in the lowest place: which of them are this or that, and which
//! stand in front of these. No branch and no index depends on the bytes, but in [`places`]; sums wrap, since a check for
//! overflow is a branch.
//!
//! A mark is the lowest bit of its byte.

use core::iter;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHEST: u64 = ONES << 7;

/// The bytes in words; the last one is filled up with zeros.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|chunk| match chunk.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    })
}

/// A word of this byte.
pub(crate) fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Marks the bytes of a word that are this one.
pub(crate) fn equal(word: u64, byte: u8) -> u64 {
    let differs = word ^ each(byte);
    let differs = (differs & !HIGHEST).wrapping_add(!HIGHEST) | differs;
    (!differs & HIGHEST) >> 7
}

/// Marks the bytes of a word that are ASCII digits.
pub(crate) fn digits(word: u64) -> u64 {
    let value = word ^ each(b'0');
    let above_nine = (value & !HIGHEST).wrapping_add(each(0x7F - 9)) | value;
    (!above_nine & HIGHEST) >> 7
}

/// Every bit of the marked bytes.
pub(crate) fn whole(marks: u64) -> u64 {
    marks.wrapping_mul(0xFF)
}

/// Every bit of the bytes in front of the first mark; of all bytes, if there is none.
pub(crate) fn before(marks: u64) -> u64 {
    marks.wrapping_sub(1) & !marks
}

/// The same, and every bit of the first marked byte.
pub(crate) fn through(marks: u64) -> u64 {
    before(marks) | whole(marks & marks.wrapping_neg())
}

/// Each byte of a word less this one.
pub(crate) fn less(word: u64, byte: u8) -> u64 {
    let other = each(byte);
    (word | HIGHEST).wrapping_sub(other & !HIGHEST) ^ (word ^ !other) & HIGHEST
}

/// How many bytes of a word have their lowest bit.
pub(crate) fn count(word: u64) -> u64 {
    (word & ONES).wrapping_mul(ONES) >> 56
}

/// The bytes of a word, added up without carry.
pub(crate) fn sum(word: u64) -> u8 {
    word.to_le_bytes().into_iter().fold(0, |sum, byte| sum ^ byte)
}

/// Where public bytes stand that are marked in their words.
pub(crate) fn places(bytes: &[u8], marks: impl Fn(u64) -> u64) -> impl Iterator<Item = usize> {
    let mut marked = words(bytes).map(marks).zip((0..).step_by(8));
    let (mut left, mut start) = (0, 0);
    iter::from_fn(move || {
        while left == 0 {
            (left, start) = marked.next()?;
        }
        let place = start + left.trailing_zeros() as usize / 8;
        left &= left - 1;
        Some(place)
    })
}
