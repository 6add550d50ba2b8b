//! The bytes that a parser gets: the caller's, or decoded from text. Either way a payload takes one block of memory.

use alloc::vec::Vec;
use core::ops::{Deref, Range};

use zeroize::Zeroizing;

/// What was received.
pub(super) enum Received<'i> {
    /// As it came.
    Plain(&'i [u8]),
    /// Decoded from text, in memory that the payload can keep.
    Decoded(Zeroizing<Vec<u8>>),
}

impl Received<'_> {
    /// All of it, to keep.
    pub(super) fn keep(self) -> Zeroizing<Vec<u8>> {
        let all = 0..self.len();
        self.keep_part(all)
    }

    /// A part of it, to keep. The range lies in it.
    pub(super) fn keep_part(self, part: Range<usize>) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Plain(bytes) => Zeroizing::new(bytes[part].to_vec()),
            Self::Decoded(mut bytes) => {
                bytes.truncate(part.end);
                bytes.drain(..part.start);
                bytes
            }
        }
    }
}

impl Deref for Received<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Decoded(bytes) => bytes,
        }
    }
}
