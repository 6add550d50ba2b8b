//! Pending, active, retired; and several versions of one base key side by side.

use std::time::Duration;

use crate::common::{HMAC_KEY, aes_ksn, filled, hex, id, material, open, other_session, settings, suite};
use cryptoki::object::{Attribute, ObjectClass};
use dukpt::{
    Key, KeyError, KeyImport, KeyStore, Lifetime, aes,
    cache::{Cached, Limits},
    tdes,
};
use pkcs11_backend::{Cryptoperiod, Date, KeyEntry, KeyState, Pkcs11Store, Settings, Start, Token};
use throwaway_token::{Error, isolated};

const PENDING: Cryptoperiod = Cryptoperiod { start: Start::Activation, end: None };
const V1: &str = "tdes-dukpt:FFFF987654:v1";
const V2: &str = "tdes-dukpt:FFFF987654:v2";
const V10: &str = "tdes-dukpt:FFFF987654:v10";
const ANY: &str = "tdes-dukpt:FFFF987654";

fn entry(store: &Pkcs11Store, name: &str) -> KeyEntry {
    store.list().unwrap().into_iter().find(|entry| entry.id == id(name)).unwrap()
}

/// A base key of its own for each name.
fn base_key(name: &str) -> dukpt::KeyMaterial {
    let digits: String = name.bytes().rev().chain(1..).take(16).map(|byte| format!("{byte:02X}")).collect();
    material("tdes-base", &digits)
}

fn initial_key(store: &impl KeyStore, name: &str) -> Result<Vec<u8>, KeyError> {
    let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
    Ok(store.key(&id(name))?.tdes_initial_key(&ksn)?.expose().to_vec())
}

#[test]
fn a_pending_key_waits_for_its_activation() -> Result<(), Error> {
    isolated("lifecycle::a_pending_key_waits_for_its_activation", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let today = Date::today();
        for (name, kind) in [("tdes", "tdes-base"), ("aes", "aes-base"), ("kbpk", "aes-kbpk")] {
            store.import_for(&id(name), &material(kind, &"1F2E".repeat(8)), Lifetime::Permanent, &PENDING).unwrap();
        }
        store.generate(&id("hmac"), dukpt::KeyKind::Hmac, &PENDING).unwrap();
        for name in ["tdes", "aes", "kbpk", "hmac"] {
            assert_eq!(store.key(&id(name)).err(), Some(KeyError::Pending(id(name))));
            assert_eq!(token.store().unwrap().key(&id(name)).err(), Some(KeyError::Pending(id(name))));
            assert_eq!((entry(&store, name).state, entry(&store, name).activated), (KeyState::Pending, None));
            store.activate(&id(name)).unwrap();
            assert!(store.key(&id(name)).is_ok() && token.store().unwrap().key(&id(name)).is_ok());
            assert_eq!((entry(&store, name).state, entry(&store, name).activated), (KeyState::Active, Some(today)));
            store.activate(&id(name)).unwrap();
            store.retire(&id(name)).unwrap();
            assert_eq!((entry(&store, name).state, entry(&store, name).retired), (KeyState::Retired, Some(today)));
            assert_eq!(store.key(&id(name)).err(), Some(KeyError::Retired(id(name))));
            assert_eq!(store.activate(&id(name)), Err(KeyError::Retired(id(name))), "for good");
            store.delete(&id(name)).unwrap();
        }
        let marks = other_session(throwaway).find_objects(&[Attribute::Class(ObjectClass::DATA)]).unwrap();
        assert!(marks.is_empty(), "a mark outlives its key");
    })
}

