//! ID TECH beyond the usual frame: original frames, XML, the MAC, joined tracks, front stripes; and what no profile fits.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::cast_possible_truncation, reason = "lengths of a test's own making")]

#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;
#[path = "support/fake.rs"]
mod fake;

use device::{ANSI, Content, KSN, checked, devices, encrypt, masked, store};
use dukpt::tdes::{Cipher, Variant};
use envelope::close;
use fake::FakeStore;
use p2pe_crypto::{
    CardData, Decryptor, Device, DeviceProfile, Devices, Entry, Error, Form, Format, Payload, PayloadError,
    TrackNumber, Unsupported,
};
use proptest::{collection::vec, prelude::*, sample::Index};

const TRACK1: &str = "%B4761739001010010^TEST CARD/UAT^24122011143878089?";
const TRACK2: &str = ";4761739001010010=24122011143878089?";
const FORMS: [Form; 3] = [Form::Binary, Form::Hex, Form::Keyboard];

fn read(payload: &Payload, profile: &str) -> Result<CardData, Error> {
    Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", profile)])).decrypt(payload)
}

fn data_key(clear: &[u8]) -> Vec<u8> {
    encrypt(ANSI, &KSN, Variant::DataRequest, Cipher::Tdes, clear)
}

/// The counted data of an original frame, and where its tracks stand.
fn original(one: &str, two: &str, three: &str) -> (Vec<u8>, std::ops::Range<usize>) {
    let track = |text: &str| if text.is_empty() { Vec::new() } else { checked(text) };
    let (one, two) = (track(one), track(two));
    let copy = |track: &[u8]| if track.is_empty() { Vec::new() } else { masked(track) };
    let mut data = vec![0, 0x3F, one.len() as u8, two.len() as u8, three.len() as u8];
    data.extend([copy(&one), copy(&two), three.into()].concat());
    let end = data.len();
    data.extend(data_key(&[one, two].concat()));
    data.extend([0; 40]);
    data.extend(KSN);
    (data, 5..end)
}

#[test]
fn an_original_frame_in_each_form() {
    let track3 = ";333333333333333333337676760707077676763333333333333333333376767607070776767633?0";
    for (one, two) in [(TRACK1, TRACK2), (TRACK1, ""), ("", TRACK2)] {
        let (data, clear) = original(one, two, track3);
        for form in FORMS {
            let payload = Payload::parse(&close(&data, form, clear.clone())).unwrap();
            let Payload::IdTechOriginal(frame) = &payload else { panic!("another format") };
            assert_eq!((frame.form(), frame.masked(2)), (form, Some(track3.as_bytes())));
            let card = read(&payload, "idtech-original-tdes").unwrap();
            assert_eq!((card.pan().expose(), card.entry()), ("4761739001010010", Entry::Swiped));
            let track = |number| card.sensitive().track(number).map_or("", |track| track.expose());
            assert_eq!([track(TrackNumber::One), track(TrackNumber::Two)], [one, two]);
            assert!(card.sensitive().track(TrackNumber::Three).is_none(), "it was never encrypted");
        }
    }
}

fn xml(one: Option<&[u8]>, two: Option<&[u8]>, raw: bool) -> Vec<u8> {
    let value = |bytes: &[u8]| match raw {
        true => bytes.to_vec(),
        false => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes(),
    };
    let attribute = |name: &str, bytes: &[u8]| [format!(" {name}=\"").as_bytes(), &value(bytes), b"\""].concat();
    let tracks = [("ETrk1", one), ("ETrk2", two)];
    let tracks = tracks.iter().filter_map(|(name, bytes)| Some(attribute(name, (*bytes)?)));
    [
        &b"<DvcMsg Ver=\"1.1\"><Dvc DvcSN=\"54132607651\" Entry=\"SWIPE\"></Dvc><Card CEncode=\"0\""[..],
        &tracks.collect::<Vec<_>>().concat(),
        &attribute("CDataKSN", &KSN),
        b" Exp=\"2412\" MskPAN=\"4761********0010\" EFormat=\"4\"></Card></DvcMsg>",
    ]
    .concat()
}

