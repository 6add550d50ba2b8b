//! Chip payloads from a device in software to card data: what agrees, what must, and what is handed through.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/chip.rs"]
mod chip;
#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;

use chip::{answer, covered, encrypted, masked, packed, tlv};
use device::{ANSI, Content, KSN, checked, devices, encrypt, store};
use dukpt::tdes::{Cipher, Variant};
use p2pe_crypto::{CardData, Decryptor, Entry, Error, Format, Payload, PayloadError, TrackNumber, tlv::Tag};
use proptest::{prelude::*, sample::select};

const PAN: &str = "4761739001010010";
const TRACK2: &str = "4761739001010010D22122010123456789";
const KSN_TAG: u32 = 0xDF_EE12;

fn enc(clear: &[u8]) -> Vec<u8> {
    encrypt(ANSI, &KSN, Variant::DataRequest, Cipher::Tdes, clear)
}

fn read(payload: &Payload, profile: &str) -> Result<CardData, Error> {
    Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", profile)])).decrypt(payload)
}

/// A field as NEO readers send it: the masked value, then the whole object encrypted.
fn field(tag: u32, value: &[u8], copy: &[u8]) -> Vec<u8> {
    [masked(tag, copy), encrypted(tag, &enc(&tlv(tag, value)))].concat()
}

fn neo(objects: &[Vec<u8>]) -> Vec<u8> {
    answer(&[0x60, 0], &[&[0xC0][..], &tlv(KSN_TAG, &KSN), &objects.concat()].concat())
}

fn neo_card(objects: &[Vec<u8>]) -> Result<CardData, Error> {
    read(&Payload::parse(&neo(objects)).unwrap(), "neo-tdes")
}

fn number_field(pan: &str) -> Vec<u8> {
    field(0x5A, &packed(pan), &packed(&covered(pan)))
}

fn track_field(track: &str) -> Vec<u8> {
    field(0x57, &packed(track), &packed(&covered(track)))
}

#[test]
fn number_and_track_are_of_one_card() {
    assert!(neo_card(&[track_field(TRACK2), number_field(PAN)]).is_ok());
    for other in ["4761739001010028", "476173900101001", "47617390010100100"] {
        assert_eq!(neo_card(&[track_field(TRACK2), number_field(other)]).err(), Some(Error::DecryptFailed), "{other}");
        assert_eq!(neo_card(&[number_field(other), track_field(TRACK2)]).err(), Some(Error::DecryptFailed), "{other}");
    }
    let kernel2 = |track: &str| field(0x9F6B, &packed(track), &packed(&covered(track)));
    assert!(neo_card(&[track_field(TRACK2), kernel2("4761739001010010D2212201999")]).is_ok());
    for other in ["4761739001010028D2212201999", "4761739001010010D2211201999"] {
        assert_eq!(neo_card(&[track_field(TRACK2), kernel2(other)]).err(), Some(Error::DecryptFailed), "{other}");
    }
}

/// All that an attacker can change about a masked copy is refused or makes no difference: it answers no guesses.
#[test]
fn a_masked_copy_is_compared_where_it_may_show_digits() {
    let outcome = |copy: &[u8]| match Payload::parse(&neo(&[field(0x57, &packed(TRACK2), copy)])) {
        Err(error) => error.code(),
        Ok(payload) => read(&payload, "neo-tdes").map_or_else(|error| error.code(), |_| "decrypted"),
    };
    let copy = covered(TRACK2);
    assert_eq!((copy.as_str(), outcome(&packed(&copy))), ("4761CCCCCCCC0010D2212201CCCCCCCCCC", "decrypted"));
    let mut told = Vec::new();
    for at in 0..copy.len() {
        let outcomes: std::collections::BTreeSet<_> =
            (0..10).map(|digit| outcome(&packed(&format!("{}{digit}{}", &copy[..at], &copy[at + 1..])))).collect();
        if outcomes.len() > 1 {
            told.push(at);
        }
    }
    assert_eq!(told, [0, 1, 2, 3, 4, 5, 12, 13, 14, 15]);
    // Other nibbles than C cover as well.
    assert_eq!(outcome(&packed(&copy.replace('C', "F"))), "decrypted");
    assert_eq!(outcome(&packed(&copy[..copy.len() - 2])), "decrypt_failed");
}

