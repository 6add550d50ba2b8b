//! Tests of KSNs, keys and MACs. A token never shows a key, so every key is proved by a ciphertext.

use dukpt::{Key, KeyError, KeyId, KeyStore, Ksn, KsnError, aes, tdes};

use crate::{
    conformance::Attempt,
    file::{
        AesDataKey, AesInitialKey, AesProbe, DataSize, DataUsage, Hex, HmacCase, KsnCase, KsnScheme, TdesCipher,
        TdesDataKey, TdesInitialKey, TdesProbe, TdesVariant,
    },
};

pub(crate) const ZERO_IV: [u8; 16] = [0; 16];

impl From<KeyError> for Attempt {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unsupported(what) => Self::Unsupported(what),
            error => Self::error(error.code()),
        }
    }
}

impl From<KsnError> for Attempt {
    fn from(error: KsnError) -> Self {
        Self::error(error.code())
    }
}

/// Lets a test be written with `?`: the error arm is an outcome as well.
pub(crate) fn settle(run: impl FnOnce() -> Result<Attempt, Attempt>) -> Attempt {
    run().unwrap_or_else(|attempt| attempt)
}

pub(crate) fn key_id(id: &str) -> Result<KeyId, Attempt> {
    KeyId::new(id).map_err(|error| Attempt::Broken(error.to_string()))
}

pub(crate) fn same(what: &str, equal: bool) -> Result<(), Attempt> {
    if equal { Ok(()) } else { Err(Attempt::Differs(format!("{what} differs"))) }
}

