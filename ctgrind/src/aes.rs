//! AES DUKPT in memory: every size of base key, every type and usage of working key.

use dukpt::aes::{
    DataKey, DataUsage, KeyType, Ksn, Suite, TransactionKey, Usage, WorkingKeyType, terminal::Terminal, update_key,
};
use dukpt::{CheckMethod, Key as _, KeyStore as _, MacAlgorithm, MacFormat};

use crate::case::{Case, Failure, Results};
use crate::tdes::stored;

const SIZES: [KeyType; 3] = [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256];
const CIPHERS: [WorkingKeyType; 5] = [
    WorkingKeyType::Tdes2,
    WorkingKeyType::Tdes3,
    WorkingKeyType::Aes(KeyType::Aes128),
    WorkingKeyType::Aes(KeyType::Aes192),
    WorkingKeyType::Aes(KeyType::Aes256),
];
const HMACS: [WorkingKeyType; 3] = [WorkingKeyType::Hmac128, WorkingKeyType::Hmac192, WorkingKeyType::Hmac256];

/// Gets base key, data, where results go, and the size of the base key.
type Work = fn(&[u8], &[u8], &mut Results, KeyType) -> Result<(), Failure>;

fn ksn() -> Result<Ksn, Failure> {
    Ok(Ksn::try_from(&[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x00, 0x01, 0x80, 0x05][..])?)
}

/// The types that are not stronger than the base key.
fn permitted(types: &'static [WorkingKeyType], base: KeyType) -> impl Iterator<Item = WorkingKeyType> {
    types.iter().copied().filter(move |t| t.strength() <= WorkingKeyType::from(base).strength())
}

fn block(key_type: WorkingKeyType) -> usize {
    if matches!(key_type, WorkingKeyType::Aes(_)) { 16 } else { 8 }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for base in SIZES {
        let mut push = |name: &str, work: Work| {
            let length = base.length();
            cases.push(Case::new(format!("dukpt::aes {name}, {base:?}"), length + 48, move |secret, results| {
                let (key, data) = secret.split_at(length);
                work(key, data, results, base)
            }));
        };
        push("data keys and decryption", |key, data, results, base| {
            let (store, id) = stored("aes-base", key)?;
            let (key, ksn) = (store.key(&id)?, ksn()?);
            for size in SIZES.into_iter().filter(|size| *size <= base) {
                let mut data = data.to_vec();
                let suite = Suite::new(base, size, DataUsage::Encrypt)?;
                DataKey::derive(&key, &ksn, suite)?.decrypt_cbc(&[1; 16], &mut data)?;
                results.put(&data);
            }
            let mut spent = None;
            for size in SIZES.into_iter().filter(|size| *size <= base).rev() {
                let mut data = data.to_vec();
                let key = DataKey::derive_after(spent.take(), &key, &ksn, Suite::new(base, size, DataUsage::Both)?)?;
                key.decrypt_cbc(&[1; 16], &mut data)?;
                results.put(&data);
                spent = Some(key);
            }
            // More than the cipher has lanes, in paths of two lengths.
            let other = Ksn::try_from(&[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x00, 0x00, 0x00, 0x06][..])?;
            let ksns: Vec<_> = (0..20).map(|i| if i % 3 == 0 { other } else { ksn }).collect();
            let mut done = Ok(());
            DataKey::derive_each(&key, &ksns, Suite::new(base, base, DataUsage::Encrypt)?, |_, key| {
                let mut data = data.to_vec();
                let decrypted = key.and_then(|key| key.decrypt_cbc(&[1; 16], &mut data).map(|()| key));
                results.put(&data);
                decrypted.map_err(|error| done = Err(error)).ok()
            });
            done?;
            let transaction = TransactionKey::derive(&key, &ksn, base)?;
            for key_type in permitted(&CIPHERS, base) {
                for usage in [Usage::DataEncrypt, Usage::DataBoth] {
                    let mut data = data.to_vec();
                    transaction.data_key(key_type, usage)?.decrypt_cbc(&[1; 16], &mut data)?;
                    results.put(&data);
                }
            }
            Ok(())
        });
        push("encryption and PIN keys", |key, data, results, base| {
            let (store, id) = stored("aes-base", key)?;
            let transaction = TransactionKey::derive(&store.key(&id)?, &ksn()?, base)?;
            for key_type in permitted(&CIPHERS, base) {
                for usage in [Usage::DataDecrypt, Usage::DataBoth] {
                    let mut data = data.to_vec();
                    transaction.response_data_key(key_type, usage)?.encrypt_cbc(&[1; 16], &mut data)?;
                    results.put(&data);
                }
                let mut data = data[..block(key_type)].to_vec();
                let key = transaction.pin_key(key_type)?;
                key.encrypt_block(&mut data)?;
                results.put(&data);
                key.decrypt_block(&mut data)?;
                key.decrypt_block(&mut data)?;
                results.put(&data);
            }
            Ok(())
        });
        push("MACs", |key, data, results, base| {
            let (store, id) = stored("aes-base", key)?;
            let transaction = TransactionKey::derive(&store.key(&id)?, &ksn()?, base)?;
            for key_type in permitted(&CIPHERS, base).chain(permitted(&HMACS, base)) {
                let (algorithm, whole) = match key_type {
                    WorkingKeyType::Hmac128 | WorkingKeyType::Hmac192 | WorkingKeyType::Hmac256 => {
                        (MacAlgorithm::HmacSha256, 32)
                    }
                    _ => (MacAlgorithm::Cmac, block(key_type)),
                };
                let key = transaction.response_mac_key(key_type, Usage::MacVerify)?;
                for length in [0, 16, 45] {
                    let format = MacFormat::new(algorithm, whole)?;
                    results.put(key.generate(format, &data[..length])?.as_bytes());
                }
            }
            Ok(())
        });
        push("check values and update key", |key, _, results, base| {
            let (store, id) = stored("aes-base", key)?;
            let (key, ksn) = (store.key(&id)?, ksn()?);
            let transaction = TransactionKey::derive(&key, &ksn, base)?;
            for method in [CheckMethod::Legacy, CheckMethod::Cmac] {
                results.put_shown(key.check_value(method)?);
                for key_type in permitted(&CIPHERS, base) {
                    results.put_shown(transaction.key_encryption_key(key_type)?.check_value(method)?);
                }
                results.put_shown(update_key(&key, ksn.initial_key_id(), base, base.into())?.check_value(method)?);
            }
            Ok(())
        });
        push("device", |key, data, results, base| {
            let (store, id) = stored("aes-base", key)?;
            let (key, ksn) = (store.key(&id)?, ksn()?);
            let initial = key.derive(&ksn.initial_key(Suite::new(base, base, DataUsage::Both)?))?;
            let mut device = Terminal::new(&initial, &ksn, base)?;
            results.put_shown(device.update_key(base.into())?.check_value(CheckMethod::Cmac)?);
            let transaction = device.next_transaction()?;
            let mut data = data.to_vec();
            transaction.data_key(base.into(), Usage::DataBoth)?.encrypt_cbc(&[1; 16], &mut data)?;
            results.put(&data);
            Ok(())
        });
    }
    cases
}
