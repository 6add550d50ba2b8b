//! TLV objects of which one cipher block is garbled behind the first: in front of it and behind it objects stand as they
//! must.

use p2pe_crypto::tlv::{Lengths, Object, Objects};

use super::{Hints, Partial};
use crate::Fact;

/// Objects that chip data has (EMV Book 3, Annex A), with the one length of each.
const KNOWN: [(u32, usize); 31] = [
    (0x82, 2),
    (0x8A, 2),
    (0x95, 5),
    (0x9A, 3),
    (0x9B, 2),
    (0x9C, 1),
    (0x5F24, 3),
    (0x5F25, 3),
    (0x5F28, 2),
    (0x5F2A, 2),
    (0x5F30, 2),
    (0x5F34, 1),
    (0x5F36, 1),
    (0x9F02, 6),
    (0x9F03, 6),
    (0x9F07, 2),
    (0x9F09, 2),
    (0x9F0D, 5),
    (0x9F0E, 5),
    (0x9F0F, 5),
    (0x9F15, 2),
    (0x9F1A, 2),
    (0x9F1E, 8),
    (0x9F21, 3),
    (0x9F26, 8),
    (0x9F27, 1),
    (0x9F33, 3),
    (0x9F34, 3),
    (0x9F35, 1),
    (0x9F36, 2),
    (0x9F37, 4),
];

/// The objects that are right must be as unlikely as so many right bits.
const ENOUGH: usize = 64;

/// How unlikely an object is in random bytes: of a known one, tag and length are right, one of 31.
fn worth(object: &Object<'_>) -> usize {
    let bytes = if object.tag.number() > 0xFF { 3 } else { 2 };
    if KNOWN.contains(&(object.tag.number(), object.value.len())) { 8 * bytes - 5 } else { 0 }
}

/// Finds the one garbled block; the block behind it may have changed bits.
pub(crate) fn garbled_objects(clear: &[u8], block: usize, hints: &Hints<'_>) -> Option<Partial> {
    let cut = &clear[..clear.len().checked_sub(hints.pad.unwrap_or(0))?];
    // From the start, as far as objects are read.
    let mut head: Vec<Object<'_>> = Vec::new();
    let whole = Objects::new(cut, Lengths::Ber).all(|object| object.map(|object| head.push(object)).is_ok());
    let padding = |objects: &[Object<'_>], from: &[u8]| {
        let end = objects.iter().map(|object| object.end).max().unwrap_or(0);
        8 * from.get(end..).unwrap_or_default().len()
    };
    let front = |at: usize| -> (usize, usize) {
        let before = || head.iter().filter(|object| !object.constructed && object.end <= at * block);
        (before().count(), before().map(worth).sum())
    };
    let known: usize = head.iter().map(worth).sum();
    if whole && known >= ENOUGH {
        // Where all objects are read, a value is garbled: that of the track, or nothing tells.
        let account = head.iter().find(|object| matches!(object.tag.number(), 0x57 | 0x9F6B | 0x5A))?;
        let at = (account.end - account.value.len()) / block;
        return Some(Partial { at, wrong: 1, fact: Fact::Objects(head.len()) });
    }
    let blocks = cut.len().div_ceil(block);
    (1..blocks).find_map(|at| {
        let (count, bits) = front(at);
        // The object that is cut by the garbled block ends somewhere behind it.
        let starts = ((at + 1) * block).min(cut.len())..((at + 4) * block).min(cut.len());
        let tails = starts.filter(|start| cut[*start] != 0).filter_map(|start| {
            let rest = Objects::new(&cut[start..], Lengths::Ber).collect::<Result<Vec<_>, _>>().ok()?;
            let bits: usize = rest.iter().map(worth).sum::<usize>() + padding(&rest, &cut[start..]);
            Some((rest.iter().filter(|object| !object.constructed).count(), bits))
        });
        let (behind, more) = tails.max_by_key(|(_, bits)| *bits).unwrap_or((0, 0));
        // Behind the last two blocks nothing may be left.
        (bits + more >= ENOUGH && count > 0 && (behind > 0 || at + 2 >= blocks)).then_some(Partial {
            at,
            wrong: 1,
            fact: Fact::Objects(count + behind),
        })
    })
}
