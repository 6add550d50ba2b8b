//! `p2pe conformance`, `selftest` and `demo`: reports, exit codes, and a suite that can fail.

mod support;

use std::fs;

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
}

#[test]
fn a_key_that_is_already_in_the_token_must_agree() {
    let folder = Folder::token();
    folder.write("own.json", &own_vectors(RIGHT, BDK));
    folder.import("own-key", "tdes-base", &"3B".repeat(16)).done();
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
fn selftest_names_what_it_ran() {
    for folder in [Folder::token(), Folder::memory()] {
        let out = folder.run(&["selftest"]).done().out;
        assert_eq!(out.lines().filter(|line| line.starts_with("passed")).count(), 8, "{out}");
        assert!(out.contains("CKM_AES_ECB_ENCRYPT_DATA"));
        assert_eq!(folder.run(&["selftest", "--json"]).done().json()["summary"]["failed"], 0);
    }
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
    for part in ["Exit codes", "ALARM", "Examples", "[store]", "ksn_prefix"] {
        assert!(help.contains(part), "{part}");
    }
}
