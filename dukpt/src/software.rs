//! The ciphers as software: the only module that names them. DES is bitsliced, so no table is indexed by a secret.

mod aes_lanes;

use alloc::{boxed::Box, vec::Vec};

use ::aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use aes_kw::AesKwp;
use bitsliced_des::{Des, TdesEde2, TdesEde3, batch, lanes::Level, x924};
use cbc::{Decryptor, Encryptor};
use cipher::{
    Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
    InnerIvInit, KeyInit, consts::U16,
};
use hmac::{HmacReset, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

pub(crate) use aes_lanes::{LANES, Lanes};

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
    let keys = Zeroizing::new(keys.map(|key| *key));
    let mut lanes = Zeroizing::new(blocks.each_ref().map(|block| **block));
    batch::des_encrypt(Level::best_for(2), &*keys, &mut *lanes);
    blocks.into_iter().zip(&*lanes).for_each(|(block, lane)| *block = *lane);
}

/// What becomes of a transaction key: nothing, or the variant in both halves and, for data keys, the encryption of each
/// half under the whole.
pub(crate) use bitsliced_des::x924::Working;

/// A whole derivation of TDES DUKPT, from initial key to working key. `register` is the right half of the KSN.
pub(crate) fn tdes_working_key(initial_key: &[u8; 16], register: u64, working: Working, out: &mut [u8; 16]) {
    let initial = core::slice::from_ref(initial_key);
    x924::derive(Level::best_for(1), initial, &[register.to_be_bytes()], working, core::slice::from_mut(out));
}

/// The same for many transactions, in lanes. All slices are of one length.
pub(crate) fn tdes_working_keys(initial: &[[u8; 16]], registers: &[[u8; 8]], working: Working, out: &mut [[u8; 16]]) {
    x924::derive(Level::best_for(initial.len()), initial, registers, working, out);
}

/// Two-key TDES of many blocks, each under the key of the same index.
pub(crate) fn tdes_encrypt_lanes(keys: &[[u8; 16]], blocks: &mut [[u8; 8]]) {
    batch::tdes_encrypt(Level::best_for(keys.len()), keys, blocks);
}

/// CBC decryption with a zero IV of many messages, each under its own two-key TDES key; their blocks share the lanes.
pub(crate) fn tdes_cbc_decrypt_each<'a>(messages: impl Iterator<Item = (&'a [u8; 16], &'a mut [[u8; 8]])>) {
    let mut messages: Vec<_> = messages.map(|(key, data)| batch::Message { key, iv: [0; 8], data }).collect();
    let blocks = messages.iter().map(|message| message.data.len()).sum();
    batch::tdes_cbc_decrypt(Level::best_for(blocks), &mut messages);
}

/// Two-key TDES over each 8-byte block, ECB.
pub(crate) fn tdes_encrypt_blocks<const N: usize>(key: &[u8; 16], blocks: [&mut [u8; 8]; N]) {
    tdes_encrypt_each([key; N], blocks);
}

/// Two-key TDES of each 8-byte block under its own key.
pub(crate) fn tdes_encrypt_each<const N: usize>(keys: [&[u8; 16]; N], blocks: [&mut [u8; 8]; N]) {
    let keys = Zeroizing::new(keys.map(|key| *key));
    let mut lanes = Zeroizing::new(blocks.each_ref().map(|block| **block));
    batch::tdes_encrypt(Level::best_for(N), &*keys, &mut *lanes);
    blocks.into_iter().zip(&*lanes).for_each(|(block, lane)| *block = *lane);
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
        // All blocks of a message share the lanes; the `cbc` crate would decrypt a short one block by block.
        TdesKey::Two(key) => TdesEde2::new(key.into()).cbc_decrypt(iv, whole_des_blocks(data)?),
        TdesKey::Three(key) => TdesEde3::new(key.into()).cbc_decrypt(iv, whole_des_blocks(data)?),
    }
    Ok(())
}

fn whole_des_blocks(data: &mut [u8]) -> Result<&mut [[u8; 8]], KeyError> {
    match data.as_chunks_mut() {
        (blocks, []) if !blocks.is_empty() => Ok(blocks),
        _ => Err(KeyError::BadLength),
    }
}

/// One step of AES DUKPT, in place: the key in the first `length` bytes (16, 24 or 32) becomes `data`, 16 or 32 bytes,
/// encrypted under it.
pub(crate) fn aes_derive(key: &mut [u8; 32], length: usize, data: &[u8]) {
    fn run(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, key: &mut [u8; 32], data: &[u8]) {
        for (block, data) in key.as_chunks_mut::<16>().0.iter_mut().zip(data.as_chunks::<16>().0) {
            cipher.encrypt_block_b2b(data.into(), block.into());
        }
    }
    match *key {
        [ref key16 @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] if length == 16 => {
            run(&Aes128Enc::new(key16.into()), key, data)
        }
        [ref key24 @ .., _, _, _, _, _, _, _, _] if length == 24 => run(&Aes192Enc::new(key24.into()), key, data),
        _ => run(&Aes256Enc::new((&*key).into()), key, data),
    }
}

