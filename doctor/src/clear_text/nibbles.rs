//! Card data in nibbles: a packed track 2 of a stripe, and the values of chip objects (EMV Book 3, Annex A).

use zeroize::Zeroizing;

use super::{Content, Hints, Look};
use crate::Fact;

fn nibbles(bytes: &[u8]) -> impl DoubleEndedIterator<Item = u8> + Clone + '_ {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F])
}

/// Digits as ASCII; anything else is none.
fn ascii(nibbles: impl Iterator<Item = u8>) -> Option<Zeroizing<Vec<u8>>> {
    let mut digits = Zeroizing::new(Vec::with_capacity(40));
    for nibble in nibbles.take(40) {
        digits.push((nibble <= 9).then_some(b'0' + nibble)?);
    }
    Some(digits)
}

/// Adds what the number, a separator and the expiry tell of nibbles without sentinels. A digit is a nibble of which
/// two thirds of a bit are right.
fn track(look: &mut Look, inner: &[u8]) -> Option<()> {
    let separator = inner.iter().position(|&nibble| nibble == 0xD)?;
    let (number, rest) = (ascii(inner[..separator].iter().copied())?, ascii(inner[separator + 1..].iter().copied())?);
    if !(12..=19).contains(&number.len()) || rest.len() < 4 {
        return None;
    }
    look.bits += 4 + 2 * (number.len() + rest.len()) / 3;
    look.number(&number);
    look.month(rest.get(2..4));
    Some(())
}

/// `B` PAN `D` … `F`, check nibble.
pub(super) fn packed(clear: &[u8]) -> Option<Look> {
    let end = nibbles(clear).take(39).position(|nibble| nibble == 0xF)?;
    let mut all = nibbles(clear);
    let check = all.by_ref().take(end + 1).fold(0, |check, nibble| check ^ nibble);
    let inner: Zeroizing<Vec<u8>> = Zeroizing::new(nibbles(clear).take(end).skip(1).collect());
    let mut look = Look::new(Content::Packed);
    look.add(Fact::Sentinels, 4);
    track(&mut look, &inner)?;
    if all.next() != Some(check) || nibbles(clear).next() != Some(0xB) {
        return None;
    }
    look.add(Fact::CheckCharacter, 4);
    look.end = (end + 3) / 2;
    look.padding(clear.get(look.end..)?, false);
    Some(look)
}

/// The value of a track 2 object: PAN `D` …, filled up with one `F`.
pub(super) fn equivalent(value: &[u8]) -> Option<Look> {
    let filler = usize::from(value.last()? & 0x0F == 0xF);
    let inner: Zeroizing<Vec<u8>> = Zeroizing::new(nibbles(value).take(2 * value.len() - filler).collect());
    let mut look = Look::new(Content::Value);
    track(&mut look, &inner)?;
    look.end = value.len();
    Some(look)
}

/// The same, at the start of a clear text, where the masked copy or zeros tell the end.
pub(super) fn value(clear: &[u8], hints: &Hints<'_>) -> Option<Look> {
    let told = hints.length.or(hints.masked.map(<[u8]>::len));
    let zeros = clear.iter().rev().take_while(|&&byte| byte == 0).count();
    let end = told.unwrap_or(clear.len() - zeros);
    let mut look = equivalent(clear.get(..end)?)?;
    look.padding(&clear[end..], told.is_some());
    if let Some(masked) = hints.masked {
        masked_copy(&mut look, masked, &clear[..end]);
    }
    Some(look)
}

/// Compares where a copy may show digits: at the first six and last four of the number.
pub(super) fn masked_copy(look: &mut Look, masked: &[u8], value: &[u8]) {
    let length = nibbles(value).position(|nibble| nibble > 9).unwrap_or(2 * value.len());
    let compared = |at: usize| at < 6 || length.saturating_sub(at) <= 4;
    let pairs = nibbles(masked).zip(nibbles(value)).take(length).enumerate();
    let shown: Vec<_> = pairs.filter(|(at, (masked, _))| compared(*at) && *masked <= 9).collect();
    if shown.iter().any(|(_, (masked, clear))| masked != clear) {
        look.add(Fact::WrongMaskedCopy, 0);
    } else if !shown.is_empty() {
        look.add(Fact::MaskedCopy(shown.len()), 3 * shown.len());
    }
}

/// The digits of a card number object (tag `5A`).
pub(super) fn number(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let filler = nibbles(value).rev().take_while(|&nibble| nibble == 0xF).count();
    ascii(nibbles(value).take(2 * value.len() - filler)).filter(|digits| (12..=19).contains(&digits.len()))
}

/// Whether a track 2 value begins with these digits and a separator.
pub(super) fn tells(track2: &[u8], number: &[u8]) -> bool {
    let digits = number.iter().map(|digit| digit & 0x0F).chain([0xD]);
    nibbles(track2).take(number.len() + 1).eq(digits)
}
