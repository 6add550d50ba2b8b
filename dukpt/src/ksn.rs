//! Key serial numbers of either scheme, and the map from their prefixes to whatever a population of devices shares.

use alloc::collections::BTreeMap;
use core::fmt;

use crate::{aes, tdes};

/// Which DUKPT a KSN belongs to. Its length says so: 12 bytes are AES, 10 (or 8) are TDES.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scheme {
    /// ANSI X9.24-1:2009, TDES keys. The data may still be AES encrypted under such a key.
    Tdes,
    /// ANSI X9.24-3:2017, AES keys.
    Aes,
}

/// The key serial number that a device sends with each transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ksn {
    /// 10 bytes.
    Tdes(tdes::Ksn),
    /// 12 bytes.
    Aes(aes::Ksn),
}

impl Ksn {
    /// The KSN of a received transaction: 12 bytes are AES DUKPT, 10 and 8 bytes TDES DUKPT.
    ///
    /// # Errors
    /// [`KsnError`] for another length, for too many counter bits and for counter zero.
    pub fn of_transaction(bytes: &[u8]) -> Result<Self, KsnError> {
        let ksn = match bytes.len() {
            12 => Self::Aes(aes::Ksn::try_from(bytes)?),
            _ => Self::Tdes(tdes::Ksn::try_from(bytes)?),
        };
        if ksn.counter() == 0 {
            return Err(KsnError::CounterZero);
        }
        Ok(ksn)
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Tdes(_) => Scheme::Tdes,
            Self::Aes(_) => Scheme::Aes,
        }
    }

    /// The transaction counter: 21 bits (TDES) or 32 bits (AES).
    #[must_use]
    pub fn counter(&self) -> u32 {
        match self {
            Self::Tdes(ksn) => ksn.counter(),
            Self::Aes(ksn) => ksn.counter(),
        }
    }

    /// The 10 or 12 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Tdes(ksn) => ksn.as_bytes(),
            Self::Aes(ksn) => ksn.as_bytes(),
        }
    }
}

impl fmt::Display for Ksn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.as_bytes(), f)
    }
}

/// A KSN that names no transaction key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KsnError {
    /// Not 10 bytes (or 8) for TDES, nor 12 for AES.
    #[error("a KSN has 8, 10 (TDES) or 12 (AES) bytes, not {0}")]
    Length(usize),
    /// More counter bits than a device ever sets: 10 for TDES, 16 for AES.
    #[error("the KSN's counter has {0} bits set: more than any device uses")]
    CounterBits(u32),
    /// Counter zero is the state before the first transaction.
    #[error("the KSN's counter is zero: no transaction has that key")]
    CounterZero,
}

impl KsnError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "ksn_length",
            Self::CounterBits(_) => "counter_bits",
            Self::CounterZero => "counter_zero",
        }
    }
}

/// A device has used its last counter: it ends its life, or gets a new initial key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the device has used its last counter")]
pub struct Exhausted;

/// The leading bytes of a KSN that a population of devices shares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KsnPrefix {
    scheme: Scheme,
    length: u8,
    bytes: [u8; 8],
}

impl KsnPrefix {
    /// A prefix of 1 to 7 bytes (TDES: the eighth holds counter bits) or 1 to 8 bytes (AES: the initial key id).
    ///
    /// # Errors
    /// [`PrefixError`] for another length.
    pub fn new(scheme: Scheme, prefix: &[u8]) -> Result<Self, PrefixError> {
        let longest = match scheme {
            Scheme::Tdes => 7,
            Scheme::Aes => 8,
        };
        let length = u8::try_from(prefix.len()).map_err(|_| PrefixError)?;
        if !(1..=longest).contains(&length) {
            return Err(PrefixError);
        }
        let mut bytes = [0; 8];
        bytes[..prefix.len()].copy_from_slice(prefix);
        Ok(Self { scheme, length, bytes })
    }

    /// The default prefix of a device's population: TDES the first 5 bytes, AES the 4-byte BDK id.
    #[must_use]
    pub fn of(ksn: &Ksn) -> Self {
        match ksn {
            Ksn::Tdes(_) => Self::cut(ksn, 5),
            Ksn::Aes(_) => Self::cut(ksn, 4),
        }
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether one of the two prefixes is the beginning of the other, so that a KSN may have both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, two) = (self.as_bytes(), other.as_bytes());
        self.scheme == other.scheme && (one.starts_with(two) || two.starts_with(one))
    }

    /// The prefix bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn cut(ksn: &Ksn, length: u8) -> Self {
        let mut bytes = [0; 8];
        let kept = usize::from(length);
        bytes[..kept].copy_from_slice(&ksn.as_bytes()[..kept]);
        Self { scheme: ksn.scheme(), length, bytes }
    }
}

impl fmt::Display for KsnPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.as_bytes(), f)
    }
}

/// A KSN prefix that is empty or reaches into the counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a KSN prefix has 1 to 7 bytes (TDES) or 1 to 8 bytes (AES)")]
pub struct PrefixError;

/// KSN prefixes and what each stands for (a base key and a device profile); the longest prefix wins.
///
/// ```
/// use dukpt::{Ksn, KsnMap, KsnPrefix, Scheme};
///
/// let mut populations = KsnMap::new();
/// populations.insert(KsnPrefix::new(Scheme::Tdes, &[0xFF, 0xFF, 0x98, 0x76, 0x54])?, "bdk-2025");
/// populations.insert(KsnPrefix::new(Scheme::Tdes, &[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32])?, "bdk-2026");
///
/// let ksn = Ksn::of_transaction(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x01])?;
/// assert_eq!(populations.get(&ksn), Some(&"bdk-2026"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KsnMap<T>(BTreeMap<KsnPrefix, T>);

impl<T> KsnMap<T> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a prefix; returns what the same prefix stood for before.
    pub fn insert(&mut self, prefix: KsnPrefix, value: T) -> Option<T> {
        self.0.insert(prefix, value)
    }

    /// What the longest matching prefix stands for.
    #[must_use]
    pub fn get(&self, ksn: &Ksn) -> Option<&T> {
        (1..=8).rev().find_map(|length| self.0.get(&KsnPrefix::cut(ksn, length)))
    }

    /// All prefixes with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&KsnPrefix, &T)> {
        self.0.iter()
    }
}

impl<T> Default for KsnMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
}
