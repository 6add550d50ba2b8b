//! The text of the standards written down naively over single blocks: TDES DUKPT, AES DUKPT, CBC and MACs.

use ::aes::{
    Aes128, Aes192, Aes256,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use des::Des;
use dukpt::{aes, tdes};

/// TDES DUKPT as in ANSI X9.24-1:2009, Annex A, with the registers of its own description.
pub(crate) mod naive_tdes {
    use super::*;

    const C0: u128 = 0xC0C0_C0C0_0000_0000_C0C0_C0C0_0000_0000;

    fn des(key: u64, block: u64, encrypt: bool) -> u64 {
        let mut block = block.to_be_bytes().into();
        let cipher = Des::new(&key.to_be_bytes().into());
        if encrypt {
            cipher.encrypt_block(&mut block)
        } else {
            cipher.decrypt_block(&mut block)
        }
        u64::from_be_bytes(block.into())
    }

    fn left(key: u128) -> u64 {
        u64::try_from(key >> 64).unwrap()
    }

    fn right(key: u128) -> u64 {
        u64::try_from(key & u128::from(u64::MAX)).unwrap()
    }

    fn join(left: u64, right: u64) -> u128 {
        u128::from(left) << 64 | u128::from(right)
    }

    pub(crate) fn encrypt_block(key: u128, block: u64) -> u64 {
        des(left(key), des(right(key), des(left(key), block, true), false), true)
    }

    /// A.6: "the derivation of the initial key".
    pub(crate) fn initial_key(base_key: u128, ksn: &[u8; 10]) -> u128 {
        let mut block = u64::from_be_bytes(ksn[..8].try_into().unwrap());
        block -= block % 32;
        join(encrypt_block(base_key, block), encrypt_block(base_key ^ C0, block))
    }

    /// A.2: "Non-reversible key generation process": crypto register 1 holds the block, the key register the key.
    fn generate(key: u128, crypto_register_1: u64) -> u128 {
        let one_way = |key| des(left(key), crypto_register_1 ^ right(key), true) ^ right(key);
        join(one_way(key ^ C0), one_way(key))
    }

    /// A.3: the shift register runs from bit 21 of the counter to bit 1.
    fn transaction_key(initial_key: u128, ksn: &[u8; 10]) -> u128 {
        let ksn_register = u64::from_be_bytes(ksn[2..].try_into().unwrap());
        let (mut key, mut register) = (initial_key, ksn_register / 0x20_0000 * 0x20_0000);
        let mut shift_register = 0x10_0000;
        while shift_register > 0 {
            if ksn_register & shift_register > 0 {
                register += shift_register;
                key = generate(key, register);
            }
            shift_register /= 2;
        }
        key
    }

    /// Table A-1: the variants without self-encryption.
    pub(crate) fn variant(initial_key: u128, ksn: &[u8; 10], mask: u64) -> u128 {
        transaction_key(initial_key, ksn) ^ join(mask, mask)
    }

    /// ISO/IEC 9797-1, algorithm 3, over whole blocks.
    pub(crate) fn retail_mac(key: u128, padded: &[u8]) -> u64 {
        let blocks = padded.chunks(8).map(|block| u64::from_be_bytes(block.try_into().unwrap()));
        let chain = blocks.fold(0, |chain, block| des(left(key), chain ^ block, true));
        des(left(key), des(right(key), chain, false), true)
    }

    /// Table A-1.
    pub(crate) fn data_key(initial_key: u128, ksn: &[u8; 10], variant: tdes::Variant) -> u128 {
        let key = transaction_key(initial_key, ksn);
        let (mask, self_encrypted) = match variant {
            tdes::Variant::Pin => (0x0000_0000_0000_00FF, false),
            tdes::Variant::DataRequest => (0x0000_0000_00FF_0000, true),
            tdes::Variant::DataResponse => (0x0000_00FF_0000_0000, true),
        };
        let key = key ^ join(mask, mask);
        if self_encrypted { join(encrypt_block(key, left(key)), encrypt_block(key, right(key))) } else { key }
    }
}

/// AES DUKPT as in ANSI X9.24-3:2017, section 6, with derivation data put together as text.
pub(crate) mod naive_aes {
    use super::*;

    pub(crate) fn encrypt_block(key: &[u8], block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        match key.len() {
            16 => Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
            24 => Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
            _ => Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
        }
        block.into()
    }

    /// 6.3.3 and table 1: as many encrypted blocks as the key needs.
    fn child(key: &[u8], usage: &str, algorithm: &str, length: usize, tail: &str) -> Vec<u8> {
        let mut child = Vec::new();
        for number in 1..=length.div_ceil(16) {
            let text = format!("01{number:02X}{usage}{algorithm}{:04X}{tail}", length * 8);
            let block = u128::from_str_radix(&text, 16).unwrap();
            child.extend(encrypt_block(key, block.to_be_bytes()));
        }
        child.truncate(length);
        child
    }

    /// 6.3.1: the host's side.
    pub(crate) fn data_key(base_key: &[u8], ksn: &[u8; 12], usage: aes::DataUsage, length: usize) -> Vec<u8> {
        let usage = match usage {
            aes::DataUsage::Encrypt => "3000",
            aes::DataUsage::Both => "3002",
        };
        let algorithm = match length {
            16 => "0002",
            24 => "0003",
            _ => "0004",
        };
        working_key(base_key, ksn, usage, algorithm, length)
    }

    pub(crate) fn working_key(base_key: &[u8], ksn: &[u8; 12], usage: &str, algorithm: &str, length: usize) -> Vec<u8> {
        let text: String = ksn.iter().map(|byte| format!("{byte:02X}")).collect();
        let (initial_key_id, derivation_id) = (&text[..16], &text[8..16]);
        let counter = u32::from_str_radix(&text[16..], 16).unwrap();
        let base_algorithm = match base_key.len() {
            16 => "0002",
            24 => "0003",
            _ => "0004",
        };
        let mut key = child(base_key, "8001", base_algorithm, base_key.len(), initial_key_id);
        let (mut working_counter, mut mask) = (0, 0x8000_0000);
        while mask > 0 {
            if mask & counter > 0 {
                working_counter |= mask;
                key = child(
                    &key,
                    "8000",
                    base_algorithm,
                    base_key.len(),
                    &format!("{derivation_id}{working_counter:08X}"),
                );
            }
            mask >>= 1;
        }
        child(&key, usage, algorithm, length, &format!("{derivation_id}{counter:08X}"))
    }
}

/// NIST SP 800-38B, with the arithmetic of its section 5.3 in one number.
pub(crate) fn cmac<const N: usize>(polynomial: u128, data: &[u8], block: impl Fn([u8; N]) -> [u8; N]) -> Vec<u8> {
    let top = 1u128 << (8 * N - 1);
    let double = |value: u128| if value & top == 0 { value << 1 } else { ((value ^ top) << 1) ^ polynomial };
    let l = block([0; N]).iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    let (mut data, mut subkey) = (data.to_vec(), double(l));
    if data.is_empty() || data.len() % N > 0 {
        subkey = double(subkey);
        data.push(0x80);
        while data.len() % N > 0 {
            data.push(0);
        }
    }
    let at = data.len() - N;
    for (byte, key) in data[at..].iter_mut().zip(&subkey.to_be_bytes()[16 - N..]) {
        *byte ^= key;
    }
    encrypt_cbc(&[0; 16], &data, block).split_off(at)
}

/// CBC encryption, the way a device does it, over any block cipher.
pub(crate) fn encrypt_cbc<const N: usize>(iv: &[u8; 16], clear: &[u8], block: impl Fn([u8; N]) -> [u8; N]) -> Vec<u8> {
    let mut before: [u8; N] = core::array::from_fn(|i| iv[i]);
    let mut out = Vec::new();
    for chunk in clear.chunks_exact(N) {
        before = block(core::array::from_fn(|i| chunk[i] ^ before[i]));
        out.extend(before);
    }
    out
}
