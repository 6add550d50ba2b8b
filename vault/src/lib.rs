#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address;
mod card;
mod data_keys;
mod error;
mod fingerprint;
mod issue;
mod observe;
mod open;
mod postgres;
mod records;
mod rotation;
mod seal;
mod self_test;
mod sharded;
mod sqlite;
mod store;
mod upkeep;
mod vault;

pub use address::{addresses, holds_password, open_store, open_stores};
pub use card::{Card, CardOnFile};
pub use error::VaultError;
pub use postgres::Postgres;
pub use records::{
    Asked, Changed, Claim, FingerprintKey, Header, KeyCount, Left, New, Orphan, Outcome, PolicyCount, Put, RateLimit,
    Released, Request, Row, RowId, Shard, Stats, StoreError, StoredKey, Succession,
};
pub use rotation::{PolicyRotation, Refused, Rotation};
pub use self_test::passes_self_test;
pub use sharded::ShardedVault;
pub use sqlite::Sqlite;
pub use store::VaultStore;
pub use upkeep::{Problem, Verification};
pub use vault::{KeyNames, Vault};
