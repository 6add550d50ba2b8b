//! Keyed tokens: the same card number gives the same token for one merchant, and nothing leads back.

use alloc::{string::String, vec::Vec};
use core::{
    fmt,
    hash::{Hash, Hasher},
};

use dukpt::{Key, KeyError, KeyId, KeyStore};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Pan;

/// Makes merchant-scoped tokens with an HMAC key of the store.
///
/// A token is `tok_` and the first 16 bytes, in lower-case hex, of
/// HMAC-SHA-256(key, `p2pe-crypto keyed token v1` ‖ `00` ‖ merchant length (2, big endian) ‖ merchant ‖ PAN digits).
/// It is irreversible without the key, and a keyed hash in the sense of PCI DSS v4, 3.5.1.1. It never looks like a card
/// number.
#[derive(Debug)]
pub struct Tokenizer<S> {
    store: S,
    key: KeyId,
}

impl<S: KeyStore> Tokenizer<S> {
    /// Over a store (or a reference to one) and the name of an HMAC key in it.
    pub fn new(store: S, key: KeyId) -> Self {
        Self { store, key }
    }

    /// The token of a card number at one merchant.
    ///
    /// # Errors
    /// What the store says: [`KeyError::NotFound`], [`KeyError::NotPermitted`] for a key that is not an HMAC key.
    pub fn token(&self, merchant: &MerchantId, pan: &Pan) -> Result<Token, KeyError> {
        const DOMAIN: &[u8] = b"p2pe-crypto keyed token v1\0";
        let merchant = merchant.0.as_bytes();
        // The length keeps (merchant, PAN) pairs apart that would read alike when joined.
        let length = u16::try_from(merchant.len()).map_err(|_| KeyError::BadLength)?.to_be_bytes();
        let mut message = Zeroizing::new(Vec::with_capacity(DOMAIN.len() + 2 + merchant.len() + 19));
        for part in [DOMAIN, &length, merchant, pan.as_bytes()] {
            message.extend_from_slice(part);
        }
        let mac = self.store.key(&self.key)?.hmac_sha256(&message)?;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac[..16]);
        Ok(Token(bytes))
    }
}

/// The merchant a token is for: 1 to 64 bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MerchantId(String);

impl MerchantId {
    /// # Errors
    /// [`MerchantIdError`] unless 1 to 64 bytes without control characters.
    pub fn new(id: &str) -> Result<Self, MerchantIdError> {
        if !(1..=64).contains(&id.len()) || id.chars().any(char::is_control) {
            return Err(MerchantIdError);
        }
        Ok(Self(id.into()))
    }
}

/// Not the name of a merchant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a merchant id has 1 to 64 bytes and no control characters")]
pub struct MerchantIdError;

impl MerchantIdError {
    /// A stable name, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "merchant_format"
    }
}

/// What a merchant keeps in place of a card number. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct Token([u8; 16]);

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tok_")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}
