//! Card data is wiped: no block of memory is given back with a card number, a track, a name or a security code in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for both crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;
#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;
#[path = "support/fake.rs"]
mod fake;

use canary::{Seen, present, watch};
use device::{ANSI, Content, KSN, checked, devices, encrypt, store};
use dukpt::{KeyError, KeyStore, tdes};
use fake::FakeStore;
use p2pe_crypto::{
    Bin, CardData, Decryptor, Error, Form, FormatPreserving, FormatPreservingTokenizer, Kept, MerchantId, Pan, Payload,
    PayloadError, Policy, TokenForm, Tokenizer,
};

const WIPED: Seen = Seen { held: true, leaks: 0 };

const PAN: &str = "4761739001010010";
const TRACK1: &str = "%B4761739001010010^UAT USA/TEST CARD 01      ^24122011143878089?";
const TRACK2: &str = ";4761739001010010=24122011143878089?";
const KEYED: &str = ";4761739001010010=2212:7359?";
const AES_KSN: [u8; 12] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 7];

fn frame(tracks: [&str; 3], keyed: bool) -> Payload {
    Payload::parse(&Content { keyed, ..Content::of(tracks) }.frame()).unwrap()
}

fn decrypt(payload: &Payload) -> Result<CardData, Error> {
    let devices = match payload {
        Payload::Tracks(_) => devices(&[(&KSN[..5], "bdk", "track-tdes")]),
        _ => devices(&[(&KSN[..5], "bdk", "idtech-tdes")]),
    };
    Decryptor::new(store(&[("bdk", ANSI)]), devices).decrypt(payload)
}

fn raw(track: &str) -> Payload {
    let ciphertext = encrypt(ANSI, &KSN, tdes::Variant::DataRequest, tdes::Cipher::Tdes, &checked(track));
    Payload::from_tracks(&KSN, &[&ciphertext]).unwrap()
}

/// What the fake store decrypts to `clear`.
fn turned(clear: &[u8]) -> Vec<u8> {
    clear.iter().map(|byte| !byte).collect()
}

/// The guard itself: it must catch what is not wiped.
#[test]
fn the_canary_sings() {
    let pan = PAN.as_bytes();
    assert_eq!(watch(pan, || PAN.to_owned()), Seen { held: true, leaks: 1 });
    assert_eq!(watch(pan, || format!("track {TRACK2}").len()), Seen { held: false, leaks: 1 });
    assert_eq!(watch(pan, || Pan::new(pan).unwrap().expose().to_owned()).leaks, 1);
    assert_eq!(watch(pan, || Pan::new(pan).unwrap().to_string()).leaks, 0);
    let card = decrypt(&frame([TRACK1, TRACK2, ""], false)).unwrap();
    assert_eq!(watch(pan, || format!("{card:?}")), Seen { held: false, leaks: 0 });
}

#[test]
fn pan() {
    let pan = PAN.as_bytes();
    assert_eq!(watch(pan, || Pan::new(pan).unwrap()), WIPED);
    assert_eq!(watch(&pan[..12], || Pan::new(&pan[..12]).unwrap()), WIPED);
    let moved = || {
        let mut pans = vec![Pan::new(pan).unwrap()];
        pans.reserve_exact(1000);
        pans
    };
    assert_eq!(watch(pan, moved), WIPED);
}

#[test]
fn card_data_of_a_swipe() {
    for payload in [frame([TRACK1, TRACK2, ""], false), frame([TRACK1, TRACK2, ";33333333333=44444?"], false)] {
        let card = || decrypt(&payload).unwrap();
        assert_eq!(card().name(), Some("UAT USA/TEST CARD 01"));
        for secret in [PAN, "UAT USA/TEST CARD 01", TRACK1, TRACK2, "24122011143878089"] {
            assert_eq!(watch(secret.as_bytes(), card), WIPED, "{secret}");
        }
        // The check character is cut off and wiped.
        assert_eq!(watch(&checked(TRACK2), card), Seen { held: false, leaks: 0 });
    }
    let payload = frame([TRACK1, "", ";33333333333=44444?"], false);
    assert_eq!(watch(b";33333333333=44444?", || decrypt(&payload).unwrap()), WIPED);
}

#[test]
fn card_data_of_raw_tracks() {
    for track in [TRACK1, TRACK2, KEYED] {
        let payload = raw(track);
        assert_eq!(watch(PAN.as_bytes(), || decrypt(&payload).unwrap()), WIPED);
        assert_eq!(watch(track.as_bytes(), || decrypt(&payload).unwrap()), WIPED);
    }
}

