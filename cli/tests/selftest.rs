//! `p2pe selftest`, each test of it seen to fail, the seal over the settings, and what the process keeps to itself.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::{Folder, KEYPAD};

fn names(folder: &Folder) -> Vec<String> {
    let tests = folder.run(&["selftest", "--json"]).done().json();
    assert_eq!(tests["broken"], false);
    let tests = tests["tests"].as_array().unwrap();
    assert!(tests.iter().all(|test| test["outcome"] == "passed"), "{tests:?}");
    tests.iter().map(|test| test["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn every_mechanism_is_executed_and_each_test_can_fail() {
    for folder in [Folder::token(), Folder::memory()] {
        let names = names(&folder);
        for name in ["host/tdes-lanes", "host/aes-gcm", "host/ff1", "settings/seal", "payload/aes-dukpt-track2-128"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        assert_eq!(names.iter().filter(|name| name.starts_with("token/")).count(), folder.token.iter().count() * 10);
        for name in &names {
            let ran = folder.run(&["selftest", "--break", name]);
            ran.refused(9, &format!("failed: {name}"));
            assert!(ran.out.starts_with(&format!("failed   {name} ")), "{}", ran.out);
            assert!(!ran.out.contains("passed"), "{}", ran.out);
        }
        let all = folder.run(&["--json", "selftest", "--break", "all"]);
        assert_eq!((all.code, all.out.matches("\"failed\"").count()), (9, names.len()), "{}", all.out);
        folder.run(&["selftest", "--break", "host/rot13"]).refused(2, "host/rot13");
        // Nothing stays broken.
        assert_eq!(self::names(&folder).len(), names.len());
    }
}

#[test]
fn selftest_leaves_nothing_in_the_token() {
    let folder = Folder::token();
    let text = folder.run(&["selftest"]).done().out;
    assert!(text.contains("passed   token/aes-wrap") && text.contains("memory   "), "{text}");
    folder.run(&["selftest", "--break", "all"]).refused(9, "token/aes-wrap");
    assert!(folder.run(&["--json", "keys", "list"]).done().json()["keys"].as_array().unwrap().is_empty());
}

#[test]
fn sealed_settings() {
    for folder in [Folder::token_with_keys(), Folder::memory()] {
        let path = folder.dir.path().join("p2pe.toml");
        let settings = fs::read_to_string(&path).unwrap();
        let seal = |folder: &Folder| folder.run(&["--json", "config", "seal", "--key", "tokens"]).done().json();
        let demand = seal(&folder)["sealed"].as_str().unwrap().to_string();
        assert!(demand.starts_with("tokens:") && demand.len() == "tokens:".len() + 32, "{demand}");
        let decrypt = |folder: &Folder| folder.run(&["--sealed", &demand, "decrypt", KEYPAD]);
        assert!(decrypt(&folder).done().out.contains("476173******0010"));

        fs::write(&path, settings.clone() + "\n[audit]\nfolder = \"log\"\n").unwrap();
        decrypt(&folder).refused(3, "the settings are not what was sealed");
        // Nothing of them was used.
        assert!(!folder.dir.path().join("log").exists());
        // Who does not demand a seal gets what is there.
        assert!(folder.run(&["decrypt", KEYPAD]).done().out.contains("476173******0010"));
        assert_eq!(seal(&folder)["sealed"], *demand);
        decrypt(&folder).done();

        folder.run(&["--sealed", "tokens", "decrypt", KEYPAD]).refused(3, "NAME:FINGERPRINT");
        let other = demand.replace("tokens:", "none:");
        folder.run(&["--sealed", &other, "decrypt", KEYPAD]).refused(7, "no key named none");
        let other = format!("tokens:{}", "00".repeat(16));
        folder.run(&["--sealed", &other, "decrypt", KEYPAD]).refused(3, "not the one that the seal must be of");
        fs::remove_file(folder.dir.path().join("p2pe.toml.seal")).unwrap();
        decrypt(&folder).refused(3, "no seal at");
        fs::remove_file(&path).unwrap();
        let none = folder.run(&["--store", "memory", "--sealed", &demand, "profiles"]);
        none.refused(3, "settings that must be sealed are a file");
        folder.run(&["--store", "memory", "config", "seal", "--key", "tokens"]).refused(3, "are a file");
    }
}

#[test]
fn memory_is_locked_or_the_program_says_why_not() {
    let folder = Folder::memory();
    let said = folder.run(&["--json", "selftest"]).done().json()["memory"].as_str().unwrap().to_string();
    let demanded = folder.run(&["--locked-memory", "selftest"]);
    match said.as_str() {
        "locked" => drop(demanded.done()),
        why => demanded.refused(1, why),
    }
}
