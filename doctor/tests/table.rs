//! One row for each thing that goes wrong between a device and a host: what was done, and what must be named.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;

use bench::{Bench, CARD, CHIP, KSN, OTHER_KSN, TLV, TRACK1, hex_of, padded};
use dukpt::tdes::Cipher::{Aes128, Tdes};
use p2pe_crypto::{DeviceProfile, Format, Iv, Mode, Scope};
use p2pe_doctor::{Case, Code};

const NAMED: &str = "the right cause, and it alone";

#[test]
fn healthy() {
    let bench = Bench::new("track-tdes");
    let diagnosis = bench.examine(&[KSN], &[&bench.encrypt(Tdes, CARD)]);
    assert!(diagnosis.healthy && diagnosis.findings.is_empty());
    assert_eq!(diagnosis.exit(), 0);
}

#[test]
fn variant_and_cipher() {
    let right = Bench::new("track-tdes").encrypt(Tdes, CARD);
    Bench::new("track-tdes-pin").names(&[KSN], &right, &[Code::KeyVariant]);
    Bench::new("track-tdes-response").names(&[KSN], &right, &[Code::KeyVariant]);
    Bench::new("track-aes").names(&[KSN], &right, &[Code::Cipher]);
    let aes = Bench::new("track-aes").encrypt(Aes128, CARD);
    Bench::new("track-tdes").names(&[KSN], &aes, &[Code::Cipher]);
    // Two things at once.
    Bench::new("track-aes-pin").names(&[KSN], &right, &[Code::KeyVariant, Code::Cipher]);
    let under_mac_key = Bench::new("track-tdes").encrypt_under_variant(6, CARD);
    Bench::new("track-tdes").names(&[KSN], &under_mac_key, &[Code::KeyVariant]);
    let bare = Bench::new("track-tdes").encrypt_under_variant(8, CARD);
    Bench::new("track-tdes").names(&[KSN], &bare, &[Code::KeyVariant]);
}

#[test]
fn self_encryption_left_out() {
    let bench = Bench::new("track-tdes");
    bench.names(&[KSN], &bench.encrypt_under_variant(5, CARD), &[Code::SelfEncryption]);
    bench.names(&[KSN], &bench.encrypt_under_variant(3, CARD), &[Code::SelfEncryption]);
}

#[test]
fn counter_next_door() {
    let bench = Bench::new("track-tdes");
    let right = bench.encrypt(Tdes, CARD);
    for (ksn, named) in [
        ("FFFF9876543210E00005", true),
        ("FFFF9876543210E00007", true),
        ("FFFF9876543210E00009", true),
        ("FFFF9876543210E0000B", true),
        ("FFFF9876543210E00004", false),
        ("FFFF9876543210E0000C", false),
    ] {
        let expected: &[Code] = if named { &[Code::KsnCounter] } else { &[] };
        bench.names(&[ksn], &right, expected);
    }
}

/// A sender that is right for the first few counters, and for others with a single bit.
#[test]
fn counter_from_the_wrong_end() {
    let bench = Bench::new("track-tdes");
    for (counter, named) in [(0x0A, true), (0x0003, true), (0xF07E, true), (0x08, false), (0x4000, false)] {
        let (ksn, sent) = bench.encrypt_upwards(counter, CARD);
        if named {
            bench.names(&[&ksn], &sent, &[Code::CounterOrder]);
        } else {
            assert!(bench.examine(&[&ksn], &[&sent]).healthy, "{ksn}");
        }
    }
}

#[test]
fn ksn_written_otherwise() {
    let bench = Bench::new("track-tdes");
    let right = bench.encrypt(Tdes, CARD);
    // 12 bytes with FFFF or 0000 around, the leading digits or one of them lost, the trailing ones lost.
    for ksn in [
        "FFFFFFFF9876543210E00008",
        "0000FFFF9876543210E00008",
        "FFFF9876543210E00008FFFF",
        "FF9876543210E00008",
        "FFF9876543210E00008",
    ] {
        bench.names(&[ksn], &right, &[Code::KsnForm]);
    }
    // Of either case, and 8 bytes, are right as they are.
    for ksn in ["ffff9876543210e00008", "9876543210E00008"] {
        assert!(bench.examine(&[ksn], &[&right]).healthy, "{ksn}");
    }
}

