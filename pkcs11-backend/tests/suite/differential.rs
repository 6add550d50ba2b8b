//! The token and the software agree, key by key and in threads.

use crate::common::{AES_KEYS, aes_ksn, all_keys, filled, hex, id, material, memory, open, suite, working_keys};
use dukpt::{Custody, Key, KeyImport, KeyMaterial, KeyStore, KsnError, Lifetime, Scheme, aes, tdes};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use throwaway_token::{Error, isolated};

fn few() -> TestRunner {
    TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
}

/// Decrypts `data` with both stores and compares.
fn same_aes(store: &impl KeyStore, name: &str, suite: aes::Suite, ksn: &aes::Ksn, iv: [u8; 16], data: &[u8]) {
    let (software, name) = (memory(), id(name));
    let mut by_token = data.to_vec();
    let mut by_software = data.to_vec();
    let key = aes::DataKey::derive(&store.key(&name).unwrap(), ksn, suite).unwrap();
    key.decrypt_cbc(&iv, &mut by_token).unwrap();
    let key = aes::DataKey::derive(&software.key(&name).unwrap(), ksn, suite).unwrap();
    key.decrypt_cbc(&iv, &mut by_software).unwrap();
    assert_eq!(by_token, by_software, "{ksn}");
}

fn same_tdes(store: &impl KeyStore, ksn: &tdes::Ksn) {
    let software = memory();
    let by_token = store.key(&id("tdes")).unwrap().tdes_initial_key(ksn).unwrap();
    let by_software = software.key(&id("tdes")).unwrap().tdes_initial_key(ksn).unwrap();
    assert_eq!(by_token.expose(), by_software.expose(), "{ksn}");
}

/// Every pair of base and data key sizes.
fn suites() -> impl Iterator<Item = (&'static str, aes::Suite)> {
    let data = AES_KEYS.map(|(_, data, _)| data);
    AES_KEYS.into_iter().flat_map(move |(name, base, _)| {
        data.into_iter().filter(move |data| *data <= base).map(move |data| (name, suite(base, data)))
    })
}

#[test]
fn aes_dukpt() -> Result<(), Error> {
    isolated("differential::aes_dukpt", |token| {
        let token = open(token);
        let store = filled(&token, Lifetime::Session);
        assert_eq!((store.custody(Scheme::Aes), store.custody(Scheme::Tdes)), (Custody::Token, Custody::Hybrid));
        for (name, suite) in suites() {
            for counter in [1, 2, 3, 0x1_0000, 0xFFFF, 0xFFFF_0000, 0x8000_0001] {
                same_aes(&store, name, suite, &aes_ksn(counter), [7; 16], &[0xA5; 48]);
            }
        }
        let suites: Vec<_> = suites().collect();
        let strategy = (any::<[u8; 12]>(), 0..suites.len(), any::<[u8; 16]>(), 1..6usize, any::<u8>());
        let run = few().run(&strategy, |(ksn, suite, iv, blocks, byte)| {
            let ksn = aes::Ksn::try_from(&ksn[..]).ok().filter(|ksn| ksn.counter() != 0);
            let Some(ksn) = ksn else { return Err(TestCaseError::reject("counter")) };
            same_aes(&store, suites[suite].0, suites[suite].1, &ksn, iv, &vec![byte; blocks * 16]);
            Ok(())
        });
        run.unwrap();
    })
}

#[test]
fn the_data_key_of_the_x9_24_3_supplement() -> Result<(), Error> {
    isolated("differential::the_data_key_of_the_x9_24_3_supplement", |token| {
        use ::aes::cipher::{BlockCipherDecrypt, KeyInit};

        let token = open(token);
        let store = filled(&token, Lifetime::Permanent);
        let key = store.key(&id("aes-128")).unwrap();
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);
        let key = aes::DataKey::derive(&key, &aes_ksn(1), suite).unwrap();
        let mut by_token = [0x5A; 16];
        key.decrypt_cbc(&[0; 16], &mut by_token).unwrap();
        let mut by_published_key = [0x5A; 16];
        let published: [u8; 16] = hex("A35C412EFD41FDB98B69797C02DCD08F").try_into().unwrap();
        ::aes::Aes128::new(&published.into()).decrypt_block((&mut by_published_key).into());
        assert_eq!(by_token, by_published_key);
    })
}

