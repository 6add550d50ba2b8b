#![doc = include_str!("../README.md")]

mod check_value;
mod direct;
mod dukpt_mechanisms;
mod error;
mod failure;
mod fault;
mod import;
mod inventory;
mod key;
mod key_set;
mod kind;
mod module;
mod observe;
mod period;
mod pin;
mod pool;
mod selector;
mod self_test;
mod settings;
mod store;
mod token;
mod uri;

pub use error::OpenError;
pub use fault::Fault;
pub use inventory::KeyEntry;
pub use key::Pkcs11Key;
pub use period::{Cryptoperiod, Date, DateError, KeyState};
pub use pin::PinSource;
pub use pool::{Health, HealthState, LastFault, PlainStores, Pool, PoolError, PoolSettings, ShardHealth, Workshop};
pub use selector::TokenSelector;
pub use settings::Settings;
pub use store::Pkcs11Store;
pub use token::{Token, TokenInfo};
pub use uri::UriError;
