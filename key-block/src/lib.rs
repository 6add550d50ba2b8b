#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod error;
mod header;
mod optional;
mod protection;
mod usage;
mod wrap;

pub use block::{KeyBlock, UnwrappedKey};
pub use error::KeyBlockError;
pub use header::{Header, Version};
pub use optional::OptionalBlock;
pub use protection::{ClearProtectionKey, ProtectionKey, StoredProtectionKey};
pub use usage::{Algorithm, Exportability, KeyUsage, ModeOfUse};
pub use wrap::wrap;
