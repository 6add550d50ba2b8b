//! The same work with the `des` crate, one device after another: the yardstick.
#![expect(clippy::unwrap_used, reason = "lengths are right")]
#![expect(clippy::cast_possible_truncation, reason = "any bytes do")]

use cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, KeyInit, KeyIvInit};

const VARIANT: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

/// Initial keys and KSN registers; all counters have ten bits set, the most there are.
pub(crate) fn devices(n: usize) -> (Vec<[u8; 16]>, Vec<[u8; 8]>) {
    let keys = (0..n).map(|i| core::array::from_fn(|j| (i * 31 + j * 77) as u8)).collect();
    let registers = (0..n).map(|i| [(i >> 8) as u8, i as u8, 3, 4, 0xE5, 0x1F, 0x0F, 0x01]).collect();
    (keys, registers)
}

/// Initial key to data key: ten steps, the variant, the self-encryption.
pub(crate) fn derive(initial: &[u8; 16], register: &[u8; 8]) -> [u8; 16] {
    let full = u64::from_be_bytes(*register);
    let mut register = full & !0x1F_FFFF;
    let mut key = *initial;
    for bit in (0..21).rev().map(|b| 1u64 << b).filter(|b| full & b != 0) {
        register |= bit;
        let half = |key: [u8; 16]| {
            let right = u64::from_be_bytes(key[8..].try_into().unwrap());
            let mut block = Array::from((register ^ right).to_be_bytes());
            des::Des::new_from_slice(&key[..8]).unwrap().encrypt_block(&mut block);
            (u64::from_be_bytes(block.into()) ^ right).to_be_bytes()
        };
        let (right, left) = (half(key), half(core::array::from_fn(|i| key[i] ^ VARIANT[i])));
        key[..8].copy_from_slice(&left);
        key[8..].copy_from_slice(&right);
    }
    key[5] ^= 0xFF;
    key[13] ^= 0xFF;
    let cipher = des::TdesEde2::new(&key.into());
    for half in key.as_chunks_mut::<8>().0 {
        let mut block = Array::from(*half);
        cipher.encrypt_block(&mut block);
        *half = block.into();
    }
    key
}

/// CBC decryption in place.
pub(crate) fn decrypt(key: &[u8; 16], data: &mut [[u8; 8]]) {
    let blocks = Array::cast_slice_from_core_mut(data);
    cbc::Decryptor::<des::TdesEde2>::new(key.into(), &[0; 8].into()).decrypt_blocks(blocks);
}