#[test]
fn what_is_inside_has_the_tag_of_the_field() {
    let wrong = [
        encrypted(0x5A, &enc(&tlv(0x57, &packed(TRACK2)))),
        encrypted(0x57, &enc(&packed(TRACK2))),
        encrypted(0x57, &enc(&[&[0][..], &tlv(0x57, &packed(TRACK2))].concat())),
        // More than padding behind the object; an object longer than the clear text.
        encrypted(0x57, &enc(&[tlv(0x57, &packed(TRACK2)), vec![0; 16]].concat())),
        encrypted(0x57, &enc(&[&[0x57, 0x7F][..], &packed(TRACK2)].concat())),
        // A month, a number and a separator that cannot be.
        encrypted(0x57, &enc(&tlv(0x57, &packed("4761739001010010D22132010123456789")))),
        encrypted(0x57, &enc(&tlv(0x57, &packed("47617390010D22122010123456789")))),
        encrypted(0x57, &enc(&tlv(0x57, &packed("4761739001010010E22122010123456789")))),
        encrypted(0x57, &enc(&tlv(0x57, &packed("4761739001010010D221")))),
        encrypted(0x57, &enc(&tlv(0x57, &packed("4761739001010010D2212201012345678A")))),
        encrypted(0x5A, &enc(&tlv(0x5A, &packed("4761739A01010010")))),
        // Discretionary data alone is no card.
        encrypted(0x9F1F, &enc(&tlv(0x9F1F, b"0123456789"))),
    ];
    for object in wrong {
        assert_eq!(neo_card(std::slice::from_ref(&object)).err(), Some(Error::DecryptFailed), "{object:02X?}");
    }
    // Padding of a block that is not zeros is known of real devices.
    let padded = enc(&[tlv(0x57, &packed(TRACK2)), vec![0, 0, 0x11, 0]].concat());
    assert!(neo_card(&[encrypted(0x57, &padded)]).is_ok());
}

#[test]
fn a_month_that_does_not_exist_leaves_the_expiry_to_its_own_tag() {
    let track = track_field("4761739001010010D22132010123456789");
    let card = neo_card(&[track.clone(), tlv(0x5F24, &[0x22, 0x11, 0x30])]).unwrap();
    assert_eq!(card.expiry().unwrap().to_string(), "2211");
    for other in [&[0x22, 0x13, 0x30][..], &[0x22], &[]] {
        assert_eq!(neo_card(&[track.clone(), tlv(0x5F24, other)]).err(), Some(Error::DecryptFailed));
    }
    // Otherwise the track tells it.
    let card = neo_card(&[track_field(TRACK2), tlv(0x5F24, &[0x23, 0x01, 0x31])]).unwrap();
    assert_eq!(card.expiry().unwrap().to_string(), "2212");
}

/// What stands in clear anybody could have changed: of expiry and service code the encrypted track's count. What is encrypted
/// beside the track must be of the same card.
#[test]
fn a_track_goes_before_what_the_device_sends_beside_it() {
    let clear = [tlv(0x5F30, &[6, 0x20]), tlv(0x5F24, &[0x30, 0x01, 0x31])].concat();
    for objects in [[clear.clone(), track_field(TRACK2)], [track_field(TRACK2), clear]] {
        let card = neo_card(&objects).unwrap();
        assert_eq!(card.service_code().unwrap().to_string(), "201");
        assert_eq!(card.expiry().unwrap().to_string(), "2212");
        // They go on as they were sent.
        assert_eq!(card.emv().get(Tag::new(0x5F24)), Some(&[0x30, 0x01, 0x31][..]));
    }
    let inside = |tag, value: &[u8]| encrypted(tag, &enc(&tlv(tag, value)));
    let expiry = |value: &[u8]| neo_card(&[track_field(TRACK2), inside(0x5F24, value)]);
    assert_eq!(expiry(&[0x22, 0x12, 0x31]).unwrap().expiry().unwrap().to_string(), "2212");
    assert_eq!(expiry(&[0x30, 0x01, 0x31]).err(), Some(Error::DecryptFailed));
    let card = neo_card(&[track_field(TRACK2), inside(0x5F30, &[6, 0x20])]).unwrap();
    assert_eq!(card.service_code().unwrap().to_string(), "201");
}

