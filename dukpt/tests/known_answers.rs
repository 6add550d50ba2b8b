//! One published key per route, as a smoke test; all published rows run in `vectors/tests`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{
    Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, KsnError, Lifetime, MacError, MaterialError, MemoryStore,
    aes, tdes,
};

fn hex<const N: usize>(digits: &str) -> [u8; N] {
    core::array::from_fn(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
}

fn store(kind: &str, key: &[u8]) -> (MemoryStore, KeyId) {
    let id = KeyId::new("key").unwrap();
    let mut store = MemoryStore::new();
    store.import(&id, &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    (store, id)
}

const ANSI_BDK: &str = "0123456789ABCDEFFEDCBA9876543210";

#[test]
fn tdes_keys_of_x9_24_1() {
    let (store, id) = store("tdes-base", &hex::<16>(ANSI_BDK));
    let ksn = tdes::Ksn::try_from(&hex::<10>("FFFF9876543210EFF801")[..]).unwrap();
    let initial = store.key(&id).unwrap().tdes_initial_key(&ksn).unwrap();
    assert_eq!(initial.expose(), &hex::<16>("6AC292FAA1315B4D858AB3A3D7D5933A"));
    for (variant, key) in [
        (tdes::Variant::DataRequest, "EBC9A12BDFAFC470E00ECA54611BE5C9"),
        (tdes::Variant::DataResponse, "C33928748DB4C31EB98BDAA6FC5A528F"),
        (tdes::Variant::Pin, "5BEE92627E9782A3911BF619DF72CAC4"),
    ] {
        assert_eq!(tdes::DataKey::derive(&initial, &ksn, variant).unwrap().expose(), &hex::<16>(key));
    }
}

#[test]
fn aes_data_key_of_the_supplement() {
    let (store, id) = store("aes-base", &hex::<16>("FEDCBA9876543210F1F1F1F1F1F1F1F1"));
    let suite = aes::Suite::new(aes::KeyType::Aes128, aes::KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
    let ksn = aes::Ksn::try_from(&hex::<12>("123456789012345600000007")[..]).unwrap();
    let key = aes::DataKey::derive(&store.key(&id).unwrap(), &ksn, suite).unwrap();
    // AES-128-CBC of 16 zero bytes under the published key 0FA8F1F0A2DD7B1005A862D77CDED698.
    let mut data = hex::<16>("8A3B1B1E1C1B4B0E5C5B8F8C1F0C8D1A");
    key.decrypt_cbc(&[0; 16], &mut data).unwrap();
    let mut expected = hex::<16>("8A3B1B1E1C1B4B0E5C5B8F8C1F0C8D1A");
    use ::aes::cipher::{BlockCipherDecrypt, KeyInit};
    ::aes::Aes128::new(&hex::<16>("0FA8F1F0A2DD7B1005A862D77CDED698").into()).decrypt_block((&mut expected).into());
    assert_eq!(data, expected);
}

#[test]
fn counter_zero_has_no_transaction_key() {
    let (store, id) = store("tdes-base", &hex::<16>(ANSI_BDK));
    let ksn = tdes::Ksn::try_from(&hex::<10>("FFFF9876543210E00000")[..]).unwrap();
    let initial = store.key(&id).unwrap().tdes_initial_key(&ksn).unwrap();
    let refused = tdes::DataKey::derive(&initial, &ksn, tdes::Variant::Pin);
    assert_eq!(refused.err(), Some(KsnError::CounterZero));
}

#[test]
fn a_key_does_only_its_own_work() {
    let (tdes_store, id) = store("tdes-base", &hex::<16>(ANSI_BDK));
    let (aes_store, _) = store("aes-base", &hex::<16>(ANSI_BDK));
    let suite = aes::Suite::new(aes::KeyType::Aes128, aes::KeyType::Aes128, aes::DataUsage::Both).unwrap();
    let aes_ksn = aes::Ksn::try_from(&hex::<12>("123456789012345600000001")[..]).unwrap();
    let tdes_ksn = tdes::Ksn::try_from(&hex::<8>("9876543210E00001")[..]).unwrap();
    let (tdes_key, aes_key) = (tdes_store.key(&id).unwrap(), aes_store.key(&id).unwrap());

    assert_eq!(tdes_key.derive(&aes_ksn.initial_key(suite)).err(), Some(KeyError::NotPermitted));
    assert_eq!(aes_key.tdes_initial_key(&tdes_ksn).err(), Some(KeyError::NotPermitted));
    for key in [&tdes_key, &aes_key] {
        assert_eq!(key.decrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
        assert_eq!(key.hmac_sha256(b"data"), Err(KeyError::NotPermitted));
    }
    // A data key does not derive, a derivation key does not decrypt.
    let derivation = aes_key.derive(&aes_ksn.initial_key(suite)).unwrap();
    assert_eq!(derivation.decrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
    let last = aes_ksn.steps(suite).unwrap().last().unwrap();
    let data_key = derivation.derive(&last).unwrap();
    assert_eq!(data_key.derive(&last).err(), Some(KeyError::NotPermitted));
    assert_eq!(data_key.decrypt_cbc(&[0; 16], &mut [0; 15]), Err(KeyError::BadLength));
    assert_eq!(data_key.decrypt_cbc(&[0; 16], &mut []), Err(KeyError::BadLength));
}

#[test]
fn check_values() {
    let tdes = KeyMaterial::new("tdes-base", &hex::<16>(ANSI_BDK)).unwrap();
    assert_eq!(tdes.check_value().to_string(), "08D7B4");
    assert_eq!(tdes.cmac_check_value().unwrap().to_string(), "0A82458664");
    let aes = KeyMaterial::new("aes-base", &hex::<16>("3F419E1CB7079442AA37474C2EFBF8B8")).unwrap();
    assert_eq!(aes.cmac_check_value().unwrap().to_string(), "08793E25AB"); // X9.143:2021, 8.1
    let aes = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6";
    let aes = KeyMaterial::new("aes-base", &hex::<32>(aes)).unwrap();
    assert_eq!(aes.cmac_check_value().unwrap().to_string(), "2331550BC9"); // X9.143:2021, 8.6

    let agrees = |typed: &str| tdes.check_value().agrees(&typed.parse().unwrap());
    assert!(agrees("08D7") && agrees("08d7b4") && agrees("08D7B4FF01"));
    assert!(!agrees("08D8") && !agrees("08D7B5"));
    for wrong in ["", "08", "08D7B", "08D7B40102FF", "08D7XX", "+8D7B4"] {
        assert!(wrong.parse::<dukpt::CheckValue>().is_err(), "{wrong}");
    }
}

#[test]
fn components() {
    let parts = [&hex::<16>(ANSI_BDK)[..], &[0xF0; 16], &[0x0F; 16]];
    let key = KeyMaterial::from_components("tdes-base", &parts).unwrap();
    assert_eq!(key.expose(), &hex::<16>(ANSI_BDK).map(|byte| !byte));
    let refused = |kind: &str, parts: &[&[u8]]| KeyMaterial::from_components(kind, parts).err();
    assert_eq!(refused("tdes-base", &[parts[0], parts[1], parts[0]]), Some(MaterialError::SameComponent));
    assert_eq!(refused("aes-base", &[&[0x0F; 16], &[0xF0; 16], &[0xFF; 16]]), Some(MaterialError::Weak));
    assert_eq!(refused("tdes-base", &[&[0x0F; 16], &[0xF1; 16]]), Some(MaterialError::Weak));
    assert_eq!(refused("aes-base", &[&[0x0F; 16], &[0xF1; 16]]), None);
    for wrong in [&[&[0u8; 16][..]][..], &[], &[&[0; 16], &[0; 15]], &[&[0; 15], &[0; 15]]] {
        assert!(KeyMaterial::from_components("tdes-base", wrong).is_err());
    }
    assert!(KeyMaterial::new("hmac", &[0; 31]).is_err());
    assert!(KeyMaterial::new("tdes", &[0; 16]).is_err());
}

/// HMAC-SHA-256 under a transaction key itself, over the data of a frame; computed apart from the library.
#[test]
fn the_hmac_of_a_transaction_key() {
    let (store, id) = store("tdes-base", &hex::<16>(ANSI_BDK));
    let ksn = tdes::Ksn::try_from(&hex::<10>("CFFF9876543210E00014")[..]).unwrap();
    let initial = store.key(&id).unwrap().tdes_initial_key(&ksn).unwrap();
    let key = tdes::TransactionKey::derive(&initial, &ksn).unwrap();
    let data: [u8; 98] = hex(
        "8057002500028201293B343736312A2A2A2A2A2A2A2A303031303D323031322A2A2A2A2A2A2A2A2A2A2A2A2A3F2AA117F2DF68FD747976\
         633151A4DB69B4FCAD9BA5E68F821EBFEFCB29C05A1821066A11A619C1547EFFFF9876543210E000142000",
    );
    let mac: [u8; 32] = hex("7C3F480688B9235957BF792EC771B9D5673AE54B3FFEA621BC0BDD174DD71369");
    assert_eq!(key.verify_hmac_sha256(&data, &mac), Ok(()));
    for (data, mac) in [(&data[1..], &mac[..]), (&data, &mac[..31]), (&data, &[]), (&data, &[&mac[..], &[0]].concat())]
    {
        assert_eq!(key.verify_hmac_sha256(data, mac), Err(MacError::Mismatch));
    }
    for bit in 0..256 {
        let mut forged = mac;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify_hmac_sha256(&data, &forged), Err(MacError::Mismatch), "bit {bit}");
    }
}
