//! A key on its way out: blocks of versions B and D.

use alloc::{string::String, vec::Vec};

use dukpt::{Cbc, aes::WorkingKeyType};
use zeroize::Zeroizing;

use crate::{
    Algorithm, Header, KeyBlockError, OptionalBlock, ProtectionKey, Version, block, optional, protection::BlockKeys,
};

/// Wraps a key. The payload is as long as that of the algorithm's longest key, so that its length tells nothing.
/// `random` fills the padding.
///
/// # Errors
/// [`KeyBlockError::Unsupported`] for versions A, C and E and for other algorithms than TDES, AES and HMAC;
/// [`KeyBlockError::ProtectionKey`]; [`KeyBlockError::KeyLength`]; [`KeyBlockError::TooStrong`];
/// [`KeyBlockError::OptionalLength`] for an optional block over 251 characters, and others of the optional blocks;
/// [`KeyBlockError::Key`].
pub fn wrap(
    header: &Header,
    optional: &[OptionalBlock],
    key: &[u8],
    protection_key: &impl ProtectionKey,
    random: impl FnOnce(&mut [u8]),
) -> Result<String, KeyBlockError> {
    if !matches!(header.version, Version::B | Version::D) {
        return Err(KeyBlockError::Unsupported("new key blocks of this version"));
    }
    let (strength, longest) = of_key(header.algorithm, key.len())?;
    if strength > protection_key.key_type().strength() {
        return Err(KeyBlockError::TooStrong);
    }
    let keys = BlockKeys::of(protection_key, header.version)?;
    let (optional, count) = optional::write(optional, header.version).ok_or(KeyBlockError::OptionalLength)?;

    let bits = u16::try_from(8 * key.len()).map_err(|_| KeyBlockError::KeyLength)?;
    let mut payload = Zeroizing::new(alloc::vec![0; (2 + longest).next_multiple_of(header.version.block_length())]);
    payload[..2].copy_from_slice(&bits.to_be_bytes());
    payload[2..2 + key.len()].copy_from_slice(key);
    random(&mut payload[2 + key.len()..]);

    let length = crate::header::LENGTH + optional.len() + 2 * (payload.len() + header.version.mac_length());
    if length > block::LONGEST {
        return Err(KeyBlockError::Size);
    }
    let head = [&header.write(length, count)[..], &optional].concat();
    let mac = block::cmac(&keys, &head, &payload)?;
    Cbc::Encrypt.under_clear_key(keys.key_type, &keys.encryption, &block::first(&mac), &mut payload)?;

    let digits = payload.iter().chain(&mac).flat_map(|byte| [byte >> 4, byte & 15]);
    let digits =
        digits.filter_map(|nibble| char::from_digit(nibble.into(), 16)).map(|digit| digit.to_ascii_uppercase());
    let text: String = head.iter().map(|byte| char::from(*byte)).chain(digits).collect();
    // What is not well formed, as an optional block with odd characters, does not leave.
    block::KeyBlock::parse(text.as_bytes()).map(|_| text)
}

/// Strength in bits of a key, and the length of the algorithm's longest one.
fn of_key(algorithm: Algorithm, length: usize) -> Result<(u32, usize), KeyBlockError> {
    use dukpt::aes::KeyType::{Aes128, Aes192, Aes256};
    let types: &[WorkingKeyType] = match algorithm {
        Algorithm::Tdes => &[WorkingKeyType::Tdes2, WorkingKeyType::Tdes3],
        Algorithm::Aes => &[WorkingKeyType::Aes(Aes128), WorkingKeyType::Aes(Aes192), WorkingKeyType::Aes(Aes256)],
        Algorithm::Hmac => &[WorkingKeyType::Hmac128, WorkingKeyType::Hmac192, WorkingKeyType::Hmac256],
        _ => return Err(KeyBlockError::Unsupported("new key blocks with keys of this algorithm")),
    };
    let of_length = types.iter().find(|key_type| key_type.length() == length).ok_or(KeyBlockError::KeyLength)?;
    let longest: Vec<usize> = types.iter().map(|key_type| key_type.length()).collect();
    Ok((of_length.strength(), longest.into_iter().max().unwrap_or(length)))
}
