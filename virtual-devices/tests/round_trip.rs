//! What a virtual device sends, the gateway parses and decrypts to the same card: every setup of every model, and any
//! card, counter and seed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/any.rs"]
mod any;
#[path = "support/gateway.rs"]
mod gateway;

use std::collections::BTreeMap;

use dukpt::{KeyError, Scheme};
use gateway::{base_key, decrypt, device_id, gateway};
use p2pe_crypto::{DeviceProfile, Error, PayloadError, Refusal};
use p2pe_virtual_devices::{Card, DeviceKey, Form, Model, Setup, VirtualDevice, ksn_at};
use proptest::prelude::*;

#[test]
fn every_setup_of_every_model() {
    let (mut setups, mut profiles) = (BTreeMap::new(), BTreeMap::new());
    let cards = [
        Card::test().unwrap(),
        Card::new("378282246310005", "2712").unwrap().with_security_code("7351").unwrap(),
        Card::new("6205501234567890123", "3101")
            .unwrap()
            .with_name("LI/MEI")
            .unwrap()
            .with_service_code("101")
            .unwrap(),
    ];
    for &model in Model::ALL {
        for setup in Setup::all(model) {
            let encryption = setup.profile().encryption();
            let key = DeviceKey::test(encryption).unwrap();
            let ksn = ksn_at(device_id(encryption), 0x0F).unwrap();
            let gateway = gateway(setup.profile());
            let mut device = VirtualDevice::new(setup.clone(), &key, &ksn, 7).unwrap();
            for card in &cards {
                let sent = device.read(card).unwrap();
                let what = format!("{model} {} {:?}", setup.profile(), setup.settings());
                let read = decrypt(&gateway, &sent).unwrap_or_else(|error| unreachable!("{what}: {error}"));
                assert_eq!(sent.expected.differences(&read).next(), None, "{what}");
                assert_eq!(sent.form == Form::Beside, setup.profile().format().is_raw(), "{what}");
            }
            *setups.entry(model.name()).or_insert(0) += 1;
            profiles.insert(setup.profile().name().to_owned(), ());
        }
    }
    println!("{setups:?}");
    assert_eq!(setups.len(), Model::ALL.len());
    assert!(setups.values().sum::<usize>() > 3000, "{setups:?}");
    // Every layout and every encryption that a device has, but for what only a host encrypts with.
    for profile in DeviceProfile::builtin() {
        let name = profile.name();
        let none = name.ends_with("-response")
            || ["magtek", "verifone"].iter().any(|family| name.starts_with(family)) && name.contains("-aes");
        assert_eq!(profiles.contains_key(name), !none, "{name}");
    }
}

#[test]
fn one_seed_reproduces_everything() {
    let card = Card::test().unwrap();
    for &model in Model::ALL {
        let sent = |seed| {
            let setup = Setup::usual(model).unwrap();
            let encryption = setup.profile().encryption();
            let key = DeviceKey::test(encryption).unwrap();
            let ksn = ksn_at(device_id(encryption), 1).unwrap();
            let mut device = VirtualDevice::new(setup, &key, &ksn, seed).unwrap();
            (0..3).map(|_| device.read(&card).unwrap().bytes).collect::<Vec<_>>()
        };
        assert_eq!(sent(1), sent(1), "{model}");
        // Of a keyed number in the original layout nothing is up to the device.
        assert_eq!(sent(1) == sent(2), model == Model::SredKeyOriginal, "{model}");
        let of_one = sent(1);
        assert!(of_one[0] != of_one[1] && of_one[1] != of_one[2], "{model}");
    }
}

#[test]
fn a_wrong_key_is_refused() {
    let card = Card::test().unwrap();
    for &model in Model::ALL {
        let setup = Setup::usual(model).unwrap();
        let profile = setup.profile();
        let key = DeviceKey::base(Scheme::Tdes, &[0xA7; 16]).unwrap();
        let ksn = ksn_at(device_id(profile.encryption()), 9).unwrap();
        let sent = VirtualDevice::new(setup, &key, &ksn, 1).unwrap().read(&card).unwrap();
        assert_eq!(decrypt(&gateway(profile), &sent).err(), Some(Error::DecryptFailed), "{model}");
        assert!(decrypt(&gateway::gateway_with(profile, &[0xA7; 16]), &sent).is_ok(), "{model}");
    }
}

