//! Another vendor's token: NSS softokn, which wants an initialisation string and knows fewer attributes.

use std::{fs, process::Command};

use crate::common::{
    AES_KEYS, HMAC_KEY, TDES_KEY, aes_ksn, all_keys, hex, id, import_all, material, memory, suite, working_keys,
};
use dukpt::{
    CheckMethod, Key, KeyError, KeyImport, KeyStore, Lifetime, MacAlgorithm, MacError, MacFormat, Padding,
    aes::{self, KeyType, Usage, WorkingKeyType},
    tdes,
};
use pkcs11_backend::{Cryptoperiod, OpenError, PinSource, Settings, Start, Token, TokenSelector};
use throwaway_token::{Error, find_library, skipped};

const PIN: &str = "nss test pin";

#[test]
fn the_same_keys_in_nss_softokn() -> Result<(), Error> {
    let Some(module) = find_library("libsoftokn3.so") else {
        return skipped("libsoftokn3.so (package libnss3)");
    };
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    let pin = directory.path().join("pin");
    fs::write(&pin, format!("{PIN}\n")).unwrap();
    let made = Command::new("certutil").args(["-N", "-d", &format!("sql:{dir}"), "-f"]).arg(&pin).status();
    if made.is_err() {
        return skipped("certutil (package libnss3-tools)");
    }
    assert!(made.unwrap().success());

    let mut settings = Settings::new(module, TokenSelector::label("NSS Certificate DB"), PinSource::File(pin));
    // Without its string the module has no database.
    assert!(Token::open(&settings).is_err());
    settings.init = Some(format!("configdir='sql:{dir}' certPrefix='' keyPrefix='' secmod='' flags="));
    let right_pin = settings.pin.clone();
    let wrong = directory.path().join("wrong");
    fs::write(&wrong, "no\n").unwrap();
    settings.pin = PinSource::File(wrong);
    assert!(matches!(Token::open(&settings), Err(OpenError::WrongPin)));
    settings.pin = right_pin;

    let token = Token::open(&settings).unwrap();
    let mut store = token.admin().unwrap();
    import_all(&mut store, Lifetime::Permanent);
    let software = memory();
    for (name, base, _) in AES_KEYS {
        for (counter, data) in [(1, aes::KeyType::Aes128), (0xFFFF, base), (0x8000_0001, aes::KeyType::Aes128)] {
            let suite = suite(base, data);
            let mut results = [[0x3C; 64]; 2];
            let key = aes::DataKey::derive(&store.key(&id(name)).unwrap(), &aes_ksn(counter), suite).unwrap();
            key.decrypt_cbc(&[9; 16], &mut results[0]).unwrap();
            let key = aes::DataKey::derive(&software.key(&id(name)).unwrap(), &aes_ksn(counter), suite).unwrap();
            key.decrypt_cbc(&[9; 16], &mut results[1]).unwrap();
            assert_eq!(results[0], results[1], "{name} {counter}");
        }
    }
    for (name, base, _) in AES_KEYS {
        for counter in [1, 7, 0xFFFF_0000] {
            let ksn = aes_ksn(counter);
            let by_software = working_keys(&software, name, base, &ksn);
            assert_eq!(working_keys(&store, name, base, &ksn), by_software, "{name} {counter}");
        }
    }
    limits(&store, &software);
    let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210EFF801")[..]).unwrap();
    let initial = store.key(&id("tdes")).unwrap().tdes_initial_key(&ksn).unwrap();
    assert_eq!(initial.expose()[..], hex("6AC292FAA1315B4D858AB3A3D7D5933A"));
    let mac = store.key(&id("hmac")).unwrap().hmac_sha256(b"data").unwrap();
    assert_eq!(mac, software.key(&id("hmac")).unwrap().hmac_sha256(b"data").unwrap());

    store.generate(&id("new"), dukpt::KeyKind::Hmac, &Cryptoperiod::default()).unwrap();
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), all_keys().len() + 1);
    for (name, kind, key) in all_keys() {
        let entry = listed.iter().find(|entry| entry.id == id(name)).unwrap();
        assert!(entry.problems.is_empty() && entry.permanent, "{entry:?}");
        let computed = entry.check_value.unwrap().to_string();
        assert_eq!(computed, material(kind, key).check_value().to_string(), "{name}");
    }
    let again = store.import(&id("tdes"), &material("tdes-base", TDES_KEY), Lifetime::Permanent);
    assert_eq!(again, Err(KeyError::AlreadyExists(id("tdes"))));
    let mut reader = token.store().unwrap();
    assert!(reader.import(&id("no"), &material("hmac", HMAC_KEY), Lifetime::Permanent).is_err());
    // It keeps no data objects, so nothing marks a key: its days stand in its CKA_ID, and nobody ends them by hand.
    let pending = Cryptoperiod { start: Start::Activation, end: None };
    store.import_for(&id("next"), &material("tdes-base", TDES_KEY), Lifetime::Permanent, &pending).unwrap();
    for refused in [store.activate(&id("next")), store.retire(&id("next"))] {
        assert!(matches!(refused, Err(KeyError::Device { function: "C_CreateObject", .. })), "{refused:?}");
    }
    assert_eq!(store.key(&id("next")).err(), Some(KeyError::Pending(id("next"))));
    let doubts = &store.list().unwrap().into_iter().find(|entry| entry.id == id("next")).unwrap().doubts;
    assert_eq!(doubts[..], ["CKA_COPYABLE unknown", "CKA_ALLOWED_MECHANISMS not set"]);
    store.delete(&id("next")).unwrap();
    for entry in listed {
        store.delete(&entry.id).unwrap();
    }
    assert!(store.list().unwrap().is_empty());
    Ok(())
}

