#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod aes;
mod check_value;
mod key;
mod ksn;
mod material;
mod memory;
mod secret;
mod software;
pub mod tdes;

pub use check_value::{CheckValue, CheckValueError};
pub use key::{Custody, Key, KeyError, KeyId, KeyIdError, KeyImport, KeyStore, Lifetime};
pub use ksn::{Ksn, KsnError, KsnMap, KsnPrefix, PrefixError, Scheme};
pub use material::{KeyKind, KeyMaterial, MaterialError};
pub use memory::{MemoryKey, MemoryStore};
