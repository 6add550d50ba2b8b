#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod file;
mod settings;
mod store;

pub use settings::{Config, ConfigError, KeyFile, StoreSettings, device};
pub use store::{Access, Store, StoreKey, TokenError, key_from_hex};