#[test]
fn several_ksns_of_one_device() {
    let bench = Bench::new("track-tdes");
    bench.names(&[OTHER_KSN, KSN], &bench.encrypt(Tdes, CARD), &[Code::OtherKsn]);
    bench.names(&[OTHER_KSN], &bench.encrypt(Tdes, CARD), &[]);
}

#[test]
fn boundaries_and_vectors() {
    let bench = Bench::new("track-tdes");
    let two = bench.encrypt(Tdes, CARD) + &bench.encrypt(Tdes, CARD);
    bench.names(&[KSN], &two, &[Code::JoinedRuns]);
    let whole = bench.encrypt(Tdes, &[padded(CARD, 8), padded(CARD, 8)].concat());
    let (one, other) = whole.split_at(whole.len() / 2);
    assert_eq!(bench.codes(&bench.examine(&[KSN], &[one, other])), [vec![Code::ChainedRuns]], "{NAMED}");
    let with_vector = bench.encrypt_cbc(Tdes, &[7; 16], CARD);
    let said = bench.codes(&bench.examine(&[KSN], &[&with_vector]));
    assert_eq!(said, [vec![Code::IvIgnored], vec![Code::Damaged]], "both fit, the more probable first");
    bench.names(&[KSN], &bench.encrypt_ecb(CARD), &[Code::ChainingMode]);
    let tlv = Bench::new("tlv-tdes");
    let said = tlv.codes(&tlv.examine(&[KSN], &[&tlv.encrypt_cbc(Tdes, &[9; 16], TLV)]));
    assert_eq!(said, [vec![Code::IvIgnored], vec![Code::Damaged]]);
}

/// A setting of the profile against what the device does, both ways: each is named with the setting that puts it right.
#[test]
fn settings_of_a_profile() {
    let bench = Bench::new("track-tdes");
    let cbc: DeviceProfile = "track-tdes".parse().unwrap();
    let ecb = bench.with_profile(cbc.with_mode(Mode::Ecb).unwrap());
    assert!(ecb.examine(&[KSN], &[&bench.encrypt_ecb(CARD)]).healthy);
    ecb.names(&[KSN], &bench.encrypt(Tdes, CARD), &[Code::ChainingMode]);

    let whole = bench.encrypt(Tdes, &[padded(TRACK1, 8), padded(CARD, 8)].concat());
    let (one, two) = whole.split_at(2 * TRACK1.len().next_multiple_of(8));
    let all = DeviceProfile::new("all", Format::Track, cbc.encryption(), Scope::Payload).unwrap();
    let all = bench.with_profile(all);
    assert!(all.examine(&[KSN], &[one, two]).healthy);
    assert_eq!(bench.codes(&bench.examine(&[KSN], &[one, two])), [[Code::ChainedRuns]], "{NAMED}");
    let apart = [bench.encrypt(Tdes, TRACK1), bench.encrypt(Tdes, CARD)];
    let said = all.examine(&[KSN], &[&apart[0], &apart[1]]);
    assert_eq!(
        (all.codes(&said), said.findings[0].causes[0].fix.contains("field")),
        (vec![vec![Code::ChainedRuns]], true)
    );

    let verifone = Bench::new("verifone-vsd-tdes");
    let sent: DeviceProfile = "verifone-vsd-tdes".parse().unwrap();
    let zero = verifone.with_profile(sent.with_iv(Iv::Zero).unwrap());
    let said = zero.examine_payload(&verifone.verifone(TLV));
    assert_eq!(
        (zero.codes(&said), said.findings[0].causes[0].fix.contains("sent")),
        (vec![vec![Code::IvIgnored]], true)
    );
    let unused = verifone.verifone_under(&[0; 16], TLV);
    assert!(zero.examine_payload(&unused).healthy);
    let said = verifone.examine_payload(&unused);
    assert_eq!(
        (zero.codes(&said), said.findings[0].causes[0].fix.contains("zero")),
        (vec![vec![Code::IvIgnored]], true)
    );
}

