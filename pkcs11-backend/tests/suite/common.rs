//! What the tests share: a token's settings, test keys, and a second program that looks over the store's shoulder.

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    object::{Attribute, ObjectClass},
    session::Session,
};
use dukpt::{
    CheckMethod, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MacFormat, MemoryStore,
    aes::{self, KeyType, Usage, WorkingKeyType},
};
use pkcs11_backend::{PinSource, Pkcs11Store, Settings, Token, TokenSelector};
use throwaway_token::ThrowawayToken;

pub(crate) const AES_KEYS: [(&str, aes::KeyType, &str); 3] = [
    ("aes-128", aes::KeyType::Aes128, "FEDCBA9876543210F1F1F1F1F1F1F1F1"),
    ("aes-192", aes::KeyType::Aes192, "FEDCBA9876543210F1F1F1F1F1F1F1F10123456789ABCDEF"),
    ("aes-256", aes::KeyType::Aes256, "FEDCBA9876543210F1F1F1F1F1F1F1F10123456789ABCDEFFEDCBA9876543210"),
];
pub(crate) const TDES_KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
pub(crate) const HMAC_KEY: &str = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20";

pub(crate) fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

pub(crate) fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(crate) fn material(kind: &str, digits: &str) -> KeyMaterial {
    KeyMaterial::new(kind, &hex(digits)).unwrap()
}

/// Every test key: name, kind, hex.
pub(crate) fn all_keys() -> Vec<(&'static str, &'static str, &'static str)> {
    let aes = AES_KEYS.iter().map(|(name, _, key)| (*name, "aes-base", *key));
    aes.chain([("tdes", "tdes-base", TDES_KEY), ("hmac", "hmac", HMAC_KEY)]).collect()
}

pub(crate) fn import_all(store: &mut impl KeyImport, lifetime: Lifetime) {
    for (name, kind, key) in all_keys() {
        store.import(&id(name), &material(kind, key), lifetime).unwrap();
    }
}

/// The same keys in memory.
pub(crate) fn memory() -> MemoryStore {
    let mut store = MemoryStore::new();
    import_all(&mut store, Lifetime::Session);
    store
}

pub(crate) fn settings(token: &ThrowawayToken) -> Settings {
    Settings::new(token.module(), TokenSelector::label(token.label()), PinSource::File(token.pin_file()))
}

pub(crate) fn open(token: &ThrowawayToken) -> Token {
    Token::open(&settings(token)).unwrap()
}

/// A store with every test key in it.
pub(crate) fn filled(token: &Token, lifetime: Lifetime) -> Pkcs11Store {
    let mut store = token.admin().unwrap();
    import_all(&mut store, lifetime);
    store
}

pub(crate) fn suite(base: aes::KeyType, data: aes::KeyType) -> aes::Suite {
    aes::Suite::new(base, data, aes::DataUsage::Encrypt).unwrap()
}

pub(crate) fn aes_ksn(counter: u32) -> aes::Ksn {
    let mut ksn = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];
    ksn[8..].copy_from_slice(&counter.to_be_bytes());
    aes::Ksn::try_from(&ksn[..]).unwrap()
}

/// Another user of the same module in this process. A token must be open, so that it is initialised and logged in.
pub(crate) fn other_session(token: &ThrowawayToken) -> Session {
    let module = Pkcs11::new(token.module()).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap_err();
    let slots = module.get_slots_with_token().unwrap();
    let slot = slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == token.label());
    module.open_rw_session(slot.unwrap()).unwrap()
}

/// How many session keys the whole process has.
pub(crate) fn session_keys(session: &Session) -> usize {
    session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(false)]).unwrap().len()
}

/// What the working keys of one transaction say to everything, errors included.
pub(crate) fn working_keys<S: KeyStore>(store: &S, name: &str, base: KeyType, ksn: &aes::Ksn) -> Vec<String> {
    let base_key = store.key(&id(name)).unwrap();
    let transaction = aes::TransactionKey::derive(&base_key, ksn, base).unwrap();
    let (iv, mut said) = ([9; 16], Vec::new());
    for size in [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256].map(WorkingKeyType::from) {
        for length in [0, 15, 16, 48] {
            let mut data = vec![0xA5; length];
            let done = transaction.data_key(size, Usage::DataBoth).and_then(|key| key.decrypt_cbc(&iv, &mut data));
            said.push(format!("{done:?} {data:?}"));
            let key = transaction.response_data_key(size, Usage::DataDecrypt);
            let done = key.and_then(|key| key.encrypt_cbc(&iv, &mut data));
            said.push(format!("{done:?} {data:?}"));
            let done = transaction.pin_key(size).and_then(|key| key.encrypt_block(&mut data));
            said.push(format!("{done:?} {data:?}"));
            let done = transaction.pin_key(size).and_then(|key| key.decrypt_block(&mut data));
            said.push(format!("{done:?} {data:?}"));
            for algorithm in [MacAlgorithm::Cmac, MacAlgorithm::HmacSha256] {
                let format = MacFormat::new(algorithm, 8).unwrap();
                let key = transaction.response_mac_key(size, Usage::MacBoth);
                let mac = key.and_then(|key| key.generate(format, &data));
                said.push(format!("{:?}", mac.as_ref().map(|mac| mac.as_bytes())));
                if let Ok(mac) = mac {
                    let key = transaction.mac_key(size, Usage::MacBoth).unwrap();
                    said.push(format!("{:?}", key.verify(format, &data, mac.as_bytes())));
                    said.push(format!("{:?}", key.verify(format, &data, &[0; 8])));
                }
            }
        }
        let kek = transaction.key_encryption_key(size);
        let value = kek.and_then(|key| key.check_value(CheckMethod::Legacy));
        said.push(format!("{:?}", value.map(|value| value.to_string())));
    }
    let format = MacFormat::new(MacAlgorithm::HmacSha256, 32).unwrap();
    let mac = transaction.response_mac_key(WorkingKeyType::Hmac256, Usage::MacVerify);
    let mac = mac.and_then(|key| key.generate(format, b"message"));
    said.push(format!("{:?}", mac.map(|mac| mac.as_bytes().to_vec())));
    said
}
