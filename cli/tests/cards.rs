//! `p2pe decrypt` and `p2pe tokenize`: inputs, masking, and every exit code they have.

mod support;

use support::{Folder, KEYPAD, PAN};

#[test]
fn the_payload_comes_from_an_argument_a_file_or_standard_input() {
    let folder = Folder::memory();
    folder.write("frame.txt", &format!("{KEYPAD}\r\n"));
    for ran in [
        folder.run(&["decrypt", KEYPAD]),
        folder.run(&["decrypt", "--file", "frame.txt"]),
        folder.run_with(&["decrypt"], KEYPAD.as_bytes()),
        folder.run_with(&["decrypt", "-"], KEYPAD.as_bytes()),
    ] {
        let ran = ran.done();
        assert!(ran.out.contains("476173******0010") && ran.out.contains("keyed"), "{}", ran.out);
    }
}

#[test]
fn digits_are_masked_unless_revealed() {
    let folder = Folder::memory();
    for json in [&["--json"][..], &[]] {
        let masked = folder.run(&[&["decrypt", KEYPAD], json].concat()).done();
        assert!(!masked.out.contains(PAN) && !masked.out.contains("201"), "{}", masked.out);
        let clear = folder.run(&[&["decrypt", "--reveal", KEYPAD], json].concat()).done();
        assert!(clear.out.contains(PAN) && clear.out.contains("201"), "{}", clear.out);
    }
}

#[test]
fn json_of_a_card() {
    let value = Folder::memory().run(&["--json", "decrypt", KEYPAD]).done().json();
    for (field, text) in [
        ("card", "476173******0010"),
        ("expiry", "2212"),
        ("entry", "keyed"),
        ("ksn", "FFFF987654004300025A"),
        ("profile", "idtech-tdes"),
        ("base_key", "bdk-1"),
        ("keys_in", "memory"),
        ("check_digit", "right"),
        ("security_code", "present"),
    ] {
        assert_eq!(value[field], text);
    }
}

#[test]
fn tokens_are_of_a_merchant() {
    let folder = Folder::memory();
    let token = |merchant: &str| folder.run(&["--json", "tokenize", "--merchant", merchant, KEYPAD]).done().json();
    let (one, again, other) = (token("shop-1"), token("shop-1"), token("shop-2"));
    assert_eq!(one, again);
    assert_ne!(one["token"], other["token"]);
    assert_eq!(one["card"], "476173******0010");
    folder.run(&["tokenize", "--merchant", "", KEYPAD]).refused(2, "merchant id");
}

#[test]
fn a_token_store_says_where_the_keys_were() {
    let folder = Folder::token_with_keys();
    let value = folder.run(&["--json", "decrypt", KEYPAD]).done().json();
    assert_eq!((&value["keys_in"], &value["card"]), (&"hybrid".into(), &"476173******0010".into()));
    assert!(folder.run(&["tokenize", "--merchant", "shop-1", KEYPAD]).done().out.contains("tok_"));
}

