//! The ciphers as software. The only module that names the `des` crate: a constant-time DES replaces it here.

use ::aes::{Aes128, Aes192, Aes256};
use cbc::{Decryptor, Encryptor};
use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use des::{Des, TdesEde2, TdesEde3};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::KeyError;

/// The two or three keys of TDES, encrypt-decrypt-encrypt; of two, the first is used again (NIST SP 800-67).
#[derive(Clone, Copy)]
pub(crate) enum TdesKey<'a> {
    Two(&'a [u8; 16]),
    Three(&'a [u8; 24]),
}

/// One DES encryption of one block.
pub(crate) fn des_encrypt(key: &[u8; 8], block: &mut [u8; 8]) {
    Des::new(key.into()).encrypt_block(block.into());
}

/// Two DES encryptions under two keys, each of one block.
pub(crate) fn des_encrypt_pair(keys: [&[u8; 8]; 2], blocks: [&mut [u8; 8]; 2]) {
    for (key, block) in keys.into_iter().zip(blocks) {
        des_encrypt(key, block);
    }
}

/// Two-key TDES over each 8-byte block, ECB.
pub(crate) fn tdes_encrypt_blocks<const N: usize>(key: &[u8; 16], blocks: [&mut [u8; 8]; N]) {
    let cipher = TdesEde2::new(key.into());
    for block in blocks {
        cipher.encrypt_block(block.into());
    }
}

/// Two-key TDES decryption of one block.
pub(crate) fn tdes_decrypt_block(key: &[u8; 16], block: &mut [u8; 8]) {
    TdesEde2::new(key.into()).decrypt_block(block.into());
}

/// TDES-CBC, in place; `data` is whole 8-byte blocks.
pub(crate) fn tdes_cbc_encrypt(key: TdesKey<'_>, iv: &[u8; 8], data: &mut [u8]) -> Result<(), KeyError> {
    match key {
        TdesKey::Two(key) => cbc_encrypt(TdesEde2::new(key.into()), iv, data),
        TdesKey::Three(key) => cbc_encrypt(TdesEde3::new(key.into()), iv, data),
    }
}

/// TDES-CBC, in place; `data` is whole 8-byte blocks.
pub(crate) fn tdes_cbc_decrypt(key: TdesKey<'_>, iv: &[u8; 8], data: &mut [u8]) -> Result<(), KeyError> {
    match key {
        TdesKey::Two(key) => cbc_decrypt(TdesEde2::new(key.into()), iv, data),
        TdesKey::Three(key) => cbc_decrypt(TdesEde3::new(key.into()), iv, data),
    }
}

/// AES-ECB over each 16-byte block, in place, with a key of 16, 24 or 32 bytes.
pub(crate) fn aes_ecb_encrypt(key: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
    fn run<C: BlockCipherEncrypt + KeyInit>(key: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
        let cipher = C::new_from_slice(key).map_err(|_| KeyError::BadLength)?;
        cipher.encrypt_blocks(whole_blocks::<C>(data)?);
        Ok(())
    }
    match key.len() {
        16 => run::<Aes128>(key, data),
        24 => run::<Aes192>(key, data),
        _ => run::<Aes256>(key, data),
    }
}

/// AES-CBC, in place, with a key of 16, 24 or 32 bytes; `data` is whole 16-byte blocks.
pub(crate) fn aes_cbc_encrypt(key: &[u8], iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
    fn run<C: BlockCipherEncrypt + KeyInit>(key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
        cbc_encrypt(C::new_from_slice(key).map_err(|_| KeyError::BadLength)?, iv, data)
    }
    match key.len() {
        16 => run::<Aes128>(key, iv, data),
        24 => run::<Aes192>(key, iv, data),
        _ => run::<Aes256>(key, iv, data),
    }
}

/// AES-CBC, in place, with a key of 16, 24 or 32 bytes; `data` is whole 16-byte blocks.
pub(crate) fn aes_cbc_decrypt(key: &[u8], iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
    fn run<C: BlockCipherDecrypt + KeyInit>(key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
        cbc_decrypt(C::new_from_slice(key).map_err(|_| KeyError::BadLength)?, iv, data)
    }
    match key.len() {
        16 => run::<Aes128>(key, iv, data),
        24 => run::<Aes192>(key, iv, data),
        _ => run::<Aes256>(key, iv, data),
    }
}

/// HMAC-SHA-256 (RFC 2104) with a key of any length.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Result<[u8; 32], KeyError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| KeyError::BadLength)?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().into())
}

fn cbc_encrypt<C: BlockCipherEncrypt>(cipher: C, iv: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
    let iv = iv.try_into().map_err(|_| KeyError::BadLength)?;
    let mut mode = Encryptor::inner_iv_init(cipher, iv);
    mode.encrypt_blocks(whole_blocks::<C>(data)?);
    Ok(())
}

fn cbc_decrypt<C: BlockCipherDecrypt>(cipher: C, iv: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
    let iv = iv.try_into().map_err(|_| KeyError::BadLength)?;
    let mut mode = Decryptor::inner_iv_init(cipher, iv);
    mode.decrypt_blocks(whole_blocks::<C>(data)?);
    Ok(())
}

fn whole_blocks<C: cipher::BlockSizeUser>(data: &mut [u8]) -> Result<&mut [Block<C>], KeyError> {
    match Block::<C>::slice_as_chunks_mut(data) {
        (blocks, []) if !blocks.is_empty() => Ok(blocks),
        _ => Err(KeyError::BadLength),
    }
}