/// Beyond what every token does: it takes HMAC keys of 16 and 24 bytes, which SoftHSM refuses. What it does not do has its own
/// error.
fn limits(store: &impl KeyStore, software: &impl KeyStore) {
    let (base_key, same) = (store.key(&id("aes-256")).unwrap(), software.key(&id("aes-256")).unwrap());
    let ours = aes::TransactionKey::derive(&base_key, &aes_ksn(3), KeyType::Aes256).unwrap();
    let theirs = aes::TransactionKey::derive(&same, &aes_ksn(3), KeyType::Aes256).unwrap();
    let hmac = MacFormat::new(MacAlgorithm::HmacSha256, 32).unwrap();
    for key_type in [WorkingKeyType::Hmac128, WorkingKeyType::Hmac192, WorkingKeyType::Hmac256] {
        let mac = ours.response_mac_key(key_type, Usage::MacBoth).unwrap().generate(hmac, b"message").unwrap();
        let key = theirs.mac_key(key_type, Usage::MacBoth).unwrap();
        assert_eq!(key.verify(hmac, b"message", mac.as_bytes()), Ok(()), "{key_type:?}");
        assert_eq!(key.verify(hmac, b"massage", mac.as_bytes()), Err(MacError::Mismatch), "{key_type:?}");
    }

    for key_type in [WorkingKeyType::Tdes2, WorkingKeyType::Tdes3] {
        let mac_key = ours.mac_key(key_type, Usage::MacBoth).err();
        for refused in [ours.pin_key(key_type).err(), ours.data_key(key_type, Usage::DataBoth).err(), mac_key] {
            assert_eq!(refused, Some(KeyError::Unsupported("TDES keys derived from AES keys")));
        }
    }
    let retail = MacFormat::new(MacAlgorithm::Retail(Padding::Zeros), 8).unwrap();
    let key = ours.response_mac_key(KeyType::Aes128.into(), Usage::MacBoth).unwrap();
    assert_eq!(key.generate(retail, b"").err(), Some(KeyError::NotPermitted));

    let no_cmac = Err(KeyError::Unsupported("CMAC check values"));
    let (initial_key_id, size) = (aes_ksn(1).initial_key_id(), KeyType::Aes256);
    let key = aes::update_key(&base_key, initial_key_id, size, size.into()).unwrap();
    assert_eq!(key.check_value(CheckMethod::Cmac).map(|value| value.to_string()), no_cmac);
    let same = aes::update_key(&same, initial_key_id, size, size.into()).unwrap();
    let [ours, theirs] = [key.check_value(CheckMethod::Legacy), same.check_value(CheckMethod::Legacy)];
    assert_eq!(ours.unwrap().to_string(), theirs.unwrap().to_string());
    for (name, ..) in all_keys() {
        let key = store.key(&id(name)).unwrap();
        assert_eq!(key.check_value(CheckMethod::Cmac).map(|value| value.to_string()), no_cmac, "{name}");
        let legacy = software.key(&id(name)).unwrap().check_value(CheckMethod::Legacy).unwrap().to_string();
        assert_eq!(key.check_value(CheckMethod::Legacy).unwrap().to_string(), legacy, "{name}");
    }
}
