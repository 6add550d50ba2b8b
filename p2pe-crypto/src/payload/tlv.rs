//! BER-TLV objects over borrowed bytes (X.690, 8.1; EMV Book 3, Annex B), and ID TECH's use of the length byte.

use alloc::vec::Vec;
use core::fmt;

/// Containers inside one another that are followed. Devices nest five.
const DEPTH: usize = 8;
/// Bytes of the longest tag and of the longest length that are read.
const LONGEST: usize = 4;

/// A tag of one to four bytes, written as one number: `57`, `5F24`, `DFEE12`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// The tag with these bytes, the first one in the highest place that is used.
    #[must_use]
    pub const fn new(tag: u32) -> Self {
        Self(tag)
    }

    /// The tag as a number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    fn first_byte(self) -> u8 {
        self.0.to_be_bytes().into_iter().find(|&byte| byte != 0).unwrap_or(0)
    }

    /// Whether the value is made of objects (X.690, 8.1.2.5).
    fn is_constructed(self, lengths: Lengths) -> bool {
        // ID TECH's KSN and track texts are plain values in spite of the bit.
        let primitive = lengths == Lengths::IdTech && matches!(self.0, 0xFF_EE12..=0xFF_EE14);
        self.first_byte() & 0x20 != 0 && !primitive
    }
}

/// Upper-case hex digits.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

/// How a first length byte above `7F` is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lengths {
    /// `8n`: n length bytes follow. They need not be as few as possible.
    Ber,
    /// ID TECH: bit 6 says encrypted, bit 5 masked, the five below how many length bytes follow. `82` is plain BER.
    IdTech,
}

/// What a device did to a value. Only ID TECH's lengths tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Nothing is said: the value is what the tag means.
    Plain,
    /// A copy with parts of it covered.
    Masked,
    /// Ciphertext.
    Encrypted,
}

/// One object: tag and value, borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "may hold a card number")]
pub struct Object<'b> {
    /// The tag.
    pub tag: Tag,
    /// What was done to the value.
    pub protection: Protection,
    /// The value: of a container, all that is in it.
    pub value: &'b [u8],
    /// Whether the objects in the value follow next.
    pub constructed: bool,
    /// How many containers it stands in.
    pub depth: usize,
    /// Where it ends, in bytes from the start.
    pub end: usize,
}

/// Not well-formed BER-TLV, from this byte on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the object at byte {offset} is no BER-TLV object that fits into what holds it")]
pub struct Malformed {
    /// Where the object begins, in bytes from the start.
    pub offset: usize,
}

/// Walks through all objects, a container in front of what it holds. Allocates nothing; ends behind the first error.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "may hold a card number")]
pub struct Objects<'b> {
    bytes: &'b [u8],
    lengths: Lengths,
    at: usize,
    /// The ends of the containers around `at`; the first is that of the input.
    ends: [usize; DEPTH],
    depth: usize,
}

impl<'b> Objects<'b> {
    /// Over bytes that hold objects and nothing else, but for `00` in front of, between and behind them.
    #[must_use]
    pub fn new(bytes: &'b [u8], lengths: Lengths) -> Self {
        let mut ends = [0; DEPTH];
        ends[0] = bytes.len();
        Self { bytes, lengths, at: 0, ends, depth: 0 }
    }

    fn read(&mut self) -> Option<Object<'b>> {
        let container = self.bytes.get(..self.ends[self.depth])?;
        let (tag, at) = tag(container, self.at)?;
        let (protection, length, start) = length(container, at, self.lengths)?;
        let end = start.checked_add(length)?;
        let value = container.get(start..end)?;
        let constructed = protection == Protection::Plain && tag.is_constructed(self.lengths);
        let object = Object { tag, protection, value, constructed, depth: self.depth, end };
        if constructed {
            self.depth += 1;
            *self.ends.get_mut(self.depth)? = end;
            self.at = start;
        } else {
            self.at = end;
        }
        Some(object)
    }
}

impl<'b> Iterator for Objects<'b> {
    type Item = Result<Object<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.at < self.ends[self.depth] {
                if self.bytes[self.at] != 0 {
                    break;
                }
                self.at += 1;
            } else {
                self.depth = self.depth.checked_sub(1)?;
            }
        }
        let offset = self.at;
        Some(self.read().ok_or_else(|| {
            self.depth = 0;
            self.at = self.bytes.len();
            Malformed { offset }
        }))
    }
}

/// The tag at `at`, and where it ends.
fn tag(bytes: &[u8], at: usize) -> Option<(Tag, usize)> {
    let mut tag = u32::from(*bytes.get(at)?);
    if tag & 0x1F != 0x1F {
        return Some((Tag(tag), at + 1));
    }
    for (index, &byte) in bytes.get(at + 1..)?.iter().take(LONGEST - 1).enumerate() {
        tag = tag << 8 | u32::from(byte);
        if byte & 0x80 == 0 {
            return Some((Tag(tag), at + 2 + index));
        }
    }
    None
}

/// What the length says of the value, its length, and where it begins.
fn length(bytes: &[u8], at: usize, lengths: Lengths) -> Option<(Protection, usize, usize)> {
    let first = *bytes.get(at)?;
    if first & 0x80 == 0 {
        return Some((Protection::Plain, usize::from(first), at + 1));
    }
    let (protection, count) = match (lengths, first >> 5 & 0b11) {
        (Lengths::Ber, _) => (Protection::Plain, first & 0x7F),
        (Lengths::IdTech, 0b00) => (Protection::Plain, first & 0x1F),
        (Lengths::IdTech, 0b01) => (Protection::Masked, first & 0x1F),
        (Lengths::IdTech, 0b10) => (Protection::Encrypted, first & 0x1F),
        (Lengths::IdTech, _) => return None,
    };
    let count = usize::from(count);
    // No bytes: the indefinite form, which EMV does not have.
    if !(1..=LONGEST).contains(&count) {
        return None;
    }
    let start = at + 1 + count;
    let length = bytes.get(at + 1..start)?.iter().fold(0, |length, &byte| length << 8 | u32::from(byte));
    Some((protection, usize::try_from(length).ok()?, start))
}

/// Bytes that [`write`] adds for a value of this length, at most.
pub(crate) fn written(value: &[u8]) -> usize {
    2 * LONGEST + 1 + value.len()
}

/// Appends an object with a length as short as can be.
pub(crate) fn write(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    out.extend(tag.0.to_be_bytes().iter().skip_while(|&&byte| byte == 0));
    let length = value.len().to_be_bytes();
    let first = length.iter().position(|&byte| byte != 0).unwrap_or(length.len() - 1);
    let length = &length[first..];
    if !matches!(length, [0..=0x7F]) {
        out.push(0x80 | length.len().to_le_bytes()[0]);
    }
    out.extend_from_slice(length);
    out.extend_from_slice(value);
}
