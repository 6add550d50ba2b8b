//! OpenSSL's EVP: one context for each cipher, fetched once, and a new key for each use.

use openssl::{cipher::Cipher, cipher_ctx::CipherCtx, error::ErrorStack, provider::Provider};

use crate::plain::Ciphers;

pub(crate) struct Evp {
    des: CipherCtx,
    tdes: CipherCtx,
    tdes_cbc: CipherCtx,
    aes: CipherCtx,
    aes_cbc: CipherCtx,
    _providers: [Provider; 2],
}

impl Evp {
    /// Single DES is in OpenSSL's legacy provider. The default one has DES-EDE, with equal halves the same function, but three
    /// passes of it.
    pub(crate) fn new() -> Result<Self, ErrorStack> {
        // A provider loaded by name takes the place of the default one, which is then loaded by name too.
        let providers = [Provider::load(None, "default")?, Provider::load(None, "legacy")?];
        let context = |name, decrypts| {
            let mut context = CipherCtx::new()?;
            let cipher = Cipher::fetch(None, name, None)?;
            if decrypts {
                context.decrypt_init(Some(&cipher), None, None)?;
            } else {
                context.encrypt_init(Some(&cipher), None, None)?;
            }
            context.set_padding(false);
            Ok::<_, ErrorStack>(context)
        };
        Ok(Self {
            des: context("DES-ECB", false)?,
            tdes: context("DES-EDE-ECB", false)?,
            tdes_cbc: context("DES-EDE-CBC", true)?,
            aes: context("AES-128-ECB", false)?,
            aes_cbc: context("AES-128-CBC", true)?,
            _providers: providers,
        })
    }
}

/// Whole blocks under a new key, in place. The interface wants room for one block more.
fn encrypt<const N: usize>(context: &mut CipherCtx, key: &[u8], blocks: &mut [[u8; N]]) {
    context.encrypt_init(None, Some(key), None).expect("a key");
    for block in blocks {
        let mut out = [0; 32];
        context.cipher_update(block, Some(&mut out)).expect("a block");
        block.copy_from_slice(&out[..N]);
    }
}

fn decrypt_cbc<const N: usize>(context: &mut CipherCtx, key: &[u8], data: &mut [[u8; N]]) {
    let data = data.as_flattened_mut();
    let mut out = [0; 256];
    context.decrypt_init(None, Some(key), Some(&[0; N])).expect("a key");
    let length = context.cipher_update(data, Some(&mut out)).expect("at most fifteen blocks");
    data.copy_from_slice(&out[..length]);
}

impl Ciphers for Evp {
    const DES: &'static str = "evp";
    const AES: &'static str = "evp";

    fn des(&mut self, key: &[u8; 8], block: &mut [u8; 8]) {
        encrypt(&mut self.des, key, core::slice::from_mut(block));
    }

    fn tdes(&mut self, key: &[u8; 16], blocks: &mut [[u8; 8]]) {
        encrypt(&mut self.tdes, key, blocks);
    }

    fn tdes_cbc_decrypt(&mut self, key: &[u8; 16], data: &mut [[u8; 8]]) {
        decrypt_cbc(&mut self.tdes_cbc, key, data);
    }

    fn aes(&mut self, key: &[u8; 16], block: &mut [u8; 16]) {
        encrypt(&mut self.aes, key, core::slice::from_mut(block));
    }

    fn aes_cbc_decrypt(&mut self, key: &[u8; 16], data: &mut [[u8; 16]]) {
        decrypt_cbc(&mut self.aes_cbc, key, data);
    }
}
