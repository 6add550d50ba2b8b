//! The CRC-16 of ViVOpay and MagTek: polynomial 1021, initial value FFFF, not reflected.

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        #[expect(clippy::cast_possible_truncation, reason = "a table of 256")]
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// The CRC over a message.
pub(super) fn crc16(message: &[u8]) -> u16 {
    message.iter().fold(0xFFFF, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        u16::from(low) << 8 ^ TABLE[usize::from(high ^ byte)]
    })
}
