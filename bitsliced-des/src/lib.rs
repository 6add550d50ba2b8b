//! Constant-time DES and TDES, bitsliced.
#![no_std]
#![deny(unsafe_code)]

pub mod batch;
mod cipher_traits;
mod circuits;
mod few;
pub mod lanes;
#[cfg(target_arch = "x86_64")]
mod narrow;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod pair;
mod rounds;
mod single;
mod transpose;
#[cfg(any(test, target_arch = "x86_64"))]
mod truth;
mod word;
#[cfg(target_arch = "x86_64")]
mod x86;
pub mod x924;

pub use cipher;
pub use cipher_traits::{Des, TdesEde2, TdesEde3};
