//! One derivation step: the 16 or 32 bytes that are encrypted under the parent key (X9.24-3:2017, 6.3.2 and 6.3.3).

/// The size of an AES key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyType {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeyType {
    /// Length of the key in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    // Table 3 (algorithm) and the length in bits.
    fn algorithm_and_bits(self) -> [u8; 4] {
        match self {
            Self::Aes128 => [0x00, 0x02, 0x00, 0x80],
            Self::Aes192 => [0x00, 0x03, 0x00, 0xC0],
            Self::Aes256 => [0x00, 0x04, 0x01, 0x00],
        }
    }
}

/// What a device's data keys are for, named from the device's side (X9.24-3:2017, table 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataUsage {
    /// `3000`: the device encrypts, we decrypt.
    Encrypt,
    /// `3002`: one key for both ways.
    Both,
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

/// What the key that a step yields may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Derive further keys, nothing else.
    Derive,
    /// Decrypt data, nothing else.
    Decrypt,
}

/// One step: the derivation data, and the type and purpose of the key it yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Derivation {
    data: [u8; 32],
    key_type: KeyType,
    purpose: Purpose,
}

impl Derivation {
    /// The derivation data: 16 bytes, or 32 for keys longer than 16 bytes. AES-ECB under the parent key turns it
    /// into the child key, cut to the child's length from the left.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match self.key_type {
            KeyType::Aes128 => &self.data[..16],
            _ => &self.data,
        }
    }

    /// The type of the key that this step yields.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What that key may do.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    pub(super) fn initial_key(initial_key_id: [u8; 8], suite: Suite) -> Self {
        Self::new([0x80, 0x01], suite.base, initial_key_id, Purpose::Derive)
    }

    pub(super) fn register(derivation_id: [u8; 4], counter: u32, suite: Suite) -> Self {
        Self::new([0x80, 0x00], suite.base, join(derivation_id, counter), Purpose::Derive)
    }

    pub(super) fn data_key(derivation_id: [u8; 4], counter: u32, suite: Suite) -> Self {
        let usage = match suite.usage {
            DataUsage::Encrypt => [0x30, 0x00],
            DataUsage::Both => [0x30, 0x02],
        };
        Self::new(usage, suite.data, join(derivation_id, counter), Purpose::Decrypt)
    }

    fn new(usage: [u8; 2], key_type: KeyType, tail: [u8; 8], purpose: Purpose) -> Self {
        let mut data = [0; 32];
        for (block, number) in data.chunks_exact_mut(16).zip(1..) {
            block[0] = 0x01;
            block[1] = number;
            block[2..4].copy_from_slice(&usage);
            block[4..8].copy_from_slice(&key_type.algorithm_and_bits());
            block[8..].copy_from_slice(&tail);
        }
        Self { data, key_type, purpose }
    }
}

fn join(derivation_id: [u8; 4], counter: u32) -> [u8; 8] {
    let mut tail = [0; 8];
    tail[..4].copy_from_slice(&derivation_id);
    tail[4..].copy_from_slice(&counter.to_be_bytes());
    tail
}
