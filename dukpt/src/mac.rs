//! Message authentication: which MAC a device sends, its length on the wire, and the comparison.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{KeyError, aes::WorkingKeyType, clear::ClearKey};

/// How a message is authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MacAlgorithm {
    /// The retail MAC of two-key TDES (ISO/IEC 9797-1:2011, algorithm 3; ANSI X9.19), 8 bytes.
    Retail(Padding),
    /// CMAC (NIST SP 800-38B): 8 bytes under a TDES key, 16 under an AES key.
    Cmac,
    /// HMAC-SHA-256 (RFC 2104), 32 bytes.
    HmacSha256,
}

/// How the retail MAC fills the last block (ISO/IEC 9797-1:2011, 7.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Padding {
    /// Method 1: zeros, none behind a whole block; a message and the same message with zeros have one MAC.
    Zeros,
    /// Method 2: `80`, then zeros; always at least one byte.
    OneThenZeros,
}

impl MacAlgorithm {
    /// The whole MAC under a clear key: for tests and virtual devices. Real keys belong in a store.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for bytes that are no key of this type; [`KeyError::NotPermitted`] for a type that the
    /// algorithm does not take.
    pub fn under_clear_key(self, key_type: WorkingKeyType, key: &[u8], data: &[u8]) -> Result<Tag, KeyError> {
        ClearKey::new(key_type, key)?.mac(self, data)
    }

    /// Length of the longest tag in bytes.
    fn longest(self) -> usize {
        match self {
            Self::Retail(_) => 8,
            Self::Cmac => 16,
            Self::HmacSha256 => 32,
        }
    }
}

/// A MAC as a payload carries it: the algorithm, and how many of its leading bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MacFormat {
    algorithm: MacAlgorithm,
    length: usize,
}

impl MacFormat {
    /// The first `length` bytes of the MAC: 4 or more. Retail MACs are often cut to 4; NIST SP 800-38B, A.2, advises
    /// 8 or more wherever nothing else limits how often a forger may guess.
    ///
    /// # Errors
    /// [`MacLengthError`] for under 4 bytes, or more than the algorithm has.
    pub fn new(algorithm: MacAlgorithm, length: usize) -> Result<Self, MacLengthError> {
        if !(4..=algorithm.longest()).contains(&length) {
            return Err(MacLengthError);
        }
        Ok(Self { algorithm, length })
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// How many bytes are sent.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Cuts a whole MAC to the length that is sent.
    pub(crate) fn cut(&self, mut whole: Tag) -> Result<Tag, KeyError> {
        if self.length > whole.length {
            return Err(KeyError::BadLength);
        }
        whole.length = self.length;
        Ok(whole)
    }

    /// Compares the computed MAC with the received one in constant time.
    pub(crate) fn compare(&self, whole: Tag, received: &[u8]) -> Result<(), MacError> {
        // The lengths are public; of different ones, `ct_eq` says no.
        if bool::from(self.cut(whole)?.as_bytes().ct_eq(received)) { Ok(()) } else { Err(MacError::Mismatch) }
    }
}

/// A length that no MAC of the algorithm has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a MAC has 4 to 8 (retail), 16 (CMAC) or 32 (HMAC) bytes")]
pub struct MacLengthError;

/// A computed MAC, 4 to 32 bytes. Wiped on drop, never compared but in constant time.
#[expect(missing_debug_implementations, reason = "is what an attacker must not learn")]
pub struct Tag {
    bytes: Zeroizing<[u8; 32]>,
    length: usize,
}

impl Tag {
    /// A whole MAC, as a store computed it.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] unless 4 to 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if !(4..=32).contains(&bytes.len()) {
            return Err(KeyError::BadLength);
        }
        let mut tag = Self { bytes: Zeroizing::new([0; 32]), length: bytes.len() };
        tag.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(tag)
    }

    /// The bytes, to be sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Why a message is not taken as authentic.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MacError {
    /// The MAC is not that of the message under this key, or has another length than the format says.
    #[error("the MAC does not fit the message")]
    Mismatch,
    /// The MAC could not be computed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl MacError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mismatch => "mac_mismatch",
            Self::Key(error) => error.code(),
        }
    }
}
