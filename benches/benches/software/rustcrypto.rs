//! The ciphers of the crates `des`, `aes` and `cbc`.

use cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, KeyInit, KeyIvInit};

use crate::plain::Ciphers;

pub(crate) struct RustCrypto;

impl Ciphers for RustCrypto {
    const DES: &'static str = "des crate";
    const AES: &'static str = "aes crate";

    fn des(&mut self, key: &[u8; 8], block: &mut [u8; 8]) {
        des::Des::new(key.into()).encrypt_block(block.into());
    }

    fn tdes(&mut self, key: &[u8; 16], blocks: &mut [[u8; 8]]) {
        let cipher = des::TdesEde2::new(key.into());
        blocks.iter_mut().for_each(|block| cipher.encrypt_block(block.into()));
    }

    fn tdes_cbc_decrypt(&mut self, key: &[u8; 16], data: &mut [[u8; 8]]) {
        let blocks = Array::cast_slice_from_core_mut(data);
        cbc::Decryptor::<des::TdesEde2>::new(key.into(), &[0; 8].into()).decrypt_blocks(blocks);
    }

    /// A derivation never decrypts, so that its key schedule is the shorter one.
    fn aes(&mut self, key: &[u8; 16], block: &mut [u8; 16]) {
        aes::Aes128Enc::new(key.into()).encrypt_block(block.into());
    }

    fn aes_cbc_decrypt(&mut self, key: &[u8; 16], data: &mut [[u8; 16]]) {
        let blocks = Array::cast_slice_from_core_mut(data);
        cbc::Decryptor::<aes::Aes128>::new(key.into(), &[0; 16].into()).decrypt_blocks(blocks);
    }
}
