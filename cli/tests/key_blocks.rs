//! `p2pe keys import-block`, `generate` and `check`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use key_block::{ClearProtectionKey, KeyBlock, Version};
use support::Folder;

// Published example blocks of a payShield 10k HSM, and of X9.143:2021, 8.4.2.
const KBPK: &str = "4141414141414141414141414141414141414141414141414141414141414141";
const TDES_BASE: &str =
    "D0112B0TN00N000037DB9B046B7B0048785690759580ABC3B9842AB4BB7717B49E92528E575785D8123559376A2553B27BE94F054F4E971C";
const DATA_KEY: &str = "D0144D0AN00N0000127862F945C2DED04530FAF7CDBC8B0BA10C7AA79BD5E0C2C5D6AC173BF588E4B19ACF1357178D50EA0AB193228E13958304FC6149632DFDCADF3A5B3D57E814";
const TDES_KBPK: &str = "1D22BF32387C600AD97F9B97A51311AC";
const VERSION_B: &str = "B0120B0TX12S0100KS1800604B120F929280000015CEB14B76D551F21EC43A75390FA118A98C6CB049E3B9E864A5F4A8B9A5108A6DB5635C95B042D7";

fn ceremony() -> Folder {
    let folder = Folder::token();
    folder.import("kbpk", "aes-kbpk", KBPK).done();
    folder.import("kbpk-tdes", "tdes-kbpk", TDES_KBPK).done();
    folder
}

