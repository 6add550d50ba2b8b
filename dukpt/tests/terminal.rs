//! Device against host: what a virtual device encrypts and authenticates, the host decrypts and verifies, and the other
//! way round; over the first 2^16 transactions, at random places, at the skips and to the end of life.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{
    CheckMethod, Exhausted, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MacFormat,
    MemoryKey, MemoryStore, Padding, aes, tdes,
};
use proptest::{prelude::*, sample::subsequence};

const IV: [u8; 16] = [0x3C; 16];
const CLEAR: [u8; 32] = [0x5A; 32];

fn store(kind: &str, key: &[u8]) -> MemoryStore {
    let mut store = MemoryStore::new();
    store.import(&id(), &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    store
}

fn id() -> KeyId {
    KeyId::new("key").unwrap()
}

/// The counter after this one, as the standards say it: at most `most` bits, and `None` beyond `limit`.
fn after(counter: u64, most: u32, limit: u64) -> Option<u64> {
    let mut next = counter + 1;
    while next.count_ones() > most {
        next += 1 << next.trailing_zeros();
    }
    (next < limit).then_some(next)
}

mod tdes_side {
    use super::*;

    pub(super) fn ksn(counter: u32) -> tdes::Ksn {
        let low = (0xE0_0000 | counter).to_be_bytes();
        tdes::Ksn::try_from(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, low[1], low[2], low[3]][..]).unwrap()
    }

    pub(super) fn initial_key() -> tdes::InitialKey {
        store("tdes-base", &[0xA7; 16]).key(&id()).unwrap().tdes_initial_key(&ksn(0)).unwrap()
    }

    pub(super) fn agree(initial_key: &tdes::InitialKey, device: &tdes::terminal::Transaction) {
        let host = tdes::TransactionKey::derive(initial_key, &device.ksn()).unwrap();
        let mut block = [7; 8];
        device.pin_key().encrypt_block(&mut block);
        host.pin_key().decrypt_block(&mut block);
        assert_eq!(block, [7; 8], "{}", device.ksn());

        let mut data = CLEAR;
        device.data_key().encrypt_cbc(tdes::Cipher::Tdes, &IV, &mut data).unwrap();
        host.data_key(tdes::Variant::DataRequest).decrypt_cbc(tdes::Cipher::Tdes, &IV, &mut data).unwrap();
        assert_eq!(data, CLEAR);
        device.pin_variant_data_key().encrypt_cbc(tdes::Cipher::Aes128, &IV, &mut data).unwrap();
        host.data_key(tdes::Variant::Pin).decrypt_cbc(tdes::Cipher::Aes128, &IV, &mut data).unwrap();
        assert_eq!(data, CLEAR);
        host.response_data_key().encrypt_cbc(tdes::Cipher::Tdes, &IV, &mut data).unwrap();
        device.response_data_key().decrypt_cbc(tdes::Cipher::Tdes, &IV, &mut data).unwrap();
        assert_eq!(data, CLEAR);

        let format = MacFormat::new(MacAlgorithm::Retail(Padding::OneThenZeros), 4).unwrap();
        let mac = device.mac_key().generate(format, &CLEAR).unwrap();
        host.mac_key().verify(format, &CLEAR, mac.as_bytes()).unwrap();
        let mac = host.response_mac_key().generate(format, &CLEAR).unwrap();
        device.response_mac_key().verify(format, &CLEAR, mac.as_bytes()).unwrap();
    }

    #[test]
    fn the_first_65536_transactions() {
        let initial_key = initial_key();
        let mut terminal = tdes::terminal::Terminal::new(&initial_key, &ksn(0));
        let mut counter = 0;
        for _ in 0..0x1_0000 {
            counter = after(counter, 10, 1 << 21).unwrap();
            let transaction = terminal.next_transaction().unwrap();
            assert_eq!(u64::from(transaction.ksn().counter()), counter);
            agree(&initial_key, &transaction);
        }
    }

    /// Every counter of a device's life, with every 1009th key.
    #[test]
    fn a_whole_life() {
        let initial_key = initial_key();
        let mut terminal = tdes::terminal::Terminal::new(&initial_key, &ksn(1));
        let (mut counter, mut count) = (Some(1), 0);
        while let Ok(transaction) = terminal.next_transaction() {
            assert_eq!(Some(u64::from(transaction.ksn().counter())), counter);
            counter = after(counter.unwrap(), 10, 1 << 21);
            count += 1;
            if count % 1009 == 0 {
                agree(&initial_key, &transaction);
            }
        }
        assert_eq!((counter, count), (None, 1_048_575), "the standard's number of transactions");
        assert_eq!(terminal.next_transaction().err(), Some(Exhausted));
        assert_eq!(terminal.ksn(), Err(Exhausted));
    }

    #[test]
    fn the_last_transaction() {
        let last = ksn(tdes::Ksn::LAST_COUNTER);
        let mut terminal = tdes::terminal::Terminal::new(&initial_key(), &last);
        agree(&initial_key(), &terminal.next_transaction().unwrap());
        assert_eq!(terminal.next_transaction().err(), Some(Exhausted));
    }
}

