//! TDES DUKPT (ANSI X9.24-1:2009, Annex A), from the initial key of one device to its working keys.

mod batch;
pub mod chinese;
mod keys;
mod ksn;
pub mod terminal;
mod trial;
mod working;

pub use batch::DataKeys;
pub use keys::{InitialKey, TransactionKey};
pub use ksn::Ksn;
pub use trial::{TrialBase, TrialKeys, TrialWorking};
pub use working::{Cipher, DataEncryptionKey, DataKey, MacGenerationKey, MacVerificationKey, PinKey, Variant};

/// Turns a key into the one whose output is the right half of the next key (X9.24-1:2009, A.2 and A.6), 16 bytes.
pub(crate) const VARIANT_C0: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];
