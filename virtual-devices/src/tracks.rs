//! The texts on a card's stripes, their check characters, and the masked copies that readers make of them
//! (ISO/IEC 7813, ISO/IEC 7811, JIS X 6302-2).

use zeroize::Zeroizing;

use crate::Card;

/// Clear text, wiped on drop. Put together in one go: a buffer that grows leaves what it held behind.
pub(crate) type Clear = Zeroizing<Vec<u8>>;

pub(crate) fn joined(parts: &[&[u8]]) -> Clear {
    Zeroizing::new(parts.concat())
}

/// Most characters between the sentinels of a track 2.
const TRACK2: usize = 37;

/// The discretionary data of a card's tracks, as many random digits as its track 2 has room for, or fewer.
pub(crate) fn discretionary(card: &Card, random: &mut fastrand::Rng) -> Clear {
    // Separator, expiry and service code stand in front.
    let room = TRACK2 - card.number().len() - 8;
    let mut digits = Zeroizing::new(vec![0; random.usize(3..=room)]);
    digits.iter_mut().for_each(|digit| *digit = random.u8(b'0'..=b'9'));
    digits
}

/// `%B PAN ^ name ^ YYMM SC discretionary ?`
pub(crate) fn track1(card: &Card, discretionary: &[u8]) -> Clear {
    let (expiry, code) = (&card.expiry, &card.service_code);
    joined(&[b"%B", card.number(), b"^", &card.name, b"^", expiry, code, discretionary, b"000000?"])
}

/// `; PAN = YYMM SC discretionary ?`
pub(crate) fn track2(card: &Card, discretionary: &[u8]) -> Clear {
    joined(&[b";", card.number(), b"=", &card.expiry, &card.service_code, discretionary, b"?"])
}

/// A third track: the number, and counters. Devices begin it with `;` or `+`.
pub(crate) fn track3(card: &Card, start: u8) -> Clear {
    joined(&[&[start], card.number(), b"=724724000000000300?"])
}

/// A third track without a card number, as some cards have.
pub(crate) fn track3_without_number() -> Clear {
    joined(&[b";0199=0300=00?"])
}

/// `; PAN = YYMM ?`, or `; PAN = YYMM : security code ?`, as a keypad encrypts what was keyed in.
pub(crate) fn keyed(card: &Card, with_code: bool) -> Clear {
    let (colon, code): (&[u8], &[u8]) = if with_code { (b":", &card.security_code) } else { (b"", b"") };
    joined(&[b";", card.number(), b"=", &card.expiry, colon, code, b"?"])
}

/// The front stripe of a Japanese card: sentinels, ID mark, 68 digits with the number among them, check character. Where
/// real ones have the number is not public.
pub(crate) fn stripe(card: &Card) -> Clear {
    let mut stripe = Zeroizing::new(vec![b'0'; 72]);
    let number = card.number();
    stripe[2..2 + 5].copy_from_slice(b"10123");
    stripe[12..12 + number.len()].copy_from_slice(number);
    stripe[40..44].copy_from_slice(&card.expiry);
    (stripe[0], stripe[1], stripe[70]) = (0x7F, b'a', 0x7F);
    stripe[71] = stripe[1..71].iter().fold(0, |check, byte| check ^ byte);
    stripe
}

/// A track, and behind it the character that makes the exclusive-or of all codes zero.
pub(crate) fn checked(track: &[u8]) -> Clear {
    let (base, bits) = if track.starts_with(b"%") { (0x20, 0x3F) } else { (0x30, 0x0F) };
    let check = track.iter().fold(0, |check, byte| check ^ byte.wrapping_sub(base) & bits);
    joined(&[track, &[base + check]])
}

/// A masked copy: sentinels and separators, name, first and last four digits of the number, and the expiry if the device
/// shows it; `mask` in the place of all else, a check character included. MagTek, which masks with zeros, shows the format
/// code of track 1 too.
pub(crate) fn masked(track: &[u8], mask: u8, shows_expiry: bool) -> Vec<u8> {
    if track.first() == Some(&0x7F) {
        let shown = |at: usize| at < 5 || (66..=70).contains(&at);
        return track.iter().enumerate().map(|(at, &byte)| if shown(at) { byte } else { mask }).collect();
    }
    let (number, separator) = if track.starts_with(b"%") { (2, b'^') } else { (1, b'=') };
    let find = |byte: u8, from: usize| track.iter().skip(from).position(|&other| other == byte).map(|at| at + from);
    let end = find(separator, number).unwrap_or(number);
    let last = find(b'^', end + 1).filter(|_| separator == b'^').unwrap_or(end);
    let close = find(b'?', last).unwrap_or(track.len());
    let shown = |at: usize| match at {
        1 if number == 2 => mask == b'0',
        at if at < number + 4 => true,
        at if at <= last => at + 4 >= end,
        at if at <= last + 4 => shows_expiry,
        // Of a security code not even the length is hidden.
        at => at == close || track[at] == b':' && at < close,
    };
    track.iter().enumerate().map(|(at, &byte)| if shown(at) { byte } else { mask }).collect()
}

/// A masked card number by itself.
pub(crate) fn masked_number(number: &[u8]) -> Vec<u8> {
    let shown = |at: usize| at < 4 || at + 4 >= number.len();
    number.iter().enumerate().map(|(at, &byte)| if shown(at) { byte } else { b'*' }).collect()
}
