//! The yardsticks: DUKPT as a user writes it who has block ciphers, one transaction after another.

/// Block ciphers of some library, called the way its documentation shows.
pub(crate) trait Ciphers {
    /// Whose DES, as rows name it.
    const DES: &'static str;
    /// Whose AES.
    const AES: &'static str;

    fn des(&mut self, key: &[u8; 8], block: &mut [u8; 8]);
    fn tdes(&mut self, key: &[u8; 16], blocks: &mut [[u8; 8]]);
    fn tdes_cbc_decrypt(&mut self, key: &[u8; 16], data: &mut [[u8; 8]]);
    fn aes(&mut self, key: &[u8; 16], block: &mut [u8; 16]);
    fn aes_cbc_decrypt(&mut self, key: &[u8; 16], data: &mut [[u8; 16]]);
}

const C0: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

fn xor<const N: usize>(a: &[u8; N], b: &[u8; N]) -> [u8; N] {
    core::array::from_fn(|i| a[i] ^ b[i])
}

fn halves(key: &[u8; 16]) -> [[u8; 8]; 2] {
    [core::array::from_fn(|i| key[i]), core::array::from_fn(|i| key[8 + i])]
}

fn join([left, right]: [[u8; 8]; 2]) -> [u8; 16] {
    core::array::from_fn(|i| if i < 8 { left[i] } else { right[i - 8] })
}

/// The base key of a population to the initial key of one device.
pub(crate) fn initial_key(ciphers: &mut impl Ciphers, base_key: &[u8; 16], block: [u8; 8]) -> [u8; 16] {
    let (mut left, mut right) = ([block], [block]);
    ciphers.tdes(base_key, &mut left);
    ciphers.tdes(&xor(base_key, &C0), &mut right);
    join([left[0], right[0]])
}

/// The initial key to the data key of the request; `register` is the right half of the KSN.
pub(crate) fn data_key(ciphers: &mut impl Ciphers, initial: &[u8; 16], register: [u8; 8]) -> [u8; 16] {
    let full = u64::from_be_bytes(register);
    let mut register = full & !0x1F_FFFF;
    let mut key = *initial;
    for bit in (0..21).rev().map(|i| 1u64 << i).filter(|bit| full & bit != 0) {
        register |= bit;
        let mut half = |key: [u8; 16]| {
            let [left, right] = halves(&key);
            let mut block = xor(&register.to_be_bytes(), &right);
            ciphers.des(&left, &mut block);
            xor(&block, &right)
        };
        key = join([half(xor(&key, &C0)), half(key)]);
    }
    key[5] ^= 0xFF;
    key[13] ^= 0xFF;
    let mut out = halves(&key);
    ciphers.tdes(&key, &mut out);
    join(out)
}

/// From base key and KSN to clear text, in place.
pub(crate) fn tdes(ciphers: &mut impl Ciphers, base_key: &[u8; 16], ksn: &[u8; 10], data: &mut [[u8; 8]]) {
    let [a, b, c, d, e, f, g, h, i, j] = *ksn;
    let initial = initial_key(ciphers, base_key, [a, b, c, d, e, f, g, h & 0xE0]);
    let key = data_key(ciphers, &initial, [c, d, e, f, g, h, i, j]);
    ciphers.tdes_cbc_decrypt(&key, data);
}

/// AES DUKPT with keys of 128 bits: base key and KSN to data key.
pub(crate) fn aes_data_key(ciphers: &mut impl Ciphers, base_key: &[u8; 16], ksn: &[u8; 12]) -> [u8; 16] {
    let [b0, b1, b2, b3, d0, d1, d2, d3, c0, c1, c2, c3] = *ksn;
    let mut step = |key: &[u8; 16], usage: [u8; 2], left: [u8; 4], right: [u8; 4]| {
        let mut block = [1, 1, usage[0], usage[1], 0, 2, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0];
        block[8..12].copy_from_slice(&left);
        block[12..].copy_from_slice(&right);
        ciphers.aes(key, &mut block);
        block
    };
    let (device, counter) = ([d0, d1, d2, d3], u32::from_be_bytes([c0, c1, c2, c3]));
    let mut key = step(base_key, [0x80, 1], [b0, b1, b2, b3], device);
    let mut register = 0u32;
    for bit in (0..32).rev().map(|i| 1u32 << i).filter(|bit| counter & bit != 0) {
        register |= bit;
        key = step(&key, [0x80, 0], device, register.to_be_bytes());
    }
    step(&key, [0x30, 0], device, register.to_be_bytes())
}

/// From base key and KSN to clear text, in place.
pub(crate) fn aes(ciphers: &mut impl Ciphers, base_key: &[u8; 16], ksn: &[u8; 12], data: &mut [[u8; 16]]) {
    let key = aes_data_key(ciphers, base_key, ksn);
    ciphers.aes_cbc_decrypt(&key, data);
}