#[test]
fn what_is_not_activated() -> Result<(), Error> {
    isolated("lifecycle::what_is_not_activated", |throwaway| {
        let mut store = open(throwaway).admin().unwrap();
        let (start, end) = (Start::Activation, "2020-01-31".parse().ok());
        let key = material("hmac", HMAC_KEY);
        store.import_for(&id("late"), &key, Lifetime::Permanent, &Cryptoperiod { start, end }).unwrap();
        assert_eq!(store.activate(&id("late")), Err(KeyError::Expired(id("late"))));
        assert_eq!(store.activate(&id("none")), Err(KeyError::NotFound(id("none"))));
        // Earlier than its day, by hand.
        let start = Start::On("2999-01-01".parse().unwrap());
        store.import_for(&id("early"), &key, Lifetime::Permanent, &Cryptoperiod { start, end: None }).unwrap();
        assert_eq!(store.key(&id("early")).err(), Some(KeyError::Pending(id("early"))));
        store.activate(&id("early")).unwrap();
        assert!(store.key(&id("early")).is_ok());

        // A mark that is left of another key says nothing of a new one: no such key is made.
        let other = other_session(throwaway);
        for mark in ["new.activated", "newer.retired"] {
            let mark = [Attribute::Class(ObjectClass::DATA), Attribute::Label(mark.into()), Attribute::Token(true)];
            other.create_object(&mark).unwrap();
        }
        for name in ["new", "newer"] {
            let refused = store.import_for(&id(name), &key, Lifetime::Permanent, &PENDING);
            assert_eq!(refused, Err(KeyError::AlreadyExists(id(name))));
            assert_eq!(
                store.generate(&id(name), dukpt::KeyKind::Hmac, &PENDING),
                Err(KeyError::AlreadyExists(id(name)))
            );
        }
        assert_eq!(store.list().unwrap().len(), 2);
    })
}

#[test]
fn of_several_versions_the_highest_active_one_is_used() -> Result<(), Error> {
    isolated("lifecycle::of_several_versions_the_highest_active_one_is_used", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        assert_eq!(store.key(&id(ANY)).err(), Some(KeyError::NotFound(id(ANY))));
        for (name, period) in [(V1, Cryptoperiod::default()), (V2, PENDING), (V10, PENDING)] {
            store.import_for(&id(name), &base_key(name), Lifetime::Permanent, &period).unwrap();
        }
        let expected = |name: &str| {
            let mut memory = dukpt::MemoryStore::new();
            memory.import(&id(name), &base_key(name), Lifetime::Session).unwrap();
            initial_key(&memory, name)
        };
        let in_use = |name: &str| {
            for store in [token.store().unwrap(), token.admin().unwrap()] {
                assert_eq!(store.key_in_use(&id(ANY)), Ok(id(name)));
                assert_eq!(initial_key(&store, ANY), expected(name));
            }
        };
        in_use(V1);
        // The next version takes over at once; the one before can still be named.
        store.activate(&id(V2)).unwrap();
        in_use(V2);
        assert_eq!(initial_key(&store, V1), expected(V1));
        // By number, not by letters.
        store.activate(&id(V10)).unwrap();
        in_use(V10);
        store.retire(&id(V10)).unwrap();
        in_use(V2);
        store.retire(&id(V1)).unwrap();
        store.retire(&id(V2)).unwrap();
        let none_left = token.store().unwrap().key(&id(ANY)).err();
        assert_eq!(none_left, Some(KeyError::Retired(id(V10))));
        // Another BDK id and another scheme are other keys.
        for other in ["tdes-dukpt:FFFF9876", "tdes-dukpt:FFFF987655", "aes-dukpt:FFFF9876"] {
            assert_eq!(store.key(&id(other)).err(), Some(KeyError::NotFound(id(other))));
        }
    })
}

#[test]
fn a_name_says_which_keys_it_is_for() -> Result<(), Error> {
    isolated("lifecycle::a_name_says_which_keys_it_is_for", |throwaway| {
        let mut store = open(throwaway).admin().unwrap();
        for (name, kind) in [
            (V1, "aes-base"),
            (V1, "aes-kbpk"),
            (ANY, "tdes-base"),
            ("aes-dukpt:12345678:v1", "tdes-base"),
            ("tdes-dukpt:ffff987654:v1", "tdes-base"),
        ] {
            let key = material(kind, &"1F2E".repeat(8));
            let refused = Err(KeyError::NameMismatch(id(name)));
            assert_eq!(store.import(&id(name), &key, Lifetime::Permanent), refused, "{name} {kind}");
            let good = (id("good"), material("aes-base", &"1F2E".repeat(8)));
            let set = [good, (id(name), key)];
            assert_eq!(store.import_set(&set, Lifetime::Permanent, &Cryptoperiod::default()), refused);
        }
        let hmac = store.generate(&id(V1), dukpt::KeyKind::Hmac, &PENDING);
        assert_eq!(hmac, Err(KeyError::NameMismatch(id(V1))));
        assert!(store.list().unwrap().is_empty());
    })
}

