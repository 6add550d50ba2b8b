//! Decryption: what is asked of the key store and when, the one mute error, key rotation.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;
#[path = "support/fake.rs"]
mod fake;

use device::{ANSI, Content, KSN, checked, devices, encrypt, id, store};
use dukpt::{KeyError, KsnPrefix, Scheme, tdes};
use fake::FakeStore;
use p2pe_crypto::{
    Candidates, Decryptor, Device, DeviceProfile, Devices, Error, Form, Format, Payload, PayloadError, Scope,
};

const TRACK1: &str = "%B4761739001010010^UAT USA/TEST CARD 01      ^24122011143878089?";
const TRACK2: &str = ";4761739001010010=24122011143878089?";
const KEYED: &str = ";4761739001010010=2212:201?";
const AES_KSN: [u8; 12] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 7];

/// Clear tracks as AES DUKPT payload of a [`FakeStore`], whose cipher is to turn every bit over.
fn raw(tracks: &[&[u8]]) -> Payload {
    let padded: Vec<Vec<u8>> = tracks
        .iter()
        .map(|track| [track, &vec![0; track.len().next_multiple_of(16) - track.len()][..]].concat())
        .map(|track| track.iter().map(|byte| !byte).collect())
        .collect();
    Payload::from_tracks(&AES_KSN, &padded.iter().map(|track| &track[..]).collect::<Vec<_>>()).unwrap()
}

fn frame(content: &Content) -> Payload {
    Payload::parse(&content.frame()).unwrap()
}