mod aes_side {
    use super::*;

    pub(super) fn ksn(counter: u32) -> aes::Ksn {
        let mut ksn = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];
        ksn[8..].copy_from_slice(&counter.to_be_bytes());
        aes::Ksn::try_from(&ksn[..]).unwrap()
    }

    pub(super) const BASES: [(aes::KeyType, &[u8]); 3] =
        [(aes::KeyType::Aes128, &[0xA7; 16]), (aes::KeyType::Aes192, &[0xA7; 24]), (aes::KeyType::Aes256, &[0xA7; 32])];

    pub(super) fn terminal<'s>(
        base_key: &MemoryKey<'s>,
        base: aes::KeyType,
        ksn: &aes::Ksn,
    ) -> aes::terminal::Terminal<MemoryKey<'s>> {
        let suite = aes::Suite::new(base, aes::KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
        aes::terminal::Terminal::new(&base_key.derive(&ksn.initial_key(suite)).unwrap(), ksn, base).unwrap()
    }

    /// All usages, with types that change from transaction to transaction.
    pub(super) fn agree<K: Key>(base_key: &K, base: aes::KeyType, device: &aes::terminal::Transaction<K>) {
        let (ksn, aes128) = (device.ksn(), aes::WorkingKeyType::from(aes::KeyType::Aes128));
        let host = aes::TransactionKey::derive(base_key, &ksn, base).unwrap();
        let data_type = [aes128, base.into(), aes::WorkingKeyType::Tdes3][ksn.counter() as usize % 3];
        let (encrypt, decrypt) = match ksn.counter() & 1 {
            0 => (aes::Usage::DataEncrypt, aes::Usage::DataDecrypt),
            _ => (aes::Usage::DataBoth, aes::Usage::DataBoth),
        };
        let mut data = CLEAR;
        device.data_key(data_type, encrypt).unwrap().encrypt_cbc(&IV, &mut data).unwrap();
        assert_ne!(data, CLEAR);
        host.data_key(data_type, encrypt).unwrap().decrypt_cbc(&IV, &mut data).unwrap();
        assert_eq!(data, CLEAR, "{ksn}");
        host.response_data_key(data_type, decrypt).unwrap().encrypt_cbc(&IV, &mut data).unwrap();
        device.response_data_key(data_type, decrypt).unwrap().decrypt_cbc(&IV, &mut data).unwrap();
        assert_eq!(data, CLEAR, "{ksn}");

        let mut block = [7; 16];
        device.pin_key(aes128).unwrap().encrypt_block(&mut block).unwrap();
        host.pin_key(aes128).unwrap().decrypt_block(&mut block).unwrap();
        assert_eq!(block, [7; 16]);

        let (mac_type, algorithm) = [
            (aes128, MacAlgorithm::Cmac),
            (aes::WorkingKeyType::Hmac128, MacAlgorithm::HmacSha256),
            (aes::WorkingKeyType::Tdes2, MacAlgorithm::Retail(Padding::Zeros)),
        ][ksn.counter() as usize % 3];
        let format = MacFormat::new(algorithm, 8).unwrap();
        let mac = device.mac_key(mac_type, aes::Usage::MacGenerate).unwrap().generate(format, &CLEAR).unwrap();
        host.mac_key(mac_type, aes::Usage::MacGenerate).unwrap().verify(format, &CLEAR, mac.as_bytes()).unwrap();
        let mac = host.response_mac_key(mac_type, aes::Usage::MacVerify).unwrap().generate(format, &CLEAR).unwrap();
        let key = device.response_mac_key(mac_type, aes::Usage::MacVerify).unwrap();
        key.verify(format, &CLEAR, mac.as_bytes()).unwrap();
    }

    #[test]
    fn the_first_65536_transactions() {
        for (base, key) in BASES {
            let store = store("aes-base", key);
            let base_key = store.key(&id()).unwrap();
            let mut terminal = terminal(&base_key, base, &ksn(0));
            let mut counter = 0;
            for _ in 0..0x1_0000 {
                counter = after(counter, 16, 1 << 32).unwrap();
                let transaction = terminal.next_transaction().unwrap();
                assert_eq!(u64::from(transaction.ksn().counter()), counter);
                agree(&base_key, base, &transaction);
            }
        }
    }

    #[test]
    fn the_end_of_life() {
        for (base, key) in BASES {
            let store = store("aes-base", key);
            let base_key = store.key(&id()).unwrap();
            let mut terminal = terminal(&base_key, base, &ksn(0xFFF8_0000));
            let (mut counter, mut count) = (Some(0xFFF8_0000), 0);
            loop {
                match terminal.next_transaction() {
                    Ok(transaction) => {
                        assert_eq!(Some(u64::from(transaction.ksn().counter())), counter);
                        counter = after(counter.unwrap(), 16, 1 << 32);
                        agree(&base_key, base, &transaction);
                        count += 1;
                    }
                    Err(error) => {
                        assert_eq!(error, KeyError::Exhausted(Exhausted));
                        break;
                    }
                }
            }
            // Of the 19 bits below, 0 to 3 are set: 1 + 19 + 171 + 969.
            assert_eq!((counter, count), (None, 1160));
            assert_eq!(terminal.ksn(), Err(Exhausted));
        }
    }

    fn check_values<K: Key>(key: &aes::KeyEncryptionKey<K>) -> [String; 2] {
        [CheckMethod::Legacy, CheckMethod::Cmac].map(|method| key.check_value(method).unwrap().to_string())
    }

    /// The device's update key is the host's.
    pub(super) fn same_update_key(
        base_key: &MemoryKey<'_>,
        base: aes::KeyType,
        device: &aes::terminal::Terminal<MemoryKey<'_>>,
    ) {
        let id = ksn(1).initial_key_id();
        for key_type in [aes::KeyType::Aes128.into(), base.into(), aes::WorkingKeyType::Tdes2] {
            let host = aes::update_key(base_key, id, base, key_type).unwrap();
            assert_eq!(check_values(&device.update_key(key_type).unwrap()), check_values(&host), "{:?}", device.ksn());
        }
    }

    /// ANSI X9.24-3:2017 supplement; the check value is computed.
    #[test]
    fn the_published_update_key() {
        let store = store(
            "aes-base",
            &[0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1],
        );
        let device = terminal(&store.key(&id()).unwrap(), aes::KeyType::Aes128, &ksn(1));
        let key = device.update_key(aes::KeyType::Aes128.into()).unwrap();
        assert_eq!(check_values(&key)[0], "4D1EF4");
    }

    /// Before the first transaction, between, and after the last; then the device goes on with its next initial key.
    #[test]
    fn a_device_that_is_updated() {
        for (base, key) in BASES {
            let store = store("aes-base", key);
            let base_key = store.key(&id()).unwrap();
            let mut device = terminal(&base_key, base, &ksn(0));
            for _ in 0..300 {
                same_update_key(&base_key, base, &device);
                device.next_transaction().unwrap();
            }
            let mut device = terminal(&base_key, base, &ksn(0xFFFE_0000));
            loop {
                same_update_key(&base_key, base, &device);
                let before = device.ksn();
                match device.next_transaction() {
                    // Taking the update key disturbed nothing.
                    Ok(transaction) => agree(&base_key, base, &transaction),
                    Err(error) => {
                        assert_eq!((error, before), (KeyError::Exhausted(Exhausted), Err(Exhausted)));
                        break;
                    }
                }
            }
            same_update_key(&base_key, base, &device);

            let next = aes::Ksn::try_from(&[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x57, 0, 0, 0, 0][..]).unwrap();
            let mut device = terminal(&base_key, base, &next);
            let transaction = device.next_transaction().unwrap();
            assert_eq!((transaction.ksn().initial_key_id(), transaction.ksn().counter()), (next.initial_key_id(), 1));
            agree(&base_key, base, &transaction);
        }
    }

    #[test]
    fn update_keys_that_there_are_not() {
        let store = store("aes-base", &[0xA7; 16]);
        let device = terminal(&store.key(&id()).unwrap(), aes::KeyType::Aes128, &ksn(1));
        for (key_type, error) in [
            (aes::KeyType::Aes192.into(), KeyError::TooStrong),
            (aes::KeyType::Aes256.into(), KeyError::TooStrong),
            (aes::WorkingKeyType::Hmac128, KeyError::NotPermitted),
        ] {
            assert_eq!(device.update_key(key_type).err(), Some(error));
        }
    }

    /// A store that fails leaves the device as it was: the same counter, and its key.
    #[test]
    fn a_failure_uses_up_nothing() {
        use std::cell::Cell;

        struct Failing<'s, 'c>(MemoryKey<'s>, &'c Cell<u32>);
        impl Key for Failing<'_, '_> {
            fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError> {
                let left = self.1.get();
                self.1.set(left.checked_sub(1).ok_or(KeyError::Unsupported("anything more"))?);
                self.0.derive(step).map(|key| Self(key, self.1))
            }
            fn tdes_initial_key(&self, _: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
                Err(KeyError::NotPermitted)
            }
            fn decrypt_cbc(&self, _: &[u8; 16], _: &mut [u8]) -> Result<(), KeyError> {
                Err(KeyError::NotPermitted)
            }
            fn hmac_sha256(&self, _: &[u8]) -> Result<[u8; 32], KeyError> {
                Err(KeyError::NotPermitted)
            }
        }

        let (store, left) = (store("aes-base", &[0xA7; 16]), Cell::new(u32::MAX));
        let base_key = Failing(store.key(&id()).unwrap(), &left);
        let suite = aes::Suite::new(aes::KeyType::Aes128, aes::KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
        let initial_key = base_key.derive(&ksn(8).initial_key(suite)).unwrap();
        let mut terminal = aes::terminal::Terminal::new(&initial_key, &ksn(8), aes::KeyType::Aes128).unwrap();
        for allowed in 0..3 {
            left.set(allowed);
            assert_eq!(terminal.next_transaction().err(), Some(KeyError::Unsupported("anything more")));
            assert_eq!(terminal.ksn(), Ok(ksn(8)));
        }
        left.set(3);
        assert_eq!(terminal.next_transaction().unwrap().ksn(), ksn(8));
        assert_eq!(terminal.next_transaction().unwrap().ksn(), ksn(9));
    }
}

