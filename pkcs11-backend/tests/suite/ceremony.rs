//! Key ceremonies: import, inventory, check values, deletion; and which keys are refused.

use crate::common::{
    AES_KEYS, HMAC_KEY, TDES_KEY, aes_ksn, all_keys, filled, hex, id, material, memory, open, other_session,
    session_keys, settings, suite,
};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass},
};
use dukpt::{Key, KeyError, KeyImport, KeyKind, KeyStore, Lifetime, aes, tdes};
use pkcs11_backend::{Cryptoperiod, Token};
use throwaway_token::{Error, isolated};

#[test]
fn import_list_delete() -> Result<(), Error> {
    isolated("ceremony::import_list_delete", |throwaway| {
        let token = open(throwaway);
        let mut store = filled(&token, Lifetime::Permanent);
        store.generate(&id("made inside"), KeyKind::Hmac, &Cryptoperiod::default()).unwrap();
        store.import(&id("for now"), &material("hmac", HMAC_KEY), Lifetime::Session).unwrap();

        let watcher = other_session(throwaway);
        assert_eq!(session_keys(&watcher), 1);
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), all_keys().len() + 2);
        assert_eq!(session_keys(&watcher), 1, "a check value left its key");
        for (name, kind, key) in all_keys() {
            let entry = listed.iter().find(|entry| entry.id == id(name)).unwrap();
            let material = material(kind, key);
            assert_eq!(entry.kind, Some(material.kind()));
            assert_eq!(entry.check_value.unwrap().to_string(), material.check_value().to_string());
            assert_eq!((entry.permanent, entry.generated, &entry.problems[..]), (true, false, &[][..]));
        }
        let entry = |name| listed.iter().find(|entry| entry.id == id(name)).unwrap();
        assert_eq!((entry("made inside").generated, entry("made inside").kind), (true, Some(KeyKind::Hmac)));
        assert!(!entry("for now").permanent);
        assert!(listed.is_sorted_by_key(|entry| entry.id.clone()));

        for (name, kind, key) in all_keys() {
            let again = store.import(&id(name), &material(kind, key), Lifetime::Permanent);
            assert_eq!(again, Err(KeyError::AlreadyExists(id(name))));
        }
        assert_eq!(
            store.generate(&id("tdes"), KeyKind::Hmac, &Cryptoperiod::default()),
            Err(KeyError::AlreadyExists(id("tdes")))
        );
        for (name, ..) in all_keys() {
            store.delete(&id(name)).unwrap();
            assert_eq!(store.delete(&id(name)), Err(KeyError::NotFound(id(name))));
            assert_eq!(store.key(&id(name)).err(), Some(KeyError::NotFound(id(name))));
        }
        assert_eq!(store.list().unwrap().len(), 2);
    })
}

#[test]
fn the_variant_of_a_tdes_key_belongs_to_it() -> Result<(), Error> {
    isolated("ceremony::the_variant_of_a_tdes_key_belongs_to_it", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let (tdes, variant) = (id("tdes"), id("tdes.variant"));
        // A name that the variant would need.
        store.import(&variant, &material("hmac", HMAC_KEY), Lifetime::Permanent).unwrap();
        let taken = store.import(&tdes, &material("tdes-base", TDES_KEY), Lifetime::Permanent);
        assert_eq!(taken, Err(KeyError::AlreadyExists(variant.clone())));
        assert_eq!(store.list().unwrap().len(), 1);
        store.delete(&variant).unwrap();

        // Without its variant a base key is listed as broken, refused, and can be deleted.
        store.import(&tdes, &material("tdes-base", TDES_KEY), Lifetime::Permanent).unwrap();
        assert_eq!(store.list().unwrap().len(), 1);
        let other = other_session(throwaway);
        let halves = other.find_objects(&[Attribute::Label(b"tdes.variant".to_vec())]).unwrap();
        other.destroy_object(halves[0]).unwrap();
        let fresh = token.store().unwrap();
        assert_eq!(fresh.key(&tdes).err(), Some(KeyError::NotFound(variant.clone())));
        assert_eq!(fresh.list().unwrap()[0].problems, ["the variant key is missing"]);
        // The store that knew the handle finds out when it uses it, and gives no half of a key.
        let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
        let refused = store.key(&tdes).unwrap().tdes_initial_key(&ksn).err();
        assert_eq!(refused, Some(KeyError::NotFound(variant)));
        store.delete(&tdes).unwrap();
        assert!(store.list().unwrap().is_empty());

        // A key of another kind that happens to have the variant's name is not the variant, and not deleted with it.
        other.create_object(&foreign("tdes")).unwrap();
        store.import(&id("tdes.variant"), &material("hmac", HMAC_KEY), Lifetime::Permanent).unwrap();
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed[0].problems.contains(&"the variant key is missing"), "{listed:?}");
        store.delete(&tdes).unwrap();
        store.delete(&id("tdes.variant")).unwrap();

        // The longest name: its variant's label is longer than any name.
        let long = id(&"x".repeat(64));
        store.import(&long, &material("tdes-base", TDES_KEY), Lifetime::Permanent).unwrap();
        assert!(store.key(&long).unwrap().tdes_initial_key(&ksn).is_ok());
        assert_eq!(store.list().unwrap().len(), 1);
        store.delete(&long).unwrap();
        assert!(other.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap().is_empty());
    })
}

