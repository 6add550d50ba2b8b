//! What a payload turns into: the card's data, in wiped memory.

mod brand;
mod check_character;
mod data;
mod emv;
mod grammar;
mod jis;
pub(crate) mod packed;
pub(crate) mod pan;
mod reader;
pub(crate) mod tags;

pub use brand::Brand;
pub use check_character::Charset;
pub use data::{
    CardData, Entry, Expiry, ExpiryError, JisStripe, SecurityCode, SensitiveData, ServiceCode, Track, TrackNumber,
};
pub use emv::ChipData;
pub(crate) use pan::luhn_sum;
pub use pan::{Pan, PanError, Truncated};
pub(crate) use reader::Reader;
