//! Chip and swipe readers of other layouts than ID TECH's frames: any card comes out as it went in, and no bytes make a
//! parser panic, behind right checks as well.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/chip.rs"]
mod chip;
#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;

use chip::{answer, covered, crc, encrypted, masked, packed, tlv};
use device::{ANSI, Content, KSN, devices, encrypt, store};
use dukpt::tdes::{Cipher, Variant};
use p2pe_crypto::{CardData, Decryptor, Error, Fields, Format, Payload, PayloadError, TrackNumber};
use proptest::{collection::vec, prelude::*, sample::Index, sample::select};

fn enc(variant: Variant, clear: &[u8]) -> Vec<u8> {
    encrypt(ANSI, &KSN, variant, Cipher::Tdes, clear)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn read(payload: &Payload, profile: &str) -> Result<CardData, Error> {
    Decryptor::new(store(&[("bdk", ANSI)]), devices(&[(&KSN[..5], "bdk", profile)])).decrypt(payload)
}

/// A track as a MagTek reader masks it: all digits zeros but the first and last four of the number.
fn zeroed(track: &str) -> String {
    let start = track.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let end = track.find(['=', '^']).unwrap_or(track.len());
    let shown = |at: usize| (start..start + 4).contains(&at) || (end - 4..end).contains(&at);
    track.char_indices().map(|(at, c)| if c.is_ascii_digit() && !shown(at) { '0' } else { c }).collect()
}

fn stream(tracks: [&str; 3]) -> Vec<u8> {
    let copies: String = tracks.map(zeroed).concat();
    let ciphertexts = tracks.map(|track| hex(&enc(Variant::Pin, track.as_bytes())));
    let head = format!("{copies}|0600|{}|A1050000||B1234|0000000000000000|{}|", ciphertexts.join("|"), hex(&KSN));
    let crc = crc(head.as_bytes()).to_le_bytes();
    format!("{head}{}||0000", hex(&crc)).into_bytes()
}

fn report(tracks: [&str; 3]) -> Vec<u8> {
    let mut report = vec![0; 856];
    for (i, track) in tracks.into_iter().enumerate() {
        let (ciphertext, length) = (enc(Variant::Pin, track.as_bytes()), u8::try_from(track.len()).unwrap());
        report[7 + 112 * i..][..ciphertext.len()].copy_from_slice(&ciphertext);
        report[508 + 112 * i..][..track.len()].copy_from_slice(zeroed(track).as_bytes());
        report[3 + i] = u8::try_from(ciphertext.len()).unwrap();
        report[505 + i] = length;
        report[852 + i] = length;
    }
    report[477..482].copy_from_slice(b"B1234");
    report[493..495].copy_from_slice(&[0, 6]);
    report[495..505].copy_from_slice(&KSN);
    report
}

/// The TLV of a terminal: an IV adds to the first block in front of the cipher.
fn vsd(iv: [u8; 8], clear: &[u8]) -> Vec<u8> {
    let mut added = clear.to_vec();
    added.iter_mut().zip(iv).for_each(|(byte, iv)| *byte ^= iv);
    let ciphertext = enc(Variant::DataRequest, &added);
    [tlv(0xDF_900F, b"FF"), tlv(0xDF_9020, &ciphertext), tlv(0xDF_9021, &KSN), tlv(0xDF_9022, &iv)].concat()
}

fn chip_objects(pan: &str, track: &str) -> Vec<u8> {
    [tlv(0x5A, &packed(pan)), tlv(0x57, &packed(track))].concat()
}

const PAN: &str = "4761739001010010";
const TRACK1: &str = "%B4761739001010010^TEST/CARD^22122010000000000?";
const TRACK2: &str = ";4761739001010010=22122010123456789?";

#[test]
fn a_swipe_with_any_tracks_read() {
    for tracks in [
        [TRACK1, TRACK2, ";5163499080020445=000000000000?"],
        [TRACK1, TRACK2, ""],
        [TRACK1, "", ";5163499080020445=000000000000?"],
        ["", TRACK2, ""],
        ["", TRACK2, "+5163499080020445=000000000000?"],
        [TRACK1, "", ""],
    ] {
        for (bytes, profile) in [(stream(tracks), "magtek-tdes-pin"), (report(tracks), "magtek-report-tdes-pin")] {
            let payload = Payload::parse(&bytes).unwrap();
            let card = read(&payload, profile).unwrap();
            assert_eq!(card.pan().expose(), PAN);
            let numbers = [TrackNumber::One, TrackNumber::Two, TrackNumber::Three];
            let read = numbers.map(|number| card.sensitive().track(number).map_or("", |track| track.expose()));
            assert_eq!(read, tracks, "{profile}");
            match payload {
                Payload::MagTek(stream) => assert_eq!((stream.serial(), stream.status()), (&b"B1234"[..], [6, 0])),
                Payload::MagTekReport(report) => {
                    assert_eq!((report.serial(), report.status()), (&b"B1234"[..], [0, 6]))
                }
                _ => panic!("another format"),
            }
        }
    }
    // A third track alone tells no card number of its own.
    let alone = Payload::parse(&stream(["", "", ";5163499080020445=000000000000?"])).unwrap();
    assert_eq!(read(&alone, "magtek-tdes-pin").err(), Some(Error::DecryptFailed));
}

#[test]
fn a_text_ends_where_its_masked_copy_does() {
    // The same blocks, the copy a character shorter or longer; the CRC is right.
    for copy in [";4761000000000010=0000000000000000?", ";4761000000000010=000000000000000000?"] {
        let head = format!("{copy}|0600||{}||A1050000||||{}|", hex(&enc(Variant::Pin, TRACK2.as_bytes())), hex(&KSN));
        let bytes = format!("{head}{}||0000", hex(&crc(head.as_bytes()).to_le_bytes())).into_bytes();
        let payload = Payload::parse(&bytes).unwrap();
        assert_eq!(read(&payload, "magtek-tdes-pin").err(), Some(Error::DecryptFailed), "{copy}");
    }
}

#[test]
fn formats_are_told_apart_by_how_they_begin() {
    let flagged = [tlv(0xDF_EE12, &KSN), encrypted(0x57, &[0x11; 24])].concat();
    let plain = [tlv(0xDF_EE12, &KSN), tlv(0xDF_EF5B, &packed(&covered(PAN))), tlv(0x5A, &[0x1B; 8])].concat();
    let container = tlv(0xF8, &[tlv(0xDF_DF59, &[0x11; 24]), tlv(0xDF_DF56, &KSN)].concat());
    let clear = chip_objects(PAN, "4761739001010010D2212201");
    for (bytes, format) in [
        (answer(&[2, 0], &[&[0xC0], &flagged[..]].concat()), Format::Neo),
        (answer(&[2, 0x40, 0], &[&[0xC0], &flagged[..]].concat()), Format::Neo),
        (flagged, Format::Neo),
        (plain.clone(), Format::QuickChip),
        (stream(["", TRACK2, ""]), Format::MagTek),
        (report(["", TRACK2, ""]), Format::MagTekReport),
        (container.clone(), Format::MagTekTlv),
        (tlv(0xF9, &container), Format::MagTekTlv),
        (vsd([7; 8], &clear), Format::Verifone),
        (Content::of([TRACK1, TRACK2, ""]).frame(), Format::IdTechEnhanced),
    ] {
        assert_eq!(Payload::parse(&bytes).map(|payload| payload.format()), Ok(format));
        assert_eq!(Payload::parse(hex(&bytes).as_bytes()).map(|payload| payload.format()), Ok(format), "as hex digits");
    }
    // Two at once: nothing is decided.
    let both = [vsd([7; 8], &clear), plain].concat();
    assert_eq!(Payload::parse(&both).map_err(|error| error.code()), Err("ambiguous"));
    for format in [Format::Verifone, Format::QuickChip] {
        assert_eq!(Payload::parse_as(format, &both).map(|payload| payload.format()), Ok(format));
    }
}

/// What holds of whatever a parser takes.
fn adds_up(payload: &Payload) {
    let fields: Vec<_> = payload.encrypted().into_iter().collect();
    assert!((1..=Fields::MOST).contains(&fields.len()));
    assert!(fields.iter().all(|field| !field.ciphertext.is_empty() && field.ciphertext.len().is_multiple_of(8)));
    assert!(payload.ksn().counter() > 0);
}

fn each_format(bytes: &[u8]) {
    for format in Format::ALL {
        if let Ok(payload) = Payload::parse_as(format, bytes) {
            adds_up(&payload);
        }
    }
    if let Ok(payload) = Payload::parse(bytes) {
        adds_up(&payload);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..300), head in select(vec![
        &b"ViVOtech2\0\x02\0\0"[..], b"ViVOpayV3\0\x02\x40\0\0", b"%B?|", b";1=2?|0600|", b"E070005\x1c02\x1c", b"35AP",
        b"\xDF\x90\x20", b"\xDF\xEE\x12\x0A\xFF\xFF\x98\x76\x54\x32\x10\xE0\0\x08", b"\xF8\x82\0\xFF\xDF\xDF\x59\x20", b"\xF9",
    ])) {
        each_format(&bytes);
        each_format(&[head, &bytes].concat());
        // Behind a right CRC.
        each_format(&answer(&[2, 0], &bytes));
        let objects = [&[0xC0][..], &tlv(0xDF_EE12, &KSN), &bytes].concat();
        each_format(&answer(&[0x60, 1, 0], &objects));
    }

    #[test]
    fn no_text_makes_a_parser_panic(
        copies in "[%;+][ -~]{0,40}\\?", fields in vec("[0-9A-F]{0,40}", 12), end in "[ -~]{0,20}",
    ) {
        let mut fields = fields;
        fields[8] = hex(&KSN);
        let head = format!("{copies}|{}|", fields[..9].join("|"));
        each_format(format!("{head}{}|{}", hex(&crc(head.as_bytes()).to_le_bytes()), end).as_bytes());
        each_format(format!("{head}{}||0000", hex(&crc(head.as_bytes()).to_le_bytes())).as_bytes());
        each_format(format!("E070005\x1c02\x1c{end}").as_bytes());
    }

    /// Well-made payloads with a few bytes changed, behind right checks.
    #[test]
    fn mutated_payloads(which in 0usize..6, changes in vec((any::<Index>(), any::<u8>()), 1..5), cut in prop::option::of(any::<Index>())) {
        let field = [masked(0x57, &packed(&covered("4761739001010010D2212201"))), encrypted(0x57, &[0x5A; 16])].concat();
        let copies = [tlv(0xDF_EF5B, &packed(&covered(PAN))), tlv(0x5A, &[0x1B; 8])].concat();
        let mut bytes = match which {
            0 => [vec![0xC0], tlv(0xDF_EE12, &KSN), field].concat(),
            1 => [tlv(0xDF_EE12, &KSN), copies].concat(),
            2 => report([TRACK1, TRACK2, ""]),
            3 => tlv(0xF8, &[tlv(0xDF_DF59, &[0x11; 24]), tlv(0xDF_DF56, &KSN), tlv(0xDF_DF58, &[3])].concat()),
            4 => vsd([7; 8], &chip_objects(PAN, "4761739001010010D2212201")),
            _ => stream([TRACK1, TRACK2, ""]),
        };
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if which == 0 {
            bytes = answer(&[2, 0], &bytes);
        }
        each_format(&bytes);
    }

    #[test]
    fn any_card_comes_out_as_it_went_in(
        pan in "[1-9][0-9]{5}[1-9]{2}[0-9]{4,11}", month in 1..=12, rest in "[0-9]{3,8}", name in "[A-Z]{2,10}/[A-Z]{2,10}",
        iv: [u8; 8], format in select(vec!["magtek", "magtek-report", "verifone-vsd"]),
    ) {
        let expiry = format!("29{month:02}");
        let (track1, track2) = (format!("%B{pan}^{name}^{expiry}201{rest}?"), format!(";{pan}={expiry}201{rest}?"));
        let (bytes, variant) = match format {
            "magtek" => (stream([&track1, &track2, ""]), "-pin"),
            "magtek-report" => (report([&track1, &track2, ""]), "-pin"),
            _ => (vsd(iv, &chip_objects(&pan, &format!("{pan}D{expiry}201{rest}"))), ""),
        };
        let payload = Payload::parse(&bytes).unwrap();
        let card = read(&payload, &format!("{format}-tdes{variant}")).unwrap();
        prop_assert_eq!((card.pan().expose(), card.expiry().unwrap().to_string()), (&*pan, expiry));
        prop_assert_eq!(card.sensitive().track(TrackNumber::Two).unwrap().expose(), &track2);
        let other = if variant.is_empty() { "-pin" } else { "" };
        prop_assert_eq!(read(&payload, &format!("{format}-tdes{other}")).err(), Some(Error::DecryptFailed));
        // What is typed or sent in between has no copy of the middle in clear.
        let clear = Payload::parse(&[&track1[..], "|"].concat().into_bytes()).map_err(|error| error.code());
        prop_assert_eq!(clear, Err(PayloadError::ClearAccountData.code()));
    }
}
