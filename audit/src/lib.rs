#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod entry;
mod error;
mod folder;
mod line;
mod log;
mod verify;

pub use entry::{Entry, Event, Label, LabelError};
pub use error::AuditError;
pub use log::{Log, Options, Sync};
pub use verify::{Fault, Seals, Verified, verify};