/// A block inside of TLV objects, with objects that are right on either side.
#[test]
fn damage_inside_of_objects() {
    let bench = Bench::new("tlv-tdes");
    let right = bench.encrypt(Tdes, CHIP);
    assert!(bench.examine(&[KSN], &[&right]).healthy);
    let blocks = right.len() / 16;
    let (mut refused, mut named) = (0, 0);
    for block in 1..blocks {
        let mut damaged = hex::decode(&right).unwrap();
        damaged[8 * block + 3] ^= 0x40;
        let diagnosis = bench.examine(&[KSN], &[&hex_of(&damaged)]);
        // Nothing tells of a changed cryptogram but the issuer.
        if diagnosis.healthy {
            continue;
        }
        refused += 1;
        let codes = bench.codes(&diagnosis);
        assert!(codes.is_empty() || codes == [[Code::Damaged]], "block {block}: {codes:?}");
        named += codes.len();
    }
    assert!(refused > 8 && named == refused, "{named} of {refused}");
}

/// A profile of another kind: which one it should be, a trial tells.
#[test]
fn a_profile_of_another_kind() {
    let chip = Bench::new("verifone-vsd-tdes");
    let payload = chip.verifone(TLV);
    for profile in ["track-tdes", "neo-aes-pin", "magtek-tdes-pin"] {
        let said = Bench::new(profile).examine_payload(&payload);
        assert_eq!(chip.codes(&said), [[Code::ProfileMismatch]], "{profile}");
        assert_eq!(said.findings[0].causes[0].fix, "set profile = \"verifone-vsd-tdes\"");
        assert!(!said.findings[0].evidence.is_empty());
    }
    // Another key too.
    let other = chip.with_key(b"another key here").verifone(TLV);
    let said = Bench::new("track-tdes").and_key("other", b"another key here").examine_payload(&other);
    assert_eq!(chip.codes(&said), [[Code::BaseKey, Code::ProfileMismatch]]);
    // Where nothing decrypts, what the payload itself tells.
    let said = Bench::new("track-tdes").examine_payload(&other);
    assert_eq!(chip.codes(&said), [[Code::ProfileMismatch]]);
    assert!(said.findings[0].evidence.is_empty());
}

#[test]
fn padding_of_another_world() {
    let bench = Bench::new("tlv-tdes");
    let missing = 8 - TLV.len() % 8;
    let text = [TLV, &vec![u8::try_from(missing).unwrap(); missing]].concat();
    bench.names(&[KSN], &bench.encrypt(Tdes, &text), &[Code::Padding]);
}

#[test]
fn content() {
    let (track, tlv) = (Bench::new("track-tdes"), Bench::new("tlv-tdes"));
    track.names(&[KSN], &track.encrypt(Tdes, TLV), &[Code::Content]);
    tlv.names(&[KSN], &tlv.encrypt(Tdes, CARD), &[Code::Content]);
}

#[test]
fn zeros_and_digits_lost() {
    let bench = Bench::new("track-tdes");
    let zero_first = bench.encrypt_beginning_with("00");
    let digits = zero_first.strip_prefix("0").unwrap();
    bench.names(&[KSN], digits, &[Code::LeadingZeroLost]);
    bench.names(&[KSN], zero_first.strip_prefix("00").unwrap(), &[Code::LeadingZeroLost]);
    // A digit lost at the end: nothing decrypts.
    let right = bench.encrypt(Tdes, CARD);
    bench.names(&[KSN], &right[..right.len() - 1], &[Code::OddNibble]);
    bench.names(&[KSN], &right.replace('A', "-"), &[Code::FrameDamaged]);
}

