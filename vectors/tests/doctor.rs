//! The doctor over every payload with a device: nothing is wrong with the good ones, and of the others it names the cause.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{KeyId, KeyImport, KeyMaterial, KeyStore, KsnPrefix, Lifetime, MemoryStore};
use p2pe_crypto::{Decryptor, Device, DeviceProfile, Devices, Encryption};
use p2pe_doctor::{Case as Handed, Diagnosis, Doctor, Finding};
use p2pe_vectors::{
    VectorFile,
    schema::{Case, DeviceEntry, Encoding, Test, Verdict},
};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::isolated;

fn fill(store: &mut impl KeyImport, file: &VectorFile) {
    for key in &file.keys {
        let material = KeyMaterial::new(&key.kind, &key.value.0).unwrap();
        store.import(&KeyId::new(&key.id).unwrap(), &material, Lifetime::Session).unwrap();
    }
}

fn store(file: &VectorFile) -> MemoryStore {
    let mut store = MemoryStore::new();
    fill(&mut store, file);
    store
}

fn devices(device: &DeviceEntry) -> Devices {
    let profile: DeviceProfile = device.profile.parse().unwrap();
    let base_key = KeyId::new(&device.base_key).unwrap();
    let mut devices = Devices::new();
    devices.insert(KsnPrefix::new(profile.scheme(), &device.ksn_prefix.0).unwrap(), Device { base_key, profile });
    devices
}

/// The doctor's words about one test, with the keys of its file. `None` if the test is not about a device's payload.
fn examine<S: KeyStore>(file: &VectorFile, store: &S, test: &Test) -> Option<Diagnosis> {
    let keys = || file.keys.iter().map(|key| KeyId::new(&key.id).unwrap());
    let (device, payload, raw) = match &test.case {
        Case::Payload(case) => {
            if case.format.is_some() {
                return None;
            }
            let bytes = match case.encoding {
                Encoding::Ascii => case.payload.clone().into_bytes(),
                Encoding::Hex => hex::decode(&case.payload).unwrap(),
            };
            (case.device.as_ref()?, bytes, None)
        }
        Case::Track(case) => {
            let digits: Vec<String> = case.tracks.iter().map(|track| hex::encode_upper(&track.0)).collect();
            (case.device.as_ref()?, Vec::new(), Some((hex::encode_upper(&case.ksn.0), digits)))
        }
        _ => return None,
    };
    let decryptor = Decryptor::new(store, devices(device));
    let doctor = Doctor::new(&decryptor).with_keys(keys());
    Some(match &raw {
        None => doctor.examine(&Handed::Payload(&payload)),
        Some((ksn, digits)) => {
            let ciphertexts: Vec<&str> = digits.iter().map(String::as_str).collect();
            doctor.examine(&Handed::Raw { ksns: &[ksn], ciphertexts: &ciphertexts })
        }
    })
}

/// Codes that hold together with `+` between, alternatives with `|`.
fn codes(diagnosis: &Diagnosis) -> String {
    let of = |finding: &Finding| finding.causes.iter().map(|cause| cause.code.as_str()).collect::<Vec<_>>().join("+");
    diagnosis.findings.iter().map(of).collect::<Vec<_>>().join(" | ")
}

/// What must be named where the profile is another one than the device's.
fn of_profiles(wrong: &str, right: &str) -> &'static str {
    let encryption = |name: &str| name.parse::<DeviceProfile>().unwrap().encryption();
    match (encryption(wrong), encryption(right)) {
        (Encryption::Tdes(wrong, _), Encryption::Tdes(right, _)) if wrong != right => "key_variant",
        _ => "cipher",
    }
}

fn each(mut visit: impl FnMut(&VectorFile, &MemoryStore, &Test)) {
    for file in VectorFile::builtin().unwrap() {
        let store = store(&file);
        file.tests.iter().for_each(|test| visit(&file, &store, test));
    }
}

#[test]
fn nothing_is_wrong_with_good_payloads() {
    let mut count = 0;
    each(|file, store, test| {
        if let Some(diagnosis) = examine(file, store, test)
            && test.result == Verdict::Valid
        {
            assert!(diagnosis.healthy && diagnosis.exit() == 0, "{}: {}", test.id, codes(&diagnosis));
            count += 1;
        }
    });
    assert!(count > 100, "{count}");
}

#[test]
fn wrong_settings_are_named_with_the_right_ones() {
    let mut count = 0;
    each(|file, store, test| {
        let Case::Payload(case) = &test.case else { return };
        let (Some(wrong), Some(right)) = (&case.device, &case.right_device) else { return };
        let diagnosis = examine(file, store, test).unwrap();
        assert_eq!(codes(&diagnosis), of_profiles(&wrong.profile, &right.profile), "{}", test.id);
        let finding = &diagnosis.findings[0];
        assert!(finding.causes[0].fix.contains(&format!("\"{}\"", right.profile)), "{}: {finding:?}", test.id);
        assert!(!finding.evidence.is_empty() && diagnosis.exit() == 3, "{}", test.id);
        count += 1;
    });
    assert!(count >= 10, "{count}");
}

