//! Tracks of which some cipher blocks are wrong: damaged, or decrypted with the wrong initialisation vector.

use super::{Hints, text::Charset};
use crate::Fact;

/// A text in the characters of a track, but for one block or two neighbours.
#[derive(Clone, Debug)]
pub(crate) struct Partial {
    /// The first wrong block, and how many there are. None: all of it is legal characters, but no card's track.
    pub(crate) at: usize,
    pub(crate) wrong: usize,
    pub(crate) fact: Fact,
}

/// The good blocks must be as unlikely as so many right bits.
const ENOUGH: usize = 64;

/// Recognises a track by its blocks. A changed block of ciphertext garbles one block of clear text and changes bits of the
/// next; a wrong vector garbles the first alone.
pub(crate) fn partial(clear: &[u8], block: usize, hints: &Hints<'_>) -> Option<Partial> {
    Charset::ALL.iter().find_map(|charset| {
        let length =
            hints.length.unwrap_or_else(|| clear.len() - clear.iter().rev().take_while(|&&byte| byte == 0).count());
        let text = clear.get(..length)?;
        let blocks: Vec<&[u8]> = text.chunks(block).collect();
        let mut good: Vec<bool> = blocks.iter().map(|part| part.iter().all(|&byte| charset.holds(byte))).collect();
        // Legal characters, but not those that a track begins with.
        if let (Some(first), false) = (good.first_mut(), matches!(text.first(), Some(b'%' | b';' | b'+'))) {
            *first = false;
        }
        let at = good.iter().position(|good| !good).unwrap_or(0);
        let wrong = good.iter().filter(|good| !**good).count();
        let together = good[at..].iter().take(wrong).all(|good| !good);
        let worth: usize =
            blocks.iter().zip(&good).filter(|(_, good)| **good).map(|(part, _)| part.len() * charset.worth()).sum();
        let fact = Fact::Blocks(blocks.len() - wrong, blocks.len());
        (wrong <= 2 && together && worth >= ENOUGH).then_some(Partial { at, wrong, fact })
    })
}
