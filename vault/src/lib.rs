#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod open;
mod rotation;
mod seal;
mod sqlite;
mod store;
mod upkeep;
mod vault;

pub use error::VaultError;
pub use rotation::Rotation;
pub use sqlite::Sqlite;
pub use store::{
    Asked, Header, KeyCount, Outcome, Put, RateLimit, Released, Resealed, Row, RowId, Stats, StoreError, StoredKey,
    VaultStore,
};
pub use upkeep::{Problem, Verification};
pub use vault::{KeyNames, Vault};
