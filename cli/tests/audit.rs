//! The audit log: what is recorded, that nothing secret is, and that `p2pe audit verify` finds what was done to it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{fs, path::PathBuf};

use serde_json::Value;
use support::{BDK, Folder, KEYPAD, PAN};

fn audited(folder: Folder) -> Folder {
    let path = folder.dir.path().join("p2pe.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}[audit]\nfolder = \"audit\"\nactor = \"front-desk\"\n")).unwrap();
    folder
}

fn log(folder: &Folder) -> PathBuf {
    folder.dir.path().join("audit/audit-00000001.jsonl")
}

fn records(folder: &Folder) -> Vec<Value> {
    fs::read_to_string(log(folder)).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(folder: &Folder) -> Vec<(String, String)> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_string();
    records(folder).iter().map(|record| (text(record, "event"), text(record, "result"))).collect()
}

fn expected(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|(event, result)| (event.to_string(), result.to_string())).collect()
}

#[test]
fn every_use_of_a_key_is_recorded_and_no_card_data() {
    let folder = audited(Folder::memory());
    folder.run(&["decrypt", "--reveal", KEYPAD]).done();
    folder.run(&["tokenize", "--merchant", "shop-1", KEYPAD]).done();
    let unknown = KEYPAD.replace("FFFF987654", "FFFF987655").replace("453D03", "443E03");
    assert_ne!(folder.run(&["decrypt", &unknown]).code, 0);
    folder.run(&["decrypt", &format!(";{PAN}=22122010000000000000?")]).refused(5, "ALARM");
    let recorded = events(&folder);
    let token = [("derive-key", "ok"), ("decrypt", "ok"), ("authenticate", "ok"), ("tokenize", "ok")];
    assert_eq!(recorded[..6], expected(&[&token[..2], &token].concat()));
    assert_eq!(recorded.last(), expected(&[("alarm", "clear_account_data")]).first());
    let first = &records(&folder)[0];
    for (field, value) in
        [("actor", "front-desk"), ("key", "bdk-1"), ("ksn", "FFFF987654004300025A"), ("custody", "memory")]
    {
        assert_eq!(first[field], value);
        assert_eq!(records(&folder)[1][field], value);
    }
    let text = fs::read_to_string(log(&folder)).unwrap();
    for secret in [PAN, "0010=", BDK, "201:"] {
        assert!(!text.contains(secret), "{text}");
    }
    let found = folder.run(&["--json", "audit", "verify"]).done().json();
    assert_eq!(found["records"], records(&folder).len());
}

#[test]
fn a_changed_or_removed_record_is_named() {
    let folder = audited(Folder::memory());
    for _ in 0..3 {
        folder.run(&["decrypt", KEYPAD]).done();
    }
    let whole = fs::read_to_string(log(&folder)).unwrap();
    fs::write(log(&folder), whole.replacen("\"ok\"", "\"no\"", 1)).unwrap();
    folder.run(&["audit", "verify"]).refused(9, "line 1: the record was changed");
    let without_second: String =
        whole.lines().enumerate().filter(|(i, _)| *i != 1).map(|(_, l)| format!("{l}\n")).collect();
    fs::write(log(&folder), without_second).unwrap();
    folder.run(&["audit", "verify"]).refused(9, "line 2: the record does not follow");
    // Nothing is added to such a log, and no key is used without one.
    folder.run(&["decrypt", KEYPAD]).refused(9, "does not follow");
    fs::write(log(&folder), whole).unwrap();
    folder.run(&["audit", "verify"]).done();
}

#[test]
fn seals_are_of_a_key() {
    let folder = audited(Folder::memory());
    folder.run(&["decrypt", KEYPAD]).done();
    folder.run(&["audit", "seal", "--key", "tokens"]).done();
    let sealed = folder.run(&["audit", "verify", "--key", "tokens"]).done();
    assert!(sealed.out.contains("sealed up to record 3"), "{}", sealed.out);
    folder.write("tokens.hex", &"2B".repeat(32));
    folder.run(&["audit", "verify", "--key", "tokens"]).refused(9, "the seal is wrong");
    folder.run(&["audit", "seal", "--key", "bdk-1"]).refused(7, "not of the kind");
    Folder::memory().run(&["audit", "verify"]).refused(3, "no audit log is named");
}

#[test]
fn each_step_of_a_ceremony_is_recorded() {
    let folder = audited(Folder::token());
    folder.import("bdk-1", "tdes-base", BDK).done();
    folder.import("bdk-1", "tdes-base", BDK).refused(7, "exists already");
    folder.run(&["keys", "generate", "--id", "tokens"]).done();
    folder.run(&["keys", "list"]).done();
    folder.run(&["decrypt", KEYPAD]).done();
    folder.run(&["keys", "delete", "--id", "tokens", "--yes"]).done();
    folder.run(&["selftest"]).done();
    let steps = [
        ("component", "ok"),
        ("component", "ok"),
        ("import-key", "ok"),
        ("component", "ok"),
        ("component", "ok"),
        ("import-key", "key_already_exists"),
        ("generate-key", "ok"),
        ("inspect-key", "ok"),
        ("derive-key", "ok"),
        ("decrypt", "ok"),
        ("delete-key", "ok"),
        ("self-test", "ok"),
    ];
    assert_eq!(events(&folder), expected(&steps));
    for derived in &records(&folder)[8..10] {
        assert_eq!(derived["custody"], "hybrid", "the hybrid is named wherever it is used");
    }
    let subject = records(&folder)[1]["subject"].as_str().unwrap().to_string();
    assert!(subject.starts_with("component 2 of 2, check value "), "{subject}");
}

