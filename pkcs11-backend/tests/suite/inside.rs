//! A token that runs TDES DUKPT by itself: Thales Luna's mechanisms, played by the faulty module.

use crate::common::{
    TDES_KEY, fault_environment, faulty_settings, hex, id, material, memory, open, other_session, plan, session_keys,
};
use cryptoki::object::{Attribute, AttributeType};
use dukpt::{Key, KeyError, KeyImport, KeyStore, KsnError, Lifetime, tdes};
use pkcs11_backend::{OpenError, Pkcs11Store, Pool, PoolSettings, Settings, Token};
use throwaway_token::{Error, ThrowawayToken, isolated_with};

const VARIANTS: [tdes::Variant; 3] = [tdes::Variant::DataRequest, tdes::Variant::DataResponse, tdes::Variant::Pin];
const CAPABLE: &str = "C_GetMechanismList dukpt\nC_DeriveKey dukpt\n";

fn ksn(counter: u8) -> tdes::Ksn {
    tdes::Ksn::try_from(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x01, counter][..]).unwrap()
}

fn with(name: &str, script: &str, body: impl FnOnce(&ThrowawayToken, &Settings)) -> Result<(), Error> {
    isolated_with(name, fault_environment, |token| {
        plan(token, script);
        body(token, &faulty_settings(token));
    })
}

/// A store with the TDES key in it.
fn filled(settings: &Settings) -> Pkcs11Store {
    let mut store = Token::open(settings).unwrap().admin().unwrap();
    store.import(&id("tdes"), &material("tdes-base", TDES_KEY), Lifetime::Permanent).unwrap();
    store
}

fn by_software(ksn: &tdes::Ksn, variant: tdes::Variant) -> Vec<u8> {
    let mut data = vec![0x33; 24];
    let initial_key = memory().key(&id("tdes")).unwrap().tdes_initial_key(ksn).unwrap();
    let key = tdes::DataKey::derive(&initial_key, ksn, variant).unwrap();
    key.decrypt_cbc(tdes::Cipher::Tdes, &[9; 16], &mut data).unwrap();
    data
}

fn by_token(store: &Pkcs11Store, ksn: &tdes::Ksn, variant: tdes::Variant) -> Result<Vec<u8>, KeyError> {
    let mut data = vec![0x33; 24];
    store.key(&id("tdes"))?.tdes_key_inside(ksn, variant)?.decrypt_cbc(&[9; 16], &mut data)?;
    Ok(data)
}