/// AES-CBC, in place, with a key of 16, 24 or 32 bytes; `data` is whole 16-byte blocks.
pub(crate) fn aes_cbc_encrypt(key: &[u8], iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
    fn run<C: BlockCipherEncrypt + KeyInit>(key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
        cbc_encrypt(C::new_from_slice(key).map_err(|_| KeyError::BadLength)?, iv, data)
    }
    match key.len() {
        16 => run::<Aes128Enc>(key, iv, data),
        24 => run::<Aes192Enc>(key, iv, data),
        _ => run::<Aes256Enc>(key, iv, data),
    }
}

/// AES-CBC, in place, with a key of 16, 24 or 32 bytes; `data` is whole 16-byte blocks.
pub(crate) fn aes_cbc_decrypt(key: &[u8], iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
    fn run<C: BlockCipherDecrypt + KeyInit>(key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), KeyError> {
        cbc_decrypt(C::new_from_slice(key).map_err(|_| KeyError::BadLength)?, iv, data)
    }
    match key.len() {
        16 => run::<Aes128Dec>(key, iv, data),
        24 => run::<Aes192Dec>(key, iv, data),
        _ => run::<Aes256Dec>(key, iv, data),
    }
}

/// An AES key with its schedule, for keys that encrypt many blocks. On the heap, and wiped on drop by the `aes` crate.
pub(crate) enum AesEncryptor {
    Aes128(Box<Aes128Enc>),
    Aes192(Box<Aes192Enc>),
    Aes256(Box<Aes256Enc>),
}

impl AesEncryptor {
    /// From 16, 24 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Result<Self, KeyError> {
        fn schedule<C: KeyInit>(key: &[u8]) -> Result<Box<C>, KeyError> {
            C::new_from_slice(key).map(Box::new).map_err(|_| KeyError::BadLength)
        }
        Ok(match key.len() {
            16 => Self::Aes128(schedule(key)?),
            24 => Self::Aes192(schedule(key)?),
            _ => Self::Aes256(schedule(key)?),
        })
    }

    /// Each block by itself; the CPU works on several at once.
    pub(crate) fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) {
        let blocks = Array::cast_slice_from_core_mut(blocks);
        match self {
            Self::Aes128(cipher) => cipher.encrypt_blocks(blocks),
            Self::Aes192(cipher) => cipher.encrypt_blocks(blocks),
            Self::Aes256(cipher) => cipher.encrypt_blocks(blocks),
        }
    }

    /// CBC in place; `data` is whole 16-byte blocks.
    pub(crate) fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        let (blocks, []) = data.as_chunks_mut::<16>() else { return Err(KeyError::BadLength) };
        if blocks.is_empty() {
            return Err(KeyError::BadLength);
        }
        let mut chain = iv;
        for block in blocks {
            block.iter_mut().zip(chain).for_each(|(b, c)| *b ^= c);
            self.encrypt_blocks(core::slice::from_mut(block));
            chain = block;
        }
        Ok(())
    }
}

/// KWP (NIST SP 800-38F, 6.3) of 32 bytes, with a key of 16, 24 or 32 bytes.
pub(crate) fn aes_wrap(key: &[u8], secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
    fn run<C: BlockCipherEncrypt<BlockSize = U16> + KeyInit>(
        key: &[u8],
        secret: &[u8; 32],
    ) -> Result<[u8; 40], KeyError> {
        let mut wrapped = [0; 40];
        let cipher = AesKwp::<C>::new_from_slice(key).map_err(|_| KeyError::BadLength)?;
        cipher.wrap_key(secret, &mut wrapped).map_err(|_| KeyError::BadLength)?;
        Ok(wrapped)
    }
    match key.len() {
        16 => run::<Aes128Enc>(key, secret),
        24 => run::<Aes192Enc>(key, secret),
        _ => run::<Aes256Enc>(key, secret),
    }
}

/// The reverse of [`aes_wrap`]; after a failure `secret` is all zero.
pub(crate) fn aes_unwrap(key: &[u8], wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
    fn run<C>(key: &[u8], wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError>
    where
        C: BlockCipherDecrypt<BlockSize = U16> + KeyInit,
    {
        let cipher = AesKwp::<C>::new_from_slice(key).map_err(|_| KeyError::BadLength)?;
        match cipher.unwrap_key(wrapped, secret) {
            Ok(whole) if whole.len() == 32 => Ok(()),
            _ => {
                secret.zeroize();
                Err(KeyError::NotWrapped)
            }
        }
    }
    match key.len() {
        16 => run::<Aes128Dec>(key, wrapped, secret),
        24 => run::<Aes192Dec>(key, wrapped, secret),
        _ => run::<Aes256Dec>(key, wrapped, secret),
    }
}

/// HMAC-SHA-256 (RFC 2104) with a key of any length.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Result<[u8; 32], KeyError> {
    let mut mac = HmacReset::<Sha256>::new_from_slice(key).map_err(|_| KeyError::BadLength)?;
    mac.update(data);
    // In place: `finalize` would move the state, and with it the end of the message, over the stack.
    Ok(mac.finalize_reset().into_bytes().into())
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

fn whole_blocks<C: BlockSizeUser>(data: &mut [u8]) -> Result<&mut [Block<C>], KeyError> {
    match Block::<C>::slice_as_chunks_mut(data) {
        (blocks, []) if !blocks.is_empty() => Ok(blocks),
        _ => Err(KeyError::BadLength),
    }
}