#[test]
fn the_vault_and_the_doctor_record_keys_and_outcomes() {
    let folder = audited(Folder::memory());
    let path = folder.dir.path().join("p2pe.toml");
    folder.write("wrap.hex", &"22".repeat(32));
    let text = fs::read_to_string(&path).unwrap();
    let wrap = "[[store.key]]\nid = \"wrap\"\nkind = \"wrap\"\nfile = \"wrap.hex\"\n";
    fs::write(&path, text.replacen("[[device]]", &format!("{wrap}[[device]]"), 1)).unwrap();
    let vault = |args: &[&str], input: &str| {
        folder.run_with(&[&["vault", "--database", "v.db"], args].concat(), input.as_bytes())
    };
    vault(&["init", "--fingerprint-key", "tokens", "--wrapping-key", "wrap"], "").done();
    // The number of a merchant may be as long as a card's; of a caller, nobody knows what stands there.
    let made = vault(&["tokenize", "--merchant", "123456789012345"], PAN).done();
    let token = made.out.split(' ').next().unwrap().to_string();
    let back = |token: &str| {
        let args = ["detokenize", "--merchant", "123456789012345", "--caller", PAN, "--purpose", "refund", token];
        vault(&args, "")
    };
    back(&token).done();
    back("tok_00000000000000000000000000000000").refused(10, "unknown token");
    vault(&["shred", "--merchant", "123456789012345", "--yes"], "").done();
    folder.run(&["doctor", KEYPAD]).done();
    let records = records(&folder);
    let of = |event: &str| records.iter().filter(|record| record["event"] == event).collect::<Vec<_>>();
    for event in ["authenticate", "wrap-key", "unwrap-key", "tokenize", "shred", "derive-key", "diagnose"] {
        assert!(!of(event).is_empty(), "{event}");
    }
    let asked = of("detokenize");
    assert_eq!(asked.iter().map(|record| &record["result"]).collect::<Vec<_>>(), ["ok", "unknown_token"]);
    assert_eq!((&asked[0]["purpose"], &asked[0]["subject"]), (&"refund".into(), &"123456*****2345".into()));
    assert_eq!(asked[0]["caller"], "476173******0010");
    let text = fs::read_to_string(log(&folder)).unwrap();
    assert!(!text.contains(PAN) && !text.contains(&token) && !text.contains(&"22".repeat(8)), "{text}");
    folder.run(&["audit", "verify"]).done();
}

#[test]
fn without_a_record_no_key_serves_unless_that_is_wanted() {
    let folder = audited(Folder::memory());
    let path = folder.dir.path().join("p2pe.toml");
    let settings = fs::read_to_string(&path).unwrap() + "file_size = 4096\nsync = { milliseconds = 5, records = 10 }\n";
    fs::write(&path, &settings).unwrap();
    folder.run(&["decrypt", KEYPAD]).done();
    // The next file cannot be made.
    fs::create_dir(folder.dir.path().join("audit/audit-00000002.jsonl")).unwrap();
    let run = || folder.run(&["decrypt", KEYPAD]);
    let mut refused = run();
    for _ in 0..20 {
        if refused.code != 0 {
            break;
        }
        refused = run();
    }
    assert_ne!(refused.code, 0, "{}", refused.out);
    assert!(refused.err.contains(" next: check that the audit folder"), "{}", refused.err);
    assert!(!refused.out.contains("476173"), "{}", refused.out);
}

#[test]
fn logs_tell_what_goes_on_and_nothing_secret() {
    let folder = Folder::token_with_keys();
    let said = folder.run(&["--log", "trace", "decrypt", "--reveal", KEYPAD]).done();
    for told in
        ["p2pe{command=\"decrypt\"}", "C_EncryptInit", "custody=hybrid", "ksn=FFFF987654004300025A", "outcome=\"ok\""]
    {
        assert!(said.err.contains(told), "{told} in {}", said.err);
    }
    let json = folder.run(&["--log", "debug,json", "tokenize", "--merchant", "shop-1", KEYPAD]).done();
    let lines: Vec<Value> = json.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["custody"] == "hybrid"), "{}", json.err);
    let bytes: Vec<u8> = (0..BDK.len()).step_by(2).map(|i| u8::from_str_radix(&BDK[i..i + 2], 16).unwrap()).collect();
    let listed = format!("{:?}", &bytes[..8]);
    let pan: String = PAN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let pin = fs::read_to_string(folder.token.as_ref().unwrap().pin_file()).unwrap();
    for secret in
        [PAN, BDK, &BDK.to_lowercase(), listed.trim_matches(['[', ']']), &pan, &pan.to_uppercase(), pin.trim()]
    {
        assert!(!said.err.contains(secret) && !json.err.contains(secret), "{secret}");
    }
    assert!(folder.run(&["decrypt", KEYPAD]).done().err.is_empty(), "nobody asked");
    folder.run(&["--log", "loud", "profiles"]).refused(2, "the level of the log");
}
