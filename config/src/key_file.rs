//! Keys and components in files of hex digits.

use std::{
    io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::read_file_wiped;

/// Longest key file in bytes: the longest key (HMAC, 256 bytes) in hex, with room for white space.
const LONGEST: usize = 4096;

/// Hex digits of the shortest key.
const SHORTEST: usize = 32;

/// Why a file gives no key. What it holds is not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The path looks like the key itself. It is not shown.
    #[error("where the path of its file should be stands what looks like the key itself")]
    InPlaceOfPath,
    /// The file cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    /// It holds something else.
    #[error("{}: not a key in hex digits", .0.display())]
    NotHex(PathBuf),
}

/// Reads a key or a component from a file as [`key_from_hex`] does.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    // The path is in every other error.
    if looks_like_key(path) {
        return Err(KeyFileError::InPlaceOfPath);
    }
    let text = read_file_wiped(path, LONGEST).map_err(|error| KeyFileError::Read(path.into(), error))?;
    key_from_hex(&text).ok_or_else(|| KeyFileError::NotHex(path.into()))
}

/// Whether a path names no file and is a key in hex digits, however they are grouped.
fn looks_like_key(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'-' | b':');
    let digits = name.iter().filter(|byte| !between(byte));
    digits.clone().all(u8::is_ascii_hexdigit) && digits.count() >= SHORTEST && !path.exists()
}

/// Reads a key or a component from hex digits with white space anywhere between them. Every buffer is wiped. `None` if
/// there is anything else.
#[must_use]
pub fn key_from_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
    digits.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
    hex::decode_to_slice(&*digits, &mut bytes).ok()?;
    Some(bytes)
}
