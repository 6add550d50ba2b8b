#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod installed;
mod server;

pub use error::Error;
pub use installed::find_programs;
pub use server::{Server, Settings};