#[test]
fn xml_with_digits_and_with_raw_bytes() {
    let (one, two) = (data_key(&checked(TRACK1)), data_key(&checked(TRACK2)));
    for raw in [false, true] {
        let payload = Payload::parse(&xml(Some(&one), Some(&two), raw)).unwrap();
        let Payload::IdTechXml(message) = &payload else { panic!("another format") };
        assert_eq!((message.serial(), message.masked()), (Some(&b"54132607651"[..]), Some(&b"4761********0010"[..])));
        assert_eq!(
            [message.ciphertext(0), message.ciphertext(1), message.ciphertext(2)],
            [Some(&one[..]), Some(&two), None]
        );
        assert_eq!(read(&payload, "idtech-xml-tdes").unwrap().name(), Some("TEST CARD/UAT"));
    }
    // Raw bytes that look like the end of a value, or of the element, are no end.
    for part in [&b"\" "[..], b"\">", b"\"/>", b"=\"", b"\"\"\"\""] {
        let ciphertext = [part, &vec![0xE5; 16 - part.len()]].concat();
        let payload = Payload::parse(&xml(Some(&ciphertext), Some(&two), true)).unwrap();
        assert_eq!(payload.encrypted().into_iter().next().map(|field| field.ciphertext), Some(&ciphertext[..]));
    }
}

#[test]
fn a_value_that_begins_in_another_is_refused_in_xml() {
    let inner = b" ETrk2=\"";
    for others in [0, 8, 40] {
        let ciphertext = [&[0xE5; 16][..], inner, &vec![0x5E; others]].concat();
        let message = xml(Some(&ciphertext), None, true);
        let at = message.windows(inner.len()).position(|window| window == inner).unwrap() + inner.len();
        let refusal = Payload::parse(&message).unwrap_err();
        assert_eq!((refusal.error, refusal.offset), (PayloadError::FieldLayoutResidue, Some(at)), "{others}");
    }
}

/// A frame with an HMAC-SHA-256, whose key has a KSN of its own that begins with `CFFF`. Made for this project.
const WITH_MAC: &str = "028C008057002500028201293B343736312A2A2A2A2A2A2A2A303031303D323031322A2A2A2A2A2A2A2A2A2A2A2A2A3F2AA117F2DF68FD\
747976633151A4DB69B4FCAD9BA5E68F821EBFEFCB29C05A1821066A11A619C1547EFFFF9876543210E0001420007C3F480688B9235957\
BF792EC771B9D5673AE54B3FFEA621BC0BDD174DD71369CFFF9876543210E000140A8203";

#[test]
fn a_mac_is_verified_before_anything_is_decrypted() {
    let payload = Payload::parse(WITH_MAC.as_bytes()).unwrap();
    assert!(payload.mac().is_some_and(|mac| mac.ksn.as_bytes()[0] == 0xCF && mac.code.len() == 32));
    assert!(read(&payload, "idtech-tdes").is_ok());
    // A store that gives another initial key: the data key is never asked for.
    let decryptor = Decryptor::new(FakeStore::new(None, || ()), devices(&[(&KSN[..5], "bdk", "idtech-tdes")]));
    assert_eq!(decryptor.decrypt(&payload).err(), Some(Error::DecryptFailed));
    assert_eq!(*decryptor.store().calls.borrow(), ["key bdk", "tdes_initial_key"]);
    assert_eq!(decryptor.decrypt_batch(&[payload])[0].as_ref().err(), Some(&Error::DecryptFailed));
}

