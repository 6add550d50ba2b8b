//! A cache over a token: its keys are session objects, bounded in number, and destroyed when they go.

use std::time::Duration;

use crate::common::{aes_ksn, filled, id, memory, open, other_session, session_keys, suite};
use cryptoki::object::{Attribute, ObjectClass};
use dukpt::{
    KeyError, KeyStore, Lifetime,
    aes::{self, KeyType},
    cache::{Cached, Limits},
};
use throwaway_token::{Error, isolated};

const TRANSACTIONS: u32 = 300;

fn limits(paths: usize) -> Limits {
    Limits { initial_keys: 0, paths, time_to_live: Duration::from_secs(60) }
}

fn decrypt<S: KeyStore>(store: &S, ksn: &aes::Ksn) -> Result<[u8; 48], KeyError> {
    let mut data = [0x77; 48];
    let key = aes::DataKey::derive(&store.key(&id("aes-128"))?, ksn, suite(KeyType::Aes128, KeyType::Aes128))?;
    key.decrypt_cbc(&[1; 16], &mut data).map(|()| data)
}

fn device(number: u8, counter: u32) -> aes::Ksn {
    let mut bytes = *aes_ksn(counter).as_bytes();
    bytes[7] = number;
    aes::Ksn::try_from(&bytes[..]).unwrap()
}

#[test]
fn kept_keys_are_bounded_and_destroyed() -> Result<(), Error> {
    isolated("cache::kept_keys_are_bounded_and_destroyed", |throwaway| {
        let token = open(throwaway);
        let _keys = filled(&token, Lifetime::Permanent);
        let (store, watcher, software) = (token.store().unwrap(), other_session(throwaway), memory());
        let before = session_keys(&watcher);
        let cached = Cached::new(&store, limits(4), || Duration::ZERO);
        for counter in 1..=TRANSACTIONS {
            let ksn = device(u8::try_from(counter % 6).unwrap(), 0x7F0 + counter / 6);
            assert_eq!(decrypt(&cached, &ksn), decrypt(&software, &ksn));
            assert!(session_keys(&watcher) <= before + 4 * 16);
        }
        assert!(session_keys(&watcher) > before);
        cached.clear();
        assert_eq!(session_keys(&watcher), before);
        decrypt(&cached, &aes_ksn(0xFF0)).unwrap();
        drop(cached);
        assert_eq!(session_keys(&watcher), before);
    })
}

/// Derived keys are gone, as after a lost session: no transaction is lost with them.
#[test]
fn keys_that_die_in_the_token_are_derived_again() -> Result<(), Error> {
    isolated("cache::keys_that_die_in_the_token_are_derived_again", |throwaway| {
        let token = open(throwaway);
        let _keys = filled(&token, Lifetime::Permanent);
        let (store, watcher, software) = (token.store().unwrap(), other_session(throwaway), memory());
        let before = session_keys(&watcher);
        let cached = Cached::new(&store, limits(4), || Duration::ZERO);
        let destroy_all = || {
            let keys = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(false)];
            let found = watcher.find_objects(&keys).unwrap();
            assert!(!found.is_empty());
            found.into_iter().for_each(|object| watcher.destroy_object(object).unwrap());
        };
        for counter in 0x7F0..0x810 {
            assert_eq!(decrypt(&cached, &aes_ksn(counter)), decrypt(&software, &aes_ksn(counter)));
            if counter % 5 == 0 {
                destroy_all();
            }
        }
        drop(cached);
        assert_eq!(session_keys(&watcher), before);
    })
}