#[test]
fn raw_tracks_with_a_ksn_beside_them() {
    let folder = Folder::memory();
    folder.write("bdk-aes.hex", "FEDCBA98 76543210 F1F1F1F1 F1F1F1F1\n");
    folder.write(
        "aes.toml",
        "[store]\nkind = \"memory\"\n[[store.key]]\nid = \"a\"\nkind = \"aes-base\"\nfile = \"bdk-aes.hex\"\n\
         [[device]]\nksn_prefix = \"12345678\"\nbase_key = \"a\"\nprofile = \"track-aes-dukpt-128\"\n",
    );
    let vectors = include_str!("../../vectors/data/raw_track.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let test = vectors["tests"].as_array().unwrap().iter().find(|test| test["id"] == "aes-dukpt-track2-128").unwrap();
    let (ksn, track) = (test["ksn"].as_str().unwrap(), test["tracks"][0].as_str().unwrap());
    let args = ["--config", "aes.toml", "decrypt", "--ksn", ksn];
    assert!(folder.run(&[&args[..], &[track]].concat()).done().out.contains("411111******1111"));
    assert!(folder.run_with(&args, format!("{track}\n").as_bytes()).done().out.contains("411111******1111"));
    folder.run(&[&args[..], &[&track[2..]]].concat()).refused(4, "whole blocks");
    folder.run(&["--config", "aes.toml", "decrypt", "--ksn", "12", track]).refused(4, "KSN");
    folder.run(&["--config", "aes.toml", "decrypt", "--ksn", "XX", track]).refused(2, "hex");
    folder.run(&[&args[..], &["1"]].concat()).refused(4, "odd");
    folder.run(&[&args[..], &["ZZ"]].concat()).refused(4, "hex digit");
    folder.run(&["--config", "aes.toml", "decrypt", track, track]).refused(2, "more than one");
}

#[test]
fn refused_payloads() {
    let folder = Folder::memory();
    folder.run(&["decrypt", &KEYPAD[..80]]).refused(4, "cut off");
    folder.run(&["decrypt", &KEYPAD[1..]]).refused(4, "put a 0 in front");
    folder.run(&["decrypt", &KEYPAD.replace("453D03", "463D03")]).refused(4, "LRC");
    folder.run(&["decrypt", ""]).refused(4, "STX");
    folder.run(&["decrypt", "--file", "nowhere"]).refused(2, "nowhere");
    folder.run(&["decrypt", "--file", "/dev/zero"]).refused(2, "longer than");
    folder.run_with(&["decrypt"], &vec![b'0'; (1 << 20) + 1]).refused(2, "longer than");
    let code = folder.run(&["--json", "decrypt", &KEYPAD[..80]]).json();
    let told = ["code", "exit", "offset"].map(|field| code["error"][field].clone());
    assert_eq!(told, [serde_json::json!("truncated"), serde_json::json!(4), serde_json::json!(80)]);
}

#[test]
fn clear_account_data_is_an_alarm_of_its_own() {
    let folder = Folder::memory();
    // The masked copy in clear; the checks of the typed characters made right again.
    let data = KEYPAD[6..KEYPAD.len() - 6].replace(";4761********0010=", &format!(";{PAN}="));
    let (lrc, sum) = data.bytes().fold((0u8, 0u8), |(x, s), b| (x ^ b, s.wrapping_add(b)));
    let ran = folder.run_with(&["decrypt"], format!("02C100{data}{lrc:02X}{sum:02X}03").as_bytes());
    ran.refused(5, "ALARM");
}

#[test]
fn wrong_settings() {
    let folder = Folder::memory();
    let original = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    let with = |from: &str, to: &str, args: &[&str]| {
        folder.write("p2pe.toml", &original.replace(from, to));
        folder.run(args)
    };
    let decrypt = ["decrypt", KEYPAD];
    with("FFFF987654", "FFFF987655", &decrypt).refused(3, "FFFF987654");
    with("idtech-tdes", "idtech-aes", &decrypt).refused(3, "idtech-aes");
    with("idtech-tdes", "idtech-des", &decrypt).refused(3, "idtech-des");
    with("idtech-tdes", "idtech-des", &decrypt).refused(3, "track-aes-dukpt-256-128-both");
    with("kind = \"hmac\"", "kind = 735146", &decrypt).refused(3, "p2pe.toml: line 9: [[store.key]] kind");
    with("", "", &["--config", "/dev/zero", "decrypt", KEYPAD]).refused(3, "/dev/zero");
    with("idtech-tdes", "idtech-tdes-pin", &decrypt).refused(6, "could not be decrypted");
    with("base_key = \"bdk-1\"", "base_key = \"bdk-2\"", &decrypt).refused(7, "bdk-2");
    with("base_key = \"bdk-1\"", "base_key = \"tokens\"", &decrypt).refused(7, "kind");
    with("file = \"bdk.hex\"", "file = \"nowhere.hex\"", &decrypt).refused(3, "nowhere.hex");
    with("file = \"bdk.hex\"", "file = \"p2pe.toml\"", &decrypt).refused(3, "not a key in hex digits");
    with("[tokens]", "[token]", &decrypt).refused(3, "token");
    with("[tokens]\nkey = \"tokens\"\n", "", &["tokenize", "--merchant", "m", KEYPAD]).refused(3, "[tokens]");
    with("", "", &["--config", "nowhere.toml", "decrypt", KEYPAD]).refused(3, "nowhere.toml");
    std::fs::remove_file(folder.dir.path().join("p2pe.toml")).unwrap();
    folder.run(&decrypt).refused(3, "no key store");
}
