//! Nothing stays behind in the token, and nothing can be read out of it.

use crate::common::{AES_KEYS, aes_ksn, filled, id, open, other_session, session_keys, suite};
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectClass};
use dukpt::{Key, KeyError, KeyStore, Lifetime, aes, tdes};
use throwaway_token::{Error, isolated};

#[test]
fn a_thousand_operations_leave_no_key() -> Result<(), Error> {
    isolated("residue::a_thousand_operations_leave_no_key", |throwaway| {
        let token = open(throwaway);
        let _keys = filled(&token, Lifetime::Permanent);
        let (store, watcher) = (token.store().unwrap(), other_session(throwaway));
        let before = session_keys(&watcher);
        for round in 1..=1000u32 {
            let (name, base, _) = AES_KEYS[round as usize % 3];
            let key = store.key(&id(name)).unwrap();
            let suite = suite(base, aes::KeyType::Aes128);
            match round % 5 {
                0 => assert!(aes::DataKey::derive(&key, &aes_ksn(0), suite).is_err()),
                1 => {
                    let half_done = key.derive(&aes_ksn(round).initial_key(suite)).unwrap();
                    assert_eq!(half_done.decrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
                }
                2 => {
                    let key = aes::DataKey::derive(&key, &aes_ksn(round), suite).unwrap();
                    assert_eq!(key.decrypt_cbc(&[0; 16], &mut [0; 15]), Err(KeyError::BadLength));
                }
                3 => {
                    let ksn = tdes::Ksn::try_from(&[0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 1][..]).unwrap();
                    store.key(&id("tdes")).unwrap().tdes_initial_key(&ksn).unwrap();
                }
                _ => {
                    let key = aes::DataKey::derive(&key, &aes_ksn(round), suite).unwrap();
                    key.decrypt_cbc(&[0; 16], &mut [0; 48]).unwrap();
                }
            }
        }
        assert_eq!(session_keys(&watcher), before);
        // The count would see one: a live key shows, and is gone after its drop.
        let live = store.key(&id("aes-128")).unwrap();
        let live = live.derive(&aes_ksn(1).initial_key(suite(AES_KEYS[0].1, AES_KEYS[0].1))).unwrap();
        assert_eq!(session_keys(&watcher), before + 1);
        drop(live);
        assert_eq!(session_keys(&watcher), before);
    })
}

#[test]
fn no_key_can_be_read() -> Result<(), Error> {
    isolated("residue::no_key_can_be_read", |throwaway| {
        let token = open(throwaway);
        let store = filled(&token, Lifetime::Permanent);
        let watcher = other_session(throwaway);
        let suite = suite(aes::KeyType::Aes256, aes::KeyType::Aes128);
        let base = store.key(&id("aes-256")).unwrap();
        let initial = base.derive(&aes_ksn(1).initial_key(suite)).unwrap();
        let data_key = initial.derive(&aes_ksn(1).steps(suite).unwrap().last().unwrap()).unwrap();

        let all = watcher.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap();
        assert_eq!(
            all.len(),
            3 + 3 + 2 + 1 + 2,
            "three AES keys, three for FF1, two of TDES, one for HMAC, two derived"
        );
        for object in all {
            let value = watcher.get_attribute_info(object, &[AttributeType::Value]).unwrap();
            assert!(matches!(value[..], [AttributeInfo::Sensitive]), "{value:?}");
            assert!(watcher.get_attributes(object, &[AttributeType::Value]).unwrap().is_empty());
            // Nor can it be made readable.
            assert!(watcher.update_attributes(object, &[Attribute::Extractable(true)]).is_err());
            assert!(watcher.update_attributes(object, &[Attribute::Sensitive(false)]).is_err());
        }
        drop((data_key, initial));
        assert_eq!(session_keys(&watcher), 0);
    })
}

#[test]
fn closing_a_store_closes_its_keys_and_not_the_login() -> Result<(), Error> {
    isolated("residue::closing_a_store_closes_its_keys_and_not_the_login", |throwaway| {
        let token = open(throwaway);
        let watcher = other_session(throwaway);
        let session_only = filled(&token, Lifetime::Session);
        assert_eq!(session_keys(&watcher), 9);
        drop(session_only);
        assert_eq!(session_keys(&watcher), 0);

        drop(filled(&token, Lifetime::Permanent));
        drop(watcher);
        // A store outlives the token that opened it, and the login with it.
        let store = token.store().unwrap();
        drop(token);
        assert!(store.key(&id("hmac")).unwrap().hmac_sha256(b"still here").is_ok());
        drop(store);
        // The last one finalised the module; it can be opened anew.
        assert!(open(throwaway).store().unwrap().key(&id("hmac")).unwrap().hmac_sha256(b"again").is_ok());
    })
}