#[test]
fn tdes_hybrid_and_hmac() -> Result<(), Error> {
    isolated("differential::tdes_hybrid_and_hmac", |token| {
        let token = open(token);
        let store = filled(&token, Lifetime::Permanent);
        let published = tdes::Ksn::try_from(&hex("FFFF9876543210EFF801")[..]).unwrap();
        let initial = store.key(&id("tdes")).unwrap().tdes_initial_key(&published).unwrap();
        assert_eq!(initial.expose()[..], hex("6AC292FAA1315B4D858AB3A3D7D5933A")); // X9.24-1:2009, A.4
        let software = memory();
        let run = few().run(&(any::<[u8; 8]>(), prop::collection::vec(any::<u8>(), 0..200)), |(ksn, data)| {
            if let Ok(ksn) = tdes::Ksn::try_from(&ksn[..]) {
                same_tdes(&store, &ksn);
            }
            let by_software = software.key(&id("hmac")).unwrap().hmac_sha256(&data).unwrap();
            assert_eq!(store.key(&id("hmac")).unwrap().hmac_sha256(&data).unwrap(), by_software);
            Ok(())
        });
        run.unwrap();
        // The lengths around the hash's block of 64 bytes, and the longest key.
        let (mut store, mut software) = (store, software);
        for length in [32, 63, 64, 65, 256] {
            let (name, key) = (id(&format!("hmac {length}")), KeyMaterial::new("hmac", &vec![0xAB; length]).unwrap());
            store.import(&name, &key, Lifetime::Session).unwrap();
            software.import(&name, &key, Lifetime::Session).unwrap();
            let by_software = software.key(&name).unwrap().hmac_sha256(b"data");
            assert_eq!(store.key(&name).unwrap().hmac_sha256(b"data"), by_software, "{length}");
        }
    })
}

#[test]
fn errors_are_those_of_the_software() -> Result<(), Error> {
    isolated("differential::errors_are_those_of_the_software", |token| {
        let token = open(token);
        let (store, software) = (filled(&token, Lifetime::Session), memory());
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);
        let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
        let step = aes_ksn(1).initial_key(suite);
        for (name, ..) in all_keys() {
            let (ours, theirs) = (store.key(&id(name)).unwrap(), software.key(&id(name)).unwrap());
            assert_eq!(ours.derive(&step).err(), theirs.derive(&step).err(), "{name}");
            assert_eq!(ours.tdes_initial_key(&ksn).err(), theirs.tdes_initial_key(&ksn).err(), "{name}");
            assert_eq!(ours.hmac_sha256(b"").err(), theirs.hmac_sha256(b"").err(), "{name}");
            assert_eq!(ours.decrypt_cbc(&[0; 16], &mut [0; 16]), theirs.decrypt_cbc(&[0; 16], &mut [0; 16]), "{name}");
        }
        // Derived keys: one derives and does not decrypt, the other the reverse; partial blocks are refused.
        fn derived<S: KeyStore>(store: &S, suite: aes::Suite) -> Vec<String> {
            let base = store.key(&id("aes-128")).unwrap();
            let initial = base.derive(&aes_ksn(1).initial_key(suite)).unwrap();
            let last = aes_ksn(1).steps(suite).unwrap().last().unwrap();
            let data_key = initial.derive(&last).unwrap();
            let mut said = vec![format!("{:?}", data_key.derive(&last).err())];
            said.extend(
                [0, 15, 17].map(|length| format!("{:?}", data_key.decrypt_cbc(&[0; 16], &mut vec![0; length]))),
            );
            said.push(format!("{:?}", initial.decrypt_cbc(&[0; 16], &mut [0; 16])));
            said.push(format!("{:?}", initial.hmac_sha256(b"")));
            let zero = aes::DataKey::derive(&base, &aes_ksn(0), suite).err().unwrap();
            assert_eq!(zero, KsnError::CounterZero.into());
            said
        }
        assert_eq!(derived(&store, suite), derived(&software, suite));
        assert_eq!(store.key(&id("none")).err(), software.key(&id("none")).err());
        for (name, kind, key) in all_keys() {
            assert_eq!(
                store.check_value(&id(name)).unwrap().to_string(),
                material(kind, key).check_value().to_string(),
                "{name}"
            );
        }
    })
}

