//! The CRC-16 of ViVOpay and MagTek (polynomial 1021, initial value FFFF, not reflected), bit by bit.

pub(crate) fn crc16(message: &[u8]) -> u16 {
    message.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}
