//! Both DUKPTs against a second implementation: the text of the standards written down naively over single blocks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod naive;

use dukpt::{
    CheckMethod, Key, KeyId, KeyImport, KeyMaterial, KeyStore, Ksn, Lifetime, MacAlgorithm, MacFormat, MemoryStore,
    Padding, aes, tdes,
};
use naive::{cmac, encrypt_cbc, naive_aes, naive_tdes};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

fn store(kind: &str, key: &[u8]) -> (MemoryStore, KeyId) {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key").unwrap());
    store.import(&id, &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    (store, id)
}

/// A counter with 1 to `most` of `bits` bits set, few and many alike.
fn counter(bits: u32, most: usize) -> impl Strategy<Value = u32> {
    let places: Vec<u32> = (0..bits).collect();
    subsequence(places, 1..=most).prop_map(|set| set.into_iter().map(|bit| 1 << bit).sum())
}

proptest! {
    #[test]
    fn tdes_dukpt(
        base_key: [u8; 16], id: [u8; 8], counter in counter(21, 10), iv: [u8; 16],
        variant in select(vec![tdes::Variant::DataRequest, tdes::Variant::DataResponse, tdes::Variant::Pin]),
        clear in vec(any::<[u8; 16]>(), 1..5),
    ) {
        let low = (u32::from(id[7]) << 16 & 0xE0_0000) + counter;
        let mut ksn = [0; 10];
        ksn[..7].copy_from_slice(&id[..7]);
        ksn[7..].copy_from_slice(&low.to_be_bytes()[1..]);
        let clear = clear.concat();

        let expected = naive_tdes::initial_key(u128::from_be_bytes(base_key), &ksn);
        let (store, name) = store("tdes-base", &base_key);
        let parsed = tdes::Ksn::try_from(&ksn[..]).unwrap();
        let initial_key = store.key(&name).unwrap().tdes_initial_key(&parsed).unwrap();
        prop_assert_eq!(u128::from_be_bytes(*initial_key.expose()), expected);

        let expected = naive_tdes::data_key(expected, &ksn, variant);
        let key = tdes::DataKey::derive(&initial_key, &parsed, variant).unwrap();
        prop_assert_eq!(u128::from_be_bytes(*key.expose()), expected);

        let mut data = encrypt_cbc(&iv, &clear, |block| {
            naive_tdes::encrypt_block(expected, u64::from_be_bytes(block)).to_be_bytes()
        });
        key.decrypt_cbc(tdes::Cipher::Tdes, &iv, &mut data).unwrap();
        prop_assert_eq!(&data, &clear);
        let mut data = encrypt_cbc(&iv, &clear, |block| naive_aes::encrypt_block(&expected.to_be_bytes(), block));
        key.decrypt_cbc(tdes::Cipher::Aes128, &iv, &mut data).unwrap();
        prop_assert_eq!(&data, &clear);
    }

    #[test]
    fn tdes_pin_blocks_and_macs(
        initial_key: [u8; 16], id: [u8; 7], counter in counter(21, 10), block: [u8; 8], data in vec(any::<u8>(), 0..50),
    ) {
        let mut ksn = [0; 10];
        ksn[..7].copy_from_slice(&id);
        ksn[7..].copy_from_slice(&counter.to_be_bytes()[1..]);
        let clear = tdes::InitialKey::try_filled(|key| { *key = initial_key; Ok(()) }).unwrap();
        let transaction = tdes::TransactionKey::derive(&clear, &tdes::Ksn::try_from(&ksn[..]).unwrap()).unwrap();
        let variant = |mask| naive_tdes::variant(u128::from_be_bytes(initial_key), &ksn, mask);

        let mut encrypted = block;
        transaction.pin_key().encrypt_block(&mut encrypted);
        let expected = naive_tdes::encrypt_block(variant(0xFF), u64::from_be_bytes(block));
        prop_assert_eq!(u64::from_be_bytes(encrypted), expected);
        transaction.pin_key().decrypt_block(&mut encrypted);
        prop_assert_eq!(encrypted, block);

        let (request, response) = (variant(0xFF00), variant(0xFF00_0000));
        let mut padded = data.clone();
        padded.push(0x80);
        padded.resize(padded.len().next_multiple_of(8), 0);
        let retail = MacFormat::new(MacAlgorithm::Retail(Padding::OneThenZeros), 8).unwrap();
        let expected = naive_tdes::retail_mac(request, &padded).to_be_bytes();
        prop_assert_eq!(transaction.mac_key().verify(retail, &data, &expected), Ok(()));
        let made = transaction.response_mac_key().generate(retail, &data).unwrap();
        prop_assert_eq!(made.as_bytes(), naive_tdes::retail_mac(response, &padded).to_be_bytes());

        let under = |key| cmac(0x1B, &data, |block| {
            naive_tdes::encrypt_block(key, u64::from_be_bytes(block)).to_be_bytes()
        });
        let format = MacFormat::new(MacAlgorithm::Cmac, 8).unwrap();
        prop_assert_eq!(transaction.mac_key().verify(format, &data, &under(request)), Ok(()));
        let made = transaction.response_mac_key().generate(format, &data).unwrap();
        prop_assert_eq!(made.as_bytes(), under(response));
    }

    /// Every usage and type, each by a figure of its key.
    #[test]
    fn aes_working_keys(
        base_key: [u8; 32], id: [u8; 8], counter in counter(32, 16), block: [u8; 16],
        size in select(vec![16, 24, 32]), data in vec(any::<u8>(), 0..50),
    ) {
        let mut ksn = [0; 12];
        ksn[..8].copy_from_slice(&id);
        ksn[8..].copy_from_slice(&counter.to_be_bytes());
        let (base_key, parsed) = (&base_key[..size], aes::Ksn::try_from(&ksn[..]).unwrap());
        let base = [aes::KeyType::Aes128, aes::KeyType::Aes192, aes::KeyType::Aes256][size / 8 - 2];
        let (store, name) = store("aes-base", base_key);
        let transaction = aes::TransactionKey::derive(&store.key(&name).unwrap(), &parsed, base).unwrap();
        let naive = |usage, algorithm, length| naive_aes::working_key(base_key, &ksn, usage, algorithm, length);
        let aes128 = aes::WorkingKeyType::from(aes::KeyType::Aes128);

        let mut encrypted = block;
        transaction.pin_key(aes128).unwrap().encrypt_block(&mut encrypted).unwrap();
        prop_assert_eq!(encrypted, naive_aes::encrypt_block(&naive("1000", "0002", 16), block));

        let key = transaction.response_data_key(aes128, aes::Usage::DataDecrypt).unwrap();
        let mut encrypted = block;
        key.encrypt_cbc(&[0; 16], &mut encrypted).unwrap();
        prop_assert_eq!(encrypted, naive_aes::encrypt_block(&naive("3001", "0002", 16), block));

        let two_keys = u128::from_be_bytes(naive("3001", "0000", 16).try_into().unwrap());
        let key = transaction.response_data_key(aes::WorkingKeyType::Tdes2, aes::Usage::DataDecrypt).unwrap();
        let mut encrypted = block;
        key.encrypt_cbc(&block, &mut encrypted).unwrap();
        let expected = encrypt_cbc(&block, &block, |b| {
            naive_tdes::encrypt_block(two_keys, u64::from_be_bytes(b)).to_be_bytes()
        });
        prop_assert_eq!(&encrypted[..], expected);

        for (usage, code) in [(aes::Usage::MacGenerate, "2000"), (aes::Usage::MacBoth, "2002")] {
            let format = MacFormat::new(MacAlgorithm::Cmac, 16).unwrap();
            let expected = cmac(0x87, &data, |block| naive_aes::encrypt_block(&naive(code, "0002", 16), block));
            let key = transaction.mac_key(aes128, usage).unwrap();
            prop_assert_eq!(key.verify(format, &data, &expected), Ok(()));
        }
        let key = transaction.response_mac_key(aes::WorkingKeyType::Hmac128, aes::Usage::MacVerify).unwrap();
        let made = key.generate(MacFormat::new(MacAlgorithm::HmacSha256, 32).unwrap(), &data).unwrap();
        let (mut hmac_store, hmac) = (MemoryStore::new(), KeyId::new("hmac").unwrap());
        // RFC 2104, 2: a short key is filled up with zeros.
        let mut long = naive("2001", "0005", 16);
        long.resize(64, 0);
        hmac_store.import(&hmac, &KeyMaterial::new("hmac", &long).unwrap(), Lifetime::Session).unwrap();
        prop_assert_eq!(made.as_bytes(), hmac_store.key(&hmac).unwrap().hmac_sha256(&data).unwrap());

        let kek = transaction.key_encryption_key(base.into()).unwrap();
        let algorithm = ["0002", "0003", "0004"][size / 8 - 2];
        let zeros = naive_aes::encrypt_block(&naive("0002", algorithm, size), [0; 16]);
        let check_value: String = zeros[..3].iter().map(|byte| format!("{byte:02X}")).collect();
        prop_assert_eq!(kek.check_value(CheckMethod::Legacy).unwrap().to_string(), check_value);

        ksn[8..].fill(0xFF);
        let zeros = naive_aes::encrypt_block(
            &naive_aes::working_key(base_key, &ksn, "0002", algorithm, size), [0; 16]);
        let check_value: String = zeros[..3].iter().map(|byte| format!("{byte:02X}")).collect();
        let update = aes::update_key(&store.key(&name).unwrap(), id, base, base.into()).unwrap();
        prop_assert_eq!(update.check_value(CheckMethod::Legacy).unwrap().to_string(), check_value);
    }

    /// The 8-byte form stands for the KSN with `FF FF` in front.
    #[test]
    fn tdes_dukpt_of_short_ksns(base_key: [u8; 16], id: [u8; 6], counter in counter(16, 10)) {
        let mut ksn = [0xFF; 10];
        ksn[2..8].copy_from_slice(&id);
        ksn[7] &= 0xE0;
        ksn[8..].copy_from_slice(&counter.to_be_bytes()[2..]);
        let (store, name) = store("tdes-base", &base_key);
        let Ok(Ksn::Tdes(short)) = Ksn::of_transaction(&ksn[2..]) else { return Err(TestCaseError::fail("refused")) };
        let initial_key = store.key(&name).unwrap().tdes_initial_key(&short).unwrap();
        let key = tdes::DataKey::derive(&initial_key, &short, tdes::Variant::Pin).unwrap();
        let expected = naive_tdes::initial_key(u128::from_be_bytes(base_key), &ksn);
        let expected = naive_tdes::data_key(expected, &ksn, tdes::Variant::Pin);
        prop_assert_eq!(u128::from_be_bytes(*key.expose()), expected);
    }

    #[test]
    fn aes_dukpt(
        base_key: [u8; 32], id: [u8; 8], counter in counter(32, 16), iv: [u8; 16],
        sizes in select(vec![(16, 16), (24, 16), (24, 24), (32, 16), (32, 24), (32, 32)]),
        usage in select(vec![aes::DataUsage::Encrypt, aes::DataUsage::Both]),
        clear in vec(any::<[u8; 16]>(), 1..5),
    ) {
        let mut ksn = [0; 12];
        ksn[..8].copy_from_slice(&id);
        ksn[8..].copy_from_slice(&counter.to_be_bytes());
        let base_key = &base_key[..sizes.0];
        let clear = clear.concat();
        let key_type = |length| match length {
            16 => aes::KeyType::Aes128,
            24 => aes::KeyType::Aes192,
            _ => aes::KeyType::Aes256,
        };

        let expected = naive_aes::data_key(base_key, &ksn, usage, sizes.1);
        let (store, name) = store("aes-base", base_key);
        let parsed = aes::Ksn::try_from(&ksn[..]).unwrap();
        let suite = aes::Suite::new(key_type(sizes.0), key_type(sizes.1), usage).unwrap();
        let key = aes::DataKey::derive(&store.key(&name).unwrap(), &parsed, suite).unwrap();
        let mut data = encrypt_cbc(&iv, &clear, |block| naive_aes::encrypt_block(&expected, block));
        key.decrypt_cbc(&iv, &mut data).unwrap();
        prop_assert_eq!(&data, &clear);

        // A base key of another size than the suite's does not pretend.
        for other in [16, 24, 32].into_iter().filter(|&other| other != sizes.0) {
            let suite = aes::Suite::new(key_type(other), aes::KeyType::Aes128, usage).unwrap();
            prop_assert!(aes::DataKey::derive(&store.key(&name).unwrap(), &parsed, suite).is_err());
        }
    }
}

/// The naive side is right by itself: published keys, not those of the library.
#[test]
fn the_naive_side_knows_the_published_keys() {
    let bytes = |text: &str| u128::from_str_radix(text, 16).unwrap();
    let ksn = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xEF, 0xF8, 0x01];
    let initial_key = naive_tdes::initial_key(bytes("0123456789ABCDEFFEDCBA9876543210"), &ksn);
    assert_eq!(initial_key, bytes("6AC292FAA1315B4D858AB3A3D7D5933A"));
    let data_key = naive_tdes::data_key(initial_key, &ksn, tdes::Variant::DataRequest);
    assert_eq!(data_key, bytes("EBC9A12BDFAFC470E00ECA54611BE5C9"));

    let base_key = bytes("FEDCBA9876543210F1F1F1F1F1F1F1F1").to_be_bytes();
    let ksn = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 7];
    let data_key = naive_aes::data_key(&base_key, &ksn, aes::DataUsage::Encrypt, 16);
    assert_eq!(data_key, bytes("0FA8F1F0A2DD7B1005A862D77CDED698").to_be_bytes());
}
