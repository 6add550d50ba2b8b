#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod folder;
mod line;
mod log;
mod record;
mod verify;

pub use error::AuditError;
pub use log::{Log, Options, Sync};
pub use record::{Event, Label, LabelError, Record};
pub use verify::{Fault, Seals, Verified, verify};
