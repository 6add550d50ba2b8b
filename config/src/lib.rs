#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod file;
mod key_file;
mod pool;
mod profiles;
mod read;
mod seal;
mod settings;
mod store;
mod table;
mod token;

pub use error::ConfigError;
pub use key_file::{KeyFileError, key_from_hex, read_key_file};
pub use pool::{PoolOptions, TokenPool};
pub use read::{read_file_wiped, read_wiped};
pub use seal::{SealError, SealKey, seal_passes_self_test};
pub use settings::{AuditSettings, Config, KeyFile, StoreSettings, device, key_id};
pub use store::{Access, Store, StoreKey, TokenError};
pub use token::{TokenSettings, TokenSettingsError};
