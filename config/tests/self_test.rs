//! A store that fails a self-test serves nothing any more.

use dukpt::{Custody, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, Scheme};
use p2pe_config::{Access, Store, StoreSettings};

#[test]
fn a_failed_store_tells_every_request() {
    let id = KeyId::new("key").unwrap();
    let mut store = Store::open(&StoreSettings::Memory(Vec::new()), Access::Use).unwrap();
    store.import(&id, &KeyMaterial::new("hmac", &[7; 32]).unwrap(), Lifetime::Session).unwrap();
    assert_eq!(store.self_test(), Ok(()));
    assert!(store.key(&id).is_ok());

    // What `Store::self_test` leaves behind after a wrong answer; tests of the token show that a wrong one leads here.
    store = Store::Failed("aes-cmac");
    let failed = KeyError::SelfTest("aes-cmac");
    assert_eq!(store.key(&id).err(), Some(failed.clone()));
    assert_eq!(store.cached(None).key(&id).err(), Some(failed.clone()));
    assert_eq!(KeyImport::check_value(&store, &id).err(), Some(failed.clone()));
    let again = store.import(&id, &KeyMaterial::new("hmac", &[7; 32]).unwrap(), Lifetime::Session);
    assert_eq!(again.err(), Some(failed.clone()));
    assert_eq!(store.self_test(), Err(failed));
    assert!(store.token().is_err());
    assert_eq!(store.describe()["self_test"], "aes-cmac");
    assert_eq!(store.custody(Scheme::Tdes), Custody::Memory);
}
