//! Working keys, MACs and devices are wiped: no block of memory is given back with the key still in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod canary;

use canary::{Seen, present, watch};
use dukpt::{
    CheckMethod, Key, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MacFormat, MemoryKey,
    MemoryStore, Padding,
    aes::{self, KeyType, Usage, WorkingKeyType},
    tdes,
};

const WIPED: Seen = Seen { held: true, leaks: 0 };
const ABSENT: Seen = Seen { held: false, leaks: 0 };

// The keys of FFFF9876543210EFF801 under the ANSI base key (X9.24-1:2009, A.4.3).
const INITIAL: &str = "6AC292FAA1315B4D858AB3A3D7D5933A";
const TRANSACTION: &str = "5BEE92627E97825C911BF619DF72CA3B";
const PIN: &str = "5BEE92627E9782A3911BF619DF72CAC4";
const MAC_REQUEST: &str = "5BEE92627E977D5C911BF619DF72353B";
const MAC_RESPONSE: &str = "5BEE92628197825C911BF6192072CA3B";
const DATA_RESPONSE: &str = "C33928748DB4C31EB98BDAA6FC5A528F";
const DATA_RESPONSE_VARIANT: &str = "5BEE929D7E97825C911BF6E6DF72CA3B";

fn hex<const N: usize>(digits: &str) -> [u8; N] {
    core::array::from_fn(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
}

fn tdes_ksn(digits: &str) -> tdes::Ksn {
    tdes::Ksn::try_from(&hex::<10>(digits)[..]).unwrap()
}

fn initial_key() -> tdes::InitialKey {
    tdes::InitialKey::try_filled(|key| {
        *key = hex(INITIAL);
        Ok(())
    })
    .unwrap()
}

fn format(algorithm: MacAlgorithm) -> MacFormat {
    MacFormat::new(algorithm, 8).unwrap()
}

#[test]
fn tdes_working_keys() {
    let transaction = || tdes::TransactionKey::derive(&initial_key(), &tdes_ksn("FFFF9876543210EFF801")).unwrap();
    let used = || {
        let key = transaction();
        key.check_value(CheckMethod::Legacy).unwrap();
        key.check_value(CheckMethod::Cmac).unwrap();
        key
    };
    assert_eq!(watch(&hex::<16>(TRANSACTION), used), WIPED);

    let pin_key = || {
        let key = transaction().pin_key();
        key.encrypt_block(&mut [0; 8]);
        key.decrypt_block(&mut [0; 8]);
        key.check_value(CheckMethod::Cmac).unwrap();
        key
    };
    assert_eq!(watch(&hex::<16>(PIN), pin_key), WIPED);
    assert_eq!(watch(&hex::<16>(TRANSACTION), pin_key), ABSENT, "the parent");

    for algorithm in
        [MacAlgorithm::Cmac, MacAlgorithm::Retail(Padding::Zeros), MacAlgorithm::Retail(Padding::OneThenZeros)]
    {
        let mac_key = || {
            let key = transaction().mac_key();
            assert!(key.verify(format(algorithm), b"message", &[0; 8]).is_err());
            key
        };
        assert_eq!(watch(&hex::<16>(MAC_REQUEST), mac_key), WIPED);
        let mac_key = || {
            let key = transaction().response_mac_key();
            key.generate(format(algorithm), b"message").unwrap();
            key
        };
        assert_eq!(watch(&hex::<16>(MAC_RESPONSE), mac_key), WIPED);
    }

    let data_key = || {
        let key = transaction().response_data_key();
        key.encrypt_cbc(tdes::Cipher::Tdes, &[0; 16], &mut [0; 16]).unwrap();
        key.encrypt_cbc(tdes::Cipher::Aes128, &[0; 16], &mut [0; 16]).unwrap();
        key
    };
    assert_eq!(watch(&hex::<16>(DATA_RESPONSE), data_key), WIPED);
    assert_eq!(watch(&hex::<16>(DATA_RESPONSE_VARIANT), data_key), ABSENT, "before the self-encryption");

    let chinese = || {
        let key = tdes::chinese::DataKey::derive(&initial_key(), &tdes_ksn("FFFF9876543210EFF801")).unwrap();
        key.decrypt_ecb(&mut [0; 16]).unwrap();
        key
    };
    assert_eq!(watch(&hex::<16>(TRANSACTION), chinese), WIPED);
}

#[test]
fn tdes_trials() {
    let ksn = tdes_ksn("FFFF9876543210EFF801");
    let trial = || {
        let keys = tdes::TrialKeys::derive(&[(&initial_key(), ksn)]).unwrap();
        let data = keys.data_keys(tdes::TrialWorking::Right(tdes::Variant::DataResponse));
        (keys, data)
    };
    let upwards = || tdes::TrialKeys::derive_upwards(&initial_key(), &tdes_ksn("FFFF9876543210E00008")).unwrap();
    let known = hex::<16>("27F66D5244FF62E1AA6F6120EDEB4280");
    assert_eq!(watch(&known, upwards), WIPED, "of a counter with a single bit");
    assert_eq!(watch(&hex::<16>(TRANSACTION), trial), WIPED);
    assert_eq!(watch(&hex::<16>(DATA_RESPONSE), trial), WIPED);
    assert_eq!(watch(&hex::<16>(DATA_RESPONSE_VARIANT), trial), ABSENT, "before the self-encryption");
}

#[test]
fn tdes_devices() {
    let (first, second) =
        (hex::<16>("042666B49184CFA368DE9628D0397BC9"), hex::<16>("C46551CEF9FD24B0AA9AD834130D3BC7"));
    let new = || tdes::terminal::Terminal::new(&initial_key(), &tdes_ksn("FFFF9876543210E00000"));
    for key in [first, second] {
        assert_eq!(watch(&key, new), WIPED, "a register");
    }
    assert_eq!(watch(&hex::<16>(INITIAL), new), ABSENT, "the initial key is not kept");
    let first_used = || {
        let mut terminal = new();
        let transaction = terminal.next_transaction().unwrap();
        assert_eq!(transaction.ksn().counter(), 1);
        (terminal, transaction)
    };
    assert_eq!(watch(&first, first_used), WIPED, "in the transaction");
    assert_eq!(watch(&first, || first_used().0), ABSENT, "not in the device any more");
    let erased = watch(&first, || {
        let (mut terminal, transaction) = first_used();
        drop(transaction);
        assert!(!present(), "erased at once");
        terminal.next_transaction().unwrap()
    });
    assert_eq!(erased, ABSENT);
    // A device that begins at a counter of ten bits: the keys on the way there are erased too.
    let later = || tdes::terminal::Terminal::new(&initial_key(), &tdes_ksn("FFFF9876543210EFF801"));
    assert_eq!(watch(&hex::<16>(TRANSACTION), later), WIPED);
    // Its PIN variant is the only way to see a transaction key from outside: undo it.
    let pin = tdes::DataKey::derive(&initial_key(), &tdes_ksn("FFFF9876543210EFF800"), tdes::Variant::Pin).unwrap();
    let mut on_the_way = *pin.expose();
    (on_the_way[7], on_the_way[15]) = (on_the_way[7] ^ 0xFF, on_the_way[15] ^ 0xFF);
    assert_eq!(watch(&on_the_way, later), ABSENT);
    for (key, make) in [
        (PIN, (|t| Box::new(t.pin_key())) as fn(&tdes::terminal::Transaction) -> Box<dyn std::any::Any>),
        (PIN, |t| Box::new(t.pin_variant_data_key())),
        (MAC_REQUEST, |t| Box::new(t.mac_key())),
        (MAC_RESPONSE, |t| Box::new(t.response_mac_key())),
        (DATA_RESPONSE, |t| Box::new(t.response_data_key())),
        ("EBC9A12BDFAFC470E00ECA54611BE5C9", |t| Box::new(t.data_key())),
    ] {
        assert_eq!(watch(&hex::<16>(key), || make(&later().next_transaction().unwrap())), WIPED, "{key}");
    }
}

/// What a MAC is computed over is copied to be padded; the copy is wiped. A long MAC is no secret of ours to print.
#[test]
fn macs() {
    let message = *b"a message of more than one block";
    for (key_type, algorithm) in [
        (WorkingKeyType::Tdes2, MacAlgorithm::Cmac),
        (WorkingKeyType::Tdes3, MacAlgorithm::Cmac),
        (WorkingKeyType::Aes(KeyType::Aes256), MacAlgorithm::Cmac),
        (WorkingKeyType::Tdes2, MacAlgorithm::Retail(Padding::Zeros)),
        (WorkingKeyType::Hmac256, MacAlgorithm::HmacSha256),
    ] {
        let key = &[0x42; 32][..key_type.length()];
        let tag = || algorithm.under_clear_key(key_type, key, &message).unwrap();
        assert_eq!(watch(&message, tag), ABSENT, "{algorithm:?}");
        let expected = tag().as_bytes().to_vec();
        assert_eq!(watch(&expected, tag), WIPED, "{algorithm:?}");
    }
}

fn with_aes(test: impl Fn(&MemoryKey<'_>)) {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key").unwrap());
    let key = hex::<16>("FEDCBA9876543210F1F1F1F1F1F1F1F1");
    store.import(&id, &KeyMaterial::new("aes-base", &key).unwrap(), Lifetime::Session).unwrap();
    test(&store.key(&id).unwrap());
}

fn aes_ksn(counter: u32) -> aes::Ksn {
    let mut ksn = hex::<12>("123456789012345600000000");
    ksn[8..].copy_from_slice(&counter.to_be_bytes());
    aes::Ksn::try_from(&ksn[..]).unwrap()
}

#[test]
fn aes_working_keys() {
    let aes128 = WorkingKeyType::from(KeyType::Aes128);
    with_aes(|base_key| {
        let transaction = || aes::TransactionKey::derive(base_key, &aes_ksn(7), KeyType::Aes128).unwrap();
        let parent = hex::<16>("A8253CEED9AC042C54F75D35C8352278");
        assert_eq!(watch(&parent, transaction), WIPED);
        let pin_key = || {
            let key = transaction().pin_key(aes128).unwrap();
            key.encrypt_block(&mut [0; 16]).unwrap();
            key.decrypt_block(&mut [0; 16]).unwrap();
            key
        };
        assert_eq!(watch(&hex::<16>("6ECF912F3B18CA11A7A27BB60705FD09"), pin_key), WIPED);
        assert_eq!(watch(&parent, pin_key), ABSENT, "the parent");
        let mac_key = || {
            let key = transaction().mac_key(aes128, Usage::MacGenerate).unwrap();
            assert!(key.verify(format(MacAlgorithm::Cmac), b"message", &[0; 8]).is_err());
            key
        };
        assert_eq!(watch(&hex::<16>("BAA08CA263C69525BC6B1BA8F4275D69"), mac_key), WIPED);
        let mac_key = || {
            let key = transaction().response_mac_key(aes128, Usage::MacVerify).unwrap();
            key.generate(format(MacAlgorithm::Cmac), b"message").unwrap();
            key
        };
        assert_eq!(watch(&hex::<16>("03130A11AAD3F068F8D373DDDE93E400"), mac_key), WIPED);
        let data_key = || {
            let key = transaction().response_data_key(WorkingKeyType::Tdes3, Usage::DataDecrypt).unwrap();
            key.encrypt_cbc(&[0; 16], &mut [0; 16]).unwrap();
            key
        };
        // Three-key TDES takes 24 of 32 bytes of cipher output.
        assert_eq!(watch(&hex::<24>("B89E8BB115413CD3D4318419B43EE55E531EE3FA5F64C43B"), data_key), WIPED);
        let kek = || {
            let key = transaction().key_encryption_key(aes128).unwrap();
            key.check_value(CheckMethod::Legacy).unwrap();
            key.check_value(CheckMethod::Cmac).unwrap();
            key
        };
        assert_eq!(watch(&hex::<16>("53250B59B66E10445C790A9B73772063"), kek), WIPED);
        let update = || aes::update_key(base_key, hex("1234567890123456"), KeyType::Aes128, aes128).unwrap();
        assert_eq!(watch(&hex::<16>("9A9770AEE1ACD1B13473D0463A1883B9"), update), WIPED);
        assert_eq!(watch(&hex::<16>("9DC56486499A2E857FDEFC4740641EA8"), update), ABSENT, "the first of 32 steps");
    });
}

#[test]
fn aes_devices() {
    with_aes(|base_key| {
        let suite = aes::Suite::new(KeyType::Aes128, KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
        let new = || {
            let initial_key = base_key.derive(&aes_ksn(0).initial_key(suite)).unwrap();
            aes::terminal::Terminal::new(&initial_key, &aes_ksn(0), KeyType::Aes128).unwrap()
        };
        let (first, highest) =
            (hex::<16>("4F21B565BAD9835E112B6465635EAE44"), hex::<16>("9DC56486499A2E857FDEFC4740641EA8"));
        assert_eq!(watch(&first, new), WIPED);
        assert_eq!(watch(&highest, new), WIPED);
        assert_eq!(watch(&hex::<16>("1273671EA26AC29AFA4D1084127652A1"), new), ABSENT, "the initial key is not kept");
        let first_used = || {
            let mut terminal = new();
            let transaction = terminal.next_transaction().unwrap();
            (terminal, transaction)
        };
        assert_eq!(watch(&first, first_used), WIPED, "in the transaction");
        assert_eq!(watch(&first, || first_used().0), ABSENT, "not in the device any more");
        assert_eq!(watch(&highest, || first_used().0), WIPED, "the others stay");
    });
}
