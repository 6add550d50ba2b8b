//! Writes BER-TLV objects, with ID TECH's flags in the length byte where asked for, and card data in nibbles.

use zeroize::Zeroizing;

use crate::tracks::{Clear, joined};

/// What a reader says of a value in the top bits of the first length byte.
#[derive(Clone, Copy)]
pub(crate) enum Flag {
    Masked = 0xA0,
    Encrypted = 0xC0,
}

/// An object with a length as short as can be.
pub(crate) fn object(tag: u32, value: &[u8]) -> Clear {
    let length = value.len().to_be_bytes();
    let [.., high, low] = length;
    let length: &[u8] = match (high, low) {
        (0, 0..=0x7F) => &[low],
        (0, _) => &[0x81, low],
        _ => &[0x82, high, low],
    };
    joined(&[tag_bytes(&tag.to_be_bytes()), length, value])
}

/// An object that a reader flagged.
pub(crate) fn flagged(tag: u32, flag: Flag, value: &[u8]) -> Clear {
    let [.., high, low] = value.len().to_be_bytes();
    let flag = flag as u8;
    let length: &[u8] = if high == 0 { &[flag | 1, low] } else { &[flag | 2, high, low] };
    joined(&[tag_bytes(&tag.to_be_bytes()), length, value])
}

/// An object whose length takes two bytes whether it has to or not, as MagTek writes its containers.
pub(crate) fn wide(tag: u32, value: &[u8]) -> Clear {
    let [.., high, low] = value.len().to_be_bytes();
    joined(&[tag_bytes(&tag.to_be_bytes()), &[0x82, high, low], value])
}

/// Objects one behind the other.
pub(crate) fn all(objects: &[Clear]) -> Clear {
    let parts: Vec<&[u8]> = objects.iter().map(|object| object.as_slice()).collect();
    joined(&parts)
}

fn tag_bytes(tag: &[u8; 4]) -> &[u8] {
    let first = tag.iter().position(|&byte| byte != 0).unwrap_or(3);
    &tag[first..]
}

/// Digits as nibbles, `=` as `D`, `C` as it is, and an `F` behind an odd number of them.
pub(crate) fn nibbles(text: &[u8]) -> Clear {
    let nibble = |byte: Option<&u8>| match byte {
        Some(b'=') => 0xD,
        Some(&byte) if byte.is_ascii_digit() => byte & 0x0F,
        Some(_) => 0xC,
        None => 0xF,
    };
    let mut packed = Zeroizing::new(vec![0; text.len().div_ceil(2)]);
    for (byte, pair) in packed.iter_mut().zip(text.chunks(2)) {
        *byte = nibble(pair.first()) << 4 | nibble(pair.get(1));
    }
    packed
}

/// The same, with the number covered by `C` but for its first and last four digits, and so all behind the service code.
pub(crate) fn covered(text: &[u8]) -> Vec<u8> {
    let end = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
    let shown = |at: usize| at < 4 || (end - 4..end + 8).contains(&at);
    let text: Clear =
        Zeroizing::new(text.iter().enumerate().map(|(at, &b)| if shown(at) { b } else { b'C' }).collect());
    core::mem::take(&mut *nibbles(&text))
}

/// A stripe's track 2 in its nibble codes: sentinels `B` and `F`, check nibble.
pub(crate) fn packed_track2(inner: &[u8]) -> Clear {
    let code = |&byte: &u8| if byte == b'=' { 0xD } else { byte & 0x0F };
    let mut codes = Zeroizing::new(Vec::with_capacity(inner.len() + 4));
    codes.push(0xB);
    codes.extend(inner.iter().map(code));
    codes.push(0xF);
    let check = codes.iter().fold(0, |check, code| check ^ code);
    codes.push(check);
    let mut packed = Zeroizing::new(vec![0; codes.len().div_ceil(2)]);
    for (byte, pair) in packed.iter_mut().zip(codes.chunks(2)) {
        *byte = pair[0] << 4 | pair.get(1).unwrap_or(&0);
    }
    packed
}