/// A counter with 1 to `most` of `bits` bits set, few and many alike.
fn counter(bits: u32, most: usize) -> impl Strategy<Value = u32> {
    let places: Vec<u32> = (0..bits).collect();
    subsequence(places, 1..=most).prop_map(|set| set.into_iter().map(|bit| 1 << bit).sum())
}

proptest! {
    /// A device that begins anywhere is the device that came there by itself.
    #[test]
    fn tdes_devices_anywhere(start in counter(21, 10)) {
        let initial_key = tdes_side::initial_key();
        let mut terminal = tdes::terminal::Terminal::new(&initial_key, &tdes_side::ksn(start));
        let mut counter = Some(u64::from(start));
        for _ in 0..64 {
            match (counter, terminal.next_transaction()) {
                (Some(expected), Ok(transaction)) => {
                    prop_assert_eq!(u64::from(transaction.ksn().counter()), expected);
                    tdes_side::agree(&initial_key, &transaction);
                }
                (None, Err(Exhausted)) => break,
                (expected, found) => prop_assert!(false, "{expected:?} {:?}", found.map(|t| t.ksn())),
            }
            counter = counter.and_then(|counter| after(counter, 10, 1 << 21));
        }
    }

    #[test]
    fn aes_devices_anywhere(start in counter(32, 16), base in 0usize..3) {
        let (base, key) = aes_side::BASES[base];
        let store = store("aes-base", key);
        let base_key = store.key(&id()).unwrap();
        let mut terminal = aes_side::terminal(&base_key, base, &aes_side::ksn(start));
        let mut counter = Some(u64::from(start));
        for _ in 0..64 {
            match (counter, terminal.next_transaction()) {
                (Some(expected), Ok(transaction)) => {
                    prop_assert_eq!(u64::from(transaction.ksn().counter()), expected);
                    aes_side::agree(&base_key, base, &transaction);
                    aes_side::same_update_key(&base_key, base, &terminal);
                }
                (None, Err(KeyError::Exhausted(_))) => break,
                (expected, found) => prop_assert!(false, "{expected:?} {:?}", found.map(|t| t.ksn())),
            }
            counter = counter.and_then(|counter| after(counter, 16, 1 << 32));
        }
    }
}
