//! Key block protection keys in a token, keys made in it, and sets of keys.

use crate::{
    common::{filled, hex, id, material, open, plan},
    faults::faulty,
};
use dukpt::{
    CheckMethod, Key, KeyError, KeyId, KeyImport, KeyKind, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MemoryStore,
    aes::{self, KeyType, WorkingKeyType},
};
use pkcs11_backend::{Cryptoperiod, KeyState, Start, Token};
use throwaway_token::{Error, isolated};

const KINDS: [(&str, usize, WorkingKeyType); 5] = [
    ("tdes-kbpk", 16, WorkingKeyType::Tdes2),
    ("tdes-kbpk", 24, WorkingKeyType::Tdes3),
    ("aes-kbpk", 16, WorkingKeyType::Aes(KeyType::Aes128)),
    ("aes-kbpk", 24, WorkingKeyType::Aes(KeyType::Aes192)),
    ("aes-kbpk", 32, WorkingKeyType::Aes(KeyType::Aes256)),
];

#[test]
fn a_protection_key_does_cmac_and_nothing_else() -> Result<(), Error> {
    isolated("protection::a_protection_key_does_cmac_and_nothing_else", |throwaway| {
        let token = open(throwaway);
        let (mut store, mut software) = (token.admin().unwrap(), MemoryStore::new());
        for (kind, length, key_type) in KINDS {
            let bytes = "10325476980B0D0E2F4A6D7C8F91A2B3C4D5E6F70102040708".repeat(2);
            let key = KeyMaterial::new(kind, &hex(&bytes)[..length]).unwrap();
            let name = id(&format!("{kind} {length}"));
            store.import(&name, &key, Lifetime::Permanent).unwrap();
            software.import(&name, &key, Lifetime::Permanent).unwrap();
            let (inside, outside) = (store.key(&name).unwrap(), software.key(&name).unwrap());
            assert_eq!(inside.kind(), Some(KeyKind::BlockProtection(key_type)));
            for data in [&b""[..], &[1, 0, 0, 0, 0, 4, 1, 0], &[7; 16], &[9; 45]] {
                let (one, other) = (inside.mac(MacAlgorithm::Cmac, data), outside.mac(MacAlgorithm::Cmac, data));
                assert_eq!(one.unwrap().as_bytes(), other.unwrap().as_bytes(), "{name} {}", data.len());
            }
            let cmac = outside.check_value(CheckMethod::Cmac).unwrap().to_string();
            assert_eq!(KeyImport::check_value(&store, &name).unwrap().to_string(), cmac);

            assert_eq!(inside.mac(MacAlgorithm::HmacSha256, b"").err(), Some(KeyError::NotPermitted));
            assert_eq!(inside.hmac_sha256(b"").err(), Some(KeyError::NotPermitted));
            assert_eq!(inside.decrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
            let suite = aes::Suite::new(KeyType::Aes128, KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
            let step = crate::common::aes_ksn(1).initial_key(suite);
            assert_eq!(inside.derive(&step).err(), Some(KeyError::NotPermitted));
            let ksn = dukpt::tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
            assert_eq!(inside.tdes_initial_key(&ksn).err(), Some(KeyError::NotPermitted));
        }
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), KINDS.len(), "a TDES protection key has no variant");
        assert!(listed.iter().all(|entry| entry.problems.is_empty() && entry.bound), "{listed:?}");

        // And no other key does CMAC.
        let others = filled(&token, Lifetime::Session);
        for name in ["aes-128", "tdes", "hmac"] {
            let refused = others.key(&id(name)).unwrap().mac(MacAlgorithm::Cmac, b"").err();
            assert_eq!(refused, Some(KeyError::NotPermitted), "{name}");
        }
    })
}

#[test]
fn keys_made_in_the_token() -> Result<(), Error> {
    isolated("protection::keys_made_in_the_token", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let kinds = [
            KeyKind::Hmac,
            KeyKind::AesBase(KeyType::Aes128),
            KeyKind::AesBase(KeyType::Aes256),
            KeyKind::BlockProtection(KeyType::Aes192.into()),
        ];
        for (number, kind) in kinds.into_iter().enumerate() {
            let name = id(&format!("made {number}"));
            store.generate(&name, kind, &Cryptoperiod::default()).unwrap();
            assert_eq!(
                store.generate(&name, kind, &Cryptoperiod::default()),
                Err(KeyError::AlreadyExists(name.clone()))
            );
            assert_eq!(store.key(&name).unwrap().kind(), Some(kind));
        }
        for kind in [KeyKind::TdesBase, KeyKind::BlockProtection(WorkingKeyType::Tdes2)] {
            let refused = store.generate(&id("tdes"), kind, &Cryptoperiod::default());
            assert_eq!(refused, Err(KeyError::Unsupported("TDES keys made in the token")));
        }
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), kinds.len());
        assert!(listed.iter().all(|key| key.generated && key.permanent && key.bound && key.problems.is_empty()));
        let suite = aes::Suite::new(KeyType::Aes256, KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
        let key = store.key(&id("made 2")).unwrap();
        aes::DataKey::derive(&key, &crate::common::aes_ksn(5), suite).unwrap();
    })
}

