//! What real devices sent, byte for byte, from the card, key and serial number behind it.

use p2pe_virtual_devices::{Card, DeviceKey, Form, Model, Setting, Setup, VirtualDevice, ksn_at};

/// A SREDKey keypad: number, expiry, security code and ZIP code keyed in under the public ANSI test key.
#[test]
fn a_keyed_number_of_a_sredkey_keypad() {
    let usual = Model::SredKey.usual_encryption();
    let key = DeviceKey::test(usual).unwrap();
    let ksn = ksn_at(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x00, 0x43, 0, 0, 0], 0x25A).unwrap();
    let card = Card::new("4761739001010010", "2212").unwrap().with_security_code("201").unwrap();
    let sent = |settings: &[Setting]| {
        let setup = Setup::new(Model::SredKey, usual, settings).unwrap();
        VirtualDevice::new(setup, &key, &ksn, 0).unwrap().with_serial(*b"742T090094").read(&card).unwrap()
    };
    let typed = sent(&[Setting::SecurityCode, Setting::Zip]);
    assert_eq!(typed.form, Form::Text);
    assert_eq!(
        String::from_utf8(typed.bytes).unwrap(),
        "02C100C037001C078692;4761********0010=2212:***?*098745=ACF828DC27C1BB4E1DAA43F06A25BDD1B661394C0BFA22248608AE\
         55765ECA2D000000000000000000000000000000000000000037343254303930303934FFFF987654004300025A453D03"
    );
}

/// Headers of captures: card encode type, track status, three lengths, two field bytes.
#[test]
fn headers_of_frames() {
    let head = |model: Model, card: Card, settings: &[Setting]| {
        let setup = Setup::new(model, model.usual_encryption(), settings).unwrap();
        let key = DeviceKey::test(model.usual_encryption()).unwrap();
        let ksn = ksn_at(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0, 0, 0, 0, 0], 1).unwrap();
        let sent = VirtualDevice::new(setup, &key, &ksn, 0).unwrap().read(&card).unwrap();
        [&sent.bytes[3..5], &sent.bytes[8..10]].concat()
    };
    let chip = || Card::test().unwrap();
    let no_chip = || Card::test().unwrap().with_service_code("101").unwrap();
    use Setting::{Binary, NoSerial, SecurityCode, Sha1Hashes, Track2, Tracks123, Zip};
    let swipe = Model::IdTechSwipe;
    // Augusta S, SecuRED, SecureMag, a track 2 alone; keypads without and with extra data.
    assert_eq!(head(swipe, chip(), &[]), [0x80, 0x1F, 0xA3, 0x9B]);
    assert_eq!(head(swipe, no_chip(), &[]), [0x80, 0x1F, 0x83, 0x9B]);
    assert_eq!(head(swipe, no_chip(), &[Tracks123, Sha1Hashes, NoSerial]), [0x80, 0x3F, 0x07, 0xBF]);
    assert_eq!(head(swipe, no_chip(), &[Track2]), [0x80, 0x17, 0x82, 0x92]);
    assert_eq!(head(Model::SredKey, chip(), &[Binary]), [0xC0, 0x17, 0x82, 0x92]);
    assert_eq!(head(Model::SredKey, chip(), &[Binary, SecurityCode, Zip]), [0xC0, 0x37, 0x86, 0x92]);
}
