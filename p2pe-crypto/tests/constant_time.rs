//! What compares clear text without looking at it, against the same done plainly.

use p2pe_crypto::constant_time::{Charset, agrees};
use proptest::{prelude::*, sample::select};

/// The same, looking at the text.
fn end_by_looking(clear: &[u8], length: Option<usize>, characters: std::ops::Range<u8>) -> Option<u64> {
    let end = clear.iter().position(|byte| *byte == b'?')? + 1;
    let (text, behind) = clear.split_at(end);
    let lrc = text.iter().fold(0, |lrc, byte| lrc ^ byte.wrapping_sub(characters.start));
    let check = characters.start + (lrc & (characters.end - characters.start - 1));
    let is_padding = |bytes: &[u8]| bytes.len() < 16 || bytes.iter().all(|byte| *byte == 0);
    let ended = match (length, behind) {
        (Some(length), _) => clear.get(end..length) == Some(&[check]),
        (None, []) => true,
        (None, [0, ..]) => is_padding(behind),
        (None, [character, padding @ ..]) => *character == check && is_padding(padding),
    };
    let held = text[1..].iter().all(|byte| characters.contains(byte));
    (ended && held).then_some(end as u64)
}

fn same(clear: &[u8], length: Option<usize>) -> Result<(), TestCaseError> {
    for (charset, characters) in [(Charset::Alphanumeric, 0x20..0x60), (Charset::Numeric, 0x30..0x40)] {
        let found: Option<u64> = charset.text_length(clear, length).into();
        prop_assert_eq!(found, end_by_looking(clear, length, characters));
    }
    Ok(())
}

proptest! {
    /// Texts with and without their check character, and all that may stand behind it; then one byte of it changed.
    #[test]
    fn the_end_of_a_track(
        text in "[%;][0-9:=]{0,24}\\?", character in select(&[None, Some(0), Some(1)][..]), zeros in 0usize..20,
        junk in prop::collection::vec(any::<u8>(), 0..18), told in 0usize..4,
        changed in any::<(prop::sample::Index, u8)>(),
    ) {
        for (base, mask) in [(0x20, 0x3F), (0x30, 0x0F)] {
            let mut clear: Vec<u8> = text.clone().into();
            let check = base + text.bytes().fold(0, |lrc, byte| lrc ^ byte.wrapping_sub(base) & mask);
            clear.extend(character.map(|wrong| check ^ wrong));
            let told = (text.len() + told).checked_sub(1).filter(|_| told < 3);
            clear.extend(std::iter::repeat_n(0, zeros));
            for length in [None, told] {
                same(&clear, length)?;
                same(&[&clear[..], &junk].concat(), length)?;
                clear[changed.0.index(text.len())] ^= changed.1 & 0x7F;
            }
        }
    }

    #[test]
    fn any_bytes(clear in prop::collection::vec(any::<u8>(), 0..40), length in prop::option::of(0usize..40)) {
        same(&clear, length)?;
    }
}

#[test]
fn nothing() {
    assert!(bool::from(Charset::Numeric.text_length(b"", None).is_none()));
    assert_eq!(Option::<u64>::from(Charset::Numeric.text_length(b";1?", None)), Some(3));
}

/// The same, looking at the clear text.
fn agrees_by_looking(masked: &[u8], clear: &[u8]) -> bool {
    let (start, separator) = match clear.first() {
        Some(b'%') => (2, b'^'),
        Some(b';') => (1, b'='),
        _ => (usize::MAX, 0),
    };
    let end = clear.iter().position(|byte| *byte == separator).unwrap_or_default();
    let mut shown = (start..end).filter(|at| at - start < 6 || end - at <= 4);
    masked.len() == clear.len() && shown.all(|at| !masked[at].is_ascii_digit() || masked[at] == clear[at])
}

proptest! {
    /// A copy of the clear text with some of it covered, and one byte of either changed.
    #[test]
    fn copies_of_texts(
        clear in "[%;x]B?[0-9]{0,20}[=^][0-9=^]{0,8}\\??", covered in any::<u64>(), at in any::<prop::sample::Index>(),
        other in "[0-9=*]",
    ) {
        let clear = clear.into_bytes();
        let mut masked = clear.clone();
        for (bit, byte) in masked.iter_mut().enumerate() {
            *byte = if covered >> bit & 1 == 1 { b'*' } else { *byte };
        }
        prop_assert!(bool::from(agrees(&masked, &clear, b'*')));
        prop_assert!(!bool::from(agrees(&masked[1..], &clear, b'*')));
        masked[at.index(clear.len())] = other.as_bytes()[0];
        prop_assert_eq!(bool::from(agrees(&masked, &clear, b'*')), agrees_by_looking(&masked, &clear));
    }
}

#[test]
fn what_may_be_shown_is_compared_and_no_more() {
    let masked = b";541333******4111=2212*";
    assert!(bool::from(agrees(masked, b";5413330089604111=2512?", b'*')));
    assert!(
        bool::from(agrees(b";5413337777774111=2212*", b";5413330089604111=2512?", b'*')),
        "no oracle for hidden digits"
    );
    for clear in [b";6413330089604111=2512?", b";5413340089604111=2512?", b";5413330089604110=2512?"] {
        assert!(!bool::from(agrees(masked, clear, b'*')));
    }
    assert!(bool::from(agrees(b"", b"", b'*')));
}
