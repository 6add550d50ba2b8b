//! Keys and cards are wiped: no block of memory is given back with a key, a card number, a track or a code in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for all crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;

use canary::{Seen, present, watch};
use dukpt::Scheme;
use p2pe_crypto::Encryption;
use p2pe_virtual_devices::{Card, DeviceKey, Model, Setting, Setup, VirtualDevice, ksn_at};

const WIPED: Seen = Seen { held: true, leaks: 0 };
const NONE_LEFT: Seen = Seen { held: false, leaks: 0 };
const PAN: &str = "4761739001010010";

fn card() -> Card {
    let card = Card::new(PAN, "3012").unwrap().with_name("QUITE/UNUSUAL").unwrap();
    card.with_security_code("7359").unwrap().with_address("81726", "918273").unwrap()
}

fn ksn(encryption: Encryption) -> dukpt::Ksn {
    let device: &[u8] = match encryption.scheme() {
        Scheme::Tdes => &[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 0],
        Scheme::Aes => &[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0],
    };
    ksn_at(device, 5).unwrap()
}

/// The guard itself: it must catch what is not wiped.
#[test]
fn the_canary_sings() {
    assert_eq!(watch(PAN.as_bytes(), || PAN.to_owned()), Seen { held: true, leaks: 1 });
    assert_eq!(watch(PAN.as_bytes(), || card().pan().expose().to_owned()).leaks, 1);
    assert!(!present());
}

#[test]
fn a_card() {
    for secret in [PAN, "QUITE/UNUSUAL", "7359", "81726", "918273"] {
        assert_eq!(watch(secret.as_bytes(), card), WIPED, "{secret}");
    }
    assert_eq!(watch(b"8172", || card().with_address("1", "999")).leaks, 0);
    assert_eq!(watch(b"7359", || card().with_security_code("735")).leaks, 0);
}

#[test]
fn device_keys() {
    for (scheme, length) in [(Scheme::Tdes, 16), (Scheme::Aes, 16), (Scheme::Aes, 24), (Scheme::Aes, 32)] {
        let key: Vec<u8> = (0..length).map(|i| 0xA7 ^ u8::wrapping_mul(i, 11)).collect();
        assert_eq!(watch(&key, || DeviceKey::base(scheme, &key).unwrap()), WIPED);
        assert_eq!(watch(&key, || DeviceKey::initial(scheme, &key).unwrap()), WIPED);
        assert_eq!(watch(&key, || DeviceKey::base(scheme, &key[1..]).err()), NONE_LEFT);
    }
}

/// Of a key nothing but what follows from it stays with a device, and a device leaves nothing of a card behind but what
/// it expects to be read.
#[test]
fn devices_and_what_they_send() {
    let card = card();
    for &model in Model::ALL {
        let one_of_each = |index: usize| -> Vec<Setting> {
            model.settings().iter().map(|group| group[index.min(group.len() - 1)]).collect()
        };
        for settings in (0..7).map(one_of_each) {
            let Ok(setup) = Setup::new(model, model.usual_encryption(), &settings) else { continue };
            let ksn = ksn(model.usual_encryption());
            let base_key = 0xA1B2_C3D4_E5F6_0718_293A_4B5C_6D7E_8F90_u128.to_be_bytes();
            let key = DeviceKey::base(Scheme::Tdes, &base_key).unwrap();
            assert_eq!(watch(&base_key, || VirtualDevice::new(setup.clone(), &key, &ksn, 1).unwrap()).leaks, 0);
            let sent = || VirtualDevice::new(setup.clone(), &key, &ksn, 1).unwrap().read(&card).unwrap();
            // The number in digits, in nibbles, and with what follows it on a track.
            let packed = 0x4761_7390_0101_0010_u64.to_be_bytes();
            let secrets: [&[u8]; 4] = [PAN.as_bytes(), b"4761739001010010=3012", &packed, b"=3012:7359"];
            for secret in secrets {
                assert_eq!(watch(secret, sent).leaks, 0, "{model} {settings:?} {}", String::from_utf8_lossy(secret));
            }
            assert!(watch(PAN.as_bytes(), sent).held, "{model}: the emission expects it");
        }
    }
}

#[test]
fn a_device_of_aes_dukpt() {
    let card = card();
    for encryption in Encryption::all().filter(|encryption| encryption.scheme() == Scheme::Aes) {
        let Ok(setup) = Setup::new(Model::Track, encryption, &[]) else { unreachable!("a track is under any key") };
        let key = DeviceKey::test(encryption).unwrap();
        let sent = || VirtualDevice::new(setup.clone(), &key, &ksn(encryption), 1).unwrap().read(&card).unwrap();
        assert_eq!(watch(PAN.as_bytes(), sent), WIPED, "{encryption}");
    }
}
