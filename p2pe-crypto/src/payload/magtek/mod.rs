//! MagTek: the stream and the report of swipe readers, and the TLV of chip readers.

mod report;
mod stream;
mod tlv;

pub use report::Report;
pub use stream::Stream;
pub use tlv::Message;

use super::{EncryptedField, Holds, PayloadError};
use crate::TrackNumber;

/// A track with its masked copy. Its true length is not told: these tracks end in their end sentinel, with no check
/// character behind it.
fn track<'p>(number: TrackNumber, ciphertext: &'p [u8], masked: Option<&'p [u8]>) -> EncryptedField<'p> {
    EncryptedField::new(ciphertext, Holds::Track { number: Some(number), length: None, masked })
}

/// Whole TDES blocks around a text of this length.
fn fits(ciphertext: &[u8], masked: Option<&[u8]>) -> Result<(), PayloadError> {
    let wrong = |masked: &[u8]| masked.len().next_multiple_of(8) != ciphertext.len();
    if !ciphertext.len().is_multiple_of(8) || ciphertext.len() > 112 || masked.is_some_and(wrong) {
        return Err(PayloadError::CiphertextLength);
    }
    Ok(())
}
