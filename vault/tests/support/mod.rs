//! A vault in a temporary folder, with keys in memory: a file of SQLite, or, for the tests that `on_postgres.rs` runs once more, a
//! database of a PostgreSQL server of their own, whose URL is in the folder.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use dukpt::{KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_crypto::{MerchantId, Pan, Policy, Purpose, TokenForm};
use rusqlite::{Connection, types::Value};
use throwaway_postgres::Server;
use vault::{KeyNames, Postgres, Sqlite, Vault, VaultStore};

pub(crate) fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(crate) fn names() -> KeyNames {
    KeyNames { fingerprint: id("fingerprints"), wrapping: id("wrapping") }
}

/// The keys of a vault, made of these bytes, and a second one of each kind.
pub(crate) fn keys(fingerprint: u8, wrapping: u8) -> MemoryStore {
    let mut store = MemoryStore::new();
    for (name, kind, byte) in [
        ("fingerprints", "hmac", fingerprint),
        ("fingerprints-2", "hmac", 0x66),
        ("wrapping", "wrap", wrapping),
        ("wrapping-2", "wrap", 0x77),
        ("routing", "hmac", 0x88),
    ] {
        store.import(&id(name), &KeyMaterial::new(kind, &[byte; 32]).unwrap(), Lifetime::Session).unwrap();
    }
    store
}

pub(crate) fn on_postgres() -> bool {
    module_path!().starts_with("on_postgres")
}

/// What differs between the two languages.
pub(crate) fn by_store<T>(sqlite: T, postgres: T) -> T {
    if on_postgres() { postgres } else { sqlite }
}

pub(crate) fn database(folder: &Path) -> Arc<dyn VaultStore> {
    match on_postgres() {
        true => Arc::new(Postgres::open(&url(folder)).unwrap()),
        false => Arc::new(Sqlite::open(&folder.join("vault.db")).unwrap()),
    }
}

/// Of the folder's database on the server; the first who asks makes it.
fn url(folder: &Path) -> String {
    let file = folder.join("url");
    std::fs::read_to_string(&file).unwrap_or_else(|_| {
        let url = Server::shared().new_database().unwrap();
        std::fs::write(&file, &url).unwrap();
        url
    })
}

/// What somebody does in the database behind the vault's back; the rows that come back, values separated by `|`.
pub(crate) fn behind_its_back(folder: &Path, sql: &str) -> Vec<String> {
    if on_postgres() {
        let url = url(folder);
        let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
        let sql =
            if sql == "CHECKPOINT" { sql.into() } else { format!("SET session_replication_role = replica; {sql}") };
        return Server::shared().sql(name, &sql).unwrap().lines().map(Into::into).collect();
    }
    let connection = Connection::open(folder.join("vault.db")).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |value| match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(_) => "blob".into(),
    };
    let row = |r: &rusqlite::Row<'_>| Ok((0..columns).map(|at| text(r.get(at).unwrap())).collect::<Vec<_>>().join("|"));
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

pub(crate) fn made(folder: &Path) -> Vault<MemoryStore> {
    Vault::init(database(folder), keys(1, 2), names()).unwrap()
}

pub(crate) fn opened(folder: &Path) -> Vault<MemoryStore> {
    Vault::open(database(folder), keys(1, 2)).unwrap()
}

pub(crate) fn merchant(name: &str) -> MerchantId {
    MerchantId::new(name).unwrap()
}

pub(crate) fn policy(shop: &str) -> Policy {
    Policy::new(merchant(shop), 1, TokenForm::Vault).purposes(&[Purpose::Payment])
}

/// Test number `i`: a Visa range, with its check digit.
pub(crate) fn pan(i: u64) -> Pan {
    (0..10)
        .map(|check| format!("49999{i:010}{check}"))
        .map(|p| Pan::new(p.as_bytes()).unwrap())
        .find(Pan::luhn)
        .unwrap()
}

/// All bytes of all files in a folder, and of the server's files.
pub(crate) fn everything_in(folder: &Path) -> Vec<u8> {
    let mut folders = vec![folder.to_owned()];
    if on_postgres() {
        // What is in the server's memory only, is written.
        behind_its_back(folder, "CHECKPOINT");
        let database = behind_its_back(folder, "SELECT oid FROM pg_database WHERE datname = current_database()");
        let data = Server::shared().data();
        folders.extend([data.join("base").join(&database[0]), data.join("pg_wal")]);
    }
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let read = |path: PathBuf| match std::fs::read(path) {
        // The server renames its old logs.
        Err(error) if on_postgres() && error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.unwrap(),
    };
    files.flat_map(read).collect()
}

pub(crate) fn stands_in(secret: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}
