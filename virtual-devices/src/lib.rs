#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod card;
mod chip;
mod crc;
mod device;
mod emission;
mod format;
mod hex;
mod keys;
mod model;
mod setting;
mod setup;
mod tlv;
mod tracks;

pub use card::{Card, CardError, TEST_NUMBERS};
pub use device::VirtualDevice;
pub use emission::{Emission, Expected, Form};
pub use keys::{DeviceKey, ksn_at};
pub use model::{Model, UnknownModel};
pub use setting::Setting;
pub use setup::{Setup, SetupError};
