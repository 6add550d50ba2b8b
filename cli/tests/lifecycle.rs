//! Keys that are pending, active, expired and retired; versions of a base key; and what `p2pe keys check` finds.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{Mechanism, MechanismType},
    object::{Attribute, KeyType, ObjectClass},
    session::{Session, UserType},
    types::AuthPin,
};
use serde_json::Value;
use support::{BDK, Folder, KEYPAD};
use throwaway_token::{Error, ThrowawayToken, isolated};

const V1: &str = "tdes-dukpt:FFFF987654:v1";
const V2: &str = "tdes-dukpt:FFFF987654:v2";

/// A folder whose keypads have this base key, and how to import one.
fn folder(base_key: &str) -> Folder {
    let folder = Folder::token();
    set(&folder, "base_key = \"bdk-1\"", &format!("base_key = \"{base_key}\""));
    folder.write("one", BDK);
    folder.write("zeros", &"00".repeat(16));
    folder.write("other", &"3C".repeat(16));
    folder
}

fn set(folder: &Folder, from: &str, to: &str) {
    let settings = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    assert!(settings.contains(from));
    folder.write("p2pe.toml", &settings.replacen(from, to, 1));
}

fn import(folder: &Folder, id: &str, second: &str, more: &[&str]) -> support::Ran {
    let args = ["keys", "import", "--id", id, "--kind", "tdes-base", "--component-file", "one"];
    folder.run(&[&args[..], &["--component-file", second], more].concat())
}

fn row(folder: &Folder, id: &str) -> Value {
    let listed = folder.run(&["--json", "keys", "list"]).done().json();
    listed["keys"].as_array().unwrap().iter().find(|key| key["id"] == id).unwrap().clone()
}

#[test]
fn a_key_has_its_time() {
    let folder = folder("bdk-1");
    let before = folder.objects();
    import(&folder, "bdk-1", "zeros", &["--valid-to", "2020-12-31"]).refused(2, "over before it begins");
    import(&folder, "bdk-1", "zeros", &["--valid-from", "2999-12-31", "--valid-to", "2999-01-01"])
        .refused(2, "over before it begins");
    import(&folder, "bdk-1", "zeros", &["--valid-to", "2026-02-30"]).refused(2, "a day of the calendar");
    assert_eq!(import(&folder, "bdk-1", "zeros", &["--pending", "--valid-from", "2999-01-01"]).code, 2);
    assert_eq!(folder.objects(), before);
    import(&folder, "bdk-1", "zeros", &["--valid-from", "2999-01-01", "--valid-to", "2999-12-31"]).done();
    let before = folder.objects();
    folder.run(&["decrypt", KEYPAD]).refused(7, "has not begun");
    assert_eq!(folder.objects(), before);
    let bdk = row(&folder, "bdk-1");
    assert_eq!((&bdk["state"], &bdk["valid_from"]), (&"pending".into(), &"2999-01-01".into()));
    assert!(folder.run(&["keys", "list"]).done().out.contains(" 2999-01-01/2999-12-31 "));
    folder.run(&["keys", "delete", "--id", "bdk-1", "--yes"]).done();
    assert!(folder.objects().is_empty());

    import(&folder, "bdk-1", "zeros", &["--pending", "--valid-to", "2999-12-31"]).done();
    folder.run(&["decrypt", KEYPAD]).refused(7, "has not begun");
    assert!(folder.run(&["keys", "list"]).done().out.contains(" ?/2999-12-31 "));
    folder.run(&["keys", "activate", "--id", "bdk-1"]).done();
    let today = row(&folder, "bdk-1")["activated"].as_str().unwrap().to_string();
    assert!(folder.run(&["keys", "list"]).done().out.contains(&format!(" {today}/2999-12-31 ")));
    folder.run(&["decrypt", KEYPAD]).done();
    folder.run(&["keys", "retire", "--id", "bdk-1"]).done();
    assert_eq!(row(&folder, "bdk-1")["state"], "retired");
    let before = folder.objects();
    folder.run(&["decrypt", KEYPAD]).refused(7, "is retired");
    folder.run(&["keys", "retire", "--id", "bdk-1"]).refused(7, "is retired");
    folder.run(&["keys", "activate", "--id", "bdk-1"]).refused(7, "is retired");
    folder.run(&["keys", "activate", "--id", "nothing"]).refused(7, "nothing");
    assert_eq!(folder.objects(), before);
    folder.run(&["keys", "delete", "--id", "bdk-1", "--yes"]).done();
    assert!(folder.objects().is_empty(), "what was said of the key goes with it");
}

