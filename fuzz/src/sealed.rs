//! Envelopes around any bytes, with right lengths and checks, written apart from the library's.

fn lrc_and_sum(data: &[u8]) -> [u8; 2] {
    [data.iter().fold(0, |lrc, byte| lrc ^ byte), data.iter().fold(0, |sum, byte| byte.wrapping_add(sum))]
}

/// What stands between the outer bytes of a frame, if it looks like one; else all of it.
fn inner(data: &[u8], head: usize, tail: usize, begins: &[u8]) -> Option<Vec<u8>> {
    match data.strip_prefix(begins) {
        Some(_) => Some(data.get(head..data.len().checked_sub(tail)?)?.to_vec()),
        None => Some(data.to_vec()),
    }
}

/// An ID TECH frame: STX, length, data, LRC, sum, ETX.
pub(crate) fn frame(data: &[u8]) -> Option<Vec<u8>> {
    let data = inner(data, 3, 3, &[0x02])?;
    let length = u16::try_from(data.len()).ok()?.to_le_bytes();
    Some([&[0x02], &length[..], &data, &lrc_and_sum(&data), &[0x03]].concat())
}

/// The same as a keyboard types it: `data` is what is typed.
pub(crate) fn typed(data: &[u8]) -> Option<Vec<u8>> {
    let data = inner(data, 6, 6, b"02")?;
    let [low, high] = u16::try_from(data.len()).ok()?.to_le_bytes();
    let [lrc, sum] = lrc_and_sum(&data);
    let (head, tail) = (format!("02{low:02X}{high:02X}"), format!("{lrc:02X}{sum:02X}03"));
    Some([head.as_bytes(), &data, tail.as_bytes()].concat())
}

/// CRC-16, polynomial 1021, initial value FFFF.
fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// A NEO answer of version 2.
pub(crate) fn neo(data: &[u8]) -> Option<Vec<u8>> {
    let data = inner(data, 14, 2, b"ViVOtech2\0")?;
    let length = u16::try_from(data.len()).ok()?.to_be_bytes();
    let counted = [&b"ViVOtech2\0\x02\x00"[..], &length, &data].concat();
    Some([&counted[..], &crc16(&counted).to_be_bytes()].concat())
}

/// A MagTek stream whose CRC field is right.
pub(crate) fn stream(data: &[u8]) -> Option<Vec<u8>> {
    let (at, _) = data.iter().enumerate().filter(|(_, byte)| **byte == b'|').nth(9)?;
    let counted = data.get(..=at)?;
    let rest = data[at + 1..].iter().position(|byte| *byte == b'|').map_or(&b"||0000"[..], |end| &data[at + 1 + end..]);
    let [high, low] = crc16(counted).to_be_bytes();
    Some([counted, format!("{low:02X}{high:02X}").as_bytes(), rest].concat())
}

/// A Verifone answer: any bytes as its Base64.
pub(crate) fn answer(data: &[u8]) -> Option<Vec<u8>> {
    use base64ct::{Base64, Encoding};
    Some([b"E070005\x1c02\x1c", Base64::encode_string(data).as_bytes()].concat())
}
