//! The CRC-16 of ViVOpay and MagTek: polynomial 1021, initial value FFFF, not reflected.

/// Bytes that are taken at once.
const STEP: usize = 8;

/// What a byte adds to the CRC when so many others follow it in its step.
const TABLES: [[u16; 256]; STEP] = {
    let mut tables = [[0; 256]; STEP];
    let mut byte: u16 = 0;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut behind = 0;
        while behind < STEP {
            let mut bit = 0;
            while bit < 8 {
                crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 };
                bit += 1;
            }
            tables[behind][byte as usize] = crc;
            behind += 1;
        }
        byte += 1;
    }
    tables
};

/// The CRC over a message.
pub(super) fn crc16(message: &[u8]) -> u16 {
    let add = |behind: usize, byte: u8| TABLES[behind][usize::from(byte)];
    let (steps, rest) = message.as_chunks::<STEP>();
    let crc = steps.iter().fold(0xFFFF_u16, |crc, [a, b, c, d, e, f, g, h]| {
        let [high, low] = crc.to_be_bytes();
        let others = add(5, *c) ^ add(4, *d) ^ add(3, *e) ^ add(2, *f) ^ add(1, *g) ^ add(0, *h);
        others ^ add(7, high ^ a) ^ add(6, low ^ b)
    });
    rest.iter().fold(crc, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        u16::from(low) << 8 ^ add(0, high ^ byte)
    })
}
