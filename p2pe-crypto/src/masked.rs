//! The masked copies of tracks that a frame carries beside the ciphertext.
//!
//! Nothing protects them: whoever holds one captured frame can uncover a digit, make the frame's checks right again and
//! ask whether it still decrypts. So a copy is compared only where it may show digits anyway, at the first six and the
//! last four of the card number, and one that shows more sounds the alarm before any key is used.

use core::ops::Range;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::words;

/// Whether the masked copy of a track 1 or 2 shows a security code, or more of a card number than may be shown of its length:
/// the first 8 and last 4 of 16 digits and more, the first 6 and last 4 of fewer (PCI DSS v4, 3.4.1).
pub(crate) fn shows_too_much(masked: &[u8]) -> bool {
    // Keyed data: what follows the colon is the security code.
    let code = masked.iter().skip_while(|byte| **byte != b':');
    let shows_code = masked.first() == Some(&b';') && code.into_iter().any(u8::is_ascii_digit);
    shows_code || account(masked).is_some_and(|range| number_shows_too_much(&masked[range]))
}

/// The same of a masked card number that stands by itself.
pub(crate) fn number_shows_too_much(masked: &[u8]) -> bool {
    let length = masked.len();
    let bin = if length < 16 { 6 } else { 8 };
    let hidden = masked.iter().enumerate().filter(|(at, _)| (bin..length.saturating_sub(4)).contains(at));
    length >= 12 && hidden.into_iter().any(|(_, shown)| shown.is_ascii_digit())
}

/// Whether a copy that is masked with a digit shows the middle of the number: nothing is masked then.
pub(crate) fn shows_the_middle(masked: &[u8], clear: &[u8]) -> bool {
    let account = account(clear).filter(|range| range.len() >= 12 && account(masked).as_ref() == Some(range));
    account.is_some_and(|range| {
        let middle = range.start + 6..range.end - 4;
        masked[middle.clone()] == clear[middle]
    })
}

/// Whether a masked copy can be of this clear text: as long, and with the same digits where it shows the first six or
/// last four of the card number. What covers the others is a setting of the device, and may be
/// the digit `mask`.
///
/// The masked copy is public; no branch and no index depends on the clear text.
#[must_use]
pub fn agrees(masked: &[u8], clear: &[u8], mask: u8) -> Choice {
    let first = clear.first().copied().unwrap_or_default();
    let (one, two) = (first.ct_eq(&b'%'), first.ct_eq(&b';'));
    // As in `account`, which looks.
    let start = u64::conditional_select(&0xFF, &0xFFFF, one);
    let separator = u8::conditional_select(&b'=', &b'^', one);
    // What of the word is at the number or behind its start, and what at its first six digits.
    let (mut from, mut first) = (!start, start << 48 | u64::MAX >> 16);
    // Every bit until the separator was there.
    let mut open = u64::MAX;
    // Of the last word, whose last four bytes wait for the next one: what differs, and what is in front of the separator.
    let (mut waits, mut front) = (0, 0);
    let mut differs = 0;
    for (shown, word) in words::words(masked).zip(words::words(clear)) {
        let separators = words::equal(word, separator);
        let before = words::before(separators) & open;
        open = u64::conditional_select(&0, &open, separators.ct_eq(&0));
        differs |= waits & !(front >> 32 | before << 32);
        let compared = words::whole(words::digits(shown) & !words::equal(shown, mask));
        waits = (shown ^ word) & compared & before & from;
        differs |= waits & first;
        front = before;
        (from, first) = (u64::MAX, 0);
    }
    differs |= waits & !(front >> 32);
    let known = (one | two) & open.ct_eq(&0);
    masked.len().ct_eq(&clear.len()) & !(known & !differs.ct_eq(&0))
}

/// Where the card number stands: behind the start sentinel, in track 1 behind the format code too, up to the separator.
fn account(text: &[u8]) -> Option<Range<usize>> {
    let (start, separator) = match text.first()? {
        b'%' => (2, b'^'),
        b';' => (1, b'='),
        _ => return None,
    };
    let end = text.iter().position(|&byte| byte == separator)?;
    (start <= end).then_some(start..end)
}
