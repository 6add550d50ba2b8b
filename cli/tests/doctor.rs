//! `p2pe doctor`: what it says, in which form, and with which exit code.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BDK, Folder, KEYPAD, PAN};

fn with_profile(profile: &str) -> Folder {
    let folder = Folder::memory();
    let settings = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    folder.write("p2pe.toml", &settings.replace("idtech-tdes", profile));
    folder
}

#[test]
fn nothing_is_wrong() {
    let folder = Folder::memory();
    let ran = folder.run(&["doctor", KEYPAD]).done();
    assert!(ran.out.contains("nothing is wrong") && !ran.out.contains("476173"), "{}", ran.out);
    let value = folder.run_with(&["--json", "doctor"], KEYPAD.as_bytes()).done().json();
    assert_eq!((&value["healthy"], &value["exit"]), (&true.into(), &0.into()));
}

#[test]
fn a_cause_with_its_evidence_and_what_to_do() {
    let folder = with_profile("idtech-tdes-pin");
    let ran = folder.run(&["doctor", KEYPAD]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    for part in ["key_variant", "set profile = \"idtech-tdes\"", "check digit (Luhn) right", "bdk-1: 08D7B4"] {
        assert!(ran.out.contains(part), "{part:?} is missing in {}", ran.out);
    }
    let value = folder.run(&["--json", "doctor", KEYPAD]).json();
    let finding = &value["findings"][0];
    assert_eq!(finding["causes"][0]["code"], "key_variant");
    assert!(finding["evidence"].as_array().unwrap().len() > 2 && value["exit"] == 3);
    for out in [ran.out, value.to_string()] {
        assert!(!out.contains(PAN) && !out.contains("476173") && !out.contains(BDK), "{out}");
    }
}

#[test]
fn each_area_has_its_exit_code() {
    let folder = Folder::memory();
    let clear = "0;4761739001010010=2212?";
    assert_eq!(folder.run(&["doctor", &KEYPAD[1..]]).code, 4, "the leading zero");
    assert_eq!(folder.run_with(&["doctor"], clear.as_bytes()).code, 5, "the alarm");
    let random = with_profile("track-tdes").run(&["doctor", "--ksn", "FFFF987654004300025A", &"5A".repeat(16)]);
    assert!(random.code == 6 && random.out.contains("no cause was found"), "{}", random.out);
    folder.run(&["doctor", "--component-file", "none.hex", KEYPAD]).refused(2, "component-file");
    folder.run(&["doctor", KEYPAD, KEYPAD]).refused(2, "more than one payload");
}

#[test]
fn components_are_tried_alone_and_combined() {
    let folder = Folder::memory();
    // The store holds one component; the device has the key.
    let (one, two) = ("5A".repeat(16), {
        let key = hex::decode(BDK).unwrap();
        hex::encode(key.iter().map(|byte| byte ^ 0x5A).collect::<Vec<_>>())
    });
    folder.write("bdk.hex", &one);
    folder.write("one.hex", &one);
    folder.write("two.hex", &two);
    let ran = folder.run(&["doctor", "--component-file", "one.hex", "--component-file", "two.hex", KEYPAD]);
    assert_eq!(ran.code, 7, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("components_not_combined"), "{}", ran.out);
}

/// What many gateways' JSON carries: ciphertext and KSN, under names of their own, with other things around.
#[test]
fn a_gateways_json() {
    const KSN: &str = "FFFF9876543210E00008";
    const CIPHERTEXT: &str = "C25C1D1197D31CAA87285D59A892047426D9182EC11353C051ADD6D0F072A6CB3436560B3071FC1FD11D9F7E74886742D9BEE0CFD1EA1064C213BB55278B2F12";
    let folder = with_profile("track-tdes-pin");
    let json = format!(
        "{{\"amount\": 1200, \"reader\": {{\"KSN\": \"{KSN}\", \"encryptedTrack1\": \"{CIPHERTEXT}\"}}, \"device_ksn\": \"{}\"}}",
        KSN.to_lowercase()
    );
    let card = folder.run_with(&["--json", "decrypt"], json.as_bytes()).done().json();
    assert_eq!(card["format"], "raw track ciphertext, 1 run(s)");
    assert!(folder.run_with(&["doctor"], json.as_bytes()).done().out.contains("nothing is wrong"));
    let wrong = with_profile("track-tdes");
    wrong.run_with(&["decrypt"], json.as_bytes()).refused(6, "decrypt");
    assert!(wrong.run_with(&["doctor"], json.as_bytes()).out.contains("set profile = \"track-tdes-pin\""));

    let frame = format!("{{\"terminal\": {{\"payload\": \"{KEYPAD}\"}}}}");
    Folder::memory().run_with(&["decrypt"], frame.as_bytes()).done();
    assert!(Folder::memory().run_with(&["doctor"], frame.as_bytes()).done().out.contains("nothing is wrong"));

    for (json, code, says) in [
        (format!("{{\"ksn\": \"{KSN}\"}}"), 2, "no field with a ciphertext"),
        (format!("{{\"ciphertext\": \"{CIPHERTEXT}\"}}"), 2, "no KSN"),
        (
            format!("{{\"ksn\": \"{KSN}\", \"pin_ksn\": \"{KSN}00\", \"ciphertext\": \"{CIPHERTEXT}\"}}"),
            2,
            "several KSNs",
        ),
        (format!("{{\"ksn\": \"{KSN}\", \"track2\": \";{PAN}=2212201\"}}"), 5, "ALARM"),
        (format!("{{\"ksn\": \"{KSN}\", \"ciphertext\": \"{CIPHERTEXT}\", \"number\": \"{PAN}\"}}"), 5, "ALARM"),
        (format!("{{\"ksn\": \"{KSN}\", \"ciphertext\": \"{CIPHERTEXT}\", \"number\": {PAN}}}"), 5, "ALARM"),
        (format!("{{\"ksn\": \"{KSN}\", \"ciphertext\": \"{}\"}}", &CIPHERTEXT[1..]), 4, "odd number"),
        ("{\"ksn\": ".to_owned(), 4, "no known format"),
    ] {
        folder.run_with(&["decrypt"], json.as_bytes()).refused(code, says);
    }
}