#[test]
fn the_next_version_of_a_base_key_takes_over() {
    let folder = folder("tdes-dukpt:FFFF987654");
    import(&folder, V1, "zeros", &[]).done();
    import(&folder, V2, "other", &["--pending"]).done();
    set(&folder, "[tokens]\n", "[audit]\nfolder = \"audit\"\n[tokens]\n");
    let decrypted = folder.run(&["--json", "decrypt", KEYPAD]).done().json();
    assert_eq!(decrypted["base_key"], V1);
    let log = std::fs::read_to_string(folder.dir.path().join("audit/audit-00000001.jsonl")).unwrap();
    let keys: Vec<Value> =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone()).collect();
    assert!(keys.len() > 1 && keys.iter().all(|key| key == V1), "the version that was used is recorded: {log}");
    let v2 = row(&folder, V2);
    assert_eq!((&v2["version"], &v2["ksn_prefix"]), (&2.into(), &"FFFF987654".into()));

    // The keypad still has the old key, and nobody guesses which one a frame is under.
    folder.run(&["keys", "activate", "--id", V2]).done();
    folder.run(&["decrypt", KEYPAD]).refused(6, "could not be decrypted");
    // Keypads that are not loaded anew yet are named, with the version that they have.
    let devices = format!("ksn_prefix = \"FFFF987654\"\nbase_key = \"{V2}\"\nprofile = \"idtech-tdes\"\n");
    let old = format!("[[device]]\nksn_prefix = \"FFFF98765400\"\nbase_key = \"{V1}\"\nprofile = \"idtech-tdes\"\n");
    let before = "ksn_prefix = \"FFFF987654\"\nbase_key = \"tdes-dukpt:FFFF987654\"\nprofile = \"idtech-tdes\"\n";
    set(&folder, before, &format!("{devices}{old}"));
    folder.run(&["decrypt", KEYPAD]).done();
    // A retired key is refused, unless the settings say that it still decrypts.
    folder.run(&["keys", "retire", "--id", V1]).done();
    folder.run(&["decrypt", KEYPAD]).refused(7, "is retired");
    set(&folder, "[store]\n", &format!("[store]\nstill_decrypt = [\"{V1}\"]\n"));
    folder.run(&["decrypt", KEYPAD]).done();
    // A key is for the KSNs that its name says.
    set(&folder, "ksn_prefix = \"FFFF98765400\"", "ksn_prefix = \"FFFF987655\"");
    folder.run(&["decrypt", KEYPAD]).refused(3, "for other KSNs");
}

/// Another program's session with the folder's token.
fn other_program(token: &ThrowawayToken) -> Session {
    let module = Pkcs11::new(token.module()).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let is_it = |slot: &_| module.get_token_info(*slot).unwrap().label() == token.label();
    let session = module.open_rw_session(module.get_slots_with_token().unwrap().into_iter().find(is_it).unwrap());
    let (session, pin) = (session.unwrap(), std::fs::read_to_string(token.pin_file()).unwrap());
    session.login(UserType::User, Some(&AuthPin::new(pin.trim().into()))).unwrap();
    session
}

/// A TDES key as an import makes one, but for `wrong`.
fn key(label: &str, value: u8, wrong: &[Attribute]) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::DES2),
        Attribute::Value((0..16).map(|byte| value ^ byte).collect()),
        Attribute::Label(label.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::AllowedMechanisms(vec![MechanismType::DES3_ECB]),
    ];
    template.retain(|attribute| wrong.iter().all(|other| other.attribute_type() != attribute.attribute_type()));
    template.extend_from_slice(wrong);
    template.retain(|attribute| *attribute != Attribute::AllowedMechanisms(Vec::new()));
    template
}

