//! `p2pe keys import-block`, `generate` and `check`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

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
    folder.run_with(&["keys", "import-block", "--kbpk", "kbpk-tdes", "bdk-2=-"], VERSION_B.as_bytes()).done();
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
    let before = keys(&folder);
    let run = |args: &[&str]| folder.run(&[&["keys", "import-block", "--kbpk"], args].concat());
    for (bad, code, says) in [
        ("x=data", 4, "only base keys"),
        ("x=b", 4, "version D an AES one"),
        ("x=cut", 4, "the header says 112"),
        ("x=changed", 4, "MAC does not fit"),
        ("x=exported", 4, "MAC does not fit"),
        ("x=asymmetric", 4, "only base keys"),
        ("x=nowhere", 2, "cannot read the block of x"),
        ("x", 2, "ID=FILE"),
        ("good=good", 7, "exists already"),
        ("good.variant=good", 7, "exists already"),
        ("kbpk=good", 7, "exists already"),
        (&format!("x={TDES_BASE}"), 2, "cannot read"),
    ] {
        run(&["kbpk", "good=good", bad]).refused(code, says);
        assert_eq!(keys(&folder), before, "{bad}");
    }
    run(&["kbpk-tdes", "x=good"]).refused(4, "block's version");
    run(&["nowhere", "x=good"]).refused(7, "nowhere");
    folder.run(&["keys", "generate", "--id", "hmac"]).done();
    run(&["hmac", "x=good"]).refused(7, "another kind");
    run(&["kbpk", "--check-value", "FF5088", "x=good"]).refused(2, "nothing was stored");
    run(&["kbpk", "--check-value", "FF5087", "x=good", "y=good"]).refused(2, "one block");
    assert_eq!(keys(&folder).len(), before.len() + 1);
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

#[test]
fn a_key_has_its_time() {
    let folder = ceremony();
    folder.write("one", TDES_BASE);
    let import = |id: &str, more: &[&str]| {
        let block = format!("{id}=one");
        folder.run(&[&["keys", "import-block", "--kbpk", "kbpk", &block][..], more].concat())
    };
    import("x", &["--valid-to", "2020-12-31"]).refused(2, "over before it begins");
    import("x", &["--valid-from", "2999-12-31", "--valid-to", "2999-01-01"]).refused(2, "over before it begins");
    import("x", &["--valid-to", "2026-02-30"]).refused(2, "a day of the calendar");
    import("bdk-1", &["--valid-from", "2999-01-01", "--valid-to", "2999-12-31"]).done();
    folder.run(&["decrypt", support::KEYPAD]).refused(7, "has not begun");
    let listed = folder.run(&["--json", "keys", "list"]).done().json();
    let bdk = listed["keys"].as_array().unwrap().iter().find(|key| key["id"] == "bdk-1").unwrap().clone();
    assert_eq!(
        (&bdk["state"], &bdk["valid_from"], &bdk["valid_to"]),
        (&"pending".into(), &"2999-01-01".into(), &"2999-12-31".into())
    );
    folder.run(&["keys", "delete", "--id", "bdk-1", "--yes"]).done();

    folder.import("bdk-1", "tdes-base", support::BDK).done();
    folder.run(&["decrypt", support::KEYPAD]).done();
    folder.run(&["keys", "retire", "--id", "bdk-1"]).done();
    folder.run(&["decrypt", support::KEYPAD]).refused(7, "is retired");
    folder.run(&["keys", "retire", "--id", "bdk-1"]).refused(7, "is retired");
    assert!(folder.run(&["keys", "list"]).done().out.contains(" retired "));
}