/// Payloads that decrypt to nothing, or to no card, and what must be said of them.
const REFUSED: &[(&str, &str)] = &[
    ("neg-idtech-enh-ciphertext-bitflip", "damaged"),
    ("neg-idtech-enh-ksn-tampered", "ksn_counter"),
    ("neg-idtech-enh-bad-lrc", "frame_damaged"),
    ("neg-idtech-enh-aes-flag-on-tdes-data", "cipher_flag"),
    ("neg-idtech-enh-truncated-odd-nibble", "odd_nibble"),
    ("neg-idtech-kb-missing-leading-zero", "leading_zero_lost"),
    ("bad-keyboard-lrc-over-bytes", "keyboard_checks"),
    ("bad-clear-pan-f9-zero", "not_encrypting"),
    ("bad-not-encrypted-f9-zero", "nothing_encrypted"),
    ("bad-unknown-device", "unknown_device"),
    ("bad-profile-aes-frame-tdes", "profile_mismatch"),
    ("bad-key-not-found", "key_missing | base_key"),
    ("bad-wrong-variant-pin", "key_variant"),
    ("bad-wrong-variant-data", "key_variant"),
    ("bad-wrong-variant-aes", "key_variant"),
    ("bad-wrong-base-key", "base_key"),
    ("bad-rotated-key", "base_key"),
    ("bad-ksn-one-higher", "ksn_counter"),
    ("bad-bit-flip-first-block", "damaged"),
    ("bad-bit-flip-last-block", "damaged"),
    ("bad-pan-differs", "contradiction"),
    ("bad-masked-copy-last4", "damaged"),
    ("bad-mac", "mac"),
    ("bad-no-self-encryption", "self_encryption"),
    ("bad-response-key", "key_variant"),
    ("bad-tracks-in-one-cbc-run", "chained_runs"),
    ("bad-pan-not-digits", "not_a_card"),
    ("neg-idtech-orig-ksn-off-by-one", "ksn_counter"),
    ("neg-verifone-zero-iv", "iv_ignored | damaged"),
    ("neg-dukptnet10-decrypt-as-one", "joined_runs"),
    ("neg-tlv-read-as-track", "content"),
    ("neg-tlv-pin-variant", "key_variant"),
    ("neg-packed-track2-read-as-track", "content"),
    ("track-ksn-9-bytes", "ksn_form"),
    ("track-tdes-ciphertext-15-bytes", "wrong_slice"),
    ("track-tdes-counter-11-bits", "ksn_invalid"),
    ("track-tdes-profile-aes", "cipher"),
    ("track-tdes-wrong-base-key", "base_key"),
    ("track-profile-aes-dukpt-on-tdes-ksn", "base_key+aes_flavour"),
    ("track-profile-tdes-on-aes-ksn", "base_key+aes_flavour"),
    ("aes-dukpt-wrong-base-key", "base_key"),
    ("aes-dukpt-wrong-size-256", "key_size"),
    ("aes-dukpt-wrong-usage-both", "key_usage"),
    ("aes-dukpt-ksn-one-higher", "ksn_counter"),
    ("aes-dukpt-swapped-tracks", "ksn_counter"),
    ("aes-dukpt-tracks-in-one-cbc-run", "chained_runs"),
    ("aes-dukpt-flip-first-block", "iv_ignored | damaged"),
    ("aes-dukpt-flip-last-block", "damaged"),
    ("aes-dukpt-zeros", ""),
];

#[test]
fn causes_are_named_where_something_else_is_wrong() {
    let mut left: Vec<_> = REFUSED.iter().collect();
    each(|file, store, test| {
        let Some(at) = left.iter().position(|(id, _)| *id == test.id) else { return };
        let (_, expected) = left.swap_remove(at);
        assert_eq!(codes(&examine(file, store, test).unwrap()), *expected, "{}", test.id);
    });
    assert!(left.is_empty(), "no such tests: {left:?}");
}

#[test]
fn no_refused_payload_is_called_healthy_and_no_digit_is_told() {
    each(|file, store, test| {
        let Some(diagnosis) = examine(file, store, test) else { return };
        assert_eq!(diagnosis.healthy, test.result == Verdict::Valid, "{}", test.id);
        let card = match &test.case {
            Case::Payload(case) => case.card.as_ref(),
            Case::Track(case) => case.card.as_ref(),
            _ => None,
        };
        if let Some(card) = card {
            let told = format!("{diagnosis:?}");
            let (bin, last) = (&card.pan[..6], &card.pan[card.pan.len() - 4..]);
            assert!(
                !told.contains(&card.pan) && !told.contains(bin) && !told.contains(&format!("*{last}")),
                "{}",
                test.id
            );
        }
    });
}

/// On a token the same is said, but for what a token cannot try.
#[test]
fn a_token_tells_the_same() {
    isolated("a_token_tells_the_same", |throwaway| {
        let pin = PinSource::File(throwaway.pin_file());
        let token =
            Token::open(&Settings::new(throwaway.module(), TokenSelector::label(throwaway.label()), pin)).unwrap();
        for file in VectorFile::builtin().unwrap().iter().filter(|file| matches!(file.name.as_str(), MAGTEK | RAW)) {
            let mut inside = token.store().unwrap();
            fill(&mut inside, file);
            let memory = store(file);
            for test in &file.tests {
                let (Some(one), Some(other)) = (examine(file, &memory, test), examine(file, &inside, test)) else {
                    continue;
                };
                assert_eq!((codes(&one), one.healthy), (codes(&other), other.healthy), "{}", test.id);
                // A TDES base key cannot be taken for another one inside.
                let tried_tdes = !other.tried.is_empty() && test.id.starts_with("track-tdes-wrong");
                assert!(one.not_tried.is_empty() && (!tried_tdes || !other.not_tried.is_empty()), "{}", test.id);
            }
        }
    })
    .unwrap();
}

const MAGTEK: &str = "magtek.json";
const RAW: &str = "raw_track.json";
