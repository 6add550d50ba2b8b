//! Constant-time DES and TDES, bitsliced: 64 to 512 blocks at once, each under its own key if need be.
//!
//! DES is no cipher for anything new. It is what card terminals speak (TDES DUKPT, ANSI X9.24), and there one host derives
//! thousands of keys a second, each for one message of a few blocks. Bitslicing makes that fast, and it makes it safe: an
//! S-box is a circuit of logic gates, so there is no table that a key bit could index and no branch that it could take.
//!
//! - [`Des`], [`TdesEde2`], [`TdesEde3`]: the traits of the [`cipher`] crate, in place of those of the `des` crate, and
//!   `cbc_decrypt`, which has all lanes at work on one message.
//! - [`batch`]: block i under key i, and many CBC messages.
//! - [`x924`]: the key generation of TDES DUKPT for many devices.
//! - [`lanes`]: the bit planes themselves, for chains of operations of one's own.
//!
//! ```
//! use bitsliced_des::{batch, lanes::Level};
//!
//! let keys = [[0x13, 0x34, 0x57, 0x79, 0x9B, 0xBC, 0xDF, 0xF1]; 100];
//! let mut blocks = [[0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]; 100];
//! batch::des_encrypt(Level::best_for(keys.len()), &keys, &mut blocks);
//! assert_eq!(blocks[99], [0x85, 0xE8, 0x13, 0x54, 0x0F, 0x0A, 0xB4, 0x05]);
//! ```
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
mod select;
mod single;
mod transpose;
mod truth;
#[cfg(target_arch = "x86_64")]
mod turn;
mod word;
#[cfg(target_arch = "x86_64")]
mod x86;
pub mod x924;

pub use cipher;
pub use cipher_traits::{Des, TdesEde2, TdesEde3};

#[cfg(test)]
mod tests;
