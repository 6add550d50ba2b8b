//! Whether the clear text of a trial is that of a card, and what speaks for it. Weak signs are weighed: of random blocks
//! some look like a packed track 2, so nibbles and TLV need more than their structure.

mod garbled;
mod nibbles;
mod partial;
mod text;
mod tlv;

use p2pe_crypto::Pan;

use crate::Fact;
pub(crate) use garbled::garbled_objects;
pub(crate) use partial::{Partial, partial};

/// What a clear text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// A track or keyed data, between sentinels.
    Track,
    /// Keyed data without sentinels.
    KeyedBare,
    /// Tracks 1 and 2 in one text.
    Joined,
    /// A track 2 in nibbles with its check nibble.
    Packed,
    /// TLV objects.
    Tlv,
    /// The bare value of a track 2 object.
    Value,
}

/// What the payload tells of a clear text.
#[derive(Clone, Copy)]
pub(crate) struct Hints<'p> {
    pub(crate) content: Content,
    /// Bytes without padding.
    pub(crate) length: Option<usize>,
    /// Bytes of padding of any value.
    pub(crate) pad: Option<usize>,
    pub(crate) masked: Option<&'p [u8]>,
    /// The character in the place of each masked one.
    pub(crate) mask: u8,
}

/// A clear text that was recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    pub(crate) content: Content,
    pub(crate) facts: Vec<Fact>,
    /// Where the text ends, its check character included.
    pub(crate) end: usize,
    /// How unlikely it is in random bytes: as unlikely as so many bits being right.
    bits: usize,
}

/// Less than one random payload in 2^12 would be taken for a card with 2^17 payloads of 2^11 trials each.
const ENOUGH: usize = 40;

impl Look {
    fn new(content: Content) -> Self {
        Self { content, facts: Vec::new(), end: 0, bits: 0 }
    }

    fn add(&mut self, fact: Fact, bits: usize) {
        self.facts.push(fact);
        self.bits += bits;
    }

    fn has(&self, wanted: impl Fn(&Fact) -> bool) -> bool {
        self.facts.iter().any(wanted)
    }

    /// Takes over what speaks for another text beside this one.
    pub(crate) fn join(&mut self, other: Self) {
        self.bits += other.bits;
        for fact in other.facts {
            if !self.facts.contains(&fact) {
                self.facts.push(fact);
            }
        }
    }

    /// Nothing about it is wrong.
    pub(crate) fn is_whole(&self) -> bool {
        !self.facts.iter().any(|fact| fact.is_wrong())
    }

    /// Check digit and brand of a card number.
    fn number(&mut self, digits: &[u8]) {
        let Ok(pan) = Pan::new(digits) else { return };
        if pan.luhn() {
            self.add(Fact::Luhn, 3);
        }
        if let Some(brand) = pan.brand() {
            self.add(Fact::Brand(brand), 1);
        }
    }

    fn month(&mut self, month: Option<&[u8]>) {
        match month {
            Some([b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']) => self.add(Fact::Month, 3),
            _ => self.add(Fact::WrongMonth, 0),
        }
    }

    /// Notes what stands behind the text: zeros, or what a told length leaves.
    fn padding(&mut self, behind: &[u8], told: bool) {
        match behind {
            [] => {}
            _ if behind.iter().all(|&byte| byte == 0) => self.add(Fact::Padding(behind.len()), 8 * behind.len()),
            [.., last] if usize::from(*last) == behind.len() && behind.iter().all(|byte| byte == last) => {
                self.add(Fact::PkcsPadding, 8 * behind.len());
            }
            // Some devices pad with anything: then only the length counts.
            _ if told && behind.len() < 16 => {}
            _ => self.add(Fact::Residue, 0),
        }
    }

    /// Whether there is enough of it: nibbles and TLV need the number, the month, and padding or the masked copy.
    fn enough(self) -> Option<Self> {
        let strong = match self.content {
            Content::Track | Content::KeyedBare | Content::Joined => true,
            Content::Packed | Content::Tlv | Content::Value => {
                self.has(|fact| matches!(fact, Fact::Luhn | Fact::Brand(_)))
                    && self.has(|fact| *fact == Fact::Month)
                    && self.has(|fact| {
                        matches!(
                            fact,
                            Fact::Padding(_)
                                | Fact::MaskedCopy(_)
                                | Fact::SameNumber
                                | Fact::Length
                                | Fact::PkcsPadding
                        )
                    })
            }
        };
        (strong && self.bits >= ENOUGH).then_some(self)
    }
}

/// Recognises the clear text of one CBC run.
pub(crate) fn look(clear: &[u8], hints: &Hints<'_>) -> Option<Look> {
    let cut = &clear[..clear.len().checked_sub(hints.pad.unwrap_or(0))?];
    let found = match clear.first()? {
        b'%' | b';' => text::track(clear, hints),
        0x7F => text::front_stripe(clear),
        b'0'..=b'9' if hints.content == Content::KeyedBare => text::keyed_bare(clear, hints),
        first if first >> 4 == 0xB => nibbles::packed(clear),
        _ => None,
    };
    found.and_then(Look::enough).or_else(|| tlv::objects(cut, hints).and_then(Look::enough)).or_else(|| {
        let value = match (hints.content, hints.masked) {
            // Of an object without its tag the masked copy tells the length.
            (Content::Value, _) | (Content::Tlv, Some(_)) => nibbles::value(clear, hints),
            _ => None,
        };
        value.and_then(Look::enough)
    })
}

/// Whether a clear text whose first block is wrong goes on as a card's TLV objects.
pub(crate) fn tail(clear: &[u8], block: usize, hints: &Hints<'_>) -> Option<Look> {
    let cut = &clear[..clear.len().checked_sub(hints.pad.unwrap_or(0))?];
    // The object that the first block begins ends somewhere in the next ones.
    (block..cut.len().min(3 * block)).find_map(|start| tlv::objects(&cut[start..], hints).and_then(Look::enough))
}
