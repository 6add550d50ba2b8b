//! `p2pe health`: a pool as a gateway would have it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::Folder;

/// Adds a line to `[store]` of the settings.
fn with(folder: &Folder, line: &str) {
    let file = folder.dir.path().join("p2pe.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, text.replacen("[[", &format!("{line}\n[["), 1)).unwrap();
}

#[test]
fn a_pool_that_serves() {
    let folder = Folder::token_with_keys();
    folder.run(&["health"]).refused(3, "no pool");
    with(&folder, "pool = { workers = 3, shards = 2, deadline_ms = 20_000 }");
    let said = folder.run(&["health"]).done().out;
    assert!(said.starts_with("state          serving\nkeys           2 named by the settings"), "{said}");
    assert_eq!(said.matches("serving, 0 fault(s)").count(), 2, "{said}");
    let said = folder.run(&["health", "--json"]).done().json();
    assert_eq!((&said["state"], &said["queued"], &said["overdue"]), (&"serving".into(), &0.into(), &0.into()));
    assert_eq!(said["shards"].as_array().unwrap().len(), 2);
    assert_eq!(said["shards"][1]["epoch"], 1);

    // A key that the settings name and the token lacks.
    folder.run(&["keys", "delete", "--id", "tokens", "--yes"]).done();
    folder.run(&["health"]).refused(7, "tokens");
}

#[test]
fn a_pool_that_cannot_be() {
    let folder = Folder::token_with_keys();
    with(&folder, "pool = {}");
    let pin = folder.token.as_ref().unwrap().pin_file();
    fs::write(pin, "000000\n").unwrap();
    folder.run(&["health"]).refused(8, "refuses the PIN");
    let folder = Folder::memory();
    folder.run(&["health"]).refused(3, "no pool");
    with(&folder, "pool = {}");
    folder.run(&["health"]).refused(3, "[store] of kind memory has no");
}
