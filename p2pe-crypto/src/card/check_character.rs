//! The end of a track: end sentinel, LRC character behind it (ISO/IEC 7811) and padding. The LRC catches a wrong key and
//! single-bit damage.
//!
//! The clear text is looked at in one pass with no branch and no index that depends on it; the caller decides once.

use subtle::{ConditionallySelectable, ConstantTimeEq, ConstantTimeLess, CtOption};

use crate::words;

/// The characters of one track encoding: printed as `base` plus a code.
#[derive(Clone, Copy, Debug)]
pub enum Charset {
    /// Track 1: 6 bits, ASCII `20` to `5F`.
    Alphanumeric,
    /// Tracks 2 and 3 and keyed data: 4 bits, ASCII `30` to `3F`.
    Numeric,
}

impl Charset {
    fn base_and_mask(self) -> (u8, u8) {
        match self {
            Self::Alphanumeric => (0x20, 0x3F),
            Self::Numeric => (0x30, 0x0F),
        }
    }

    /// How long the text is, end sentinel included, if what stands behind it is right. In the text, all but the start
    /// sentinel are characters of this set.
    ///
    /// Where the payload tells the clear `length`, that is the check character and nothing else: to take one that is
    /// missing would let a changed ciphertext through. Otherwise it is the check character, which may be left out, and
    /// padding: zeros, or anything shorter than a block.
    #[must_use]
    pub fn text_length(self, clear: &[u8], length: Option<usize>) -> CtOption<u64> {
        let (base, mask) = self.base_and_mask();
        // Every bit until the end sentinel was there; every bit of the byte directly behind the last word's text.
        let (mut open, mut over) = (u64::MAX, 0);
        // The start sentinel is of no set.
        let mut held = !0xFF;
        let (mut strange, mut lrc, mut text, mut behind, mut rest) = (0, 0, 0u64, 0, 0);
        for word in words::words(clear) {
            // The end sentinel is legal nowhere else in a track.
            let ends = words::equal(word, b'?');
            let inside = words::through(ends) & open;
            let directly = (inside << 8 | over) & !inside;
            let code = words::less(word, base);
            strange |= code & words::each(!mask) & inside & held;
            lrc ^= code & words::each(mask) & inside;
            text = text.wrapping_add(words::count(inside));
            behind |= word & directly;
            rest |= word & !inside & !directly;
            (held, over) = (u64::MAX, inside >> 56);
            open = u64::conditional_select(&0, &open, ends.ct_eq(&0));
        }
        let (lrc, behind) = (words::sum(lrc), words::sum(behind));
        // No zero: it is of the character set.
        let check = behind.ct_eq(&base.wrapping_add(lrc));
        let ended = match length.map(u64_of) {
            Some(length) => check & text.wrapping_add(1).ct_eq(&length),
            None => {
                let left = u64_of(clear.len()).wrapping_sub(text);
                let short = |padding: u64| padding.ct_lt(&16);
                let unchecked = behind.ct_eq(&0) & (rest.ct_eq(&0) | short(left));
                unchecked | check & (rest.ct_eq(&0) | short(left.wrapping_sub(1)))
            }
        };
        CtOption::new(text, open.ct_eq(&0) & strange.ct_eq(&0) & ended)
    }
}

fn u64_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
