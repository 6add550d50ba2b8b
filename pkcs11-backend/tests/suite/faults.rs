//! A token that fails: through a module that does so on demand (`fault-module`).

use crate::common::{
    AES_KEYS, HMAC_KEY, TDES_KEY, aes_ksn, fault_environment, faulty_settings, filled, hex, id, material, memory, open,
    other_session, plan, session_keys, suite,
};
use dukpt::{Key, KeyError, KeyImport, KeyStore, Lifetime, aes, tdes};
use pkcs11_backend::{Cryptoperiod, OpenError, Pkcs11Store, Settings, Token};
use throwaway_token::{Error, ThrowawayToken, isolated_with};

/// Runs the body with the test keys in the token and settings that go through the faulty module.
pub(crate) fn faulty(name: &str, body: impl FnOnce(&ThrowawayToken, &Settings)) -> Result<(), Error> {
    isolated_with(name, fault_environment, |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        plan(token, "");
        body(token, &faulty_settings(token));
    })
}

fn decrypt(store: &Pkcs11Store, counter: u32) -> Result<[u8; 48], KeyError> {
    let mut data = [0x77; 48];
    let suite = suite(AES_KEYS[0].1, AES_KEYS[0].1);
    let done =
        aes::DataKey::derive(&store.key(&id("aes-128"))?, &aes_ksn(counter), suite)?.decrypt_cbc(&[1; 16], &mut data);
    // A failed decryption leaves the ciphertext as it was.
    assert!(done.is_ok() || data == [0x77; 48]);
    done.map(|()| data)
}

fn decrypted_in_software(counter: u32) -> [u8; 48] {
    let mut data = [0x77; 48];
    let suite = suite(AES_KEYS[0].1, AES_KEYS[0].1);
    let (store, ksn) = (memory(), aes_ksn(counter));
    let key = aes::DataKey::derive(&store.key(&id("aes-128")).unwrap(), &ksn, suite).unwrap();
    key.decrypt_cbc(&[1; 16], &mut data).unwrap();
    data
}

fn device(function: &'static str, code: u64) -> KeyError {
    KeyError::Device { function, code }
}

