//! What a population of devices was set up with.

use super::{KeyType, Usage};

/// What a device's data keys are for, named from the device's side (X9.24-3:2017, table 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataUsage {
    /// `3000`: the device encrypts, we decrypt.
    Encrypt,
    /// `3002`: one key for both ways.
    Both,
}

impl From<DataUsage> for Usage {
    fn from(usage: DataUsage) -> Self {
        match usage {
            DataUsage::Encrypt => Self::DataEncrypt,
            DataUsage::Both => Self::DataBoth,
        }
    }
}

/// The sizes of base and data key, and the usage of the data key: what a device population was set up with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Suite {
    base: KeyType,
    data: KeyType,
    usage: DataUsage,
}

impl Suite {
    /// # Errors
    /// [`SuiteError`] if the data key would be stronger than the base key (X9.24-3:2017, 6.3.1).
    pub fn new(base: KeyType, data: KeyType, usage: DataUsage) -> Result<Self, SuiteError> {
        if data > base {
            return Err(SuiteError);
        }
        Ok(Self { base, data, usage })
    }

    /// The size of the base key, and so of every derivation key.
    #[must_use]
    pub fn base(&self) -> KeyType {
        self.base
    }

    /// The size of the data key.
    #[must_use]
    pub fn data(&self) -> KeyType {
        self.data
    }

    /// What the data key is for.
    #[must_use]
    pub fn usage(&self) -> DataUsage {
        self.usage
    }
}

/// A data key must not be stronger than the key it is derived from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the data key would be stronger than the base key")]
pub struct SuiteError;
