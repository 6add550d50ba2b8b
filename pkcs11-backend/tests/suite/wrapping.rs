//! Keys that wrap other keys: as in software, and nothing stays in the token.

use dukpt::{Key, KeyError, KeyImport, KeyKind, KeyStore, Lifetime, MemoryStore};
use throwaway_token::{Error, isolated};

use crate::common::{AES_KEYS, id, material, open, other_session, session_keys};

#[test]
fn wrapped_here_and_unwrapped_there() -> Result<(), Error> {
    isolated("wrapping::wrapped_here_and_unwrapped_there", |throwaway| {
        let token = open(throwaway);
        let (mut store, mut software) = (token.admin().unwrap(), MemoryStore::new());
        for (name, _, key) in AES_KEYS {
            store.import(&id(name), &material("wrap", key), Lifetime::Permanent).unwrap();
            software.import(&id(name), &material("wrap", key), Lifetime::Session).unwrap();
        }
        store.import(&id("ff1"), &material("ff1", AES_KEYS[0].2), Lifetime::Permanent).unwrap();
        let listed = store.list().unwrap();
        let entry = listed.iter().find(|entry| entry.id == id("aes-256")).unwrap();
        assert!(matches!(entry.kind, Some(KeyKind::Wrap(_))) && entry.problems.is_empty(), "{:?}", entry.problems);
        let watcher = other_session(throwaway);
        let secret = [0x5A; 32];
        for (name, ..) in AES_KEYS {
            let (ours, theirs) = (store.key(&id(name)).unwrap(), software.key(&id(name)).unwrap());
            let wrapped = ours.wrap(&secret).unwrap();
            assert_eq!(wrapped, theirs.wrap(&secret).unwrap(), "{name}");
            let mut back = ([0; 32], [0; 32]);
            Key::unwrap(&ours, &wrapped, &mut back.0).unwrap();
            Key::unwrap(&theirs, &wrapped, &mut back.1).unwrap();
            assert_eq!(back, (secret, secret));
            // Changed, or of another key: the same refusal, and no byte of it.
            let mut changed = wrapped;
            changed[20] ^= 1;
            let other = if name == "aes-128" { "aes-256" } else { "aes-128" };
            for (name, wrapped) in [(name, changed), (other, wrapped)] {
                let mut outs = ([7; 32], [7; 32]);
                let (ours, theirs) = (store.key(&id(name)).unwrap(), software.key(&id(name)).unwrap());
                assert_eq!(Key::unwrap(&ours, &wrapped, &mut outs.0), Err(KeyError::NotWrapped));
                assert_eq!(Key::unwrap(&theirs, &wrapped, &mut outs.1), Err(KeyError::NotWrapped));
                assert_eq!(outs, ([0; 32], [0; 32]));
            }
            // It does nothing else, and no other key does this.
            assert_eq!(ours.encrypt_blocks(&mut [[0; 16]]), Err(KeyError::NotPermitted));
            assert_eq!(ours.hmac_sha256(b"").err(), Some(KeyError::NotPermitted));
        }
        let ff1 = store.key(&id("ff1")).unwrap();
        assert_eq!(ff1.wrap(&secret), Err(KeyError::NotPermitted));
        assert_eq!(Key::unwrap(&ff1, &[0; 40], &mut [0; 32]), Err(KeyError::NotPermitted));
        assert_eq!(session_keys(&watcher), 0, "a key on its way stayed");
    })
}
