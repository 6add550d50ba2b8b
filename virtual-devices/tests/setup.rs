//! What can be set, and what cannot.

use std::collections::BTreeSet;

use dukpt::{KsnError, MaterialError, Scheme};
use p2pe_crypto::Encryption;
use p2pe_virtual_devices::{Card, CardError, DeviceKey, Model, Setting, Setup, SetupError, TEST_NUMBERS, ksn_at};

#[test]
fn names_are_of_one_thing_each() {
    let models: BTreeSet<_> = Model::ALL.iter().map(|model| model.name()).collect();
    assert_eq!(models.len(), Model::ALL.len());
    assert!(Model::ALL.iter().all(|model| model.name().parse() == Ok(*model)));
    assert!("sred-key".parse::<Model>().is_err());
    let settings: BTreeSet<_> = Setting::ALL.iter().map(|setting| setting.name()).collect();
    assert_eq!(settings.len(), Setting::ALL.len());
    // Each is in use, and in one group of a model at most: a name alone tells which group is meant.
    for setting in Setting::ALL {
        let groups = |model: &Model| model.settings().iter().filter(|group| group.contains(setting)).count();
        assert!(Model::ALL.iter().any(|model| groups(model) == 1), "{setting}");
        assert!(Model::ALL.iter().all(|model| groups(model) <= 1), "{setting}");
    }
    for model in Model::ALL {
        assert!(Setup::usual(*model).is_ok(), "{model}");
        assert!(model.settings().iter().all(|group| group.len() > 1), "{model}");
    }
}

#[test]
fn refused_setups() {
    use Setting::{Grouped, Hex, Keyboard, Mac, NoTransport, SessionId, SwipeFrame, Tracks123, TransArmor};
    let encryption = |name: &str| name.parse::<Encryption>().unwrap();
    let swipe = Model::IdTechSwipe;
    for (model, name, settings, error) in [
        (Model::SredKey, "tdes", &[Mac][..], SetupError::NotOfModel(Model::SredKey, Mac)),
        (swipe, "tdes", &[Hex, Keyboard], SetupError::Conflict(Hex, Keyboard)),
        (swipe, "tdes", &[Tracks123, TransArmor], SetupError::Conflict(TransArmor, Tracks123)),
        (Model::Neo, "tdes", &[SwipeFrame, NoTransport], SetupError::Conflict(NoTransport, SwipeFrame)),
        (Model::Neo, "tdes", &[Grouped, SwipeFrame], SetupError::Conflict(Grouped, SwipeFrame)),
        (swipe, "aes", &[TransArmor], SetupError::Encryption(swipe, encryption("aes"))),
        (swipe, "aes", &[SessionId], SetupError::Encryption(swipe, encryption("aes"))),
        (swipe, "tdes-response", &[], SetupError::Encryption(swipe, encryption("tdes-response"))),
        (swipe, "aes-dukpt-128", &[], SetupError::Encryption(swipe, encryption("aes-dukpt-128"))),
        (Model::MagTek, "aes", &[], SetupError::Encryption(Model::MagTek, encryption("aes"))),
        (Model::WisePad, "aes-dukpt-256", &[], SetupError::Encryption(Model::WisePad, encryption("aes-dukpt-256"))),
    ] {
        assert_eq!(Setup::new(model, encryption(name), settings), Err(error));
    }
    // The same twice is no conflict.
    assert!(Setup::new(swipe, encryption("tdes"), &[Hex, Hex]).is_ok());
}

#[test]
fn cards() {
    let card = || Card::test().unwrap();
    assert!(TEST_NUMBERS.iter().all(|number| Card::new(number, "3012").unwrap().pan().luhn()));
    let refused = |card: Result<Card, CardError>| card.err();
    assert_eq!(refused(Card::new("47617390010", "3012")), Some(CardError::Pan));
    assert_eq!(refused(Card::new("4761739001010010000 ", "3012")), Some(CardError::Pan));
    for expiry in ["", "301", "3013", "3000", "30120", "3o12"] {
        assert_eq!(refused(Card::new(TEST_NUMBERS[0], expiry)), Some(CardError::Expiry), "{expiry}");
    }
    for name in ["", "A", "doe/jane", " DOE/JANE", "DOE/JANE ", "DOE^JANE", "DOE?", "É/É", &"A".repeat(27)] {
        assert_eq!(refused(card().with_name(name)), Some(CardError::Name), "{name}");
    }
    assert!(card().with_name(&"A".repeat(26)).is_ok() && card().with_name("AB").is_ok());
    for code in ["", "20", "2010", "20a"] {
        assert_eq!(refused(card().with_service_code(code)), Some(CardError::ServiceCode), "{code}");
    }
    for code in ["", "12", "12345", "12a"] {
        assert_eq!(refused(card().with_security_code(code)), Some(CardError::SecurityCode), "{code}");
    }
    for (street, zip) in
        [("", "98745"), ("123456", "98745"), ("1", "12"), ("1", "1234567"), ("a", "98745"), ("1", "9874a")]
    {
        assert_eq!(refused(card().with_address(street, zip)), Some(CardError::Address), "{street} {zip}");
    }
}

#[test]
fn keys_and_counters() {
    for (scheme, length) in [(Scheme::Tdes, 8), (Scheme::Tdes, 24), (Scheme::Aes, 20), (Scheme::Aes, 0)] {
        assert_eq!(DeviceKey::base(scheme, &vec![1; length]).err(), Some(MaterialError::Length(length)));
        assert_eq!(DeviceKey::initial(scheme, &vec![1; length]).err(), Some(MaterialError::Length(length)));
    }
    let (tdes, aes) = ([0xFF; 10], [0x12; 12]);
    assert_eq!(ksn_at(&tdes, 0x155).unwrap().to_string(), "FFFFFFFFFFFFFFE00155");
    assert_eq!(ksn_at(&aes, 0xFFFF_0000).unwrap().to_string(), "1212121212121212FFFF0000");
    assert_eq!(ksn_at(&tdes, 0x1F_FFFF), Err(KsnError::CounterBits(21)));
    assert_eq!(ksn_at(&tdes, 0x20_0000), Err(KsnError::CounterBits(1)));
    assert_eq!(ksn_at(&aes, 0x1_FFFF), Err(KsnError::CounterBits(17)));
    for length in [0, 8, 9, 11, 13] {
        assert_eq!(ksn_at(&vec![0; length], 1), Err(KsnError::Length(length)));
    }
}