#[test]
fn chip_data_goes_through_and_account_data_does_not() {
    let cryptogram = [0x47, 0x61, 0x73, 0x90, 0x01, 0x02, 0x03, 0x04];
    let card = neo_card(&[
        tlv(0x9F26, &cryptogram),
        tlv(0xE1, &[tlv(0x95, &[0; 5]), tlv(0x9F10, &[7; 32])].concat()),
        track_field(TRACK2),
        number_field(PAN),
        field(0x9F1F, b"0123456789", b"CCCCCCCCCC"),
        encrypted(0x5F34, &enc(&tlv(0x5F34, &[1]))),
        tlv(0x9F20, b"clear discretionary"),
        tlv(0x5F30, &[2, 1]),
        tlv(0x5F20, b"TEST/CARD      "),
    ])
    .unwrap();
    let tags = |data: &p2pe_crypto::ChipData| data.iter().map(|(tag, _)| tag.number()).collect::<Vec<_>>();
    assert_eq!(tags(card.emv()), [0x9F26, 0x95, 0x9F10, 0x5F30, 0x5F20, 0x5F34]);
    assert_eq!(card.emv().get(Tag::new(0x9F26)), Some(&cryptogram[..]));
    assert_eq!(card.emv().get(Tag::new(0x9F10)), Some(&[7; 32][..]));
    assert_eq!(card.emv().get(Tag::new(0x57)), None);
    assert_eq!(tags(card.sensitive().emv()), [0x9F20, 0x57, 0x9F1F]);
    assert_eq!(card.sensitive().emv().get(Tag::new(0x57)), Some(&packed(TRACK2)[..]));
    assert_eq!((card.name(), card.service_code().unwrap().to_string()), (Some("TEST/CARD"), "201".into()));
    let track2 = card.sensitive().track(TrackNumber::Two).unwrap().expose();
    assert_eq!(track2, ";4761739001010010=22122010123456789?");
}

#[test]
fn how_the_card_was_read() {
    for (attribution, mode, expected) in [
        (0xC0, None, Entry::Chip),
        (0xC1, None, Entry::Contactless),
        (0xD1, None, Entry::Contactless),
        (0xC0, Some(0x07), Entry::Contactless),
        (0xC0, Some(0x91), Entry::Contactless),
        (0xC1, Some(0x05), Entry::Chip),
        (0xC0, Some(0x90), Entry::Swiped),
        (0xC1, Some(0x77), Entry::Contactless),
    ] {
        let mode = mode.map_or(Vec::new(), |mode| tlv(0x9F39, &[mode]));
        let data = [&[attribution][..], &tlv(KSN_TAG, &KSN), &mode, &track_field(TRACK2)].concat();
        let card = read(&Payload::parse(&answer(&[0x02, 0x40, 0x23], &data)).unwrap(), "neo-tdes").unwrap();
        assert_eq!(card.entry(), expected, "{attribution:02X} {mode:02X?}");
    }
}

#[test]
fn track_texts_of_contactless_stripes() {
    let track1 = "B4761739001010010^TEST/CARD^22122010000000000";
    let texts: [(u32, &str); 4] = [
        (0x56, track1),
        (0xFF_EE13, track1),
        (0xFF_EE13, "%B4761739001010010^TEST/CARD^22122010000000000?"),
        (0xFF_EE14, "4761739001010010=22122010123456789"),
    ];
    for (tag, text) in texts {
        let object = encrypted(tag, &enc(&tlv(tag, text.as_bytes())));
        let card = neo_card(&[object]).unwrap();
        assert_eq!((card.pan().expose(), card.expiry().unwrap().to_string()), (PAN, "2212".into()), "{tag:X} {text}");
    }
    // The tracks of a stripe in one object, each with its check character.
    let tracks = [checked("%B4761739001010010^TEST/CARD^22122010000000000?"), checked(";4761739001010010=2212201?")];
    let card = neo_card(&[encrypted(0xDF_EF4D, &enc(&tlv(0xDF_EF4D, &tracks.concat())))]).unwrap();
    assert_eq!((card.entry(), card.name()), (Entry::Swiped, Some("TEST/CARD")));
    let cut = tracks.concat();
    let object = encrypted(0xDF_EF4D, &enc(&tlv(0xDF_EF4D, &cut[..cut.len() - 1])));
    assert_eq!(neo_card(&[object]).err(), Some(Error::DecryptFailed));
}