#[test]
fn data_keys_are_derived_and_used_inside() -> Result<(), Error> {
    with("inside::data_keys_are_derived_and_used_inside", CAPABLE, |throwaway, settings| {
        let store = filled(settings);
        let key = store.key(&id("tdes")).unwrap();
        for variant in VARIANTS {
            assert!(key.derives_tdes_inside(variant, tdes::Cipher::Tdes));
            assert!(!key.derives_tdes_inside(variant, tdes::Cipher::Aes128));
            for counter in [1, 2, 0x13, 0xFF] {
                let ksn = ksn(counter);
                assert_eq!(by_token(&store, &ksn, variant), Ok(by_software(&ksn, variant)), "{ksn} {variant:?}");
            }
        }
        // One object, which may derive and nothing else; no half of the hybrid.
        let other = other_session(throwaway);
        let objects = other.find_objects(&[Attribute::Token(true)]).unwrap();
        let uses = other.get_attributes(objects[0], &[AttributeType::Derive, AttributeType::Encrypt]).unwrap();
        assert_eq!((objects.len(), uses), (1, vec![Attribute::Derive(true), Attribute::Encrypt(false)]));
        let listed = store.list().unwrap();
        assert!(listed[0].problems.is_empty() && listed[0].bound, "{listed:?}");
        assert_eq!(
            listed[0].check_value.unwrap().to_string(),
            material("tdes-base", TDES_KEY).check_value().to_string()
        );

        // What it must not do, and what nobody can do with it.
        let zero = tdes::Ksn::try_from(&hex("FFFF9876543210E00000")[..]).unwrap();
        assert_eq!(key.tdes_key_inside(&zero, VARIANTS[0]).err(), Some(KsnError::CounterZero.into()));
        assert!(matches!(key.tdes_initial_key(&ksn(1)).err(), Some(KeyError::Unsupported(_))));
        let data_key = key.tdes_key_inside(&ksn(1), VARIANTS[0]).unwrap();
        assert_eq!(session_keys(&other), 1);
        for length in [0, 7, 9] {
            assert_eq!(data_key.decrypt_cbc(&[0; 16], &mut vec![0; length]), Err(KeyError::BadLength));
        }
        assert_eq!(data_key.encrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
        assert!(matches!(data_key.tdes_key_inside(&ksn(1), VARIANTS[0]).err(), Some(KeyError::NotPermitted)));
        drop(data_key);
        assert_eq!(session_keys(&other), 0);
    })
}

/// Listed, and it fails when run; listed, and the answer is another: the hybrid is used as ever.
#[test]
fn a_capability_that_is_none() -> Result<(), Error> {
    with("inside::a_capability_that_is_none", "", |throwaway, settings| {
        for script in [
            "C_GetMechanismList dukpt",
            "C_GetMechanismList dukpt\nC_DeriveKey dukpt-wrong",
            // Not listed: nobody knows what the numbers mean there.
            "C_DeriveKey dukpt",
        ] {
            plan(throwaway, script);
            let mut store = filled(settings);
            let key = store.key(&id("tdes")).unwrap();
            assert!(!key.derives_tdes_inside(VARIANTS[0], tdes::Cipher::Tdes), "{script}");
            assert!(matches!(key.tdes_key_inside(&ksn(1), VARIANTS[0]).err(), Some(KeyError::NotPermitted)));
            assert!(key.tdes_initial_key(&ksn(1)).is_ok());
            drop(key);
            assert_eq!(session_keys(&other_session(throwaway)), 0);
            store.delete(&id("tdes")).unwrap();
        }
    })
}

/// A base key of the hybrid stays one where the token could do better, and the other way round it is refused.
#[test]
fn keys_that_were_made_for_the_other_way() -> Result<(), Error> {
    with("inside::keys_that_were_made_for_the_other_way", "", |throwaway, settings| {
        drop(filled(settings));
        plan(throwaway, CAPABLE);
        let mut store = Token::open(settings).unwrap().admin().unwrap();
        let key = store.key(&id("tdes")).unwrap();
        assert!(!key.derives_tdes_inside(VARIANTS[0], tdes::Cipher::Tdes));
        assert!(key.tdes_initial_key(&ksn(1)).is_ok());
        drop(key);
        assert!(store.list().unwrap()[0].problems.is_empty());
        store.delete(&id("tdes")).unwrap();
        drop(store);

        drop(filled(settings));
        plan(throwaway, "");
        let store = Token::open(settings).unwrap().store().unwrap();
        let refused = store.key(&id("tdes")).err();
        assert!(
            matches!(&refused, Some(KeyError::UnsafeAttribute { attribute: "CKA_DERIVE=true", .. })),
            "{refused:?}"
        );
    })
}

#[test]
fn a_fault_is_no_lack_of_the_capability() -> Result<(), Error> {
    with("inside::a_fault_is_no_lack_of_the_capability", CAPABLE, |throwaway, settings| {
        drop(filled(settings));
        for fault in ["C_DeriveKey 30 at=1", "C_GetMechanismList 30 at=1", "C_CreateObject e0 at=1"] {
            plan(throwaway, &format!("{fault}\n{CAPABLE}"));
            assert!(matches!(Token::open(settings).err(), Some(OpenError::Device { .. })), "{fault}");
        }
        for fault in ["C_DeriveKey 5 at=2", "C_Decrypt lost:6 at=1"] {
            plan(throwaway, &format!("{fault}\n{CAPABLE}"));
            let store = Token::open(settings).unwrap().store().unwrap();
            assert_eq!(by_token(&store, &ksn(7), VARIANTS[0]), Ok(by_software(&ksn(7), VARIANTS[0])), "{fault}");
        }
        // And in a pool the request waits for the token that can do it.
        plan(throwaway, CAPABLE);
        let pool = Pool::open(PoolSettings::new(settings.clone())).unwrap();
        plan(throwaway, &format!("C_DeriveKey logout at=1\nC_DeriveKey 30 at=2\n{CAPABLE}"));
        for counter in 1..9 {
            let got = pool.run(crate::pool::LONG, move |store| by_token(store, &ksn(counter), VARIANTS[1]));
            assert_eq!(got, Ok(Ok(by_software(&ksn(counter), VARIANTS[1]))));
        }
        assert!(pool.health().shards[0].epoch > 1);
    })
}

#[test]
fn the_hybrid_can_be_forbidden() -> Result<(), Error> {
    with("inside::the_hybrid_can_be_forbidden", "", |throwaway, settings| {
        let forbidding = Settings { forbid_hybrid: true, ..settings.clone() };
        drop(filled(settings));
        let mut admin = open(throwaway).admin().unwrap();
        admin.import(&id("hmac"), &material("hmac", TDES_KEY.repeat(2).as_str()), Lifetime::Permanent).unwrap();
        let store = Token::open(&forbidding).unwrap().store().unwrap();
        let key = store.key(&id("tdes")).unwrap();
        assert_eq!(key.tdes_initial_key(&ksn(1)).err(), Some(KeyError::HybridForbidden));
        assert_eq!(key.tdes_initial_keys(&[ksn(1)]).err(), Some(KeyError::HybridForbidden));
        // Nothing else is.
        let hmac = store.key(&id("hmac")).unwrap();
        assert!(hmac.hmac_sha256(b"").is_ok());
        assert_eq!(hmac.tdes_initial_key(&ksn(1)).err(), Some(KeyError::NotPermitted));
        drop((key, hmac));
        drop(store);
        admin.delete(&id("tdes")).unwrap();
        drop(admin);

        plan(throwaway, CAPABLE);
        let store = filled(&forbidding);
        assert_eq!(by_token(&store, &ksn(7), VARIANTS[2]), Ok(by_software(&ksn(7), VARIANTS[2])));
    })
}