#[test]
fn the_key_of_a_mac_is_that_of_its_own_ksn() {
    let payload = Payload::parse(WITH_MAC.as_bytes()).unwrap();
    let keys = || store(&[("bdk", ANSI), ("same", ANSI), ("other", [7; 16])]);
    let outcome = |of_mac: &str| {
        let populations = [(&KSN[..5], "bdk", "idtech-tdes"), (&[0xCF], of_mac, "idtech-tdes")];
        Decryptor::new(keys(), devices(&populations)).decrypt(&payload).map(|card| card.pan().to_string())
    };
    assert_eq!(outcome("same").as_deref(), Ok("476173******0010"));
    assert_eq!(outcome("other"), Err(Error::DecryptFailed));
}

/// Whoever takes the MAC away and makes the frame's checks right gets no further than the profile.
#[test]
fn a_profile_may_ask_for_a_mac() {
    let profile = "idtech-tdes".parse::<DeviceProfile>().unwrap().with_mac();
    let mut population = Devices::new();
    population.insert(
        dukpt::KsnPrefix::new(dukpt::Scheme::Tdes, &KSN[..5]).unwrap(),
        Device { base_key: device::id("bdk"), profile },
    );
    let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), population);
    let without = Payload::parse(&Content::of(["", TRACK2, ""]).frame()).unwrap();
    assert!(matches!(decryptor.decrypt(&without), Err(Error::ProfileMismatch(..))));
    assert!(decryptor.decrypt(&Payload::parse(WITH_MAC.as_bytes()).unwrap()).is_ok());
}

#[test]
fn a_refusal_names_the_profiles_that_fit() {
    let (original, _) = original(TRACK1, TRACK2, "");
    let payload = Payload::parse(&close(&original, Form::Binary, 0..0)).unwrap();
    let told = read(&payload, "idtech-tdes").unwrap_err().to_string();
    let fitting = "idtech-original-tdes, idtech-original-tdes-pin, idtech-original-tdes-response";
    assert!(told.contains("profile idtech-tdes ") && told.ends_with(&format!(": {fitting}")), "{told}");
    let unknown = Decryptor::new(store(&[]), devices(&[])).decrypt(&payload).unwrap_err();
    assert!(matches!(unknown, Error::UnknownDevice(..)) && unknown.to_string().ends_with(fitting), "{unknown}");
    // Every one that is named takes the payload, and no other does.
    for payload in
        [payload, Payload::parse(WITH_MAC.as_bytes()).unwrap(), Payload::from_tracks(&KSN, &[&[0; 16]]).unwrap()]
    {
        let told = Decryptor::new(store(&[]), devices(&[])).decrypt(&payload).unwrap_err().to_string();
        let named: Vec<&str> = told.rsplit(": ").next().unwrap().split(", ").collect();
        for profile in DeviceProfile::builtin() {
            let mut population = Devices::new();
            let prefix = dukpt::KsnPrefix::new(profile.scheme(), &payload.ksn().as_bytes()[..4]).unwrap();
            population.insert(prefix, Device { base_key: device::id("bdk"), profile });
            let fits = Decryptor::new(store(&[]), population).device(&payload).is_ok();
            assert_eq!(fits, named.contains(&profile.name()), "{profile} {told}");
        }
    }
}

#[test]
fn a_format_that_is_named_is_the_one_that_is_parsed() {
    let (original, clear) = original(TRACK1, TRACK2, "");
    let enhanced = Content::of(["", TRACK2, ""]).frame();
    let message = xml(Some(&data_key(&checked(TRACK1))), None, false);
    for form in FORMS {
        let original = close(&original, form, clear.clone());
        assert!(Payload::parse_as(Format::IdTechOriginal, &original).is_ok());
        for format in Format::ALL {
            for (bytes, its_own) in [
                (&original, Format::IdTechOriginal),
                (&enhanced, Format::IdTechEnhanced),
                (&message, Format::IdTechXml),
            ] {
                assert_eq!(Payload::parse_as(format, bytes).is_ok(), format == its_own, "{format} {its_own}");
            }
        }
    }
    for raw in Format::ALL.into_iter().filter(|format| format.is_raw()) {
        assert_eq!(Payload::parse_as(raw, &enhanced).map_err(|refusal| refusal.error), Err(PayloadError::MissingKsn));
    }
    let unsupported = Err(PayloadError::Unsupported(Unsupported::Encoding));
    assert_eq!(Payload::parse_as(Format::IdTechKeyed, &enhanced).map_err(|refusal| refusal.error), unsupported);
}