fn keys(folder: &Folder) -> Vec<(String, String, String)> {
    let listed = folder.run(&["--json", "keys", "list"]).done().json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    let row = |key: &serde_json::Value| (text(&key["id"]), text(&key["kind"]), text(&key["check_value"]));
    listed["keys"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn base_keys_come_as_blocks() {
    let folder = ceremony();
    folder.write("one", &format!("  {TDES_BASE}\n"));
    let ran = folder.run(&["keys", "import-block", "--kbpk", "kbpk", "--check-value", "FF5087", "bdk-1=one"]).done();
    assert!(ran.out.contains("bdk-1 stored in the token, tdes-base, check value FF5087"), "{}", ran.out);
    assert!(ran.out.contains("protection key in: token; blocks unwrapped in: wiped host memory"), "{}", ran.out);
    let ran = folder.run_with(&["keys", "import-block", "--kbpk", "kbpk-tdes", "bdk-2=-"], VERSION_B.as_bytes()).done();
    assert!(ran.out.contains("  KS 00604B120F9292800000\n"), "{}", ran.out);
    let listed = keys(&folder);
    let expected = [("bdk-1", "tdes-base", "FF5087"), ("bdk-2", "tdes-base", "9A4212")];
    for (id, kind, check_value) in expected {
        assert!(listed.contains(&(id.into(), kind.into(), check_value.into())), "{listed:?}");
    }
    assert_eq!(listed.len(), 4);
    let checked = folder.run(&["--json", "keys", "check"]).done().json();
    assert_eq!((&checked["keys"], &checked["problems"]), (&4.into(), &serde_json::json!([])));
}

#[test]
fn of_a_set_with_one_bad_block_nothing_is_stored() {
    let folder = ceremony();
    folder.write("good", TDES_BASE);
    folder.write("data", DATA_KEY);
    folder.write("b", VERSION_B);
    folder.write("cut", &TDES_BASE[..100]);
    folder.write("changed", &TDES_BASE.replace("785690", "785691"));
    folder.write("exported", &TDES_BASE.replace("B0TN00N", "B0TN00E"));
    folder.write("asymmetric", &TDES_BASE.replace("B0TN", "S0RN"));
    folder.write("iso-20038", &TDES_BASE.replacen('D', "E", 1));
    let before = folder.objects();
    let run = |args: &[&str]| folder.run(&[&["keys", "import-block", "--kbpk"], args].concat());
    for (bad, code, says) in [
        ("x=data", 4, "only base keys"),
        ("x=b", 4, "version D an AES one"),
        ("x=cut", 4, "the header says 112"),
        ("x=changed", 4, "MAC does not fit"),
        ("x=exported", 4, "MAC does not fit"),
        ("x=asymmetric", 4, "asymmetric keys are not supported"),
        ("x=iso-20038", 4, "version E) are not supported"),
        ("x=nowhere", 2, "cannot read the block of x"),
        ("x", 2, "ID=FILE"),
        ("good=good", 7, "exists already"),
        ("good.variant=good", 7, "exists already"),
        ("kbpk=good", 7, "exists already"),
        (&format!("x={TDES_BASE}"), 2, "cannot read"),
    ] {
        run(&["kbpk", "good=good", bad]).refused(code, says);
        assert_eq!(folder.objects(), before, "{bad}");
    }
    run(&["kbpk-tdes", "x=good"]).refused(4, "block's version");
    run(&["nowhere", "x=good"]).refused(7, "nowhere");
    run(&["kbpk", "--check-value", "FF5088", "x=good"]).refused(2, "nothing was stored");
    run(&["kbpk", "--check-value", "FF5087", "x=good", "y=good"]).refused(2, "one block");
    run(&["kbpk", "aes-dukpt:12345678:v1=good"]).refused(7, "no name for this key");
    run(&["kbpk", "x=good", "--valid-to", "2020-12-31"]).refused(2, "over before it begins");
    assert_eq!(folder.objects(), before);
    folder.run(&["keys", "generate", "--id", "hmac"]).done();
    let before = folder.objects();
    run(&["hmac", "x=good"]).refused(7, "another kind");
    folder.run(&["keys", "retire", "--id", "kbpk"]).done();
    assert_eq!(folder.objects().len(), before.len() + 1);
    let before = folder.objects();
    run(&["kbpk", "x=good"]).refused(7, "is retired");
    assert_eq!(folder.objects(), before);
}

/// Every malformed block that is known here, one at a time beside a good one: none is stored, and the good one neither.
#[test]
fn every_malformed_block_spoils_its_set() {
    let file = include_str!("../../vectors/data/key_block.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let text = |test: &serde_json::Value, field: &str| test[field].as_str().unwrap_or_default().to_string();
    let folder = Folder::token();
    folder.import("kbpk", "aes-kbpk", KBPK).done();
    folder.write("good", TDES_BASE);
    let before = folder.objects();
    let mut seen = BTreeSet::new();
    for test in file["tests"].as_array().unwrap().iter().filter(|test| test["result"] == "invalid") {
        let (code, clear_key) = (text(test, "error"), text(test, "clear_key"));
        // A fault that shows without a key is one under every key; of the others, those under this one.
        let shows =
            !["mac_mismatch", "block_key_length", "block_protection_key", "block_unsupported"].contains(&code.as_str());
        if !(shows || clear_key == KBPK) {
            continue;
        }
        folder.write("bad", &text(test, "key_block"));
        let ran = folder.run(&["--json", "keys", "import-block", "--kbpk", "kbpk", "good=good", "bad=bad"]);
        let found = ran.json()["error"]["code"].as_str().unwrap().to_string();
        let id = text(test, "id");
        // What is no base key is not unwrapped at all.
        assert!(found == code || !shows && found == "block_not_taken", "{id}: {found}, not {code}");
        assert_eq!((ran.code, folder.objects()), (4, before.clone()), "{id}");
        seen.insert(found);
    }
    assert!(seen.len() > 15, "{seen:?}");
}

// Published example blocks of a payShield 10k HSM: a key-encryption key under a TDES protection key.
const OLD_KBPK: [&str; 2] = ["5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A", "B5BADF617F310267DCD57F46B3C4FB83"];
/// The public base key under it, made by another implementation that makes the published blocks too.
const BASE_KEY_A: &str = "A0072B0TX00N00007B2782C0DB0AFAA96F8C67EF76CD6FBDEE10DC2E20EF07A8E5B64E11";
const BASE_KEY_C: &str = "C0072B0TX00N000054C4695471E20E6CE821F9397A431F9FA097F62FF27354B18747E0D1";
const VERSION_A: &str = "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB";

/// Versions A and C are computed from the bytes of the protection key: of one in the token there are none.
#[test]
fn old_versions_need_the_protection_key_in_memory() {
    let folder = ceremony();
    let kbpk = ClearProtectionKey::tdes(&bytes("EFE0853B256B583D868F251CE99EA1D9")).unwrap();
    for (name, part) in ["p1", "p2"].iter().zip(OLD_KBPK) {
        folder.write(name, part);
    }
    folder.write("a", BASE_KEY_A);
    folder.write("c", BASE_KEY_C);
    folder.write("k0", VERSION_A);
    for (name, version) in [("a", Version::A), ("c", Version::C)] {
        let block = std::fs::read(folder.dir.path().join(name)).unwrap();
        assert_eq!(KeyBlock::parse(&block).unwrap().header().version, version);
        assert_eq!(KeyBlock::parse(&block).unwrap().unwrap(&kbpk).unwrap().expose(), bytes(support::BDK));
    }
    let run = |args: &[&str]| folder.run(&[&["--json", "keys", "import-block"], args].concat());
    let in_memory = |more: &[&str], blocks: &[&str]| {
        let files = ["--kbpk-in-memory", "--component-file", "p1", "--component-file", "p2"];
        run(&[&files, more, blocks].concat())
    };
    let before = folder.objects();
    let code = |ran: &support::Ran| ran.json()["error"]["code"].as_str().unwrap_or_default().to_string();
    assert_eq!(code(&run(&["--kbpk", "kbpk-tdes", "bdk-1=a"])), "block_needs_clear_key");
    assert_eq!(code(&in_memory(&[], &["bdk-1=a", "k0=k0"])), "block_not_taken");
    assert_eq!(code(&in_memory(&["--kbpk-check-value", "FFFFFF"], &["bdk-1=a"])), "check_value_mismatch");
    assert_eq!(code(&in_memory(&["--kbpk", "kbpk-tdes"], &["bdk-1=a"])), "usage");
    assert_eq!(code(&run(&["bdk-1=a"])), "usage");
    assert_eq!(code(&run(&["--kbpk", "kbpk-tdes", "--component-file", "p1", "bdk-1=a"])), "usage");
    assert_eq!(folder.objects(), before);
    let ran = in_memory(&[], &["bdk-1=a", "bdk-2=c"]).done().json();
    assert_eq!((&ran["protection_key_in"], &ran["unwrapped_in"]), (&"host memory".into(), &"host memory".into()));
    assert!(ran["keys"].as_array().unwrap().iter().all(|key| key["check_value"] == "08D7B4"));
    folder.run(&["decrypt", support::KEYPAD]).done();
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn keys_are_made_in_the_token_and_checked() {
    let folder = Folder::token();
    folder.run(&["keys", "generate", "--id", "base", "--kind", "aes-base", "--bits", "128"]).done();
    folder.run(&["keys", "generate", "--id", "kbpk", "--kind", "aes-kbpk"]).done();
    let kinds: Vec<String> = keys(&folder).into_iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, ["aes-base 128", "aes-kbpk 256"]);
    assert_eq!(folder.run(&["keys", "generate", "--id", "t", "--kind", "tdes-base"]).code, 2);
    folder.run(&["keys", "check"]).done();
    let ran = folder.run(&["keys", "check", "--production"]);
    ran.refused(7, "a software token");
    assert!(ran.out.contains("the token: a software token") && ran.out.contains("2 keys, 1 problems"), "{}", ran.out);
    let settings = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    folder.write("p2pe.toml", &settings.replacen("[store]\n", "[store]\nallow_unsafe_keys = true\n", 1));
    folder.run(&["keys", "check", "--production"]).refused(7, "allow_unsafe_keys = true");
}
