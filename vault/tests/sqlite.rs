//! What is SQLite's own: its files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use rusqlite::Connection;
use support::{made, merchant, opened, pan, policy};
use vault::{Sqlite, StoreError};

#[test]
fn files_that_are_no_vault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Sqlite::open(&path), Err(StoreError::NewerSchema(99))));
    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is no database, whatever its name says, and quite long, too long to be empty").unwrap();
    assert!(matches!(Sqlite::open(&path), Err(StoreError::Database(_))));
    assert!(Sqlite::open(&folder.path().join("no such folder/vault.db")).is_err());
}

/// A copy made while the vault serves; restored, it gets new data keys before it takes a token.
#[test]
fn backup_and_restore() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (vault, shop) = (made(folder.path()), policy("shop"));
    let token = vault.tokenize(&shop, &pan(1), None).unwrap();
    let copy = restored.path().join("vault.db");
    let other = Connection::open(folder.path().join("vault.db")).unwrap();
    other.execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
    vault.tokenize(&shop, &pan(2), None).unwrap();
    let vault = opened(restored.path());
    vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    assert_eq!(vault.tokenize(&shop, &pan(1), None).unwrap(), token);
    vault.tokenize(&shop, &pan(3), None).unwrap();
    let found = vault.verify().unwrap();
    assert_eq!((found.rows, found.problems.len()), (2, 0));
}