/// The alarm also goes off where a frame that cannot be taken holds a clear number in one of its slots.
#[test]
fn the_alarm_before_what_is_not_supported() {
    let number = "4761739001010010";
    for encode_type in [0x81, 0x83, 0x85, 0x87, 0xC1] {
        let mut data = vec![encode_type, 0x57, 0, 0, number.len() as u8, 0x04, 0x80, 1, 0x02];
        data.extend(number.bytes());
        data.extend(KSN);
        for form in FORMS {
            let frame = close(&data, form, 9..9 + number.len());
            assert_eq!(
                Payload::parse(&frame).map_err(|refusal| refusal.error),
                Err(PayloadError::ClearAccountData),
                "{encode_type:x} {form:?}"
            );
        }
    }
    let mut data = vec![0x01, 0x3F, 0, 0, number.len() as u8];
    data.extend([number.as_bytes(), &[0; 40], &KSN].concat());
    assert_eq!(
        Payload::parse(&close(&data, Form::Binary, 0..0)).map_err(|refusal| refusal.error),
        Err(PayloadError::ClearAccountData)
    );
}

fn adds_up(payload: &Payload) {
    for field in payload.encrypted() {
        assert!(!field.ciphertext.is_empty() && field.ciphertext.len().is_multiple_of(8), "{payload:?}");
    }
    assert!(payload.encrypted().into_iter().count() > 0);
}

proptest! {
    #[test]
    fn no_data_in_a_right_envelope_makes_a_parser_panic(
        encode_type in prop::sample::select(vec![0x00u8, 0x01, 0x80, 0x85, 0x86, 0xC0]), zeros: bool,
        rest in vec(any::<u8>(), 0..300), form in prop::sample::select(FORMS.to_vec()), at in any::<Index>(),
    ) {
        let mut data = [&[encode_type][..], &rest].concat();
        if zeros {
            data.iter_mut().skip(1).take(4).for_each(|byte| *byte = 0);
        }
        let at = at.index(data.len());
        if let Ok(payload) = Payload::parse(&close(&data, form, at..data.len().min(at + 60))) {
            adds_up(&payload);
        }
    }

    #[test]
    fn no_message_makes_the_parser_panic(
        mut message in Just(xml(Some(&[0xE5; 16]), Some(&[0x5E; 8]), true)), cut in any::<Index>(), put in "[ -~]{0,12}",
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
    ) {
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut message) = *byte);
        let at = cut.index(message.len());
        message.splice(at..at, put.bytes());
        if let Ok(payload) = Payload::parse(&message) {
            adds_up(&payload);
        }
        let _ = Payload::parse(&message[..at]);
    }

    #[test]
    fn any_original_frame_is_read_as_it_was_made(
        pan in "[0-9]{12,19}", name in "[A-Z]{2,10}/[A-Z]{2,10}", rest in "[0-9]{0,12}", form in prop::sample::select(FORMS.to_vec()),
        one: bool, two: bool,
    ) {
        prop_assume!(one || two);
        let (track1, track2) = (format!("%B{pan}^{name}^2912201{rest}?"), format!(";{pan}=2912201{rest}?"));
        let (data, clear) = original(if one { &track1 } else { "" }, if two { &track2 } else { "" }, "");
        let payload = Payload::parse(&close(&data, form, clear)).unwrap();
        let card = read(&payload, "idtech-original-tdes").unwrap();
        prop_assert_eq!(card.pan().expose(), pan);
        prop_assert_eq!(card.name(), one.then_some(&name[..]));
        prop_assert!(read(&payload, "idtech-original-tdes-pin").is_err());
    }
}