#[test]
fn card_data_of_a_batch() {
    let payloads = [raw(TRACK2), frame([TRACK1, TRACK2, ""], false), raw(TRACK1)];
    let populations = [(&KSN[..5], "bdk", "track-tdes")];
    let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices(&populations));
    let cards = || {
        let results = decryptor.decrypt_batch(&payloads);
        // The frame does not fit the profile.
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
        results
    };
    for secret in [PAN, TRACK1, TRACK2] {
        assert_eq!(watch(secret.as_bytes(), cards), WIPED, "{secret}");
    }
}

#[test]
fn security_code() {
    let payload = frame(["", KEYED, ""], true);
    let card = || decrypt(&payload).unwrap();
    assert_eq!(card().sensitive().security_code().unwrap().expose(), "7359");
    for secret in ["7359", PAN, KEYED] {
        assert_eq!(watch(secret.as_bytes(), card), WIPED, "{secret}");
    }
}

/// A list of cards that grows moves its cards; what is inline in them stays behind in the old block.
#[test]
fn a_card_that_moves_leaves_nothing_behind() {
    let payload = frame(["", KEYED, ""], true);
    let moved = || {
        let mut cards = vec![decrypt(&payload).unwrap()];
        cards.reserve_exact(1000);
        cards
    };
    for secret in [PAN, KEYED, "7359"] {
        assert_eq!(watch(secret.as_bytes(), moved), WIPED, "{secret}");
    }
}

/// A chip: the number in nibbles, the track as text and as it was sent, and the objects that are handed through.
#[test]
fn card_data_of_a_chip() {
    let (number, name) = ([0x47, 0x61, 0x73, 0x90, 0x01, 0x01, 0x00, 0x10], b"A NAME ON A CHIP");
    let track2 = [&number[..], &[0xD2, 0x21, 0x22, 0x01, 0x14, 0x38, 0x78, 0x08, 0x9F]].concat();
    let objects = [&[0x5A, 8], &number[..], &[0x57, 17], &track2, &[0x5F, 0x20, 16], name].concat();
    let ciphertext = encrypt(ANSI, &KSN, tdes::Variant::DataRequest, tdes::Cipher::Tdes, &objects);
    let payload = Payload::from_tracks(&KSN, &[&ciphertext]).unwrap();
    let devices = || devices(&[(&KSN[..5], "bdk", "tlv-tdes")]);
    let card = || Decryptor::new(store(&[("bdk", ANSI)]), devices()).decrypt(&payload).unwrap();
    assert_eq!((card().name(), card().emv().iter().count()), (Some("A NAME ON A CHIP"), 1));
    for secret in [PAN.as_bytes(), &number, &track2, name, b";4761739001010010=2212201143878089?"] {
        assert_eq!(watch(secret, card), WIPED, "{secret:02X?}");
    }
    // Another number in the track: refused, and nothing stays behind.
    let mut other = objects.clone();
    other[12] ^= 1;
    let ciphertext = encrypt(ANSI, &KSN, tdes::Variant::DataRequest, tdes::Cipher::Tdes, &other);
    let payload = Payload::from_tracks(&KSN, &[&ciphertext]).unwrap();
    let refused = || {
        let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices());
        assert_eq!(decryptor.decrypt(&payload).err(), Some(Error::DecryptFailed));
    };
    assert_eq!(watch(&number, refused), Seen { held: false, leaks: 0 });
}