#[test]
fn an_initial_key_in_place_of_the_base_key() {
    let card = Card::test().unwrap();
    // The initial key of this device under the ANSI key is published (X9.24-1:2009, A.4).
    let initial = 0x6AC2_92FA_A131_5B4D_858A_B3A3_D7D5_933A_u128.to_be_bytes();
    let setup = Setup::usual(Model::SredKey).unwrap();
    let ksn = ksn_at(&gateway::TDES_KSN, 3).unwrap();
    let key = DeviceKey::initial(Scheme::Tdes, &initial).unwrap();
    let sent = VirtualDevice::new(setup.clone(), &key, &ksn, 1).unwrap().read(&card).unwrap();
    let read = decrypt(&gateway(setup.profile()), &sent).unwrap();
    assert_eq!(sent.expected.differences(&read).next(), None);

    // X9.24-3:2017, supplement: the initial key of 1234567890123456 under the 128-bit test key.
    let initial = 0x1273_671E_A26A_C29A_FA4D_1084_1276_52A1_u128.to_be_bytes();
    let encryption = "track-aes-dukpt-128".parse::<DeviceProfile>().unwrap().encryption();
    let setup = Setup::new(Model::Track, encryption, &[]).unwrap();
    let ksn = ksn_at(&gateway::AES_KSN, 3).unwrap();
    let key = DeviceKey::initial(Scheme::Aes, &initial).unwrap();
    let sent = VirtualDevice::new(setup.clone(), &key, &ksn, 1).unwrap().read(&card).unwrap();
    assert_eq!(sent.expected.differences(&decrypt(&gateway(setup.profile()), &sent).unwrap()).next(), None);
}

#[test]
fn keys_and_ksns_of_another_scheme_or_size_are_refused() {
    let tdes = Setup::usual(Model::Track).unwrap();
    let encryption = "track-aes-dukpt-256".parse::<DeviceProfile>().unwrap().encryption();
    let aes = Setup::new(Model::Track, encryption, &[]).unwrap();
    let (tdes_ksn, aes_ksn) = (ksn_at(&gateway::TDES_KSN, 1).unwrap(), ksn_at(&gateway::AES_KSN, 1).unwrap());
    let (tdes_key, aes_key) =
        (DeviceKey::base(Scheme::Tdes, &[1; 16]).unwrap(), DeviceKey::base(Scheme::Aes, &[1; 32]).unwrap());
    let shorter = DeviceKey::base(Scheme::Aes, &[1; 16]).unwrap();
    let made = |setup: &Setup, key, ksn| VirtualDevice::new(setup.clone(), key, ksn, 1).map(drop);
    assert_eq!(made(&tdes, &tdes_key, &tdes_ksn), Ok(()));
    assert_eq!(made(&aes, &aes_key, &aes_ksn), Ok(()));
    for (setup, key, ksn) in [
        (&tdes, &aes_key, &tdes_ksn),
        (&tdes, &tdes_key, &aes_ksn),
        (&aes, &tdes_key, &aes_ksn),
        (&aes, &aes_key, &tdes_ksn),
        (&aes, &shorter, &aes_ksn),
    ] {
        assert_eq!(made(setup, key, ksn), Err(KeyError::NotPermitted));
    }
    let initial = DeviceKey::initial(Scheme::Aes, &[1; 16]).unwrap();
    assert_eq!(made(&aes, &initial, &aes_ksn), Err(KeyError::NotPermitted));
}

#[test]
fn a_device_comes_to_its_end() {
    let setup = Setup::usual(Model::SredKey).unwrap();
    let key = DeviceKey::test(setup.profile().encryption()).unwrap();
    let ksn = ksn_at(&gateway::TDES_KSN, 0x1F_F800).unwrap();
    let card = Card::test().unwrap();
    let mut device = VirtualDevice::new(setup, &key, &ksn, 1).unwrap();
    assert_eq!(device.read(&card).unwrap().ksn, ksn);
    assert!(matches!(device.read(&card), Err(KeyError::Exhausted(_))));
    assert!(matches!(device.ksn(), Err(KeyError::Exhausted(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_card_counter_and_seed(setup in any::setup(), card in any::card(), counter in any::counter(), seed: u64) {
        let (profile, card) = (setup.profile(), card.card());
        let key = DeviceKey::test(profile.encryption()).unwrap();
        let ksn = ksn_at(device_id(profile.encryption()), counter).unwrap();
        let mut device = VirtualDevice::new(setup.clone(), &key, &ksn, seed).unwrap();
        // The last counter's MAC would need one behind it.
        let sent = match device.read(&card) {
            Err(KeyError::Exhausted(_)) => return Ok(()),
            sent => sent.unwrap(),
        };
        prop_assert_eq!(sent.ksn, ksn);
        let read = match decrypt(&gateway(profile), &sent) {
            // A masked middle of zeros is the number itself, if its middle is zeros.
            Err(Error::Payload(Refusal { error: PayloadError::ClearAccountData, .. })) if profile.mask() == b'0' => {
                let middle = &card.pan().expose()[6..card.pan().expose().len() - 4];
                prop_assert!(middle.bytes().all(|digit| digit == b'0'));
                return Ok(());
            }
            read => read.unwrap(),
        };
        prop_assert_eq!(sent.expected.differences(&read).next(), None);
    }
}

#[test]
fn the_gateways_key_is_the_devices() {
    // Otherwise a test of wrong keys would prove nothing.
    for encryption in p2pe_crypto::Encryption::all() {
        let scheme = encryption.scheme();
        assert!(DeviceKey::base(scheme, &base_key(encryption)).is_ok());
    }
}
