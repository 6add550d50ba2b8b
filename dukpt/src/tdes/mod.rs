//! TDES DUKPT (ANSI X9.24-1:2009, Annex A): the host side, from the initial key of one device to its data keys.

mod keys;
mod ksn;

pub use keys::{Cipher, DataKey, InitialKey, Variant};
pub use ksn::Ksn;

/// Turns a key into the one whose output is the right half of the next key (X9.24-1:2009, A.2 and A.6), 16 bytes.
pub(crate) const VARIANT_C0: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];