/// Tracks that decrypt but are no consistent card, each beginning with the card number.
#[test]
fn what_was_decrypted_in_vain() {
    for tracks in [
        &[";4761739001010010=2413201?"][..],          // month 13
        &[";4761739001010010=2412"],                  // no end
        &[";4761739001010010=24122011143878089?:"],   // wrong check character
        &[";4761739001010010=2412201111\x01?"],       // a character that no track has
        &["B4761739001010010=2412201?"],              // wrong start
        &["%B4761739001010010^NAME"],                 // cut
        &[TRACK2, TRACK2],                            // twice the same track
        &[TRACK2, "%B4761739001010028^N/N^2412201?"], // two cards
        &[TRACK2, "%B4761739001010010^N/N^2411201?"], // two expiries
        &[TRACK1, "nothing"],                         // half of it is right
    ] {
        let blocks: Vec<Vec<u8>> = tracks
            .iter()
            .map(|track| {
                let mut block = track.as_bytes().to_vec();
                block.resize(track.len().next_multiple_of(16), 0);
                turned(&block)
            })
            .collect();
        let blocks: Vec<&[u8]> = blocks.iter().map(|block| &block[..]).collect();
        let payload = Payload::from_tracks(&AES_KSN, &blocks).unwrap();
        // The clear text is on the heap while the store works on it: the guard can see it.
        let store = FakeStore::new(None, || assert!(present()));
        let decryptor = Decryptor::new(store, devices(&[(&AES_KSN[..4], "bdk", "track-aes-dukpt-128")]));
        let decrypted = || {
            assert_eq!(decryptor.decrypt(&payload).err(), Some(Error::DecryptFailed), "{tracks:?}");
        };
        assert_eq!(watch(&tracks[0].as_bytes()[..17], decrypted), Seen { held: false, leaks: 0 }, "{tracks:?}");
    }
}

#[test]
fn what_a_store_failed_on_half_way() {
    let mut clear = checked(TRACK2);
    clear.resize(48, 0);
    let payload = Payload::from_tracks(&AES_KSN, &[&turned(&clear)]).unwrap();
    let error = KeyError::Device { function: "C_Decrypt", code: 5 };
    let store = FakeStore::new(Some(("decrypt_cbc", error)), || assert!(present()));
    let decryptor = Decryptor::new(store, devices(&[(&AES_KSN[..4], "bdk", "track-aes-dukpt-128")]));
    assert_eq!(watch(PAN.as_bytes(), || drop(decryptor.decrypt(&payload).err())), Seen { held: false, leaks: 0 });
}

/// A masked copy that is of another card: refused after decryption.
#[test]
fn a_frame_whose_masked_copy_is_of_another_card() {
    let mut content = Content::of(["", TRACK2, ""]);
    content.masked[1].as_mut().unwrap()[1] = b'5';
    let payload = Payload::parse(&content.frame()).unwrap();
    let failed = watch(PAN.as_bytes(), || assert_eq!(decrypt(&payload).err(), Some(Error::DecryptFailed)));
    assert_eq!(failed, Seen { held: false, leaks: 0 });
}

/// The alarm: the library keeps nothing of a payload with a clear card number.
#[test]
fn a_payload_with_a_clear_card_number() {
    let mut data = vec![0x80, 0x1F, 0, 36, 0, 0x82, 0x82];
    data.extend_from_slice(TRACK2.as_bytes());
    data.extend([0x5E; 40]);
    data.extend(b"T0123ABCDE");
    data.extend(KSN);
    let as_hex: String = PAN.bytes().map(|byte| format!("{byte:02X}")).collect();
    for form in [Form::Binary, Form::Hex, Form::Keyboard] {
        let frame = envelope::close(&data, form, 7..7 + TRACK2.len());
        let alarm =
            || assert_eq!(Payload::parse(&frame).map_err(|refusal| refusal.error), Err(PayloadError::ClearAccountData));
        assert_eq!(watch(PAN.as_bytes(), alarm), Seen { held: false, leaks: 0 }, "{form:?}");
        assert_eq!(watch(as_hex.as_bytes(), alarm), Seen { held: false, leaks: 0 }, "{form:?}, as hex digits");
        // Damaged: refused on the way to the alarm, or in the search for a lost first digit.
        for damaged in [&frame[1..], &frame[..frame.len() - 2]] {
            for secret in [PAN, &as_hex] {
                let refused = watch(secret.as_bytes(), || assert!(Payload::parse(damaged).is_err()));
                assert_eq!(refused, Seen { held: false, leaks: 0 }, "{form:?}");
            }
        }
    }
}

/// The store looks while the digits are in work, and while the card number is led back.
#[test]
fn the_digits_behind_a_format_preserving_token() {
    let form = FormatPreserving::new(&[(16, Kept { bin: Bin::None, last_four: false })]).unwrap();
    let policy = Policy::new(MerchantId::new("m").unwrap(), 1, TokenForm::FormatPreserving(form));
    let store = FakeStore::new(None, || assert!(present()));
    let tokenizer = FormatPreservingTokenizer::new(store.key(&device::id("ff1")).unwrap());
    let pans = [Pan::new(PAN.as_bytes()).unwrap(), Pan::new(b"5413330089604111").unwrap()];
    let mut tokens = Vec::new();
    let token = watch(PAN.as_bytes(), || tokens = tokenizer.tokens(&policy, &[&pans[0], &pans[1]]));
    assert_eq!(token, Seen { held: false, leaks: 0 });
    // Encryption does not need the look: the digits lie ready until they are written back.
    let store = FakeStore::new(None, || ());
    let tokenizer = FormatPreservingTokenizer::new(store.key(&device::id("ff1")).unwrap());
    let token = *tokens[0].as_ref().unwrap();
    let back = watch(PAN.as_bytes(), || {
        let pan = tokenizer.pan(&policy, &token).unwrap();
        assert!(present());
        pan
    });
    assert_eq!(back, WIPED);
}