fn over_raw(failure: Option<(&'static str, KeyError)>) -> Decryptor<FakeStore> {
    Decryptor::new(FakeStore::new(failure, || ()), devices(&[(&AES_KSN[..4], "bdk", "track-aes-dukpt-128")]))
}

/// The one error, with nothing in it to tell one cause from another.
fn assert_mute(error: Option<Error>, what: &str) {
    let error = error.unwrap_or_else(|| panic!("accepted: {what}"));
    assert_eq!(error, Error::DecryptFailed, "{what}");
    let told = (error.to_string(), format!("{error:?}"), error.code(), std::mem::size_of_val(&Error::DecryptFailed));
    let mute = Error::DecryptFailed;
    assert_eq!(told, (mute.to_string(), format!("{mute:?}"), mute.code(), std::mem::size_of::<Error>()), "{what}");
    assert!(std::error::Error::source(&error).is_none(), "{what}");
}

#[test]
fn no_key_is_looked_up_for_what_does_not_fit() {
    let tdes_raw = Payload::from_tracks(&KSN, &[&[0; 16]]).unwrap();
    let swipe = frame(&Content::of([TRACK1, TRACK2, ""]));
    let aes_swipe = frame(&Content { cipher: tdes::Cipher::Aes128, ..Content::of([TRACK1, TRACK2, ""]) });
    let aes_raw = raw(&[TRACK2.as_bytes()]);
    let candidates = |payload: &Payload| Candidates(payload.features());
    let mismatch = |name: &str, payload| Error::ProfileMismatch(name.parse().unwrap(), candidates(payload));
    let unknown = |payload: &Payload| Error::UnknownDevice(KsnPrefix::of(payload.ksn()), candidates(payload));
    for (payload, prefix, profile, expected) in [
        (&swipe, &KSN[..5], "idtech-aes", mismatch("idtech-aes", &swipe)),
        (&swipe, &KSN[..5], "track-tdes", mismatch("track-tdes", &swipe)),
        (&aes_swipe, &KSN[..5], "idtech-tdes", mismatch("idtech-tdes", &aes_swipe)),
        (&aes_swipe, &KSN[..5], "idtech-tdes-pin", mismatch("idtech-tdes-pin", &aes_swipe)),
        (&tdes_raw, &KSN[..5], "idtech-tdes", mismatch("idtech-tdes", &tdes_raw)),
        (&swipe, &[0xFF, 0xFE], "idtech-tdes", unknown(&swipe)),
        (&swipe, &KSN[..5], "track-aes-dukpt-128", unknown(&swipe)),
        (&aes_raw, &AES_KSN[..4], "track-tdes", unknown(&aes_raw)),
        (&aes_raw, &AES_KSN[1..5], "track-aes-dukpt-128", unknown(&aes_raw)),
    ] {
        let decryptor = Decryptor::new(FakeStore::new(None, || ()), devices(&[(prefix, "bdk", profile)]));
        assert_eq!(decryptor.decrypt(payload).err(), Some(expected.clone()), "{profile}");
        assert_eq!(decryptor.device(payload).err(), Some(expected), "{profile}");
        assert!(decryptor.store().calls.borrow().is_empty(), "{profile}");
    }
    let none = Decryptor::new(FakeStore::new(None, || ()), Devices::new());
    assert_eq!(none.decrypt(&swipe).err().unwrap().code(), "unknown_device");
    assert!(none.store().calls.borrow().is_empty());
}

/// Entries that no name describes, put together by hand: a scheme that is not the KSN's, AES DUKPT in a frame.
#[test]
fn no_key_is_looked_up_for_a_configuration_that_contradicts_itself() {
    let profile = |name: &str| name.parse::<DeviceProfile>().unwrap();
    let aes = profile("track-aes-dukpt-128");
    assert!(DeviceProfile::new("x", Format::IdTechEnhanced, aes.encryption(), Scope::Field).is_err());
    let swipe = frame(&Content::of([TRACK1, TRACK2, ""]));
    let tdes_raw = Payload::from_tracks(&KSN, &[&[0; 16]]).unwrap();
    for (payload, scheme, profile) in [
        (&swipe, Scheme::Tdes, aes),
        (&tdes_raw, Scheme::Tdes, aes),
        (&raw(&[TRACK2.as_bytes()]), Scheme::Aes, profile("track-tdes")),
    ] {
        let mut devices = Devices::new();
        let prefix = KsnPrefix::new(scheme, &payload.ksn().as_bytes()[..4]).unwrap();
        devices.insert(prefix, Device { base_key: id("bdk"), profile });
        let decryptor = Decryptor::new(FakeStore::new(None, || ()), devices);
        assert_eq!(
            decryptor.decrypt(payload).err(),
            Some(Error::ProfileMismatch(profile, Candidates(payload.features())))
        );
        assert!(decryptor.store().calls.borrow().is_empty());
    }
}

#[test]
fn what_is_asked_of_the_store_in_order() {
    let decryptor = over_raw(None);
    decryptor.decrypt(&raw(&[&checked(TRACK1), &checked(TRACK2)])).unwrap();
    // The initial key, one step for each of three counter bits, the data key; then each track once.
    let expected =
        ["key bdk", "derive", "derive", "derive", "derive", "derive", "decrypt_cbc", "decrypt_cbc"].map(String::from);
    assert_eq!(*decryptor.store().calls.borrow(), expected);
    // Nothing is decrypted any more behind a track that failed.
    let decryptor = over_raw(None);
    assert_mute(decryptor.decrypt(&raw(&[b"nothing", TRACK2.as_bytes()])).err(), "first track");
    assert_eq!(decryptor.store().calls.borrow().iter().filter(|call| *call == "decrypt_cbc").count(), 1);
    // A frame asks for the initial key only.
    let decryptor = Decryptor::new(FakeStore::new(None, || ()), devices(&[(&KSN[..5], "bdk", "idtech-tdes")]));
    assert_mute(decryptor.decrypt(&frame(&Content::of([TRACK1, TRACK2, ""]))).err(), "a wrong initial key");
    assert_eq!(*decryptor.store().calls.borrow(), ["key bdk", "tdes_initial_key"]);
}

#[test]
fn errors_of_the_store_pass_through() {
    let device = KeyError::Device { function: "C_DeriveKey", code: 0x30 };
    let payload = raw(&[TRACK2.as_bytes()]);
    for (call, error) in [
        ("key", KeyError::NotFound(id("bdk"))),
        ("key", KeyError::UnsafeAttribute { id: id("bdk"), attribute: "CKA_EXTRACTABLE" }),
        ("derive", KeyError::NotPermitted),
        ("derive", KeyError::BadLength),
        ("derive", device.clone()),
        ("decrypt_cbc", device.clone()),
        ("decrypt_cbc", KeyError::Unsupported("CKM_AES_CBC")),
    ] {
        let decryptor = over_raw(Some((call, error.clone())));
        assert_eq!(decryptor.decrypt(&payload).err(), Some(Error::Key(error)), "{call}");
    }
    // Only a length of the payload's own making is one of the ways in which a decryption fails.
    assert_mute(over_raw(Some(("decrypt_cbc", KeyError::BadLength))).decrypt(&payload).err(), "length");
    let failing = FakeStore::new(Some(("tdes_initial_key", device.clone())), || ());
    let decryptor = Decryptor::new(failing, devices(&[(&KSN[..5], "bdk", "idtech-tdes")]));
    assert_eq!(decryptor.decrypt(&frame(&Content::of(["", TRACK2, ""]))).err(), Some(Error::Key(device)));
}

/// Clear texts that are no consistent card.
#[test]
fn every_wrong_clear_text_gives_the_one_mute_error() {
    let accepted: [&[&[u8]]; 5] = [
        &[TRACK1.as_bytes(), TRACK2.as_bytes()],
        &[&checked(TRACK2)],
        &[KEYED.as_bytes()],
        &[b";4761739001010010===?"],
        &[TRACK2.as_bytes(), b"+33333333?"],
    ];
    for tracks in accepted {
        over_raw(None).decrypt(&raw(tracks)).unwrap();
    }
    let tracks: [&[&[u8]]; 31] = [
        &[b"nothing like a card"],
        &[&[0; 32]],
        &[&[0xFF; 32]],
        &[b"?"],
        &[b";?"],
        &[b";476173900101001=24122011143878089"], // no end sentinel
        &[b"4761739001010010=2412201?"],          // no start sentinel
        &[b"+4761739001010010=2412201?"],         // a track 3 has no number
        &[b";47617390010=2412201?"],              // 11 digits
        &[b";47617390010100101234=2412201?"],     // 20 digits
        &[b";476173900101001A=2412201?"],
        &[b";4761739001010010=2400201?"], // month 0
        &[b";4761739001010010=2413201?"], // month 13
        &[b";4761739001010010=24A2201?"],
        &[b";4761739001010010=241?"],
        &[b";4761739001010010?"],
        &[b";4761739001010010=2412201:1?"],
        &[b";4761739001010010=2412201\x80?"],
        &[b"%B4761739001010010^NAME?"],
        &[b"%4761739001010010^NAME^2412201?"],
        &[b"%B4761739001010010^name^2412201?"], // lower case
        &[b"%B4761739001010010^N\x00^2412201?"],
        &[b";4761739001010010=2212:20?"],            // code of 2 digits
        &[b";4761739001010010=2212:20123?"],         // of 5
        &[b";4761739001010010=24122011143878089?0"], // wrong check character
        &[b";4761739001010010=2412201?\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"],
        &[TRACK2.as_bytes(), TRACK2.as_bytes()],
        &[b"+33333333?"], // no number at all
        &[TRACK1.as_bytes(), b";4761739001010028=2412201?"],
        &[TRACK1.as_bytes(), b";4761739001010010=2411201?"],
        &[TRACK1.as_bytes(), b"nothing like a card"],
    ];
    for tracks in tracks {
        assert_mute(over_raw(None).decrypt(&raw(tracks)).err(), &tracks[0].escape_ascii().to_string());
    }
}

/// A JIS II stripe behind the encryption, too: once something was decrypted, only one error may tell of it.
#[test]
fn a_decrypted_jis_stripe_gives_the_one_mute_error() {
    let mut stripe = vec![0x7F];
    stripe.extend([b'1'; 69]);
    stripe.push(0x7F);
    stripe.push(stripe[1..].iter().fold(0, |lrc, byte| lrc ^ byte));
    assert_mute(over_raw(None).decrypt(&raw(&[&stripe])).err(), "JIS II");
    assert_mute(over_raw(None).decrypt(&raw(&[TRACK1.as_bytes(), &stripe])).err(), "JIS II as second track");
}

#[test]
fn every_wrong_frame_gives_the_one_mute_error() {
    let right = Content::of([TRACK1, TRACK2, ""]);
    let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", "idtech-tdes")]));
    assert_eq!(decryptor.decrypt(&frame(&right)).unwrap().pan().expose(), "4761739001010010");
    let changed = |change: &dyn Fn(&mut Content)| {
        let mut content = right.clone();
        change(&mut content);
        frame(&content)
    };
    for (what, payload) in [
        ("another base key", changed(&|c| c.base_key[0] ^= 0x10)),
        ("another variant", changed(&|c| c.variant = tdes::Variant::Pin)),
        ("the response variant", changed(&|c| c.variant = tdes::Variant::DataResponse)),
        ("masked copy of another number", changed(&|c| c.masked[1].as_mut().unwrap()[1] = b'5')),
        ("masked copy of another last digit", changed(&|c| c.masked[0].as_mut().unwrap()[17] = b'1')),
        ("a check character of another text", changed(&|c| *c.tracks[1].last_mut().unwrap() ^= 1)),
        ("track 1 where track 2 belongs", changed(&|c| (c.tracks.swap(0, 1), c.masked.swap(0, 1)).0)),
        ("keyed data in a swiped frame", frame(&Content::of(["", KEYED, ""]))),
        ("swiped data in a keyed frame", changed(&|c| (c.keyed, c.tracks[0], c.masked[0]) = (true, vec![], None))),
        ("a shorter length than the text's", changed(&|c| c.masked[1].as_mut().unwrap().truncate(35))),
    ] {
        assert_mute(decryptor.decrypt(&payload).err(), what);
    }
    // The KSN of the next transaction over this one's ciphertext.
    let mut bytes = right.frame();
    let end = bytes.len() - 3;
    bytes[end - 1] += 1;
    let payload = Payload::parse(&envelope::close(&bytes[3..end], Form::Binary, 0..0)).unwrap();
    assert_mute(decryptor.decrypt(&payload).err(), "another KSN");
}

/// Track ciphertext whose blocks are not those of the profile's cipher.
#[test]
fn partial_blocks_give_the_one_mute_error() {
    let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", "track-aes")]));
    let payload = Payload::from_tracks(&KSN, &[&[0; 24]]).unwrap();
    assert_mute(decryptor.decrypt(&payload).err(), "24 bytes under AES");
    for (wrong, lengths) in [(&KSN[..], [0, 7, 520]), (&AES_KSN, [0, 8, 528])] {
        for length in lengths {
            let refused = Payload::from_tracks(wrong, &[&vec![0; length]]).map_err(|refusal| refusal.error);
            assert_eq!(refused, Err(PayloadError::CiphertextLength), "{length}");
        }
    }
    assert!(Payload::from_tracks(&KSN, &[]).is_err() && Payload::from_tracks(&KSN, &[&[0; 8][..]; 4]).is_err());
}

/// Four populations side by side: three base keys, one of them replaced for a part of its devices.
#[test]
fn the_longest_prefix_names_the_base_key() {
    let keys = [("bdk-a", [0xA1; 16]), ("bdk-b", [0xB2; 16]), ("bdk-c", [0xC3; 16]), ("bdk-a-2", [0xA4; 16])];
    let populations: [(&[u8], &str, &str); 4] = [
        (&[0xFF, 0xFF, 0x11], "bdk-a", "idtech-tdes"),
        (&[0xFF, 0xFF, 0x22, 0x00, 0x01], "bdk-b", "idtech-tdes-pin"),
        (&[0xFF, 0xFF, 0x22, 0x00, 0x02], "bdk-c", "idtech-aes"),
        (&[0xFF, 0xFF, 0x11, 0x22, 0x33, 0x44], "bdk-a-2", "idtech-tdes"),
    ];
    let decryptor = Decryptor::new(store(&keys), devices(&populations));
    for (start, key, variant, cipher) in [
        ([0xFF, 0xFF, 0x11, 0x22, 0x33, 0x45], 0, tdes::Variant::DataRequest, tdes::Cipher::Tdes),
        ([0xFF, 0xFF, 0x22, 0x00, 0x01, 0x44], 1, tdes::Variant::Pin, tdes::Cipher::Tdes),
        ([0xFF, 0xFF, 0x22, 0x00, 0x02, 0x44], 2, tdes::Variant::DataRequest, tdes::Cipher::Aes128),
        ([0xFF, 0xFF, 0x11, 0x22, 0x33, 0x44], 3, tdes::Variant::DataRequest, tdes::Cipher::Tdes),
    ] {
        let mut ksn = KSN;
        ksn[..6].copy_from_slice(&start);
        for other in 0..keys.len() {
            let base_key = keys[other].1;
            let payload = frame(&Content { ksn, variant, cipher, base_key, ..Content::of([TRACK1, TRACK2, ""]) });
            assert_eq!(decryptor.device(&payload).unwrap().base_key, id(keys[key].0));
            match decryptor.decrypt(&payload) {
                Ok(card) => assert_eq!((other, card.pan().expose()), (key, "4761739001010010")),
                Err(error) => {
                    assert_ne!(other, key);
                    assert_mute(Some(error), "the base key of another population");
                }
            }
        }
        // A raw track of the same devices is no frame.
        let track = encrypt(keys[key].1, &ksn, variant, cipher, &checked(TRACK2));
        let payload = Payload::from_tracks(&ksn, &[&track]).unwrap();
        assert!(matches!(decryptor.decrypt(&payload), Err(Error::ProfileMismatch(..))));
    }
}