/// A TDES key as another program might make it, without a variant.
fn foreign(label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::DES2),
        Attribute::Value(hex(TDES_KEY)),
        Attribute::Label(label.into()),
        Attribute::Token(true),
    ]
}

#[test]
fn a_read_only_session_keeps_session_keys_only() -> Result<(), Error> {
    isolated("ceremony::a_read_only_session_keeps_session_keys_only", |throwaway| {
        let token = open(throwaway);
        let mut store = token.store().unwrap();
        let permanent = store.import(&id("key"), &material("hmac", HMAC_KEY), Lifetime::Permanent);
        assert_eq!(permanent, Err(KeyError::Device { function: "C_CreateObject", code: 0xB5 }));
        store.import(&id("key"), &material("hmac", HMAC_KEY), Lifetime::Session).unwrap();
        store.import(&id("tdes"), &material("tdes-base", TDES_KEY), Lifetime::Session).unwrap();
        assert!(store.key(&id("key")).unwrap().hmac_sha256(b"").is_ok());
        store.delete(&id("tdes")).unwrap();

        token.admin().unwrap().import(&id("kept"), &material("hmac", HMAC_KEY), Lifetime::Permanent).unwrap();
        let refused = store.delete(&id("kept"));
        assert_eq!(refused, Err(KeyError::Device { function: "C_DestroyObject", code: 0xB5 }));
    })
}

#[test]
fn a_key_replaced_behind_our_back_is_found_again() -> Result<(), Error> {
    isolated("ceremony::a_key_replaced_behind_our_back_is_found_again", |throwaway| {
        let token = open(throwaway);
        let mut admin = filled(&token, Lifetime::Permanent);
        let store = token.store().unwrap();
        let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
        let (hmac, tdes) = (store.key(&id("hmac")).unwrap(), store.key(&id("tdes")).unwrap());
        let aes = store.key(&id("aes-128")).unwrap();
        let before = (hmac.hmac_sha256(b"").unwrap(), *tdes.tdes_initial_key(&ksn).unwrap().expose());

        for (name, kind, key) in [("hmac", "hmac", HMAC_KEY), ("tdes", "tdes-base", TDES_KEY)] {
            admin.delete(&id(name)).unwrap();
            admin.import(&id(name), &material(kind, key), Lifetime::Permanent).unwrap();
        }
        assert_eq!((hmac.hmac_sha256(b"").unwrap(), *tdes.tdes_initial_key(&ksn).unwrap().expose()), before);

        // Gone for good, and replaced by another kind of key.
        admin.delete(&id("hmac")).unwrap();
        assert_eq!(hmac.hmac_sha256(b"").err(), Some(KeyError::NotFound(id("hmac"))));
        admin.delete(&id("aes-128")).unwrap();
        admin.import(&id("aes-128"), &material("hmac", HMAC_KEY), Lifetime::Permanent).unwrap();
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);
        assert_eq!(aes.derive(&aes_ksn(1).initial_key(suite)).err(), Some(KeyError::NotPermitted));
    })
}

#[test]
fn unsafe_keys_are_refused() -> Result<(), Error> {
    isolated("ceremony::unsafe_keys_are_refused", |throwaway| {
        let token = open(throwaway);
        let mut permissive = settings(throwaway);
        permissive.allow_unsafe_keys = true;
        let permissive = Token::open(&permissive).unwrap();
        let (strict, permissive) = (token.store().unwrap(), permissive.store().unwrap());
        let other = other_session(throwaway);
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);

        let safe = |name: &str| {
            vec![
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::Value(hex(AES_KEYS[0].2)),
                Attribute::Label(name.into()),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Modifiable(false),
                Attribute::Copyable(false),
                Attribute::Derive(true),
                Attribute::Encrypt(false),
                Attribute::Decrypt(false),
                Attribute::Sign(false),
                Attribute::Verify(false),
                Attribute::Wrap(false),
                Attribute::Unwrap(false),
            ]
        };
        other.create_object(&safe("safe")).unwrap();
        assert!(strict.key(&id("safe")).is_ok());
        for (bad, named) in [
            (Attribute::Sensitive(false), "CKA_SENSITIVE=false"),
            (Attribute::Extractable(true), "CKA_EXTRACTABLE=true"),
            (Attribute::Private(false), "CKA_PRIVATE=false"),
            (Attribute::Copyable(true), "CKA_COPYABLE=true"),
            (Attribute::Modifiable(true), "CKA_MODIFIABLE=true"),
            (Attribute::Encrypt(true), "CKA_ENCRYPT=true"),
            (Attribute::Decrypt(true), "CKA_DECRYPT=true"),
            (Attribute::Sign(true), "CKA_SIGN=true"),
            (Attribute::Wrap(true), "CKA_WRAP=true"),
            (Attribute::Unwrap(true), "CKA_UNWRAP=true"),
        ] {
            let mut template = safe(named);
            template.retain(|attribute| attribute.attribute_type() != bad.attribute_type());
            template.push(bad);
            other.create_object(&template).unwrap();
            let refused = strict.key(&id(named)).err();
            assert_eq!(refused, Some(KeyError::UnsafeAttribute { id: id(named), attribute: named }));
            let entry = strict.list().unwrap().into_iter().find(|entry| entry.id == id(named)).unwrap();
            assert_eq!(entry.problems, [named]);
            let used = permissive.key(&id(named)).unwrap();
            assert!(used.derive(&aes_ksn(1).initial_key(suite)).is_ok(), "{named}");
        }
    })
}

