//! Data objects of a chip, kept in wiped memory as they were sent.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::tlv::{self, Lengths, Objects, Tag};

/// Data objects of one chip transaction, in the order of the payload. Wiped on drop.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "may hold track data")]
pub struct ChipData(Zeroizing<Vec<u8>>);

impl ChipData {
    /// Each object: its tag and its value, unchanged.
    pub fn iter(&self) -> impl Iterator<Item = (Tag, &[u8])> {
        // Written object by object, containers left out; ID TECH's lengths read its plain tags with the constructed bit too.
        Objects::new(&self.0, Lengths::IdTech).flatten().filter(|object| object.depth == 0).map(|o| (o.tag, o.value))
    }

    /// The value of the first object with this tag.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&[u8]> {
        self.iter().find(|(other, _)| *other == tag).map(|(_, value)| value)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The objects as one BER-TLV string, as field 55 of an ISO 8583 message takes them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn push(&mut self, tag: Tag, value: &[u8]) {
        let needed = self.0.len() + tlv::written(value);
        if needed > self.0.capacity() {
            // A buffer that grows by itself leaves what it held behind.
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        tlv::write(&mut self.0, tag, value);
    }
}