#[test]
fn a_set_is_stored_whole_or_not_at_all() -> Result<(), Error> {
    isolated("protection::a_set_is_stored_whole_or_not_at_all", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let set = |names: &[(&str, &str)]| -> Vec<(KeyId, KeyMaterial)> {
            names.iter().map(|(name, kind)| (id(name), material(kind, &"1F2E".repeat(8)))).collect()
        };
        store
            .import_set(&set(&[("a", "tdes-base"), ("b", "aes-base")]), Lifetime::Permanent, &Cryptoperiod::default())
            .unwrap();
        assert_eq!(store.list().unwrap().len(), 2);
        for (names, taken) in [
            (&[("c", "aes-base"), ("c", "tdes-base")][..], "c"),
            (&[("c", "aes-base"), ("a", "aes-base")], "a"),
            (&[("c", "aes-base"), ("a.variant", "aes-base")], "a.variant"),
            (&[("d.variant", "aes-base"), ("d", "tdes-base")], "d"),
            (&[("d", "tdes-base"), ("d.variant", "aes-base")], "d.variant"),
        ] {
            let refused = store.import_set(&set(names), Lifetime::Permanent, &Cryptoperiod::default());
            assert_eq!(refused, Err(KeyError::AlreadyExists(id(taken))), "{names:?}");
            assert_eq!(store.list().unwrap().len(), 2, "{names:?}");
        }
        let mut reader = token.store().unwrap();
        let refused = reader.import_set(&set(&[("c", "aes-base")]), Lifetime::Permanent, &Cryptoperiod::default());
        assert!(matches!(refused, Err(KeyError::Device { .. })), "{refused:?}");
        assert_eq!(store.list().unwrap().len(), 2);
    })
}

/// The second key's variant cannot be made: neither it nor the key before it stays.
#[test]
fn a_failure_in_the_middle_of_a_set_takes_back_the_keys_before() -> Result<(), Error> {
    faulty("protection::a_failure_in_the_middle_of_a_set_takes_back_the_keys_before", |throwaway, settings| {
        let mut store = Token::open(settings).unwrap().admin().unwrap();
        let before = store.list().unwrap().len();
        let key = |name: &str, kind| (id(name), material(kind, &"1F2E".repeat(8)));
        let set = [key("first", "aes-base"), key("second", "tdes-base")];
        plan(throwaway, "C_CreateObject 30");
        let refused = store.import_set(&set, Lifetime::Permanent, &Cryptoperiod::default());
        assert_eq!(refused, Err(KeyError::Device { function: "C_CreateObject", code: 0x30 }));
        plan(throwaway, "");
        assert_eq!(store.list().unwrap().len(), before);
        store.import_set(&set, Lifetime::Permanent, &Cryptoperiod::default()).unwrap();
        assert_eq!(store.list().unwrap().len(), before + 2);
    })
}

#[test]
fn keys_outside_of_their_cryptoperiod_are_refused() -> Result<(), Error> {
    isolated("protection::keys_outside_of_their_cryptoperiod_are_refused", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let period = |start: &str, end: &str| Cryptoperiod {
            start: start.parse().map_or(Start::Open, Start::On),
            end: end.parse().ok(),
        };
        let is = |error: fn(KeyId) -> KeyError, name: &str| Some(error(id(name)));
        for (kind, name) in [("tdes-base", "tdes"), ("aes-base", "aes"), ("hmac", "hmac"), ("aes-kbpk", "kbpk")] {
            let key = material(kind, &"1F2E".repeat(16)[..if kind == "tdes-base" { 32 } else { 64 }]);
            for (state, period, refused) in [
                ("active", period("2020-01-01", "2999-12-31"), None),
                ("open", period("", ""), None),
                ("pending", period("2999-01-01", ""), Some(KeyError::Pending as fn(KeyId) -> KeyError)),
                ("expired", period("", "2020-01-31"), Some(KeyError::Expired)),
            ] {
                let name = format!("{name} {state}");
                store.import_for(&id(&name), &key, Lifetime::Permanent, &period).unwrap();
                for store in [&store, &token.store().unwrap()] {
                    assert_eq!(store.key(&id(&name)).err(), refused.and_then(|error| is(error, &name)), "{name}");
                }
                let listed = store.list().unwrap();
                let entry = listed.iter().find(|entry| entry.id == id(&name)).unwrap();
                assert_eq!(entry.period, period);
                assert_eq!(entry.state.to_string(), state.replace("open", "active"));
                assert!(entry.problems.is_empty(), "{:?}", entry.problems);
                // People may still confirm which key it is.
                KeyImport::check_value(&store, &id(&name)).unwrap();
            }
        }
        let later = token.store().unwrap();
        later.key(&id("aes open")).unwrap();
        store.retire(&id("aes open")).unwrap();
        for store in [&store, &token.store().unwrap()] {
            assert_eq!(store.key(&id("aes open")).err(), Some(KeyError::Retired(id("aes open"))));
        }
        assert!(later.key(&id("aes open")).is_ok(), "a store that has used it looks again after a minute");
        assert_eq!(store.retire(&id("aes open")), Err(KeyError::Retired(id("aes open"))));
        assert_eq!(store.retire(&id("nothing")), Err(KeyError::NotFound(id("nothing"))));
        let state = |store: &pkcs11_backend::Pkcs11Store| {
            store.list().unwrap().iter().find(|entry| entry.id == id("aes open")).map(|entry| entry.state)
        };
        assert_eq!(state(&store), Some(KeyState::Retired));
        // A new key of that name is another key.
        store.delete(&id("aes open")).unwrap();
        store.import(&id("aes open"), &material("aes-base", &"1F2E".repeat(8)), Lifetime::Permanent).unwrap();
        assert_eq!(state(&store), Some(KeyState::Active));
    })
}
