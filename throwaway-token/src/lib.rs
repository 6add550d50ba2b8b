#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod installed;
mod process;
mod token;

pub use error::Error;
pub use installed::{find_library, find_module, skipped};
pub use process::{Process, isolated, isolated_with, reexec_with_token};
pub use token::ThrowawayToken;
