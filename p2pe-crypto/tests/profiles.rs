//! Profiles: the catalogue, what a profile may say of which format, and that each setting does something.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "of the chip readers only their objects are needed")]
#[path = "support/chip.rs"]
mod chip;
#[expect(dead_code, reason = "devices are configured with profiles that have no name here")]
#[path = "support/device.rs"]
mod device;
#[path = "support/envelope.rs"]
mod envelope;

use chip::{covered, encrypted, packed, tlv};
use device::{ANSI, Content, KSN, checked, encrypt, id, store};
use dukpt::{
    KsnPrefix, Scheme,
    tdes::{Cipher, Variant},
};
use p2pe_crypto::{
    CATALOGUE, CardData, Decryptor, Device, DeviceProfile, Devices, Encryption, Error, Format, Iv, Mode, Payload,
    PayloadError, ProfileError, ProfileSetting, ProfileSettings, Scope,
};

const PAN: &str = "4761739001010010";
const TRACK1: &str = "%B4761739001010010^TEST/CARD^22122010000000000?";
const TRACK2: &str = ";4761739001010010=22122010123456789?";

/// Decrypts under a profile, alone and in a batch, which come to the same.
fn read(payload: &Payload, profile: DeviceProfile) -> Result<CardData, Error> {
    let mut devices = Devices::new();
    devices.insert(KsnPrefix::new(Scheme::Tdes, &KSN[..5]).unwrap(), Device { base_key: id("bdk"), profile });
    let decryptor = Decryptor::new(store(&[("bdk", ANSI)]), devices);
    let alone = decryptor.decrypt(payload);
    let [batched] = decryptor.decrypt_batch(core::slice::from_ref(payload)).try_into().unwrap();
    let number = |card: &Result<CardData, Error>| card.as_ref().map(|card| card.pan().expose().to_owned()).ok();
    assert_eq!((number(&alone), alone.as_ref().err()), (number(&batched), batched.as_ref().err()));
    alone
}

fn reads(payload: &Payload, right: DeviceProfile, wrong: DeviceProfile) {
    assert_eq!(read(payload, right).unwrap().pan().expose(), PAN, "{right}");
    assert_eq!(read(payload, wrong).err(), Some(Error::DecryptFailed), "{wrong}");
}

fn named(name: &str) -> DeviceProfile {
    name.parse().unwrap()
}

