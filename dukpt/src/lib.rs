#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "observe")]
extern crate std;

pub mod aes;
mod bdk_name;
pub mod cache;
mod check_value;
mod clear;
mod key;
mod ksn;
mod mac;
mod material;
mod memory;
mod secret;
pub mod self_test;
mod software;
pub mod tdes;

pub use bdk_name::BdkName;
pub use check_value::{CheckMethod, CheckValue, CheckValueError};
pub use clear::Cbc;
pub use key::{Custody, Key, KeyError, KeyId, KeyIdError, KeyImport, KeyStore, Lifetime};
pub use ksn::{Exhausted, Ksn, KsnError, KsnMap, KsnPrefix, PrefixError, Scheme};
pub use mac::{MacAlgorithm, MacError, MacFormat, MacLengthError, Padding, Tag};
pub use material::{KeyKind, KeyMaterial, MaterialError};
pub use memory::{MemoryKey, MemoryStore};
