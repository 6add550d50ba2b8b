//! The masked copies of tracks that a frame carries beside the ciphertext.
//!
//! Nothing protects them: whoever holds one captured frame can uncover a digit, make the frame's checks right again and
//! ask whether it still decrypts. So a copy is compared only where it may show digits anyway, at the first six and the
//! last four of the card number, and one that shows more sounds the alarm before any key is used.

use core::ops::Range;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};

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
    let start = u64::conditional_select(&1, &2, one);
    let separator = u8::conditional_select(&b'=', &b'^', one);
    let mut before = Choice::from(1);
    let mut end = 0u64;
    for byte in clear {
        before &= !byte.ct_eq(&separator);
        end = end.wrapping_add(before.unwrap_u8().into());
    }
    let known = (one | two) & !before;

    let mut agrees = masked.len().ct_eq(&clear.len());
    for (at, (shown, byte)) in (0u64..).zip(masked.iter().zip(clear)) {
        let in_account = known & !at.ct_lt(&start) & at.ct_lt(&end);
        let at_an_end = at.ct_lt(&start.wrapping_add(6)) | !(at + 4).ct_lt(&end);
        let is_digit = Choice::from(u8::from(shown.is_ascii_digit() && *shown != mask));
        agrees &= !(in_account & at_an_end & is_digit) | shown.ct_eq(byte);
    }
    agrees
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