fn ciphers() -> [(Cipher, &'static str); 2] {
    [(Cipher::Tdes, "tdes"), (Cipher::Aes128, "aes")]
}

fn enc(cipher: Cipher, clear: &[u8]) -> Vec<u8> {
    encrypt(ANSI, &KSN, Variant::DataRequest, cipher, clear)
}

#[test]
fn the_catalogue_is_what_profiles_are_written_as() {
    let tables: String = DeviceProfile::builtin().map(|profile| format!("{}\n", profile.to_toml())).collect();
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(lines(CATALOGUE), lines(&tables));
    assert_eq!(DeviceProfile::builtin().count(), CATALOGUE.matches("[[profile]]").count());
    // Each format with each encryption that it has room for.
    for format in Format::ALL {
        for encryption in Encryption::all() {
            let can_be = Scope::ALL.iter().any(|scope| DeviceProfile::new("x", format, encryption, *scope).is_ok());
            let is_there = DeviceProfile::builtin().any(|p| (p.format(), p.encryption()) == (format, encryption));
            assert_eq!(can_be, is_there, "{format} {encryption}");
        }
    }
    for profile in DeviceProfile::builtin() {
        assert!(profile.name().ends_with(&profile.encryption().to_string()), "{profile}");
    }
}

#[test]
fn a_profile_has_its_name_and_nothing_more_of_the_catalogue() {
    for table in CATALOGUE.split("name = \"").skip(1) {
        let name = table.split('"').next().unwrap();
        assert_eq!(name.parse::<DeviceProfile>().unwrap().to_string(), name);
        for wrong in
            [&table[..table.len() - 2], &table[..name.len() + 2], &name[..name.len() - 1], &format!("{name} "), ""]
        {
            assert!(wrong.parse::<DeviceProfile>().is_err(), "{wrong}");
        }
        // With more lines of the table, each up to a quote.
        for (at, _) in table.match_indices("\"\n") {
            assert!(at == name.len() || table[..at].parse::<DeviceProfile>().is_err());
        }
    }
}

#[test]
fn a_block_by_itself() {
    for (cipher, name) in ciphers() {
        let ecb: Vec<u8> = checked(TRACK2).chunks(cipher.block()).flat_map(|block| enc(cipher, block)).collect();
        let payload = Payload::from_tracks(&KSN, &[&ecb]).unwrap();
        let cbc = named(&format!("track-{name}"));
        reads(&payload, cbc.with_mode(Mode::Ecb).unwrap(), cbc);
    }
}

#[test]
fn one_run_for_a_whole_payload() {
    for (cipher, name) in ciphers() {
        let mut clear = checked(TRACK1);
        clear.resize(clear.len().next_multiple_of(cipher.block()), 0);
        let seam = clear.len();
        clear.extend(checked(TRACK2));
        let run = enc(cipher, &clear);
        let payload = Payload::from_tracks(&KSN, &[&run[..seam], &run[seam..]]).unwrap();
        let each = named(&format!("track-{name}"));
        let all = DeviceProfile::new("all", Format::Track, each.encryption(), Scope::Payload).unwrap();
        reads(&payload, all, each);
        // Devices of the other kind.
        let apart = [enc(cipher, &clear[..seam]), enc(cipher, &clear[seam..])];
        reads(&Payload::from_tracks(&KSN, &[&apart[0], &apart[1]]).unwrap(), each, all);
    }
}

#[test]
fn an_iv_that_the_device_sends_or_not() {
    let clear = [tlv(0x5A, &packed(PAN)), tlv(0x57, &packed("4761739001010010D2212201"))].concat();
    let iv = [7, 6, 5, 4, 3, 2, 1, 9];
    let mut added = clear.clone();
    added.iter_mut().zip(iv).for_each(|(byte, iv)| *byte ^= iv);
    let vsd = |text: &[u8]| {
        let ciphertext = enc(Cipher::Tdes, text);
        let objects = [tlv(0xDF_9020, &ciphertext), tlv(0xDF_9021, &KSN), tlv(0xDF_9022, &iv)].concat();
        Payload::parse(&objects).unwrap()
    };
    let sent = named("verifone-vsd-tdes");
    let zero = sent.with_iv(Iv::Zero).unwrap();
    reads(&vsd(&added), sent, zero);
    reads(&vsd(&clear), zero, sent);
}

#[test]
fn whole_objects_or_values() {
    let track2 = packed("4761739001010010D22122010123456");
    let copies = [(0x5A, packed(PAN)), (0x57, track2)];
    // NEO, without inner TLV.
    let neo = |whole: bool| {
        let mut objects = tlv(0xDF_EE12, &KSN);
        for (tag, value) in &copies {
            let clear = if whole { tlv(*tag, value) } else { value.clone() };
            objects.extend(chip::masked(*tag, &packed(&covered(&hex(value)))));
            objects.extend(encrypted(*tag, &enc(Cipher::Tdes, &clear)));
        }
        Payload::parse(&objects).unwrap()
    };
    let whole = named("neo-tdes");
    let values = whole.with_inner_tlv(false).unwrap();
    reads(&neo(true), whole, values);
    reads(&neo(false), values, whole);
    // Without a masked copy nobody knows where a value ends.
    let alone = [tlv(0xDF_EE12, &KSN), encrypted(0x57, &enc(Cipher::Tdes, &copies[1].1))].concat();
    assert_eq!(read(&Payload::parse(&alone).unwrap(), values).err(), Some(Error::DecryptFailed));

    let quick = |whole: bool| {
        let mut objects = tlv(0xDF_EE12, &KSN);
        for ((tag, value), copy) in copies.iter().zip([0xDF_EF5B, 0xDF_EF5D]) {
            let clear = if whole { tlv(*tag, value) } else { value.clone() };
            objects.extend(tlv(copy, &packed(&covered(&hex(value)))));
            objects.extend(tlv(*tag, &enc(Cipher::Aes128, &clear)));
        }
        Payload::parse(&objects).unwrap()
    };
    let values = named("quick-chip-aes");
    let whole = values.with_inner_tlv(true).unwrap();
    reads(&quick(true), whole, values);
    reads(&quick(false), values, whole);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn masked_with_a_digit() {
    // The last of the four digits that are shown is covered too, by a digit.
    let mut content = Content::of(["", TRACK2, ""]);
    content.masked[1] = Some(b";4761********0019=2212*************?*".to_vec());
    let payload = Payload::parse(&content.frame()).unwrap();
    let star = named("idtech-tdes");
    reads(&payload, star.masked_by(b'9').unwrap(), star);
    // The middle as it is: nothing was masked, and only the clear text tells.
    content.masked[1] = Some(content.tracks[1].clone());
    let clear = Payload::parse(&content.frame()).map_err(|refusal| refusal.error);
    assert_eq!(clear, Err(PayloadError::ClearAccountData));
}

#[test]
fn what_does_not_apply_is_refused_by_name() {
    let settings = |format, encryption| ProfileSettings { name: "own", format, encryption, ..Default::default() };
    let (own, track, vsd) = (settings("idtech", "tdes"), settings("track", "tdes"), settings("verifone-vsd", "tdes"));
    let original = settings("idtech-original", "tdes");
    let not_of = ProfileError::NotOfFormat;
    for (wrong, error) in [
        (ProfileSettings { name: "Own", ..own }, ProfileError::Name),
        (settings("id-tech", "tdes"), ProfileError::Format),
        (settings("idtech", "des"), ProfileError::Encryption),
        (settings("idtech", "aes-dukpt-128"), not_of(Format::IdTechEnhanced, ProfileSetting::Encryption)),
        (settings("idtech-original", "aes"), not_of(Format::IdTechOriginal, ProfileSetting::Encryption)),
        (ProfileSettings { mode: Some("ctr"), ..own }, ProfileError::Mode),
        (ProfileSettings { iv: Some("00"), ..own }, ProfileError::Iv),
        (ProfileSettings { iv: Some("sent"), ..own }, not_of(Format::IdTechEnhanced, ProfileSetting::Iv)),
        (ProfileSettings { iv: Some("sent"), mode: Some("ecb"), ..vsd }, not_of(Format::Verifone, ProfileSetting::Iv)),
        (
            ProfileSettings { iv: Some("zero"), mode: Some("ecb"), ..own },
            not_of(Format::IdTechEnhanced, ProfileSetting::Iv),
        ),
        (ProfileSettings { scope: Some("track"), ..own }, ProfileError::Scope),
        (ProfileSettings { scope: Some("joined"), ..track }, not_of(Format::Track, ProfileSetting::Scope)),
        (ProfileSettings { scope: Some("payload"), ..vsd }, not_of(Format::Verifone, ProfileSetting::Scope)),
        (ProfileSettings { scope: Some("field"), ..original }, not_of(Format::IdTechOriginal, ProfileSetting::Scope)),
        (
            ProfileSettings { scope: Some("payload"), mode: Some("ecb"), ..track },
            not_of(Format::Track, ProfileSetting::Mode),
        ),
        (ProfileSettings { inner_tlv: Some(true), ..own }, not_of(Format::IdTechEnhanced, ProfileSetting::InnerTlv)),
        (ProfileSettings { mask: Some("*"), ..track }, not_of(Format::Track, ProfileSetting::Mask)),
        (ProfileSettings { mask: Some("**"), ..own }, ProfileError::Mask),
        (ProfileSettings { mask: Some("\t"), ..own }, ProfileError::Mask),
    ] {
        assert_eq!(DeviceProfile::try_from(wrong), Err(error), "{wrong:?}");
        assert!(!error.to_string().is_empty());
    }
    let error = not_of(Format::Track, ProfileSetting::InnerTlv).to_string();
    assert_eq!(error, "devices of the format track cannot have this inner_tlv");
    assert!(ProfileError::Format.to_string().ends_with("track, tlv, packed-track2"));
}