#[test]
fn the_message_behind_a_token() {
    let pan = Pan::new(PAN.as_bytes()).unwrap();
    let tokenizer = Tokenizer::new(FakeStore::new(None, || assert!(present())), device::id("tokens"));
    for merchant in ["m".to_owned(), "m".repeat(64)] {
        let merchant = MerchantId::new(&merchant).unwrap();
        let token = watch(PAN.as_bytes(), || tokenizer.token(&merchant, &pan).unwrap());
        assert_eq!(token, Seen { held: false, leaks: 0 });
    }
}

/// What a frame's counted data comes to, under the ANSI key.
fn original(data: &[u8], profile: &str) -> Result<CardData, Error> {
    let payload = Payload::parse(&envelope::close(data, Form::Binary, 0..0)).unwrap();
    Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", profile)])).decrypt(&payload)
}

#[test]
fn tracks_that_were_joined() {
    let (one, two) = (checked(TRACK1), checked(TRACK2));
    let copies = [device::masked(&one), device::masked(&two)].concat();
    let ciphertext = encrypt(ANSI, &KSN, tdes::Variant::DataRequest, tdes::Cipher::Tdes, &[&one[..], &two].concat());
    let lengths = [one.len(), two.len()].map(|length| u8::try_from(length).unwrap());
    let data = [&[0, 0x3F, lengths[0], lengths[1], 0][..], &copies, &ciphertext, &[0; 40], &KSN].concat();
    for secret in [PAN, TRACK1, TRACK2] {
        let card = || original(&data, "idtech-original-tdes").unwrap();
        assert_eq!(watch(secret.as_bytes(), card), WIPED, "{secret}");
    }
}

#[test]
fn keyed_data_without_sentinels() {
    let text = b"4761739001010010=2212=7359";
    let ciphertext = encrypt(ANSI, &KSN, tdes::Variant::DataRequest, tdes::Cipher::Tdes, text);
    let data = [&[0x85, 0, 0, 0, 0, 0, 26][..], &ciphertext, &[0; 20], &KSN].concat();
    for secret in [PAN, "7359"] {
        let card = || original(&data, "idtech-keyed-original-tdes").unwrap();
        assert_eq!(watch(secret.as_bytes(), card), WIPED, "{secret}");
    }
}

#[test]
fn front_stripes() {
    let data = format!("a{}", "3544712906".repeat(7));
    let stripe = format!("\x7f{}\x7f", &data[..69]);
    let check = stripe.bytes().skip(1).fold(0, |lrc, byte| lrc ^ byte);
    let mut content = Content::of(["", TRACK2, ""]);
    content.tracks[0] = [stripe.as_bytes(), &[check]].concat();
    let payload = Payload::parse(&content.frame()).unwrap();
    assert_eq!(decrypt(&payload).unwrap().sensitive().jis2().unwrap().expose(), &data.as_bytes()[..69]);
    for secret in [&data[..40], &data[30..60], PAN] {
        assert_eq!(watch(secret.as_bytes(), || decrypt(&payload).unwrap()), WIPED, "{secret}");
    }
}

/// The alarm of a message leaves nothing of it behind either.
#[test]
fn a_message_with_a_clear_number() {
    let message = format!(
        "<DvcMsg Ver=\"1.1\"><Dvc Entry=\"SWIPE\"></Dvc><Card CEncode=\"0\" ETrk2=\"{}\" \
         CDataKSN=\"FFFF9876543210E00008\" MskPAN=\"{PAN}\"></Card></DvcMsg>",
        "E5".repeat(16)
    );
    let alarm = || {
        assert_eq!(
            Payload::parse(message.as_bytes()).map_err(|refusal| refusal.error),
            Err(PayloadError::ClearAccountData)
        )
    };
    assert_eq!(watch(PAN.as_bytes(), alarm), Seen { held: false, leaks: 0 });
}
