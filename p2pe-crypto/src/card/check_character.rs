//! The end of a track: end sentinel, LRC character behind it (ISO/IEC 7811) and padding. The LRC catches a wrong key and
//! single-bit damage.
//!
//! The clear text is looked at in one pass with no branch and no index that depends on it; the caller decides once. Sums
//! wrap, since a check for overflow is a branch.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess, CtOption};

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
        let yes = Choice::from(1);
        let mut inside = yes;
        // The byte directly behind the text, and whether the next is it.
        let (mut behind, mut directly) = (0, Choice::from(0));
        let (mut held, mut lrc, mut text, mut rest) = (yes, 0, 0u64, 0);
        for (at, byte) in clear.iter().enumerate() {
            let code = byte.wrapping_sub(base);
            held &= !inside | (code & !mask).ct_eq(&0) | Choice::from(u8::from(at == 0));
            lrc ^= u8::conditional_select(&0, &(code & mask), inside);
            text = text.wrapping_add(inside.unwrap_u8().into());
            behind |= u8::conditional_select(&0, byte, directly);
            rest |= u8::conditional_select(byte, &0, inside | directly);
            // The end sentinel is legal nowhere else in a track.
            directly = inside & byte.ct_eq(&b'?');
            inside &= !directly;
        }
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
        CtOption::new(text, !inside & held & ended)
    }
}

fn u64_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
