//! The 16 characters at the head of a block (X9.143:2021, 6.2).

use crate::{Algorithm, Exportability, KeyBlockError, KeyUsage, ModeOfUse};

/// Length of the header without optional blocks.
pub(crate) const LENGTH: usize = 16;

/// How a block is protected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// TDES, keys by variant (deprecated).
    A,
    /// TDES, keys derived with CMAC.
    B,
    /// As A, with fewer bytes of usage rules (TR-31:2010).
    C,
    /// AES, keys derived with CMAC.
    D,
    /// AES in counter mode (ISO 20038:2017).
    E,
}

impl Version {
    fn new(code: u8) -> Result<Self, KeyBlockError> {
        match code {
            b'A' => Ok(Self::A),
            b'B' => Ok(Self::B),
            b'C' => Ok(Self::C),
            b'D' => Ok(Self::D),
            b'E' => Ok(Self::E),
            _ => Err(KeyBlockError::Version),
        }
    }

    /// The character in the header.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
            Self::C => b'C',
            Self::D => b'D',
            Self::E => b'E',
        }
    }

    /// Bytes of the MAC.
    pub(crate) fn mac_length(self) -> usize {
        match self {
            Self::A | Self::C => 4,
            Self::B => 8,
            Self::D | Self::E => 16,
        }
    }

    /// Bytes that payload and header come in: a cipher block, or one in counter mode.
    pub(crate) fn block_length(self) -> usize {
        match self {
            Self::A | Self::B | Self::C => 8,
            Self::D => 16,
            Self::E => 1,
        }
    }
}

/// What a block says of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// How the block is protected.
    pub version: Version,
    /// What the key is for.
    pub usage: KeyUsage,
    /// What the key is used with.
    pub algorithm: Algorithm,
    /// What it may do.
    pub mode: ModeOfUse,
    /// Two characters: `00` for no version, `c` and a digit for a component, else a version.
    pub key_version: [u8; 2],
    /// Whether it may be exported.
    pub exportability: Exportability,
}

impl Header {
    /// Reads the fields; also returns the stated length and the number of optional blocks.
    pub(crate) fn read(text: &[u8]) -> Result<(Self, usize, usize), KeyBlockError> {
        let head: &[u8; LENGTH] = text.first_chunk().ok_or(KeyBlockError::Size)?;
        let [version, l0, l1, l2, l3, u0, u1, algorithm, mode, v0, v1, export, c0, c1, r0, r1] = *head;
        let header = Self {
            version: Version::new(version)?,
            usage: KeyUsage::new([u0, u1])?,
            algorithm: Algorithm::new(algorithm)?,
            mode: ModeOfUse::new(mode)?,
            key_version: [v0, v1],
            exportability: Exportability::new(export)?,
        };
        if [r0, r1] != *b"00" {
            return Err(KeyBlockError::Reserved);
        }
        let count = decimal(&[c0, c1]).ok_or(KeyBlockError::OptionalCount)?;
        Ok((header, decimal(&[l0, l1, l2, l3]).ok_or(KeyBlockError::LengthField)?, count))
    }

    /// The 16 characters.
    pub(crate) fn write(&self, length: usize, count: usize) -> [u8; LENGTH] {
        let mut head = [b'0'; LENGTH];
        head[0] = self.version.code();
        head[1..5].copy_from_slice(&digits::<4>(length));
        head[5..7].copy_from_slice(&self.usage.code());
        (head[7], head[8]) = (self.algorithm.code(), self.mode.code());
        head[9..11].copy_from_slice(&self.key_version);
        head[11] = self.exportability.code();
        head[12..14].copy_from_slice(&digits::<2>(count));
        head
    }
}

/// A number of decimal digits and nothing else.
fn decimal(text: &[u8]) -> Option<usize> {
    text.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + usize::from(digit - b'0')),
        _ => None,
    })
}

/// The last `N` decimal digits.
fn digits<const N: usize>(mut number: usize) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    text
}
