//! What `Debug` and `Display` show: of a card number BIN and last four, of tracks, names and codes nothing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;

use device::{ANSI, Content, KSN, checked, devices, encrypt, store};
use dukpt::tdes;
use p2pe_crypto::{Decryptor, Error, MerchantId, Pan, PanError, Payload, PayloadError, Unsupported};

const PAN: &str = "4761739001010010";
const TRACK1: &str = "%B4761739001010010^UAT USA/TEST CARD 01      ^24122011143878089?";
const TRACK2: &str = ";4761739001010010=24122011143878089?";
const KEYED: &str = ";4761739001010010=2212:7359?";

/// Refuses any 5 digits of the number in a row but those of the BIN, the name, the code, and bytes printed as numbers.
fn shows_nothing(shown: &str) {
    for part in PAN.as_bytes().windows(5).skip(2) {
        let part = std::str::from_utf8(part).unwrap();
        assert!(!shown.contains(part), "{part} in {shown}");
        let as_numbers = format!("{:?}", part.as_bytes());
        assert!(!shown.contains(as_numbers.trim_matches(['[', ']'])), "{part} in {shown}");
    }
    for secret in ["7359", "TEST CARD", "1143878089", "55, 51, 53, 57"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_card_shows_its_masked_number_only() {
    let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", "idtech-tdes")]));
    for content in [Content::of([TRACK1, TRACK2, ""]), Content { keyed: true, ..Content::of(["", KEYED, ""]) }] {
        let payload = Payload::parse(&content.frame()).unwrap();
        let card = decryptor.decrypt(&payload).unwrap();
        for shown in [format!("{card:?}"), format!("{card:#?}"), format!("{:?} {}", card.pan(), card.pan())] {
            assert!(shown.contains("476173******0010"), "{shown}");
            shows_nothing(&shown);
        }
        shows_nothing(&format!("{payload:?} {payload:#?}"));
        // Neither the masked copy nor the ciphertext is for a log.
        assert!(!format!("{payload:?}").contains("4761"), "{payload:?}");
        shows_nothing(&format!("{:?}", decryptor.devices()));
    }
}

/// As with a frame, the ciphertext stays out of logs.
#[test]
fn raw_tracks_show_no_bytes() {
    let ciphertext = encrypt(ANSI, &KSN, tdes::Variant::Pin, tdes::Cipher::Tdes, &checked(TRACK2));
    let bytes = format!("{:?}", &ciphertext[..6]);
    let shown = format!("{:?}", Payload::from_tracks(&KSN, &[&ciphertext]).unwrap());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn numbers_of_every_length_show_bin_and_last_four() {
    for length in 12..=19 {
        let digits = &b"9876501234567890123"[..length];
        let pan = Pan::new(digits).unwrap();
        for shown in [pan.to_string(), format!("{pan:?}"), format!("{pan:#?}"), format!("{:?}", [&pan])] {
            assert_eq!(shown.chars().filter(char::is_ascii_digit).count(), 10, "{shown}");
            assert_eq!(shown.matches('*').count(), length - 10, "{shown}");
        }
    }
}

#[test]
fn errors_show_no_card() {
    let payload = Payload::parse(&Content::of([TRACK1, TRACK2, ""]).frame()).unwrap();
    for populations in [&[(&KSN[..5], "bdk", "idtech-tdes-pin")][..], &[(&KSN[..5], "bdk", "idtech-aes")], &[]] {
        let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices(populations));
        let error = decryptor.decrypt(&payload).unwrap_err();
        shows_nothing(&format!("{error:?} {error:#?} {error} {}", error.code()));
    }
    for clear in [PAN, TRACK1, TRACK2] {
        let unsupported = PayloadError::Unsupported(Unsupported::Encoding).into();
        for error in [Payload::parse(clear.as_bytes()).unwrap_err(), unsupported] {
            shows_nothing(&format!("{error:?} {error} {} {:?}", error.code(), Error::from(error)));
        }
        shows_nothing(&format!(
            "{:?} {:?}",
            Payload::from_tracks(clear.as_bytes(), &[]),
            Pan::new(&clear.as_bytes()[1..7])
        ));
    }
    shows_nothing(&format!("{PanError:?} {PanError} {:?}", MerchantId::new("")));
}
