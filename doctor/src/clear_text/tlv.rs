//! Card data in TLV objects.

use p2pe_crypto::tlv::{Lengths, Object, Objects};

use super::{Content, Hints, Look, nibbles, text};
use crate::Fact;

/// Objects up to the end of the clear text, with zeros behind. One of them must be a track of a card, or a number with its
/// expiry.
pub(super) fn objects(clear: &[u8], hints: &Hints<'_>) -> Option<Look> {
    // Zeros in front of the first object would let anything begin late.
    if clear.first() == Some(&0) {
        return None;
    }
    let whole = |bytes| Objects::new(bytes, Lengths::Ber).collect::<Result<Vec<Object<'_>>, _>>().ok();
    let all = whole(clear).or_else(|| whole(without_pkcs_padding(clear)?)).or_else(|| {
        // One object and padding of any value behind it.
        let first = Objects::new(clear, Lengths::Ber).next()?.ok()?;
        (clear.len() - first.end < 16).then(|| vec![first])
    })?;
    let primitive = || all.iter().filter(|object| !object.constructed);
    let value = |number: u32| primitive().find(|object| object.tag.number() == number).map(|object| object.value);
    let track2 = value(0x57).or_else(|| value(0x9F6B));
    let number = value(0x5A).and_then(nibbles::number);
    let text = || {
        let one = [0x56, 0xFF_EE13].into_iter().find_map(value).and_then(|value| text::bare_track(b'%', value));
        one.or_else(|| value(0xFF_EE14).and_then(|value| text::bare_track(b';', value))).or_else(|| {
            value(0xDF_EF4D).and_then(|value| text::track(value, &Hints { length: None, masked: None, ..*hints }))
        })
    };
    let mut look = match track2.and_then(nibbles::equivalent).or_else(text) {
        Some(look) => look,
        None => alone(number.as_deref()?, value(0x5F24)?)?,
    };
    look.content = Content::Tlv;
    // A track without an expiry has another object tell it.
    if let Some(expiry) = value(0x5F24).filter(|_| look.facts.contains(&Fact::WrongMonth)) {
        look.facts.retain(|fact| *fact != Fact::WrongMonth);
        look.month(month(expiry).as_ref().map(<[u8; 2]>::as_slice));
    }
    let objects = primitive().count();
    // Tag and length of each that stand where they must.
    look.add(Fact::Objects(objects), 12 + 4 * objects);
    if let (Some(track2), Some(number)) = (track2, &number) {
        if nibbles::tells(track2, number) { look.add(Fact::SameNumber, 24) } else { return None }
    }
    if let (Some(masked), Some(track2), Content::Tlv) = (hints.masked, track2, hints.content)
        && masked.len() == track2.len()
    {
        nibbles::masked_copy(&mut look, masked, track2);
    }
    look.end = all.iter().map(|object| object.end).max()?;
    match hints.pad {
        Some(_) if look.end == clear.len() => look.add(Fact::Length, 8),
        _ => look.padding(&clear[look.end..], true),
    }
    Some(look)
}

/// What is left without as many equal bytes as each of them says.
fn without_pkcs_padding(clear: &[u8]) -> Option<&[u8]> {
    let last = *clear.last()?;
    let (text, padding) = clear.split_at_checked(clear.len().checked_sub(last.into())?)?;
    ((1..=16).contains(&last) && padding.iter().all(|&byte| byte == last)).then_some(text)
}

/// A number and an expiry (YYMMDD) without a track.
fn alone(number: &[u8], expiry: &[u8]) -> Option<Look> {
    let mut look = Look::new(Content::Tlv);
    look.bits += 2 * number.len() / 3;
    look.number(number);
    look.month(Some(&month(expiry)?));
    Some(look)
}

/// The month of an expiry in nibbles, as text.
fn month(expiry: &[u8]) -> Option<[u8; 2]> {
    expiry.get(1).map(|month| [b'0' + (month >> 4), b'0' + (month & 0x0F)])
}