/// SP 800-57 part 1, 5.3.4: what was encrypted before may be decrypted longer than anything new is encrypted.
#[test]
fn past_keys_decrypt_only_where_the_settings_say_so() -> Result<(), Error> {
    isolated("lifecycle::past_keys_decrypt_only_where_the_settings_say_so", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let expired = Cryptoperiod { start: Start::Open, end: "2020-01-31".parse().ok() };
        store.import_for(&id(V1), &base_key(V1), Lifetime::Permanent, &expired).unwrap();
        store.import(&id(V2), &base_key(V2), Lifetime::Permanent).unwrap();
        store.import(&id("hmac"), &material("hmac", HMAC_KEY), Lifetime::Permanent).unwrap();
        store.import_for(&id(V10), &base_key(V10), Lifetime::Permanent, &PENDING).unwrap();
        store.retire(&id("hmac")).unwrap();
        let still_decrypt = [V1, V2, V10, "hmac"].map(id).to_vec();
        let lenient = Token::open(&Settings { still_decrypt, ..settings(throwaway) }).unwrap();

        let strict = token.store().unwrap();
        assert_eq!(initial_key(&strict, V1).err(), Some(KeyError::Expired(id(V1))));
        assert!(initial_key(&lenient.store().unwrap(), V1).is_ok());
        assert_eq!(lenient.store().unwrap().key_in_use(&id(ANY)), Ok(id(V2)), "an active one first");
        store.retire(&id(V2)).unwrap();
        assert_eq!(initial_key(&token.store().unwrap(), ANY).err(), Some(KeyError::Pending(id(V10))));
        assert_eq!(lenient.store().unwrap().key_in_use(&id(ANY)), Ok(id(V2)));
        assert!(initial_key(&lenient.store().unwrap(), V2).is_ok());
        // It is for what was, not for what will be, and for nothing but base keys.
        assert_eq!(initial_key(&lenient.store().unwrap(), V10).err(), Some(KeyError::Pending(id(V10))));
        assert_eq!(lenient.store().unwrap().key(&id("hmac")).err(), Some(KeyError::Retired(id("hmac"))));
    })
}

#[test]
fn a_store_learns_what_others_do() -> Result<(), Error> {
    isolated("lifecycle::a_store_learns_what_others_do", |throwaway| {
        let token = Token::open(&Settings { recheck: Duration::ZERO, ..settings(throwaway) }).unwrap();
        let mut admin = filled(&token, Lifetime::Permanent);
        let store = token.store().unwrap();
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);
        let key = store.key(&id("aes-128")).unwrap();
        admin.retire(&id("aes-128")).unwrap();
        assert!(key.derive(&aes_ksn(1).initial_key(suite)).is_ok(), "a key in hand is used to the end");
        assert_eq!(store.key(&id("aes-128")).err(), Some(KeyError::Retired(id("aes-128"))));

        // A cache keeps the versions of a base key apart.
        admin.import(&id(V1), &base_key(V1), Lifetime::Permanent).unwrap();
        let limits = Limits { initial_keys: 9, paths: 9, time_to_live: Duration::from_secs(99) };
        let cached = Cached::new(&store, limits, Duration::default);
        let first = initial_key(&cached, ANY).unwrap();
        admin.import(&id(V2), &base_key(V2), Lifetime::Permanent).unwrap();
        let second = initial_key(&cached, ANY).unwrap();
        assert_ne!(first, second);
        assert_eq!((initial_key(&cached, V1), initial_key(&cached, V2)), (Ok(first), Ok(second)));
        admin.retire(&id(V2)).unwrap();
        admin.retire(&id(V1)).unwrap();
        assert_eq!(initial_key(&cached, ANY).err(), Some(KeyError::Retired(id(V2))));
    })
}