/// What `p2pe keys check` finds, after it has failed for it.
fn problems(folder: &Folder, more: &[&str]) -> Vec<(String, String)> {
    let ran = folder.run(&[&["--json", "keys", "check"][..], more].concat());
    assert_eq!(ran.code, 7, "{}", ran.out);
    let (first, _) = ran.out.split_once("\n}\n").unwrap();
    let json: Value = serde_json::from_str(&format!("{first}\n}}")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    json["problems"].as_array().unwrap().iter().map(|row| (text(&row["of"]), text(&row["problem"]))).collect()
}

#[test]
fn keys_check_finds_each_attribute_that_is_wrong() -> Result<(), Error> {
    isolated("keys_check_finds_each_attribute_that_is_wrong", |token| {
        let (folder, other) = (Folder::of(token), other_program(token));
        other.create_object(&key("k", 1, &[])).unwrap();
        other.create_object(&key("k.variant", 2, &[])).unwrap();
        folder.run(&["keys", "check"]).done();
        let software = ("the token".to_string(), "a software token".to_string());
        let unproved = ("k".to_string(), "nothing proves that the variant key is its base key's".to_string());
        assert_eq!(problems(&folder, &["--production"]), [software.clone(), unproved.clone()]);
        for (wrong, named, always) in [
            (Attribute::Sensitive(false), "CKA_SENSITIVE=false", true),
            (Attribute::Extractable(true), "CKA_EXTRACTABLE=true", true),
            (Attribute::Private(false), "CKA_PRIVATE=false", true),
            (Attribute::Copyable(true), "CKA_COPYABLE=true", true),
            (Attribute::Modifiable(true), "CKA_MODIFIABLE=true", true),
            (Attribute::Decrypt(true), "CKA_DECRYPT=true", true),
            (Attribute::Sign(true), "CKA_SIGN=true", true),
            (Attribute::Wrap(true), "CKA_WRAP=true", true),
            (Attribute::Unwrap(true), "CKA_UNWRAP=true", true),
            (Attribute::Derive(true), "CKA_DERIVE=true", true),
            (Attribute::AllowedMechanisms(vec![]), "CKA_ALLOWED_MECHANISMS not set", false),
            (
                Attribute::AllowedMechanisms(vec![MechanismType::DES3_ECB, MechanismType::DES3_CBC]),
                "CKA_ALLOWED_MECHANISMS has others than its kind",
                false,
            ),
        ] {
            // As well of the variant as of the base key.
            for (label, value) in [("k", 1), ("k.variant", 9)] {
                for object in other.find_objects(&[Attribute::Label(label.into())]).unwrap() {
                    other.destroy_object(object).unwrap();
                }
                other.create_object(&key(label, value, std::slice::from_ref(&wrong))).unwrap();
                let expected = [("k".to_string(), named.to_string())];
                let found = problems(&folder, &["--production"]);
                assert!(found.contains(&expected[0]) && found.len() == 3, "{label} {named}: {found:?}");
                if label == "k" && always {
                    assert_eq!(problems(&folder, &[]), expected);
                } else if label == "k" {
                    folder.run(&["keys", "check"]).done();
                }
                let object = other.find_objects(&[Attribute::Label(label.into())]).unwrap()[0];
                other.destroy_object(object).unwrap();
                other.create_object(&key(label, value, &[])).unwrap();
            }
        }
        // A key that goes with the session, one of no kind, and one that the token made and once let out.
        other.create_object(&key("x", 3, &[Attribute::KeyType(KeyType::DES3), Attribute::Value(vec![7; 24])])).unwrap();
        let made = [Attribute::Token(true), Attribute::Label(b"made".to_vec()), Attribute::ValueLen(16.into())];
        let made =
            [&made[..], &[Attribute::Derive(true), Attribute::Encrypt(false), Attribute::Decrypt(false)]].concat();
        other.generate_key(&Mechanism::AesKeyGen, &[&made[..], &[Attribute::Extractable(true)]].concat()).unwrap();
        let found = problems(&folder, &["--production"]);
        for expected in [
            ("x", "no kind of key that is used here"),
            ("made", "CKA_EXTRACTABLE=true"),
            ("made", "CKA_NEVER_EXTRACTABLE=false of a key made in the token"),
        ] {
            assert!(found.contains(&(expected.0.into(), expected.1.into())), "{expected:?} is missing in {found:?}");
        }
    })
}

#[test]
fn a_variant_of_another_key_decrypts_nothing() -> Result<(), Error> {
    isolated("a_variant_of_another_key_decrypts_nothing", |token| {
        let (folder, other) = (Folder::of(token), other_program(token));
        folder.import("bdk-1", "tdes-base", BDK).done();
        folder.run(&["decrypt", KEYPAD]).done();
        folder.run(&["keys", "check"]).done();
        let variant = other.find_objects(&[Attribute::Label(b"bdk-1.variant".to_vec())]).unwrap()[0];
        other.destroy_object(variant).unwrap();
        other.create_object(&key("bdk-1.variant", 7, &[])).unwrap();
        folder.run(&["decrypt", KEYPAD]).refused(7, "the variant key of bdk-1 is not the one");
        let other = "the variant key is not the one that was made with it";
        assert_eq!(problems(&folder, &[]), [("bdk-1".to_string(), other.to_string())]);
        // Not even where unsafe keys are allowed.
        set(&folder, "[store]\n", "[store]\nallow_unsafe_keys = true\n");
        folder.run(&["decrypt", KEYPAD]).refused(7, "the variant key of bdk-1 is not the one");
        folder.run(&["keys", "delete", "--id", "bdk-1", "--yes"]).done();
        folder.import("bdk-1", "tdes-base", BDK).done();
        folder.run(&["decrypt", KEYPAD]).done();
    })
}
