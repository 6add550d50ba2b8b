//! Builds what chip readers send, apart from the library's own code: TLV, the ViVOpay transport, nibbles.

/// An object with the shortest plain length.
pub(crate) fn tlv(tag: u32, value: &[u8]) -> Vec<u8> {
    object(tag, 0, value)
}

/// An object that an ID TECH reader flagged as a masked copy.
pub(crate) fn masked(tag: u32, value: &[u8]) -> Vec<u8> {
    object(tag, 0xA0, value)
}

/// An object that an ID TECH reader flagged as encrypted.
pub(crate) fn encrypted(tag: u32, value: &[u8]) -> Vec<u8> {
    object(tag, 0xC0, value)
}

fn object(tag: u32, flag: u8, value: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = tag.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    match (flag, length) {
        (0, [0, low @ 0..0x80]) => out.push(low),
        (flag, [0, low]) => out.extend([0x80 | flag | 1, low]),
        (flag, [high, low]) => out.extend([0x80 | flag | 2, high, low]),
    }
    out.extend(value);
    out
}

/// CRC-16, polynomial 1021, initial value FFFF, bit by bit.
pub(crate) fn crc(message: &[u8]) -> u16 {
    message.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

/// An answer in the transport of version 2 (command and status) or 3 (with a sub-command).
pub(crate) fn answer(head: &[u8], data: &[u8]) -> Vec<u8> {
    let name: &[u8] = if head.len() == 2 { b"ViVOtech2\0" } else { b"ViVOpayV3\0" };
    let mut out = [name, head, &u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat();
    out.extend(crc(&out).to_be_bytes());
    out
}

/// Nibbles two by two, `F` behind an odd number.
pub(crate) fn packed(nibbles: &str) -> Vec<u8> {
    let even = if nibbles.len().is_multiple_of(2) { nibbles.to_owned() } else { format!("{nibbles}F") };
    (0..even.len()).step_by(2).map(|i| u8::from_str_radix(&even[i..i + 2], 16).unwrap()).collect()
}

/// Nibbles of a number or track 2 with the middle of the number and all behind the service code covered by `C`.
pub(crate) fn covered(nibbles: &str) -> String {
    let end = nibbles.find(['D', 'F']).unwrap_or(nibbles.len());
    let shown = |at: usize| at < 4 || (end - 4..end + 8).contains(&at);
    nibbles.char_indices().map(|(at, c)| if shown(at) || c == 'F' { c } else { 'C' }).collect()
}
