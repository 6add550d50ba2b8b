//! Constant-time DES and TDES, bitsliced.
#![no_std]
#![deny(unsafe_code)]

pub mod batch;
mod circuits;
pub mod lanes;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod pair;
mod rounds;
mod transpose;
mod word;
#[cfg(target_arch = "x86_64")]
mod x86;
pub mod x924;
