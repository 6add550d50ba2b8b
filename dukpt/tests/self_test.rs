//! The known answers: right in memory, and each of them able to fail.

use std::collections::BTreeSet;

use dukpt::{
    KeyError,
    self_test::{self, OF_HOST, OF_STORE},
};

#[test]
fn each_passes_and_each_fails_under_a_flawed_key() {
    assert_eq!(self_test::host(), Ok(()));
    for test in OF_STORE.iter().chain(&OF_HOST) {
        assert_eq!(test.passes_in_memory(false), Ok(true), "{}", test.name);
        assert_eq!(test.passes_in_memory(true), Ok(false), "{}", test.name);
    }
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = OF_STORE.iter().chain(&OF_HOST).map(|test| test.name).collect();
    assert_eq!(names.len(), OF_STORE.len() + OF_HOST.len());
    assert_eq!(KeyError::SelfTest("aes-cmac").code(), "self_test");
    assert!(KeyError::SelfTest("aes-cmac").to_string().contains("aes-cmac"));
}

/// A test asks the key that it is given, and no other: of a key of another kind it says so.
#[test]
fn a_key_of_another_kind_is_no_answer() {
    use dukpt::{KeyId, KeyImport, KeyStore, Lifetime, MemoryStore};
    let (mut store, id) = (MemoryStore::new(), KeyId::new("hmac").unwrap());
    let hmac = OF_STORE.iter().find(|test| test.name == "hmac-sha256").unwrap();
    store.import(&id, &hmac.material(false).unwrap(), Lifetime::Session).unwrap();
    for test in OF_STORE.iter().chain(&OF_HOST).filter(|test| test.name != "hmac-sha256") {
        assert!(test.passes(&store.key(&id).unwrap()).is_err(), "{}", test.name);
    }
}
