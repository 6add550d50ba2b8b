//! The yardstick: rows like the vault's, inserted with one prepared statement.

use std::path::Path;

use p2pe_benches::merchant;
use rusqlite::{Connection, TransactionBehavior, params};
use vault::Sqlite;

/// A database with the vault's schema and pragmas.
pub(crate) struct Bare {
    connection: Connection,
    random: u64,
    nonce: u64,
}

impl Bare {
    pub(crate) fn new(path: &Path) -> Self {
        drop(Sqlite::open(path).expect("a database"));
        let connection = Connection::open(path).expect("a database");
        for (pragma, value) in [
            ("journal_mode", "WAL"),
            ("synchronous", "FULL"),
            ("foreign_keys", "ON"),
            ("secure_delete", "ON"),
            ("cache_size", "-65536"),
        ] {
            connection.pragma_update(None, pragma, value).expect("a pragma");
        }
        let sql = "INSERT INTO data_keys VALUES (?, 1, 'wrapping', zeroblob(40), 4294967296)";
        connection.execute(sql, [merchant().as_str()]).expect("a data key");
        Self { connection, random: 1, nonce: 0 }
    }

    /// So many new rows in one transaction.
    pub(crate) fn insert(&mut self, rows: usize) {
        let merchant = merchant();
        let (random, nonce) = (&mut self.random, &mut self.nonce);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("a transaction");
        let sql = "INSERT INTO tokens (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, \
                   key_version, nonce, sealed, ends, single_use) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut statement = transaction.prepare_cached(sql).expect("a statement");
        for _ in 0..rows {
            let (id, print): ([u8; 16], [u8; 32]) = (bytes(random), bytes(random));
            let token = format!("vtok_{}", hex(&bytes::<16>(random)));
            *nonce += 1;
            let sealed = [0x5Au8; 38];
            let values =
                params![id, merchant.as_str(), 1, token, 1, print, print, 1, *nonce, sealed, None::<u64>, false];
            statement.execute(values).expect("a row");
        }
        drop(statement);
        transaction.commit().expect("a commit");
    }
}

/// As many as random ones, at next to no cost.
pub(crate) fn bytes<const N: usize>(state: &mut u64) -> [u8; N] {
    let mut bytes = [0; N];
    for eight in bytes.chunks_exact_mut(8) {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        eight.copy_from_slice(&(*state ^ (*state >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes());
    }
    bytes
}

pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
