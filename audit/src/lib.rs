#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod audited;
mod error;
mod folder;
mod key;
mod line;
mod log;
mod record;
mod verify;
mod writer;

pub use audited::Audited;
pub use error::AuditError;
pub use key::AuditedKey;
pub use log::{Log, Options, Sync};
pub use record::{Event, Label, LabelError, Record};
pub use verify::{Fault, Seals, Verified, verify};
