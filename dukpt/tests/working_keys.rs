//! Working keys: each has the operations of its usage only, and what is wrong is a typed error.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{
    CheckMethod, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MacError, MacFormat,
    MemoryKey, MemoryStore, Padding, Tag,
    aes::{self, KeyType, Usage, WorkingKeyType},
    tdes,
};

const ALGORITHMS: [MacAlgorithm; 4] = [
    MacAlgorithm::Retail(Padding::Zeros),
    MacAlgorithm::Retail(Padding::OneThenZeros),
    MacAlgorithm::Cmac,
    MacAlgorithm::HmacSha256,
];

const TYPES: [WorkingKeyType; 8] = [
    WorkingKeyType::Tdes2,
    WorkingKeyType::Tdes3,
    WorkingKeyType::Aes(KeyType::Aes128),
    WorkingKeyType::Aes(KeyType::Aes192),
    WorkingKeyType::Aes(KeyType::Aes256),
    WorkingKeyType::Hmac128,
    WorkingKeyType::Hmac192,
    WorkingKeyType::Hmac256,
];

fn with_transaction(base: KeyType, test: impl Fn(&MemoryKey<'_>, aes::TransactionKey<MemoryKey<'_>>)) {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key").unwrap());
    store.import(&id, &KeyMaterial::new("aes-base", &[0x77; 32][..base.length()]).unwrap(), Lifetime::Session).unwrap();
    let base_key = store.key(&id).unwrap();
    let ksn = aes::Ksn::try_from(&[1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 5][..]).unwrap();
    test(&base_key, aes::TransactionKey::derive(&base_key, &ksn, base).unwrap());
}

#[test]
fn no_working_key_is_stronger_than_its_parent() {
    for base in [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256] {
        with_transaction(base, |base_key, transaction| {
            for key_type in TYPES {
                let allowed = match base {
                    // Three keys of TDES are longer than an AES-128 key, and weaker.
                    KeyType::Aes128 => key_type.length() == 16 || key_type == WorkingKeyType::Tdes3,
                    KeyType::Aes192 => key_type.length() <= 24,
                    KeyType::Aes256 => true,
                };
                let is_cipher =
                    !matches!(key_type, WorkingKeyType::Hmac128 | WorkingKeyType::Hmac192 | WorkingKeyType::Hmac256);
                let expected = (!allowed).then_some(KeyError::TooStrong);
                let of_cipher = if is_cipher { expected.clone() } else { Some(KeyError::NotPermitted) };
                assert_eq!(transaction.mac_key(key_type, Usage::MacGenerate).err(), expected, "{base:?} {key_type:?}");
                assert_eq!(transaction.response_mac_key(key_type, Usage::MacBoth).err(), expected);
                assert_eq!(transaction.pin_key(key_type).err(), of_cipher, "{base:?} {key_type:?}");
                assert_eq!(transaction.data_key(key_type, Usage::DataEncrypt).err(), of_cipher);
                assert_eq!(transaction.response_data_key(key_type, Usage::DataBoth).err(), of_cipher);
                assert_eq!(transaction.key_encryption_key(key_type).err(), of_cipher);
                assert_eq!(aes::update_key(base_key, [0; 8], base, key_type).err(), of_cipher);
            }
        });
    }
}

#[test]
fn a_usage_gives_its_own_keys_only() {
    use Usage::*;
    let all = [KeyEncryption, Pin, MacGenerate, MacVerify, MacBoth, DataEncrypt, DataDecrypt, DataBoth];
    with_transaction(KeyType::Aes128, |_, transaction| {
        let aes = KeyType::Aes128.into();
        for usage in all {
            let refused = |permitted: [Usage; 2]| (!permitted.contains(&usage)).then_some(KeyError::NotPermitted);
            assert_eq!(transaction.data_key(aes, usage).err(), refused([DataEncrypt, DataBoth]), "{usage:?}");
            assert_eq!(transaction.response_data_key(aes, usage).err(), refused([DataDecrypt, DataBoth]), "{usage:?}");
            assert_eq!(transaction.mac_key(aes, usage).err(), refused([MacGenerate, MacBoth]), "{usage:?}");
            assert_eq!(transaction.response_mac_key(aes, usage).err(), refused([MacVerify, MacBoth]), "{usage:?}");
        }
    });
}