pub(crate) fn ksn(case: &KsnCase) -> Attempt {
    settle(|| {
        let bytes = &case.ksn.0[..];
        let ksn = match case.scheme {
            KsnScheme::Tdes => Ksn::Tdes(tdes::Ksn::try_from(bytes)?),
            KsnScheme::Aes => Ksn::Aes(aes::Ksn::try_from(bytes)?),
        };
        let received = Ksn::of_transaction(bytes)?;
        same("the scheme", ksn == received)?;
        same("the counter", case.counter.is_none_or(|counter| counter == ksn.counter()))?;
        same("the canonical form", case.canonical.as_ref().is_none_or(|canonical| canonical.0 == ksn.as_bytes()))?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn tdes_initial_key<S: KeyStore>(store: &S, case: &TdesInitialKey) -> Attempt {
    settle(|| {
        let base_key = store.key(&key_id(&case.key)?)?;
        let initial_key = base_key.tdes_initial_key(&tdes::Ksn::try_from(&case.ksn.0[..])?)?;
        same("the initial key", initial_key.expose()[..] == case.initial_key.0)?;
        let TdesProbe { ksn, variant, cipher, data_key, ciphertext, plaintext } = &case.probe;
        tdes_probe(&base_key, ksn, *variant, *cipher, data_key, ciphertext, plaintext)
    })
}

pub(crate) fn tdes_data_key<S: KeyStore>(store: &S, case: &TdesDataKey) -> Attempt {
    let TdesDataKey { key, ksn, variant, cipher, data_key, ciphertext, plaintext } = case;
    settle(|| tdes_probe(&store.key(&key_id(key)?)?, ksn, *variant, *cipher, data_key, ciphertext, plaintext))
}

fn tdes_probe<K: Key>(
    base_key: &K,
    ksn: &Hex,
    variant: TdesVariant,
    cipher: TdesCipher,
    data_key: &Hex,
    ciphertext: &Hex,
    plaintext: &Hex,
) -> Result<Attempt, Attempt> {
    let ksn = tdes::Ksn::try_from(&ksn.0[..])?;
    let variant = match variant {
        TdesVariant::DataRequest => tdes::Variant::DataRequest,
        TdesVariant::DataResponse => tdes::Variant::DataResponse,
        TdesVariant::Pin => tdes::Variant::Pin,
    };
    let cipher = match cipher {
        TdesCipher::TdesCbc => tdes::Cipher::Tdes,
        TdesCipher::AesCbc => tdes::Cipher::Aes128,
    };
    let key = tdes::DataKey::derive(&base_key.tdes_initial_key(&ksn)?, &ksn, variant)?;
    same("the data key", key.expose()[..] == data_key.0)?;
    let mut data = ciphertext.0.clone();
    key.decrypt_cbc(cipher, &ZERO_IV, &mut data)?;
    same("the clear text", data == plaintext.0)?;
    Ok(Attempt::AsExpected)
}

pub(crate) fn aes_initial_key<S: KeyStore>(store: &S, case: &AesInitialKey, base_length: Option<usize>) -> Attempt {
    let AesProbe { ksn, data, usage, data_key: _, ciphertext, plaintext } = &case.probe;
    settle(|| {
        let suite = suite(base_length, *data, *usage)?;
        let of_case = aes::Ksn::try_from(&case.ksn.0[..])?;
        let of_probe = aes::Ksn::try_from(&ksn.0[..])?;
        same("the device", of_case.initial_key_id() == of_probe.initial_key_id())?;
        same("the initial key's length", case.initial_key.0.len() == suite.base().length())?;
        aes_probe(&store.key(&key_id(&case.key)?)?, &of_probe, suite, ciphertext, plaintext)
    })
}

pub(crate) fn aes_data_key<S: KeyStore>(store: &S, case: &AesDataKey, base_length: Option<usize>) -> Attempt {
    settle(|| {
        let ksn = aes::Ksn::try_from(&case.ksn.0[..])?;
        let suite = suite(base_length, case.data, case.usage)?;
        let nothing = Hex(vec![0; 16]);
        let (ciphertext, plaintext) =
            (case.ciphertext.as_ref().unwrap_or(&nothing), case.plaintext.as_ref().unwrap_or(&nothing));
        aes_probe(&store.key(&key_id(&case.key)?)?, &ksn, suite, ciphertext, plaintext)
    })
}

fn aes_probe<K: Key>(
    base_key: &K,
    ksn: &aes::Ksn,
    suite: aes::Suite,
    ciphertext: &Hex,
    plaintext: &Hex,
) -> Result<Attempt, Attempt> {
    let key = aes::DataKey::derive(base_key, ksn, suite)?;
    let mut data = ciphertext.0.clone();
    key.decrypt_cbc(&ZERO_IV, &mut data)?;
    same("the clear text", data == plaintext.0)?;
    Ok(Attempt::AsExpected)
}

/// The size of an AES base key of this many bytes.
pub(crate) fn base_size(length: Option<usize>) -> Result<aes::KeyType, Attempt> {
    match length {
        Some(16) => Ok(aes::KeyType::Aes128),
        Some(24) => Ok(aes::KeyType::Aes192),
        Some(32) => Ok(aes::KeyType::Aes256),
        _ => Err(Attempt::Broken("the key is no AES base key of this file".into())),
    }
}

fn suite(base_length: Option<usize>, data: DataSize, usage: DataUsage) -> Result<aes::Suite, Attempt> {
    let base = base_size(base_length)?;
    let data = match data {
        DataSize::Aes128 => aes::KeyType::Aes128,
        DataSize::Aes192 => aes::KeyType::Aes192,
        DataSize::Aes256 => aes::KeyType::Aes256,
    };
    let usage = match usage {
        DataUsage::Encrypt => aes::DataUsage::Encrypt,
        DataUsage::Both => aes::DataUsage::Both,
    };
    aes::Suite::new(base, data, usage).map_err(|_| Attempt::error("suite_strength"))
}

pub(crate) fn hmac<S: KeyStore>(store: &S, case: &HmacCase) -> Attempt {
    settle(|| {
        let mac = store.key(&key_id(&case.key)?)?.hmac_sha256(&case.data.0)?;
        same("the MAC", mac[..] == case.mac.0)?;
        Ok(Attempt::AsExpected)
    })
}
