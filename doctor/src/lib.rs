#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cause;
mod clear_text;
mod diagnosis;
mod doctor;
mod explain;
mod fact;
mod inspect;
mod intake;
mod specimen;
mod trial;

pub use cause::{Cause, Code};
pub use diagnosis::{Diagnosis, Finding};
pub use doctor::Doctor;
pub use fact::Fact;
pub use intake::Case;
