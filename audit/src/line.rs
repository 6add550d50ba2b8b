//! One record as one line of JSON. The hash at its end is of the line's own bytes, so that what is checked is what
//! stands in the file, whatever a JSON parser would make of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Fault;

/// No line is longer, in bytes.
pub(crate) const LONGEST: usize = 2048;

/// SHA-256 of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// What the first line has before it.
    pub(crate) const NONE: Self = Self([0; 32]);

    /// Only the form that [`Hash::to_hex`] writes: another would be a change that no hash shows.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes)).filter(|hash| hash.to_hex().as_bytes() == digits)
    }

    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

/// The fields of a record. `event` is that of a [`crate::Record`], `seal` or `recovered`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub(crate) seq: u64,
    pub(crate) time: String,
    pub(crate) actor: String,
    pub(crate) event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ksn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custody: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    /// Bytes of a line that a crash cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<u64>,
    /// HMAC of the chain before this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seal: Option<String>,
    pub(crate) result: String,
    pub(crate) prev: String,
}

const HASH_FIELD: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";

/// A line without its end of line, and its hash.
pub(crate) fn encode(body: &Body) -> Result<(Vec<u8>, Hash), serde_json::Error> {
    let mut line = serde_json::to_vec(body)?;
    line.pop(); // the closing brace comes behind the hash
    let hash = Hash(Sha256::digest(&line).into());
    line.extend_from_slice(HASH_FIELD);
    line.extend_from_slice(hash.to_hex().as_bytes());
    line.extend_from_slice(END);
    Ok((line, hash))
}

/// What a line says, once its own hash is right.
pub(crate) struct Line {
    pub(crate) body: Body,
    pub(crate) prev: Hash,
    pub(crate) hash: Hash,
}

impl Line {
    pub(crate) fn decode(line: &[u8]) -> Result<Self, Fault> {
        let (head, hash) = split(line).ok_or(Fault::NoRecord)?;
        if Hash(Sha256::digest(head).into()) != hash {
            return Err(Fault::Changed);
        }
        let body: Body = serde_json::from_slice(&[head, b"}"].concat()).map_err(|_| Fault::NoRecord)?;
        let prev = Hash::from_hex(body.prev.as_bytes()).ok_or(Fault::NoRecord)?;
        Ok(Self { body, prev, hash })
    }
}

/// The line's bytes before the hash field, and the hash.
fn split(line: &[u8]) -> Option<(&[u8], Hash)> {
    let rest = line.strip_suffix(END)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    Some((rest.strip_suffix(HASH_FIELD)?, Hash::from_hex(digits)?))
}

/// What a seal authenticates: all lines before the one that carries it.
pub(crate) fn sealed(seq: u64, prev: Hash) -> [u8; 58] {
    let mut data = [0; 58];
    data[..18].copy_from_slice(b"p2pe audit seal 1\0");
    data[18..26].copy_from_slice(&seq.to_be_bytes());
    data[26..].copy_from_slice(&prev.0);
    data
}