#[test]
fn a_swipe_in_an_answer_is_its_frame() {
    let content = Content::of(["%B4761739001010010^TEST/CARD^22122010000000000?", ";4761739001010010=2212201?", ""]);
    let bytes = answer(&[2, 0], &[&[0xC8][..], &tlv(0xDF_EE23, &content.frame())].concat());
    let payload = Payload::parse(&bytes).unwrap();
    assert_eq!((payload.format(), payload.ksn().as_bytes()), (Format::Neo, &KSN[..]));
    assert_eq!(read(&payload, "neo-tdes").unwrap().entry(), Entry::Swiped);
    // The frame's flag names the cipher.
    assert!(matches!(read(&payload, "neo-aes"), Err(Error::ProfileMismatch(..))));
}

/// One field too many for the fixed room is refused, not cut off.
#[test]
fn more_fields_than_there_is_room_for() {
    let many = |count: usize| neo(&vec![encrypted(0x9F1F, &[0x11; 8]); count]);
    assert!(Payload::parse(&many(16)).is_ok());
    assert_eq!(Payload::parse(&many(17)).map_err(|refusal| refusal.error), Err(PayloadError::FieldOverrun));
}

/// MagTek readers mask with zeros: only the clear text tells a masked number from one that is not.
#[test]
fn the_alarm_of_a_mask_of_zeros_falls_after_decryption() {
    let stream = |clear: &str, copy: &str| {
        let ciphertext: String = encrypt(ANSI, &KSN, Variant::Pin, Cipher::Tdes, clear.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let ksn: String = KSN.iter().map(|byte| format!("{byte:02X}")).collect();
        let head = format!("{copy}|0600||{ciphertext}||A1050000||||{ksn}|");
        let crc = chip::crc(head.as_bytes()).to_le_bytes();
        format!("{head}{:02X}{:02X}||0000", crc[0], crc[1]).into_bytes()
    };
    let outcome = |clear: &str, copy: &str| match Payload::parse(&stream(clear, copy)) {
        Err(error) => format!("parse {}", error.code()),
        Ok(payload) => read(&payload, "magtek-tdes-pin").map_or_else(|error| error.code().into(), |_| "card".into()),
    };
    let clear = ";4761739001010010=22122010123456789?";
    assert_eq!(outcome(clear, ";4761000000000010=00000000000000000?"), "card");
    assert_eq!(outcome(clear, ";4761000050000010=00000000000000000?"), "card", "a digit for the check digit");
    assert_eq!(outcome(clear, ";4762000000000010=00000000000000000?"), "decrypt_failed");
    assert_eq!(outcome(clear, ";4761000000000010=0000000000000000?"), "decrypt_failed", "shorter");
    assert_eq!(outcome(clear, clear), "parse clear_account_data");
    // A number whose middle is zeros, and its copy, look alike: that the copy is not masked shows when it is decrypted.
    let zeros = ";4761730000000010=22122010123456789?";
    assert_eq!(outcome(zeros, zeros), "clear_account_data");
    assert_eq!(outcome(zeros, ";4761000000000010=00000000000000000?"), "clear_account_data");
}

#[test]
fn a_number_under_another_tag_is_no_chip_data() {
    let blob = |objects: &[Vec<u8>]| {
        let payload = Payload::from_tracks(&KSN, &[&enc(&objects.concat())]).unwrap();
        read(&payload, "tlv-tdes")
    };
    let (number, track) = (packed(PAN), tlv(0x57, &packed(TRACK2)));
    assert!(blob(&[tlv(0x5A, &number), track.clone()]).is_ok());
    for tag in [0x5B, 0x4A, 0x9F26] {
        assert_eq!(blob(&[tlv(tag, &number), track.clone()]).err(), Some(Error::DecryptFailed), "{tag:X}");
    }
    // Half a byte further on as well.
    let shifted = packed(&format!("9{PAN}9"));
    assert_eq!(blob(&[track, tlv(0x5B, &shifted)]).err(), Some(Error::DecryptFailed));
}

#[test]
fn a_packed_track_ends_as_a_stripe_does() {
    let nibbles = |text: &str| {
        let lrc = text.chars().fold(0, |lrc, c| lrc ^ c.to_digit(16).unwrap());
        let mut track = packed(&format!("{text}{lrc:X}").replace('F', "f"));
        // `packed` fills up with F; a stripe has zeros there.
        if text.len().is_multiple_of(2) {
            let last = track.last_mut().unwrap();
            *last &= 0xF0;
        }
        track
    };
    let outcome = |clear: &[u8]| {
        let payload = Payload::from_tracks(&KSN, &[&enc(clear)]).unwrap();
        read(&payload, "packed-track2-tdes")
            .map_or_else(|error| error.code().to_owned(), |card| card.pan().expose().into())
    };
    assert_eq!(outcome(&nibbles("B4761739001010010D22122010123456789F")), PAN);
    assert_eq!(outcome(&nibbles("B4761739001010010D2212201012345678F")), PAN);
    for wrong in [
        "A4761739001010010D22122010123456789F",
        "B4761739001010010D22132010123456789F",
        "B4761739001010010D2212201012345678A9F",
        "B47617390010D22122010123456789F",
        "B4761739001010010C22122010123456789F",
        "B4761739001010010D22122010123456788",
    ] {
        assert_eq!(outcome(&nibbles(wrong)), "decrypt_failed", "{wrong}");
    }
    let right = nibbles("B4761739001010010D22122010123456789F");
    for bit in 0..right.len() * 8 {
        let mut flipped = right.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(outcome(&flipped), "decrypt_failed", "bit {bit}");
    }
}

proptest! {
    /// Any card through any chip reader: what was put in comes out.
    #[test]
    fn what_a_reader_encrypts_is_read(
        pan in "[3-6][0-9]{11,18}", month in 1..=12, code in "[0-9]{3}", rest in "[0-9]{0,8}",
        format in select(vec!["neo", "quick-chip", "tlv", "magtek-tlv"]), aes: bool, pin: bool, copies: bool, v3: bool,
    ) {
        let track = format!("{pan}D29{month:02}{code}{rest}");
        let (cipher, block) = if aes { (Cipher::Aes128, 16) } else { (Cipher::Tdes, 8) };
        let variant = if pin { Variant::Pin } else { Variant::DataRequest };
        let enc = |clear: &[u8]| encrypt(ANSI, &KSN, variant, cipher, clear);
        let values = [(0x57, packed(&track), packed(&covered(&track))), (0x5A, packed(&pan), packed(&covered(&pan)))];
        let string = values.iter().flat_map(|(tag, value, _)| tlv(*tag, value)).collect::<Vec<u8>>();
        let bytes = match format {
            "neo" => {
                let fields = values.iter().flat_map(|(tag, value, copy)| {
                    [if copies { masked(*tag, copy) } else { Vec::new() }, encrypted(*tag, &enc(&tlv(*tag, value)))].concat()
                });
                let data = [vec![0xC0], tlv(KSN_TAG, &KSN), fields.collect()].concat();
                answer(if v3 { &[0x60, 1, 0] } else { &[0x60, 0] }, &data)
            }
            "quick-chip" => {
                let fields = values.iter().zip([0xDF_EF5D, 0xDF_EF5B]);
                let fields = fields.flat_map(|((tag, value, copy), other)| [tlv(other, copy), tlv(*tag, &enc(value))].concat());
                [tlv(KSN_TAG, &KSN), fields.collect()].concat()
            }
            _ => {
                let inner = tlv(0xFC, &string);
                let ciphertext = enc(&inner);
                let padding = ciphertext.len() - inner.len();
                let told = tlv(0xDF_DF58, &[u8::try_from(padding).unwrap()]);
                tlv(0xF8, &[tlv(0xDF_DF59, &ciphertext), tlv(0xDF_DF56, &KSN), told].concat())
            }
        };
        prop_assert!(enc(&string).len().is_multiple_of(block));
        let payload = if format == "tlv" { Payload::from_tracks(&KSN, &[&enc(&string)]) } else { Payload::parse(&bytes) };
        let payload = payload.unwrap();
        let name = format!("{format}-{}{}", if aes { "aes" } else { "tdes" }, if pin { "-pin" } else { "" });
        let card = read(&payload, &name).unwrap();
        prop_assert_eq!(card.pan().expose(), &pan);
        prop_assert_eq!(card.expiry().unwrap().to_string(), format!("29{month:02}"));
        prop_assert_eq!(card.service_code().unwrap().to_string(), code);
        let text = format!(";{}?", track.replace('D', "="));
        prop_assert_eq!(card.sensitive().track(TrackNumber::Two).unwrap().expose(), text);
        // Under the other variant: the one mute error.
        let other = format!("{format}-{}{}", if aes { "aes" } else { "tdes" }, if pin { "" } else { "-pin" });
        prop_assert_eq!(read(&payload, &other).err(), Some(Error::DecryptFailed));
    }
}
