//! What a payload turns into: the card's data, in wiped memory.

mod check_character;
mod data;
mod grammar;
mod pan;

pub use check_character::Charset;
pub(crate) use data::Reader;
pub use data::{CardData, Entry, Expiry, SecurityCode, SensitiveData, ServiceCode, Track, TrackNumber};
pub(crate) use pan::luhn_sum;
pub use pan::{Pan, PanError};