#[test]
fn each_code_becomes_the_error_that_says_what_to_do() -> Result<(), Error> {
    faulty("faults::each_code_becomes_the_error_that_says_what_to_do", |throwaway, settings| {
        let token = Token::open(settings).unwrap();
        let mut store = token.admin().unwrap();
        let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
        let hmac = |store: &Pkcs11Store| store.key(&id("hmac"))?.hmac_sha256(b"").map(|_| ());
        let initial = |store: &Pkcs11Store| store.key(&id("tdes"))?.tdes_initial_key(&ksn).map(|_| ());
        let aes = |store: &Pkcs11Store| decrypt(store, 3).map(|_| ());
        let ecb_data = KeyError::Unsupported("CKM_AES_ECB_ENCRYPT_DATA");
        type Operation<'a> = &'a dyn Fn(&Pkcs11Store) -> Result<(), KeyError>;
        let table: [(&str, Operation<'_>, KeyError); 14] = [
            ("C_DeriveKey 70", &aes, ecb_data.clone()),
            ("C_DeriveKey 54", &aes, ecb_data),
            ("C_DeriveKey 68", &aes, KeyError::NotPermitted),
            ("C_DeriveKey 30", &aes, device("C_DeriveKey", 0x30)),
            ("C_DeriveKey 80000001", &aes, device("C_DeriveKey", 0x8000_0001)),
            ("C_DecryptInit 70", &aes, KeyError::Unsupported("CKM_AES_CBC")),
            ("C_DecryptInit b3", &aes, device("C_DecryptInit", 0xB3)),
            ("C_Decrypt lost:5", &aes, device("C_Decrypt", 5)),
            ("C_EncryptInit 70", &initial, KeyError::Unsupported("CKM_DES3_ECB")),
            ("C_Encrypt cut", &initial, KeyError::Device { function: "C_Encrypt", code: 5 }),
            ("C_SignInit 70", &hmac, KeyError::Unsupported("CKM_SHA256_HMAC")),
            ("C_SignInit 68", &hmac, KeyError::NotPermitted),
            // A handle that stays stale is looked up once, not for ever.
            ("C_SignInit 82", &hmac, device("C_SignInit", 0x82)),
            ("C_SignInit 60", &hmac, device("C_SignInit", 0x60)),
        ];
        for (fault, operation, error) in table {
            plan(throwaway, fault);
            assert_eq!(operation(&store), Err(error), "{fault}");
            plan(throwaway, "");
            // The session works on: no operation stayed active, and no half result is used.
            assert_eq!((aes(&store), initial(&store), hmac(&store)), (Ok(()), Ok(()), Ok(())), "{fault}");
        }
        plan(throwaway, "C_FindObjects 30");
        assert_eq!(store.key(&id("none")).err(), Some(device("C_FindObjects", 0x30)));
        plan(throwaway, "C_GenerateKey 70");
        let generated = store.generate(&id("new"), dukpt::KeyKind::Hmac, &Cryptoperiod::default());
        assert_eq!(generated, Err(KeyError::Unsupported("CKM_GENERIC_SECRET_KEY_GEN")));
        // No search stayed open, and neither left a key.
        plan(throwaway, "");
        assert_eq!(store.key(&id("new")).err(), Some(KeyError::NotFound(id("new"))));
        assert_eq!(session_keys(&other_session(throwaway)), 0);
    })
}

#[test]
fn a_token_that_wants_more_room() -> Result<(), Error> {
    faulty("faults::a_token_that_wants_more_room", |throwaway, settings| {
        let store = Token::open(settings).unwrap().store().unwrap();
        plan(throwaway, "C_Decrypt room");
        for counter in 1..4 {
            assert_eq!(decrypt(&store, counter), Ok(decrypted_in_software(counter)));
        }
        plan(throwaway, "");
        assert_eq!(decrypt(&store, 4), Ok(decrypted_in_software(4)));
    })
}

#[test]
fn a_key_that_cannot_be_destroyed_is_destroyed_later() -> Result<(), Error> {
    faulty("faults::a_key_that_cannot_be_destroyed_is_destroyed_later", |throwaway, settings| {
        let store = Token::open(settings).unwrap().store().unwrap();
        let watcher = other_session(throwaway);
        plan(throwaway, "C_DestroyObject 30");
        assert!(decrypt(&store, 1).is_ok());
        assert_eq!(session_keys(&watcher), 3);
        plan(throwaway, "");
        assert!(decrypt(&store, 2).is_ok());
        assert_eq!(session_keys(&watcher), 0);

        // If it goes on, the store stops before the token is full, and recovers with the token.
        plan(throwaway, "C_DestroyObject 30");
        let error = (0..100).find_map(|_| decrypt(&store, 1).err());
        assert_eq!(error, Some(device("C_DestroyObject", 0x30)));
        assert!((64..70).contains(&session_keys(&watcher)), "{}", session_keys(&watcher));
        plan(throwaway, "");
        assert!(decrypt(&store, 2).is_ok());
        assert_eq!(session_keys(&watcher), 0);
    })
}

#[test]
fn imports_that_fail_half_way() -> Result<(), Error> {
    faulty("faults::imports_that_fail_half_way", |throwaway, settings| {
        let mut store = Token::open(settings).unwrap().admin().unwrap();
        let before = store.list().unwrap().len();
        // The variant cannot be made: the base key goes again.
        plan(throwaway, "C_CreateObject 31 label=.variant");
        let failed = store.import(&id("half"), &material("tdes-base", TDES_KEY), Lifetime::Permanent);
        assert_eq!(failed, Err(device("C_CreateObject", 0x31)));
        plan(throwaway, "");
        assert_eq!(store.list().unwrap().len(), before);
        store.import(&id("half"), &material("tdes-base", TDES_KEY), Lifetime::Permanent).unwrap();

        // A token that does not know CKA_COPYABLE gets the key without. This one knows it, so what it made is not safe,
        // and goes again: one failed call must not cost a key its protection.
        let before = store.list().unwrap().len();
        plan(throwaway, "C_CreateObject 12 with=171");
        let refused = store.import(&id("simple"), &material("hmac", HMAC_KEY), Lifetime::Permanent);
        let attribute = "CKA_COPYABLE=true";
        assert_eq!(refused, Err(KeyError::UnsafeAttribute { id: id("simple"), attribute }));
        assert_eq!(store.list().unwrap().len(), before);
    })
}

#[test]
fn check_values_of_a_token_that_derives_nothing_readable() -> Result<(), Error> {
    faulty("faults::check_values_of_a_token_that_derives_nothing_readable", |throwaway, settings| {
        let store = Token::open(settings).unwrap().store().unwrap();
        // Then CKA_CHECK_VALUE says it, which SoftHSM keeps ...
        plan(throwaway, "C_DeriveKey 13");
        for (name, _, key) in AES_KEYS {
            let computed = material("aes-base", key).check_value().to_string();
            assert_eq!(store.check_value(&id(name)).unwrap().to_string(), computed);
        }
        // ... and other tokens do not.
        plan(throwaway, "C_DeriveKey 13\nC_GetAttributeValue 12 with=90");
        let refused = store.check_value(&id("aes-128"));
        assert!(matches!(refused, Err(KeyError::Unsupported(_))), "{refused:?}");
        let listed = store.list().unwrap();
        let missing = listed.iter().filter(|entry| entry.check_value.is_none()).map(|entry| entry.id.as_str());
        assert_eq!(missing.collect::<Vec<_>>(), ["aes-128", "aes-192", "aes-256"]);
    })
}

#[test]
fn logins() -> Result<(), Error> {
    faulty("faults::logins", |throwaway, settings| {
        let refused = |fault: &str| {
            plan(throwaway, fault);
            Token::open(settings).err().unwrap()
        };
        assert!(matches!(refused("C_Login a4"), OpenError::PinLocked));
        for wrong in ["C_Login a0", "C_Login a1", "C_Login a2"] {
            assert!(matches!(refused(wrong), OpenError::WrongPin), "{wrong}");
        }
        for unset in ["C_Login a3", "C_Login 102"] {
            assert!(matches!(refused(unset), OpenError::PinToChange), "{unset}");
        }
        // Every code comes through as it is: those that cryptoki names, those it does not, and vendors' own.
        for code in [0x6, 0x30, 0xA5, 0xE0, 0x103, 0x200, 0x8000_0042] {
            let error = refused(&format!("C_Login {code:x}"));
            assert!(matches!(error, OpenError::Device { function: "C_Login", code: is } if is == code), "{error}");
            let error = refused(&format!("C_OpenSession {code:x}"));
            assert!(
                matches!(error, OpenError::Device { function: "C_OpenSession", code: is } if is == code),
                "{error}"
            );
        }
        // Somebody logged in before.
        plan(throwaway, "C_Login lost:100");
        assert!(Token::open(settings).is_ok());
    })
}