/// The joint below the types keeps the same rule: a derived key does the work of its purpose.
#[test]
fn the_store_keeps_purposes_apart() {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key").unwrap());
    store.import(&id, &KeyMaterial::new("aes-base", &[0x77; 16]).unwrap(), Lifetime::Session).unwrap();
    let base_key = store.key(&id).unwrap();
    let suite = aes::Suite::new(KeyType::Aes128, KeyType::Aes128, aes::DataUsage::Both).unwrap();
    let ksn = aes::Ksn::try_from(&[1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1][..]).unwrap();
    let initial_key = base_key.derive(&ksn.initial_key(suite)).unwrap();
    let data_key = initial_key.derive(&ksn.steps(suite).unwrap().last().unwrap()).unwrap();
    for key in [&base_key, &initial_key, &data_key] {
        assert_eq!(key.encrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
        assert_eq!(key.encrypt_block(&mut [0; 16]), Err(KeyError::NotPermitted));
        assert_eq!(key.decrypt_block(&mut [0; 16]), Err(KeyError::NotPermitted));
        assert_eq!(key.mac(MacAlgorithm::Cmac, b"").err(), Some(KeyError::NotPermitted));
        assert!(key.check_value(CheckMethod::Legacy).is_ok() && key.check_value(CheckMethod::Cmac).is_ok());
    }
    assert!(data_key.decrypt_cbc(&[0; 16], &mut [0; 16]).is_ok());
}

#[test]
fn lengths_of_blocks() {
    with_transaction(KeyType::Aes256, |_, transaction| {
        for (key_type, block) in [(WorkingKeyType::Tdes3, 8), (KeyType::Aes256.into(), 16)] {
            let pin_key = transaction.pin_key(key_type).unwrap();
            let data_key = transaction.data_key(key_type, Usage::DataBoth).unwrap();
            let response = transaction.response_data_key(key_type, Usage::DataBoth).unwrap();
            for length in 0..49 {
                let mut data = vec![0; length];
                let one = if length == block { Ok(()) } else { Err(KeyError::BadLength) };
                assert_eq!(pin_key.encrypt_block(&mut data), one, "{key_type:?} {length}");
                assert_eq!(pin_key.decrypt_block(&mut data), one, "{key_type:?} {length}");
                let whole = if length > 0 && length % block == 0 { Ok(()) } else { Err(KeyError::BadLength) };
                assert_eq!(response.encrypt_cbc(&[1; 16], &mut data), whole, "{key_type:?} {length}");
                assert_eq!(data_key.decrypt_cbc(&[1; 16], &mut data), whole, "{key_type:?} {length}");
                assert_eq!(data, vec![0; length]);
            }
        }
    });
}

#[test]
fn which_algorithm_under_which_key_and_how_long() {
    for algorithm in ALGORITHMS {
        let longest = match algorithm {
            MacAlgorithm::Retail(_) => 8,
            MacAlgorithm::Cmac => 16,
            MacAlgorithm::HmacSha256 => 32,
        };
        for length in 0..40 {
            assert_eq!(MacFormat::new(algorithm, length).is_ok(), (4..=longest).contains(&length), "{length}");
        }
        for key_type in TYPES {
            let made = algorithm.under_clear_key(key_type, &[0x31; 32][..key_type.length()], b"message");
            let length = match (algorithm, key_type) {
                (MacAlgorithm::Retail(_), WorkingKeyType::Tdes2) => Some(8),
                (MacAlgorithm::Cmac, WorkingKeyType::Tdes2 | WorkingKeyType::Tdes3) => Some(8),
                (MacAlgorithm::Cmac, WorkingKeyType::Aes(_)) => Some(16),
                (
                    MacAlgorithm::HmacSha256,
                    WorkingKeyType::Hmac128 | WorkingKeyType::Hmac192 | WorkingKeyType::Hmac256,
                ) => Some(32),
                _ => None,
            };
            assert_eq!(made.as_ref().ok().map(|mac| mac.as_bytes().len()), length, "{algorithm:?} {key_type:?}");
            assert!(length.is_some() || made.err() == Some(KeyError::NotPermitted));
            for wrong in [0, 15, 17, 23, 25, 31, 33] {
                let made = algorithm.under_clear_key(key_type, &vec![0; wrong], b"");
                assert_eq!(made.err(), Some(KeyError::BadLength));
            }
        }
    }
    for length in [0, 3, 33] {
        assert_eq!(Tag::new(&vec![0; length]).err(), Some(KeyError::BadLength));
    }
}

/// Every bit of the MAC and of the message counts; no prefix and no longer text passes.
#[test]
fn verification() {
    with_transaction(KeyType::Aes128, |_, transaction| {
        for (key_type, algorithm) in [
            (WorkingKeyType::Tdes2, MacAlgorithm::Retail(Padding::Zeros)),
            (WorkingKeyType::Tdes2, MacAlgorithm::Retail(Padding::OneThenZeros)),
            (WorkingKeyType::Tdes3, MacAlgorithm::Cmac),
            (KeyType::Aes128.into(), MacAlgorithm::Cmac),
            (WorkingKeyType::Hmac128, MacAlgorithm::HmacSha256),
        ] {
            let ours = transaction.mac_key(key_type, Usage::MacBoth).unwrap();
            let theirs = transaction.response_mac_key(key_type, Usage::MacBoth).unwrap();
            for length in [4, 8] {
                let format = MacFormat::new(algorithm, length).unwrap();
                let (message, mac) = (*b"4012345678909D987", theirs.generate(format, b"4012345678909D987").unwrap());
                assert_eq!(ours.verify(format, &message, mac.as_bytes()), Ok(()));
                for bit in 0..length * 8 {
                    let mut forged = mac.as_bytes().to_vec();
                    forged[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(ours.verify(format, &message, &forged), Err(MacError::Mismatch));
                }
                for bit in 0..message.len() * 8 {
                    let mut forged = message;
                    forged[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(ours.verify(format, &forged, mac.as_bytes()), Err(MacError::Mismatch));
                }
                for wrong in 0..length {
                    assert_eq!(ours.verify(format, &message, &mac.as_bytes()[..wrong]), Err(MacError::Mismatch));
                }
                let longer = [mac.as_bytes(), &[0]].concat();
                assert_eq!(ours.verify(format, &message, &longer), Err(MacError::Mismatch));
            }
        }
        // A format that is longer than the MAC of the key's type is the caller's mistake, not the device's.
        let format = MacFormat::new(MacAlgorithm::Cmac, 16).unwrap();
        let key = transaction.mac_key(WorkingKeyType::Tdes2, Usage::MacBoth).unwrap();
        assert_eq!(key.verify(format, b"", &[0; 16]), Err(MacError::Key(KeyError::BadLength)));
    });
}

/// Padding 1 does not tell a message from the same message with zeros; padding 2 does.
#[test]
fn the_two_paddings() {
    let mac = |padding, message: &[u8]| {
        let mac = MacAlgorithm::Retail(padding).under_clear_key(WorkingKeyType::Tdes2, &[0x31; 16], message);
        mac.unwrap().as_bytes().to_vec()
    };
    for (short, long) in [(&b"1234567"[..], &b"1234567\0"[..]), (b"", b"\0"), (b"123456789", b"123456789\0\0")] {
        assert_eq!(mac(Padding::Zeros, short), mac(Padding::Zeros, long));
        assert_ne!(mac(Padding::OneThenZeros, short), mac(Padding::OneThenZeros, long));
    }
    assert_eq!(mac(Padding::Zeros, b"1234567\x80"), mac(Padding::OneThenZeros, b"1234567"));
    assert_eq!(mac(Padding::Zeros, b"12345678\x80"), mac(Padding::OneThenZeros, b"12345678"));
}

#[test]
fn the_non_standard_profile() {
    let injected = tdes::InitialKey::try_filled(|key| {
        key.fill(0xFF);
        Ok(())
    });
    let ksn = tdes::Ksn::try_from(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xE0, 0, 0x22][..]).unwrap();
    let key = tdes::chinese::DataKey::derive(&injected.unwrap(), &ksn).unwrap();
    assert_eq!(u128::from_be_bytes(*key.expose()), 0xB320_3CEA_55C3_BC4C_A675_A00A_1BF7_0A7A);
    let mut twice = [0x11; 16];
    key.decrypt_ecb(&mut twice).unwrap();
    assert_eq!(twice[..8], twice[8..], "ECB");
    for wrong in [0, 7, 9] {
        assert_eq!(key.decrypt_ecb(&mut vec![0; wrong]), Err(KeyError::BadLength));
    }
}
