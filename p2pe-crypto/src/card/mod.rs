//! What a payload turns into: the card's data, in wiped memory.

mod check_character;
mod data;
mod grammar;
mod jis;
mod pan;
mod reader;

pub use data::{CardData, Entry, Expiry, JisStripe, SecurityCode, SensitiveData, ServiceCode, Track, TrackNumber};
pub use pan::{Pan, PanError};
pub(crate) use reader::Reader;
