//! Tests of working keys: PIN blocks, MACs, data of responses, check values.

use dukpt::{CheckMethod, CheckValue, Key, KeyStore, MacAlgorithm, MacError, MacFormat, Padding, aes, tdes};

use crate::{
    conformance::Attempt,
    dukpt_cases::{ZERO_IV, base_size, key_id, same, settle},
    file::Hex,
    working_types::{
        AesPinBlock, AesUpdateKey, AesWorkingKey, CheckName, CheckValueCase, Direction, KeyTypeName, MacCase, MacName,
        TdesChinese, TdesMac, TdesPin, UsageName,
    },
};

impl From<MacError> for Attempt {
    fn from(error: MacError) -> Self {
        match error {
            MacError::Key(error) => error.into(),
            error @ MacError::Mismatch => Self::error(error.code()),
        }
    }
}

pub(crate) fn tdes_pin<S: KeyStore>(store: &S, case: &TdesPin) -> Attempt {
    settle(|| {
        let transaction = tdes_transaction(store, &case.key, &case.ksn)?;
        check(&case.transaction_check_value, transaction.check_value(CheckMethod::Legacy)?)?;
        let key = transaction.pin_key();
        check(&case.check_value, key.check_value(CheckMethod::Legacy)?)?;
        let mut block = block(&case.encrypted)?;
        key.decrypt_block(&mut block);
        same("the clear PIN block", block[..] == case.clear.0)?;
        key.encrypt_block(&mut block);
        same("the encrypted PIN block", block[..] == case.encrypted.0)?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn tdes_mac<S: KeyStore>(store: &S, case: &TdesMac) -> Attempt {
    settle(|| {
        let format = format(case.algorithm, case.length)?;
        let transaction = tdes_transaction(store, &case.key, &case.ksn)?;
        match case.direction {
            Direction::Request => transaction.mac_key().verify(format, &case.data.0, &case.mac.0)?,
            Direction::Response => {
                let mac = transaction.response_mac_key().generate(format, &case.data.0)?;
                same("the MAC", mac.as_bytes() == case.mac.0)?;
            }
        }
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn tdes_chinese(case: &TdesChinese) -> Attempt {
    settle(|| {
        let injected = tdes::InitialKey::try_filled(|key| {
            let bytes = case.injected_key.0[..].try_into();
            bytes.map(|bytes: [u8; 16]| *key = bytes).map_err(|_| dukpt::KeyError::BadLength)
        })?;
        let key = tdes::chinese::DataKey::derive(&injected, &tdes::Ksn::try_from(&case.ksn.0[..])?)?;
        same("the data key", key.expose()[..] == case.data_key.0)?;
        let mut data = case.ciphertext.0.clone();
        key.decrypt_ecb(&mut data)?;
        same("the clear text", data == case.plaintext.0)?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn aes_working_key<S: KeyStore>(store: &S, case: &AesWorkingKey, base: Option<usize>) -> Attempt {
    settle(|| {
        let key_type = key_type(case.key_type);
        let format = match case.algorithm {
            Some(name) => Some(format(name, case.length.unwrap_or(whole(name, key_type)))?),
            None => None,
        };
        let ksn = aes::Ksn::try_from(&case.ksn.0[..])?;
        let base_key = store.key(&key_id(&case.key)?)?;
        let transaction = aes::TransactionKey::derive(&base_key, &ksn, base_size(base)?)?;
        let usage = usage(case.usage);
        match (usage, &case.plaintext, &case.ciphertext, format, &case.data, &case.mac, case.method, &case.check_value)
        {
            (aes::Usage::Pin, Some(clear), Some(encrypted), ..) => {
                let key = transaction.pin_key(key_type)?;
                both_ways(clear, encrypted, |data| key.decrypt_block(data), |data| key.encrypt_block(data))
            }
            (aes::Usage::DataEncrypt, Some(clear), Some(encrypted), ..) => {
                let key = transaction.data_key(key_type, usage)?;
                one_way(encrypted, clear, |data| key.decrypt_cbc(&ZERO_IV, data))
            }
            (aes::Usage::DataDecrypt, Some(clear), Some(encrypted), ..) => {
                let key = transaction.response_data_key(key_type, usage)?;
                one_way(clear, encrypted, |data| key.encrypt_cbc(&ZERO_IV, data))
            }
            (aes::Usage::DataBoth, Some(clear), Some(encrypted), ..) => {
                let inwards = transaction.data_key(key_type, usage)?;
                let outwards = transaction.response_data_key(key_type, usage)?;
                let decrypt = |data: &mut [u8]| inwards.decrypt_cbc(&ZERO_IV, data);
                both_ways(clear, encrypted, decrypt, |data| outwards.encrypt_cbc(&ZERO_IV, data))
            }
            (aes::Usage::KeyEncryption, .., Some(method), Some(value)) => {
                check(value, transaction.key_encryption_key(key_type)?.check_value(check_method(method))?)
            }
            // A wrong type is refused before the figure matters.
            (aes::Usage::KeyEncryption, ..) => {
                transaction.key_encryption_key(key_type)?;
                Err(Attempt::Broken("no check value".into()))
            }
            (_, _, _, Some(format), Some(data), Some(mac), ..) => {
                if usage != aes::Usage::MacVerify {
                    transaction.mac_key(key_type, usage)?.verify(format, &data.0, &mac.0)?;
                }
                if usage != aes::Usage::MacGenerate {
                    let made = transaction.response_mac_key(key_type, usage)?.generate(format, &data.0)?;
                    same("the MAC", made.as_bytes() == mac.0)?;
                }
                Ok(())
            }
            _ => Err(Attempt::Broken("the figure does not fit the usage".into())),
        }?;
        Ok(Attempt::AsExpected)
    })
}

/// ISO 9564-1:2017, 9.4.2, format 4: the PIN field is encrypted, the PAN field added, the sum encrypted.
pub(crate) fn aes_pin_block<S: KeyStore>(store: &S, case: &AesPinBlock, base: Option<usize>) -> Attempt {
    settle(|| {
        let ksn = aes::Ksn::try_from(&case.ksn.0[..])?;
        let base_key = store.key(&key_id(&case.key)?)?;
        let transaction = aes::TransactionKey::derive(&base_key, &ksn, base_size(base)?)?;
        let key = transaction.pin_key(key_type(case.key_type))?;
        let mut block = case.encrypted.0.clone();
        key.decrypt_block(&mut block)?;
        block.iter_mut().zip(&case.pan_field.0).for_each(|(b, p)| *b ^= p);
        key.decrypt_block(&mut block)?;
        same("the PIN field", block == case.pin_field.0)?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn aes_update_key<S: KeyStore>(store: &S, case: &AesUpdateKey, base: Option<usize>) -> Attempt {
    settle(|| {
        let id = case.initial_key_id.0[..].try_into();
        let id = id.map_err(|_| Attempt::Broken("an initial key id has 8 bytes".into()))?;
        let base_key = store.key(&key_id(&case.key)?)?;
        let key = aes::update_key(&base_key, id, base_size(base)?, key_type(case.key_type))?;
        check(&case.check_value, key.check_value(check_method(case.method))?)?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn mac(case: &MacCase) -> Attempt {
    settle(|| {
        let algorithm = algorithm(case.algorithm);
        let mac = algorithm.under_clear_key(key_type(case.key_type), &case.clear_key.0, &case.data.0)?;
        same("the MAC", !case.mac.0.is_empty() && mac.as_bytes().starts_with(&case.mac.0))?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn check_value(case: &CheckValueCase) -> Attempt {
    settle(|| {
        let method = check_method(case.method);
        check(&case.check_value, method.of_clear_key(key_type(case.key_type), &case.clear_key.0)?)?;
        Ok(Attempt::AsExpected)
    })
}

fn tdes_transaction<S: KeyStore>(store: &S, key: &str, ksn: &Hex) -> Result<tdes::TransactionKey, Attempt> {
    let ksn = tdes::Ksn::try_from(&ksn.0[..])?;
    let initial_key = store.key(&key_id(key)?)?.tdes_initial_key(&ksn)?;
    Ok(tdes::TransactionKey::derive(&initial_key, &ksn)?)
}

type Run<'a> = dyn Fn(&mut [u8]) -> Result<(), dukpt::KeyError> + 'a;

fn one_way(from: &Hex, to: &Hex, run: impl Fn(&mut [u8]) -> Result<(), dukpt::KeyError>) -> Result<(), Attempt> {
    let mut data = from.0.clone();
    run(&mut data)?;
    same("the result", data == to.0)
}

fn both_ways<'a>(
    clear: &Hex,
    encrypted: &Hex,
    decrypt: impl Fn(&mut [u8]) -> Result<(), dukpt::KeyError> + 'a,
    encrypt: impl Fn(&mut [u8]) -> Result<(), dukpt::KeyError> + 'a,
) -> Result<(), Attempt> {
    let runs: [(&Hex, &Hex, &Run<'a>); 2] = [(encrypted, clear, &decrypt), (clear, encrypted, &encrypt)];
    runs.into_iter().try_for_each(|(from, to, run)| one_way(from, to, run))
}

fn check(printed: &Hex, computed: CheckValue) -> Result<(), Attempt> {
    same("the check value", computed.to_string() == hex::encode_upper(&printed.0))
}

fn block(hex: &Hex) -> Result<[u8; 8], Attempt> {
    hex.0[..].try_into().map_err(|_| Attempt::Broken("a TDES block has 8 bytes".into()))
}

fn format(name: MacName, length: usize) -> Result<MacFormat, Attempt> {
    MacFormat::new(algorithm(name), length).map_err(|_| Attempt::error("mac_length"))
}

fn whole(name: MacName, key_type: aes::WorkingKeyType) -> usize {
    match (name, key_type) {
        (MacName::HmacSha256, _) => 32,
        (MacName::Cmac, aes::WorkingKeyType::Aes(_)) => 16,
        _ => 8,
    }
}

fn algorithm(name: MacName) -> MacAlgorithm {
    match name {
        MacName::RetailPadding1 => MacAlgorithm::Retail(Padding::Zeros),
        MacName::RetailPadding2 => MacAlgorithm::Retail(Padding::OneThenZeros),
        MacName::Cmac => MacAlgorithm::Cmac,
        MacName::HmacSha256 => MacAlgorithm::HmacSha256,
    }
}

fn check_method(name: CheckName) -> CheckMethod {
    match name {
        CheckName::Legacy => CheckMethod::Legacy,
        CheckName::Cmac => CheckMethod::Cmac,
    }
}

fn usage(name: UsageName) -> aes::Usage {
    match name {
        UsageName::KeyEncryption => aes::Usage::KeyEncryption,
        UsageName::Pin => aes::Usage::Pin,
        UsageName::MacGenerate => aes::Usage::MacGenerate,
        UsageName::MacVerify => aes::Usage::MacVerify,
        UsageName::MacBoth => aes::Usage::MacBoth,
        UsageName::DataEncrypt => aes::Usage::DataEncrypt,
        UsageName::DataDecrypt => aes::Usage::DataDecrypt,
        UsageName::DataBoth => aes::Usage::DataBoth,
    }
}

pub(crate) fn key_type(name: KeyTypeName) -> aes::WorkingKeyType {
    match name {
        KeyTypeName::Tdes2 => aes::WorkingKeyType::Tdes2,
        KeyTypeName::Tdes3 => aes::WorkingKeyType::Tdes3,
        KeyTypeName::Aes128 => aes::KeyType::Aes128.into(),
        KeyTypeName::Aes192 => aes::KeyType::Aes192.into(),
        KeyTypeName::Aes256 => aes::KeyType::Aes256.into(),
        KeyTypeName::Hmac128 => aes::WorkingKeyType::Hmac128,
        KeyTypeName::Hmac192 => aes::WorkingKeyType::Hmac192,
        KeyTypeName::Hmac256 => aes::WorkingKeyType::Hmac256,
    }
}
