//! `p2pe conformance` and `demo`: reports, exit codes, and a suite that can fail.

mod support;

use std::fs;

use p2pe_crypto::DeviceProfile;
use support::{BDK, Folder};

/// A tester's own file: one row, whose clear text is the given one.
fn own_vectors(plaintext: &str, key: &str) -> String {
    format!(
        r#"{{ "schema_version": 1, "title": "own", "flags": {{}},
            "keys": [ {{ "id": "own-key", "kind": "tdes-base", "value": "{key}", "check_value": "08D7B4" }} ],
            "tests": [ {{ "id": "row", "type": "tdes-data-key", "source": "X9.24-1", "flags": [], "result": "valid",
                "key": "own-key", "ksn": "FFFF9876543210E00001", "variant": "data-request", "cipher": "tdes-cbc",
                "data_key": "448D3F076D8304036A55A3D7E0055A78",
                "ciphertext": "FC0D53B7EA1FDA9EE68AAF2E70D9B9506229BE2AA993F04F", "plaintext": "{plaintext}" }} ] }}"#
    )
}

const RIGHT: &str = "343031323334353637383930394439383700000000000000";

#[test]
fn every_built_in_vector_passes_and_the_reports_say_so() {
    let folder = Folder::token();
    let files = ["--report-json", "r.json", "--report-junit", "r.xml"];
    let ran = folder.run(&[&["conformance"][..], &files].concat()).done();
    assert!(ran.out.contains("idtech_enhanced.json"), "{}", ran.out);

    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.dir.path().join("r.json")).unwrap()).unwrap();
    assert_eq!(report["summary"]["failed"], 0);
    assert!(report["summary"]["passed"].as_u64().unwrap() > 1100);
    // Skipped is what a token does not do at all, and the report says what that is.
    let skipped: Vec<_> =
        report["cases"].as_array().unwrap().iter().filter(|case| case["outcome"] == "skipped").collect();
    assert_eq!(report["summary"]["skipped"], skipped.len());
    for case in skipped {
        assert!(case["reason"].as_str().unwrap().starts_with("the store does not support "), "{case}");
    }
    for field in ["module", "token", "firmware", "manufacturer", "library"] {
        assert!(!report["store"][field].as_str().unwrap().is_empty(), "{field}");
    }
    assert!(report["tool"].as_str().unwrap().starts_with("p2pe "));
    assert_eq!(report["vectors"]["ksn.json"].as_str().unwrap().len(), 64);
    assert!(chrono::DateTime::parse_from_rfc3339(report["time"].as_str().unwrap()).is_ok());
    let custodies: std::collections::BTreeSet<_> =
        report["cases"].as_array().unwrap().iter().map(|case| case["custody"].as_str().unwrap()).collect();
    assert_eq!(custodies, ["", "hybrid", "token"].into());

    let xml = fs::read_to_string(folder.dir.path().join("r.xml")).unwrap();
    let junit = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!(junit.tests, report["cases"].as_array().unwrap().len());
    assert_eq!((junit.failures, junit.errors), (0, 0));

    // Session objects only: nothing is left in the token.
    let keys = folder.run(&["--json", "keys", "list"]).done().json();
    assert!(keys["keys"].as_array().unwrap().is_empty());
}

#[test]
fn own_vectors_pass_fail_and_are_refused() {
    let folder = Folder::memory();
    let with = |text: &str| {
        folder.write("own.json", text);
        folder.run(&["--store", "memory", "conformance", "--vectors", "own.json", "--report-junit", "own.xml"])
    };
    with(&own_vectors(RIGHT, BDK)).done();
    with(&own_vectors(&RIGHT.replace("34", "35"), BDK)).refused(9, "the clear text differs");
    let xml = fs::read_to_string(folder.dir.path().join("own.xml")).unwrap();
    assert_eq!(quick_junit::Report::deserialize_from_str(&xml).unwrap().failures, 1);
    // A key that is none: its tests are skipped, and a run that proves nothing does not succeed.
    with(&own_vectors(RIGHT, "00")).refused(9, "skipped");
    with(&own_vectors(RIGHT, BDK).replace("\"variant\"", "\"variety\"")).refused(3, "own.json");
    with("{").refused(3, "own.json");
    folder.run(&["--store", "memory", "conformance", "--vectors", "nowhere"]).refused(3, "nowhere");
    folder.run(&["--store", "memory", "conformance", "--vectors", "/dev/zero"]).refused(3, "not a regular file");
    fs::create_dir(folder.dir.path().join("own")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.dir.path().join("own/endless.json")).unwrap();
    folder.run(&["--store", "memory", "conformance", "--vectors", "own"]).refused(3, "not a regular file");
}

#[test]
fn a_key_that_is_already_in_the_token_must_agree() {
    let folder = Folder::token();
    folder.write("own.json", &own_vectors(RIGHT, BDK));
    folder.import("own-key", "tdes-base", &["3B".repeat(8), "5D".repeat(8)].concat()).done();
    folder.run(&["conformance", "--vectors", "own.json"]).refused(9, "another check value");
    folder.run(&["keys", "delete", "--id", "own-key", "--yes"]).done();
    folder.import("own-key", "tdes-base", BDK).done();
    folder.run(&["conformance", "--vectors", "own.json"]).done();
    // Permanent test keys are made only when asked for.
    folder.run(&["keys", "delete", "--id", "own-key", "--yes"]).done();
    folder.run(&["conformance", "--vectors", "own.json", "--token-objects"]).done();
    assert!(folder.run(&["keys", "list"]).done().out.contains("own-key"));
}

