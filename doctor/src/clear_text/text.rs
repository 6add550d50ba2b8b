//! Tracks and keyed data as text (ISO/IEC 7813).

use zeroize::Zeroizing;

use super::{Content, Hints, Look};
use crate::Fact;

/// Characters of a track: printed as `base` plus a code of so many bits.
pub(super) struct Charset {
    base: u8,
    bits: usize,
}

impl Charset {
    pub(super) const ALL: [Self; 2] = [Self { base: 0x30, bits: 4 }, Self { base: 0x20, bits: 6 }];

    fn of(start: u8) -> Self {
        let [numeric, alphanumeric] = Self::ALL;
        if start == b'%' { alphanumeric } else { numeric }
    }

    fn mask(&self) -> u8 {
        (1 << self.bits) - 1
    }

    pub(super) fn holds(&self, byte: u8) -> bool {
        byte.wrapping_sub(self.base) <= self.mask()
    }

    /// How many bits of a random byte are right if it is in the set.
    pub(super) fn worth(&self) -> usize {
        8 - self.bits
    }

    fn check_character(&self, text: &[u8]) -> u8 {
        self.base + text.iter().fold(0, |lrc, byte| lrc ^ byte.wrapping_sub(self.base) & self.mask())
    }
}

/// A track 1 or 2, or keyed data; and a track 2 that follows a track 1 in the same text.
pub(super) fn track(clear: &[u8], hints: &Hints<'_>) -> Option<Look> {
    let mut look = one(clear, hints)?;
    let next = [look.end, look.end.saturating_sub(1)].into_iter().find_map(|at| {
        let rest = clear.get(at..).filter(|rest| clear[0] == b'%' && rest.first() == Some(&b';'))?;
        Some((at, one(rest, &Hints { masked: None, ..*hints })?))
    });
    let end = match next {
        Some((at, second)) => {
            look.content = Content::Joined;
            look.facts.retain(|fact| !matches!(fact, Fact::WrongCheckCharacter));
            let end = at + second.end;
            look.join(second);
            end
        }
        None => look.end,
    };
    look.end = end;
    let told = hints.length.is_some();
    if let Some(length) = hints.length {
        if end == length { look.add(Fact::Length, 8) } else { look.add(Fact::WrongLength, 0) }
    }
    look.padding(clear.get(end..)?, told);
    Some(look)
}

fn one(clear: &[u8], hints: &Hints<'_>) -> Option<Look> {
    let charset = Charset::of(*clear.first()?);
    let end = clear.iter().position(|&byte| byte == b'?')? + 1;
    let text = &clear[..end];
    let (number_at, separator) = if text[0] == b'%' { (2, b'^') } else { (1, b'=') };
    if !text.iter().skip(1).all(|&byte| charset.holds(byte)) || text[0] == b'%' && text.get(1) != Some(&b'B') {
        return None;
    }
    let number_end = text.iter().position(|&byte| byte == separator)?;
    let number = text.get(number_at..number_end)?;
    if !(12..=19).contains(&number.len()) || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut look = Look::new(Content::Track);
    look.add(Fact::Sentinels, 8 + charset.worth() * text.len());
    look.number(number);
    let behind = &text[number_end + 1..];
    let expiry = match text[0] {
        b'%' => behind.iter().position(|&byte| byte == b'^').map(|name| &behind[name + 1..])?,
        _ => behind,
    };
    if expiry.first() != Some(&separator) {
        look.month(expiry.get(2..4));
    }
    match clear.get(end) {
        Some(&byte) if byte == charset.check_character(text) => {
            look.add(Fact::CheckCharacter, 8);
            look.end = end + 1;
        }
        Some(1..) if hints.content != Content::Joined => {
            look.add(Fact::WrongCheckCharacter, 0);
            look.end = end + 1;
        }
        Some(0) if hints.length == Some(end + 1) => look.add(Fact::WrongCheckCharacter, 0),
        _ => look.end = end,
    }
    if let Some(masked) = hints.masked {
        masked_copy(&mut look, masked, text, number_at..number_end, hints.mask);
    }
    Some(look)
}

/// Compares where a copy may show digits: at the first six and last four of the number.
fn masked_copy(look: &mut Look, masked: &[u8], text: &[u8], number: core::ops::Range<usize>, mask: u8) {
    let (start, end) = (number.start, number.end);
    let shown = |at: &usize| masked.get(*at).is_some_and(|byte| byte.is_ascii_digit() && *byte != mask);
    let compared: Vec<usize> = number.filter(|at| at - start < 6 || end - at <= 4).filter(shown).collect();
    if compared.iter().any(|&at| masked[at] != text[at]) {
        look.add(Fact::WrongMaskedCopy, 0);
    } else if !compared.is_empty() {
        look.add(Fact::MaskedCopy(compared.len()), 4 * compared.len());
    }
}

/// `PAN=YYMM=` or `PAN=YYMM=CVV` of a told length.
pub(super) fn keyed_bare(clear: &[u8], hints: &Hints<'_>) -> Option<Look> {
    let text = clear.get(..hints.length?)?;
    let mut parts = text.split(|&byte| byte == b'=');
    let (number, expiry, code) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let legal = (12..=19).contains(&number.len()) && expiry.len() == 4 && parts.next().is_none();
    if !legal || !digits(number) || !digits(expiry) || !digits(code) {
        return None;
    }
    let mut look = Look::new(Content::KeyedBare);
    look.add(Fact::Length, 4 * text.len());
    look.end = text.len();
    look.number(number);
    look.month(expiry.get(2..4));
    look.padding(&clear[text.len()..], true);
    Some(look)
}

/// A front stripe (JIS X 6302-2 type II): `7F`, 69 characters, `7F`, check character.
pub(super) fn front_stripe(clear: &[u8]) -> Option<Look> {
    let (stripe, behind) = clear.split_first_chunk::<72>()?;
    let [_, text @ .., check] = stripe;
    let closed = text.last() == Some(&0x7F) && text.iter().fold(0, |lrc, byte| lrc ^ byte) == *check;
    if !closed || !text.iter().all(u8::is_ascii) {
        return None;
    }
    let mut look = Look::new(Content::Track);
    look.add(Fact::Sentinels, 16 + text.len());
    look.add(Fact::CheckCharacter, 8);
    look.end = stripe.len();
    look.padding(behind, true);
    Some(look)
}

/// A track's text that a chip sends without sentinels.
pub(super) fn bare_track(start: u8, value: &[u8]) -> Option<Look> {
    let inner = value.strip_prefix(&[start]).unwrap_or(value);
    let inner = inner.strip_suffix(b"?").unwrap_or(inner);
    let mut text = Zeroizing::new(Vec::with_capacity(inner.len() + 2));
    text.push(start);
    text.extend_from_slice(inner);
    text.push(b'?');
    let hints = Hints { content: Content::Track, length: None, pad: None, masked: None, mask: b'*' };
    one(&text, &hints)
}
