//! The name of the merchant that a token is for.

use alloc::string::String;

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

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