#[test]
fn demo_with_and_without_a_token() {
    let folder = Folder::memory();
    for (args, custodies) in
        [(&["demo"][..], ["hybrid", "hybrid", "token"]), (&["demo", "--store", "memory"], ["memory"; 3])]
    {
        let text = folder.run(args).done().out;
        assert!(text.contains("476173******0010") && text.contains("541333******4111"), "{text}");
        let json = folder.run(&[args, &["--json"]].concat()).done().json();
        let payloads = json["payloads"].as_array().unwrap();
        let lived: Vec<_> =
            payloads.iter().map(|p| p["keys_in"].as_str().unwrap().split(':').next().unwrap()).collect();
        assert_eq!(lived, custodies);
        assert!(payloads.iter().all(|payload| payload["token"].as_str().unwrap().starts_with("tok_")));
    }
}

#[test]
fn help_teaches() {
    let folder = Folder::memory();
    let help = folder.run(&["--help"]).done().out;
    for part in ["Exit codes", "ALARM", "Examples", "[store]", "ksn_prefix", "P2PE_CONFIG"] {
        assert!(help.contains(part), "{part}");
    }
}

#[test]
fn profiles_of_the_library_and_of_the_settings() {
    let folder = Folder::memory();
    let own = "[[profile]]\nname = \"front-desk\"\nformat = \"idtech\"\nencryption = \"tdes-pin\"\nmask = \"~\"\n";
    folder.write("own.toml", own);
    let text = folder.run(&["--config", "own.toml", "profiles"]).done().out;
    for name in DeviceProfile::builtin().map(|profile| profile.to_string()).chain(["front-desk".into()]) {
        assert!(text.lines().any(|line| line.split_whitespace().next() == Some(&name)), "{name}");
    }
    let json = folder.run(&["--config", "own.toml", "--json", "profiles"]).done().json();
    let last = json.as_array().unwrap().last().unwrap();
    assert_eq!((last["name"].as_str(), last["mask"].as_str()), (Some("front-desk"), Some("~")));
    assert_eq!((last["format"].as_str(), last["encryption"].as_str()), (Some("idtech"), Some("tdes-pin")));
    // A table to copy, changed, is a profile.
    let table = folder.run(&["profiles", "--toml", "verifone-vsd-tdes"]).done().out;
    assert_eq!((table.matches("[[profile]]").count(), table.contains("iv = \"sent\"")), (1, true));
    folder.write("copied.toml", &table.replace("verifone-vsd-tdes", "lane-3").replace("sent", "zero"));
    let copied = folder.run(&["--config", "copied.toml", "profiles", "--toml", "lane-3"]).done().out;
    assert!(copied.contains("name = \"lane-3\"") && copied.contains("iv = \"zero\""), "{copied}");
    folder.run(&["profiles", "idtech"]).refused(2, "no profile");
}

#[test]
fn a_report_that_cannot_be_written_stops_the_run_before_it_starts() {
    let folder = Folder::memory();
    for option in ["--report-json", "--report-junit"] {
        let ran = folder.run(&["--store", "memory", "conformance", option, "/nowhere/report"]);
        ran.refused(1, "/nowhere/report");
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
    // A shorter report leaves nothing of a longer one.
    folder.write("own.json", &own_vectors(RIGHT, BDK));
    folder.write("r.json", &"x".repeat(1 << 16));
    let args = ["--store", "memory", "conformance", "--vectors", "own.json", "--report-json", "r.json"];
    folder.run(&args).done();
    let text = fs::read_to_string(folder.dir.path().join("r.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["summary"]["passed"], 1);
}

#[test]
fn the_demo_takes_no_token_of_yours() {
    let folder = Folder::memory();
    for (option, value) in
        [("--config", "p2pe.toml"), ("--module", "m.so"), ("--token", "t"), ("--pin-file", "p"), ("--pin-env", "P")]
    {
        folder.run(&["demo", option, value]).refused(2, option);
        folder.run(&["demo", "--store", "memory", option, value]).refused(2, option);
    }
}

#[test]
fn a_wrong_command_line_in_json() {
    let folder = Folder::memory();
    for args in [&["--json", "decrypt", "--no-such-option"][..], &["tokenize", "--json"], &["--json"]] {
        let ran = folder.run(args);
        ran.refused(2, "p2pe --help");
        let error = &ran.json()["error"];
        assert_eq!((&error["code"], &error["exit"]), (&"usage".into(), &2.into()));
    }
    let plain = folder.run(&["decrypt", "--no-such-option"]);
    assert_eq!((plain.code, plain.out.as_str()), (2, ""));
    assert!(folder.run(&["--json", "--version"]).done().out.starts_with("p2pe "));
}

#[test]
fn a_reader_that_goes_away_and_an_empty_variable() {
    let folder = Folder::memory();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_p2pe"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.args(["selftest", "--store", "memory"]).current_dir(folder.dir.path());
    let ran = command.env("P2PE_CONFIG", "").stdout(writer).output().unwrap();
    assert_eq!((ran.status.code(), String::from_utf8(ran.stderr).unwrap()), (Some(0), String::new()));
    // Set, it names the file.
    command.env("P2PE_CONFIG", "/nowhere.toml").stdout(std::process::Stdio::null());
    assert_eq!(command.output().unwrap().status.code(), Some(3));
}
