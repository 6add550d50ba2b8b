//! TDES DUKPT in memory: from base key to every working key and what it does.

use dukpt::tdes::{Cipher, DataKey, Ksn, TransactionKey, Variant, chinese, terminal::Terminal};
use dukpt::{
    CheckMethod, Key as _, KeyId, KeyImport as _, KeyMaterial, KeyStore as _, Lifetime, MacAlgorithm, MacFormat,
};
use dukpt::{MemoryStore, Padding, tdes::InitialKey};

use crate::case::{Case, Failure};

/// Counters with one, some and ten bits set.
const KSNS: [[u8; 10]; 3] = [
    [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x01],
    [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x12, 0x34],
    [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xFF, 0xF8, 0x00],
];

/// The only key of a store.
pub(crate) fn stored(kind: &str, key: &[u8]) -> Result<(MemoryStore, KeyId), Failure> {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key")?);
    store.import(&id, &KeyMaterial::new(kind, key)?, Lifetime::Session)?;
    Ok((store, id))
}

fn initial_key(base_key: &[u8], ksn: &Ksn) -> Result<InitialKey, Failure> {
    let (store, id) = stored("tdes-base", base_key)?;
    Ok(store.key(&id)?.tdes_initial_key(ksn)?)
}

fn formats() -> Result<[MacFormat; 3], Failure> {
    Ok([
        MacFormat::new(MacAlgorithm::Retail(Padding::Zeros), 8)?,
        MacFormat::new(MacAlgorithm::Retail(Padding::OneThenZeros), 4)?,
        MacFormat::new(MacAlgorithm::Cmac, 8)?,
    ])
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bytes in KSNS {
        let mut push = |name: &str, secret, work: fn(&[u8], &mut crate::case::Results, Ksn) -> Result<(), Failure>| {
            cases.push(Case::new(
                format!("dukpt::tdes {name}, counter {:02x}{:02x}{:02x}", bytes[7] & 0x1F, bytes[8], bytes[9]),
                secret,
                move |secret, results| work(secret, results, Ksn::try_from(&bytes[..])?),
            ));
        };
        push("initial key", 16, |secret, results, ksn| {
            results.put(initial_key(secret, &ksn)?.expose());
            Ok(())
        });
        push("data keys and decryption", 16 + 48, |secret, results, ksn| {
            let (key, data) = secret.split_at(16);
            let initial = initial_key(key, &ksn)?;
            let transaction = TransactionKey::derive(&initial, &ksn)?;
            for variant in [Variant::DataRequest, Variant::DataResponse, Variant::Pin] {
                for key in [DataKey::derive(&initial, &ksn, variant)?, transaction.data_key(variant)] {
                    results.put(key.expose());
                    for cipher in [Cipher::Tdes, Cipher::Aes128] {
                        let mut data = data.to_vec();
                        key.decrypt_cbc(cipher, &[1; 16], &mut data)?;
                        results.put(&data);
                    }
                }
            }
            let mut data = data.to_vec();
            chinese::DataKey::derive(&initial, &ksn)?.decrypt_ecb(&mut data)?;
            results.put(&data);
            Ok(())
        });
        push("data keys of a batch", 16 + 48, |secret, results, ksn| {
            let (key, data) = secret.split_at(16);
            let (store, id) = stored("tdes-base", key)?;
            for n in [1, 5, 70] {
                let keys = store.key(&id)?.tdes_data_keys(&vec![ksn; n], Variant::DataRequest)?;
                for cipher in [Cipher::Tdes, Cipher::Aes128] {
                    let (mut one, mut other) = (data.to_vec(), data.to_vec());
                    keys.decrypt_cbc(cipher, &mut [(n - 1, &mut one[..]), (0, &mut other[..])])?;
                    results.put(&one);
                    results.put(&other);
                }
            }
            Ok(())
        });
        push("encryption, PIN keys and MACs", 16 + 48, |secret, results, ksn| {
            let (key, data) = secret.split_at(16);
            let transaction = TransactionKey::derive(&initial_key(key, &ksn)?, &ksn)?;
            for cipher in [Cipher::Tdes, Cipher::Aes128] {
                let mut data = data.to_vec();
                transaction.response_data_key().encrypt_cbc(cipher, &[1; 16], &mut data)?;
                results.put(&data);
            }
            let mut block = *data.first_chunk().ok_or("no block")?;
            transaction.pin_key().encrypt_block(&mut block);
            results.put(&block);
            transaction.pin_key().decrypt_block(&mut block);
            transaction.pin_key().decrypt_block(&mut block);
            results.put(&block);
            for format in formats()? {
                for length in [0, 5, 8, 43, 48] {
                    results.put(transaction.response_mac_key().generate(format, &data[..length])?.as_bytes());
                }
            }
            Ok(())
        });
        push("check values", 16, |secret, results, ksn| {
            let transaction = TransactionKey::derive(&initial_key(secret, &ksn)?, &ksn)?;
            for method in [CheckMethod::Legacy, CheckMethod::Cmac] {
                results.put_shown(transaction.check_value(method)?);
                results.put_shown(transaction.pin_key().check_value(method)?);
            }
            Ok(())
        });
        push("device", 16 + 16, |secret, results, ksn| {
            let (key, data) = secret.split_at(16);
            let mut device = Terminal::new(&initial_key(key, &ksn)?, &ksn);
            let transaction = device.next_transaction()?;
            for key in [transaction.data_key(), transaction.pin_variant_data_key()] {
                let mut data = data.to_vec();
                key.encrypt_cbc(Cipher::Tdes, &[1; 16], &mut data)?;
                results.put(&data);
            }
            results.put(transaction.response_data_key().expose());
            for format in formats()? {
                results.put(transaction.mac_key().generate(format, data)?.as_bytes());
            }
            Ok(())
        });
    }
    cases
}