#[test]
fn names_and_types_that_do_not_fit() -> Result<(), Error> {
    isolated("ceremony::names_and_types_that_do_not_fit", |throwaway| {
        let token = open(throwaway);
        let mut store = filled(&token, Lifetime::Permanent);
        let other = other_session(throwaway);
        let key = |label: &str, key_type, length: usize| {
            vec![
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(key_type),
                Attribute::Value(vec![0x55; length]),
                Attribute::Label(label.into()),
                Attribute::Token(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Modifiable(false),
                Attribute::Copyable(false),
            ]
        };
        // Two of one name: neither is used, checked or deleted, and both are listed.
        other.create_object(&key("hmac", KeyType::GENERIC_SECRET, 32)).unwrap();
        let fresh = token.store().unwrap();
        for refused in [fresh.key(&id("hmac")).err(), store.delete(&id("hmac")).err()] {
            assert!(matches!(refused, Some(KeyError::Ambiguous(_))), "{refused:?}");
        }
        let listed = store.list().unwrap();
        assert_eq!(listed.iter().filter(|entry| entry.id == id("hmac")).count(), 2);
        let said = listed.iter().filter(|entry| entry.problems.contains(&"CKA_LABEL: several keys have it"));
        assert_eq!(said.count(), 2);

        // A type that no kind has, and labels that are no names.
        other.create_object(&key("des3", KeyType::DES3, 24)).unwrap();
        assert_eq!(store.key(&id("des3")).err(), Some(KeyError::NotPermitted));
        assert!(store.list().unwrap().iter().any(|entry| entry.id == id("des3") && entry.kind.is_none()));
        let count = store.list().unwrap().len();
        for label in ["", "\u{e9}", &"y".repeat(200)] {
            other.create_object(&key(label, KeyType::GENERIC_SECRET, 32)).unwrap();
        }
        assert_eq!(store.list().unwrap().len(), count);

        // A base key that was made for something else: the token itself refuses.
        let mut template = key("idle", KeyType::AES, 16);
        template.extend([Attribute::Derive(false), Attribute::Encrypt(false), Attribute::Decrypt(false)]);
        template.extend([Attribute::Sign(false), Attribute::Wrap(false), Attribute::Unwrap(false)]);
        other.create_object(&template).unwrap();
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);
        let refused = store.key(&id("idle")).unwrap().derive(&aes_ksn(1).initial_key(suite)).err();
        assert_eq!(refused, Some(KeyError::NotPermitted));
    })
}

#[test]
fn imported_keys_have_one_mechanism_and_no_copies() -> Result<(), Error> {
    isolated("ceremony::imported_keys_have_one_mechanism_and_no_copies", |throwaway| {
        let token = open(throwaway);
        let _store = filled(&token, Lifetime::Permanent);
        let other = other_session(throwaway);
        let object = |label: &str| other.find_objects(&[Attribute::Label(label.into())]).unwrap()[0];
        let child = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(16.into()),
            Attribute::Token(false),
        ];
        let data = Mechanism::AesCbcEncryptData(cryptoki::mechanism::ekdf::AesCbcDeriveParams::new([0; 16], &[0; 16]));
        assert!(other.derive_key(&data, object("aes-128"), &child).is_err());
        assert!(other.encrypt(&Mechanism::Des3Cbc([0; 8]), object("tdes"), &[0; 8]).is_err());
        assert!(other.encrypt(&Mechanism::Des3Ecb, object("tdes"), &[0; 8]).is_ok());
        assert!(other.sign(&Mechanism::Sha512Hmac, object("hmac"), &[0; 8]).is_err());
        for (name, ..) in all_keys() {
            assert!(other.copy_object(object(name), &[Attribute::Token(false)]).is_err(), "{name}");
            let said = other.get_attributes(object(name), &[AttributeType::Copyable]).unwrap();
            assert_eq!(said, [Attribute::Copyable(false)], "{name}");
        }
        // And a key that the token made works as one.
        let mut store = token.admin().unwrap();
        store.generate(&id("new"), KeyKind::Hmac, &Cryptoperiod::default()).unwrap();
        let mac = store.key(&id("new")).unwrap().hmac_sha256(b"data").unwrap();
        assert_ne!(mac, memory().key(&id("hmac")).unwrap().hmac_sha256(b"data").unwrap());
        assert_eq!(store.check_value(&id("new")).unwrap().to_string().len(), 6);
    })
}