#[test]
fn wrong_slice() {
    let bench = Bench::new("track-tdes");
    let right = bench.encrypt(Tdes, CARD);
    bench.names(&[KSN], &format!("0211{right}"), &[Code::WrongSlice]);
    bench.names(&[KSN], &format!("{right}ABCDEF"), &[Code::WrongSlice]);
    bench.names(&[KSN], &format!("02{right}EF03"), &[Code::WrongSlice]);
    bench.names(&[KSN], "00112233445566778899AA", &[Code::WrongSlice]);
}

#[test]
fn through_a_text_encoding() {
    let bench = Bench::new("track-tdes");
    let right = hex::decode(bench.encrypt(Tdes, CARD)).unwrap();
    let utf8: String = right.iter().map(|&byte| char::from(byte)).collect();
    bench.names(&[KSN], &hex_of(utf8.as_bytes()), &[Code::TextEncoding]);
    let lossy = String::from_utf8_lossy(&right).into_owned();
    bench.names(&[KSN], &hex_of(lossy.as_bytes()), &[Code::TextEncoding]);
    let ascii: Vec<u8> = right.iter().chain(&right).map(|&byte| if byte.is_ascii() { byte } else { b'?' }).collect();
    bench.names(&[KSN], &hex_of(&ascii), &[Code::TextEncoding]);
}

#[test]
fn one_key_for_another() {
    let device = Bench::new("track-tdes");
    let right = device.encrypt(Tdes, CARD);
    // The host stores the initial key, or the transaction's, as if it were the base key.
    device.with_key(&device.initial_key()).names(&[KSN], &right, &[Code::InitialKeyAsBaseKey]);
    device.with_key(&device.transaction_key()).names(&[KSN], &right, &[Code::SessionKeyAsBaseKey]);
    // The device was injected through its initial key.
    let twice = device.with_key(&device.initial_key()).encrypt(Tdes, CARD);
    device.names(&[KSN], &twice, &[Code::InitialKeyAsBaseKey]);
    // Another key of the store.
    let other = device.with_key(b"another key here").encrypt(Tdes, CARD);
    device.names(&[KSN], &other, &[]);
    device.and_key("other", b"another key here").names(&[KSN], &other, &[Code::BaseKey]);
}

#[test]
fn components() {
    let (one, two) = ([0x5A; 16], *b"0123456789abcdef");
    let key: Vec<u8> = one.iter().zip(two).map(|(one, two)| one ^ two).collect();
    let combined = Bench::new("track-tdes").with_key(&key.try_into().unwrap());
    let halves: [&[u8]; 2] = [&one, &two];
    let alone = combined.with_key(&two);
    // The store holds one component, the device the sum; and the other way round.
    alone.names_with(&halves, &[KSN], &combined.encrypt(Tdes, CARD), &[Code::ComponentsNotCombined]);
    combined.names_with(&halves, &[KSN], &alone.encrypt(Tdes, CARD), &[Code::ComponentsNotCombined]);
    assert!(alone.doctor_refuses(&[&one]) && alone.doctor_refuses(&[&one, &one]));
}

#[test]
fn whole_payload_as_ciphertext() {
    // TLV of a Verifone terminal; its key is that of the bench.
    let bench = Bench::new("verifone-vsd-tdes");
    let frame = bench.verifone(TLV);
    assert!(bench.examine_payload(&frame).healthy);
    let said = bench.codes(&bench.examine(&[KSN], &[&hex_of(&frame)]));
    assert_eq!(said, [vec![Code::WholeFrame]]);
}

#[test]
fn every_code_is_unique_and_has_an_exit() {
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|code| (3..=7).contains(&code.exit())));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever is handed over, it ends, and nothing that is no card is healthy.
    #[test]
    fn anything_is_examined(bytes: Vec<u8>, ksn: String, text: String) {
        let bench = Bench::new("track-tdes");
        let _ = bench.doctor().examine(&Case::Payload(&bytes));
        assert!(!bench.doctor().examine(&Case::Raw { ksns: &[&ksn], ciphertexts: &[&text] }).healthy);
        assert!(!bench.doctor().examine(&Case::Raw { ksns: &[KSN], ciphertexts: &[&text, &ksn] }).healthy);
    }
}