#[test]
fn four_threads_share_a_token() -> Result<(), Error> {
    isolated("differential::four_threads_share_a_token", |token| {
        fn shared<T: Send + Sync>(_: &T) {}
        fn sent<T: Send>(_: &T) {}
        let token = open(token);
        shared(&token);
        let keys = filled(&token, Lifetime::Permanent);
        sent(&keys);
        std::thread::scope(|scope| {
            for thread in 0..4u32 {
                let store = token.store().unwrap();
                scope.spawn(move || {
                    for round in 1..30u32 {
                        let ksn = aes_ksn(thread << 16 | round);
                        let (name, base, _) = AES_KEYS[(thread + round) as usize % 3];
                        same_aes(&store, name, suite(base, base), &ksn, [9; 16], &[3; 32]);
                        let mut ksn = hex("FFFF9876543210E00001");
                        ksn[5] = u8::try_from(thread * 32 + round).unwrap();
                        same_tdes(&store, &tdes::Ksn::try_from(&ksn[..]).unwrap());
                        let mac = store.key(&id("hmac")).unwrap().hmac_sha256(&ksn).unwrap();
                        assert_eq!(mac, memory().key(&id("hmac")).unwrap().hmac_sha256(&ksn).unwrap());
                    }
                });
            }
        });
    })
}

/// The working keys of AES DUKPT: the token and the software say the same, errors included, but for what no token does.
#[test]
fn aes_working_keys() -> Result<(), Error> {
    use aes::{KeyType, Usage, WorkingKeyType};
    use dukpt::{CheckMethod, KeyError, MacAlgorithm, MacFormat};

    isolated("differential::aes_working_keys", |token| {
        let token = open(token);
        let (store, software) = (filled(&token, Lifetime::Session), memory());
        for (name, base, _) in AES_KEYS {
            for counter in [1, 7, 0xFFFF_0000] {
                let ksn = aes_ksn(counter);
                assert_eq!(
                    working_keys(&store, name, base, &ksn),
                    working_keys(&software, name, base, &ksn),
                    "{name} {counter}"
                );
            }
        }
        // What a token cannot do, it names.
        let base_key = store.key(&id("aes-256")).unwrap();
        let transaction = aes::TransactionKey::derive(&base_key, &aes_ksn(3), KeyType::Aes256).unwrap();
        for key_type in [WorkingKeyType::Tdes2, WorkingKeyType::Tdes3] {
            let refused = transaction.pin_key(key_type).err();
            assert_eq!(refused, Some(KeyError::Unsupported("TDES keys derived from AES keys")));
        }
        let format = MacFormat::new(MacAlgorithm::HmacSha256, 32).unwrap();
        let key = transaction.response_mac_key(WorkingKeyType::Hmac128, Usage::MacBoth).unwrap();
        assert_eq!(key.generate(format, b"").err(), Some(KeyError::Unsupported("CKM_SHA256_HMAC")));
        let kek = transaction.key_encryption_key(KeyType::Aes128.into()).unwrap();
        assert_eq!(kek.check_value(CheckMethod::Cmac).err(), Some(KeyError::Unsupported("CMAC check values")));
        // A virtual device with its registers in the token: dropped, it leaves nothing behind.
        let ksn = aes_ksn(0xFFFE_8000);
        let initial_key = base_key.derive(&ksn.initial_key(suite(KeyType::Aes256, KeyType::Aes256))).unwrap();
        let mut device = aes::terminal::Terminal::new(&initial_key, &ksn, KeyType::Aes256).unwrap();
        let mut block = [1; 16];
        let pin = WorkingKeyType::from(KeyType::Aes256);
        device.next_transaction().unwrap().pin_key(pin).unwrap().encrypt_block(&mut block).unwrap();
        let host = software.key(&id("aes-256")).unwrap();
        let host = aes::TransactionKey::derive(&host, &ksn, KeyType::Aes256).unwrap();
        host.pin_key(pin).unwrap().decrypt_block(&mut block).unwrap();
        assert_eq!(block, [1; 16]);
        assert_eq!(device.next_transaction().unwrap().ksn(), aes_ksn(0xFFFF_0000));
        assert_eq!(device.next_transaction().err(), Some(KeyError::Exhausted(dukpt::Exhausted)));
    })
}
