//! Constant-time DES and TDES, bitsliced.
#![no_std]
#![deny(unsafe_code)]

pub mod batch;
mod circuits;
pub mod lanes;
#[cfg(target_arch = "x86_64")]
pub mod narrow;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod pair;
mod rounds;
mod transpose;
#[cfg(any(test, target_arch = "x86_64"))]
mod truth;
mod word;
#[cfg(target_arch = "x86_64")]
mod x86;
pub mod x924;
