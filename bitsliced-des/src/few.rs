//! A few blocks: two at a time, for which filling a word of lanes would cost more than the cipher.

use zeroize::Zeroizing;

use crate::lanes::Level;

/// A key for each of two blocks, as little-endian integers, and whether to decrypt.
pub(crate) type Pass = ([u64; 2], bool);

/// Two-key TDES of two blocks under their keys.
pub(crate) fn tdes(keys: [&[u8; 16]; 2], decrypt: bool) -> Zeroizing<[Pass; 3]> {
    let half = |right: usize| keys.map(|k| u64::from_le_bytes(k.as_chunks().0[right]));
    Zeroizing::new([(half(0), decrypt), (half(1), !decrypt), (half(0), decrypt)])
}

#[cfg(target_arch = "x86_64")]
fn narrow(level: Level) -> bool {
    level >= Level::Avx512Half && crate::narrow::available()
}

#[cfg(not(target_arch = "x86_64"))]
fn narrow(_: Level) -> bool {
    false
}

/// So many blocks go two at a time on a machine without VBMI.
const BLOCKS: usize = 4;

/// Whether so many blocks at this level go two at a time: where that is quicker than one word of lanes (measured).
pub(crate) fn suits(level: Level, blocks: usize) -> bool {
    blocks <= if narrow(level) { 14 } else { BLOCKS }
}

/// The same for derivations, which have two blocks in each step.
pub(crate) fn suits_devices(level: Level, devices: usize) -> bool {
    devices <= if narrow(level) { 7 } else { 2 }
}

/// One DES after another of two blocks.
pub(crate) fn des(level: Level, blocks: [u64; 2], passes: &[Pass]) -> [u64; 2] {
    #[cfg(target_arch = "x86_64")]
    if narrow(level) {
        return crate::narrow::des(blocks, passes);
    }
    let _ = level;
    crate::select::des(blocks, passes)
}

/// All blocks, two at a time, under what `passes` says for the two.
pub(crate) fn each_pair(
    level: Level,
    blocks: &mut [[u8; 8]],
    mut passes: impl FnMut([usize; 2], &mut dyn FnMut(&[Pass])),
) {
    let n = blocks.len();
    for i in (0..n).step_by(2) {
        let at = [i, if i + 1 < n { i + 1 } else { i }];
        passes(at, &mut |passes| {
            let out = des(level, at.map(|i| u64::from_le_bytes(blocks[i])), passes);
            for (i, x) in at.into_iter().zip(out) {
                blocks[i] = x.to_le_bytes();
            }
        });
    }
}

/// All blocks under the same passes.
pub(crate) fn each(level: Level, blocks: &mut [[u8; 8]], passes: &[Pass]) {
    each_pair(level, blocks, |_, run| run(passes));
}
