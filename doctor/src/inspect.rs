//! Looks at the clear text of each trial: chained as it should be, and as it is when chaining is misunderstood.

use zeroize::Zeroizing;

use crate::{
    Fact,
    clear_text::{Content, Look, Partial, garbled_objects, look, partial, tail},
    specimen::{Run, Specimen},
    trial::{Clear, Lane, Taken, Working},
};
use dukpt::tdes::TrialWorking;

/// How the blocks of a run hang together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chaining {
    /// CBC, with the vector that the device sends, if it sends one.
    Own,
    /// CBC with a vector of zeros, though the device sends another one.
    ZeroIv,
    /// ECB.
    Blocks,
    /// CBC that goes on from the run before.
    GoesOn,
    /// Two CBC runs, one behind the other.
    Two,
}

/// A run that is a card's in one lane.
pub(crate) struct Hit {
    pub(crate) lane: Lane,
    pub(crate) run: usize,
    pub(crate) chaining: Chaining,
    pub(crate) look: Look,
}

/// A run that is a card's in part.
pub(crate) struct Part {
    pub(crate) lane: Lane,
    pub(crate) kind: PartKind,
}

pub(crate) enum PartKind {
    Blocks(Partial),
    /// Whole objects behind a first block that is wrong.
    Tail(Look),
}

/// What the trials showed. No clear text stays.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) hits: Vec<Hit>,
    pub(crate) parts: Vec<Part>,
}

impl Shown {
    pub(crate) fn inspect(&mut self, specimen: &Specimen, mask: u8, lane: Lane, clear: &Clear) {
        let block = lane.working.block();
        for (at, (run, clear)) in specimen.runs.iter().zip(clear).enumerate() {
            // The text of a track 3 is any.
            if clear.is_empty() || run.content == Content::Track && !run.decisive {
                continue;
            }
            let hints = run.hints(mask);
            let mut hit = |chaining, look| self.hits.push(Hit { lane, run: at, chaining, look });
            let own = match run.iv {
                Some(iv) => &added(clear, &iv),
                None => clear,
            };
            match look(own, &hints) {
                Some(found) => match second(own, run, &found, block, mask) {
                    Some(both) => hit(Chaining::Two, both),
                    None => hit(Chaining::Own, found),
                },
                None => {
                    if run.iv.is_some()
                        && let Some(found) = look(clear, &hints)
                    {
                        hit(Chaining::ZeroIv, found);
                    }
                    let before = at.checked_sub(1).and_then(|before| specimen.runs.get(before));
                    let last = before.and_then(|run| run.ciphertext.get(run.ciphertext.len().checked_sub(block)?..));
                    if let Some(found) = last.and_then(|last| look(&added(clear, last), &hints)) {
                        hit(Chaining::GoesOn, found);
                    }
                    self.parts(own, lane, block, &hints);
                }
            }
            if clear.len() > block {
                let mut blocks = clear.clone();
                blocks[block..].iter_mut().zip(&run.ciphertext).for_each(|(clear, before)| *clear ^= before);
                if let Some(found) = look(&blocks, &hints) {
                    self.hits.push(Hit { lane, run: at, chaining: Chaining::Blocks, look: found });
                }
            }
        }
    }

    /// Only in the lanes of right derivations: otherwise too much would be guessed at once.
    fn parts(&mut self, clear: &[u8], lane: Lane, block: usize, hints: &crate::clear_text::Hints<'_>) {
        let right = matches!(lane.working, Working::Aes(_) | Working::Tdes(TrialWorking::Right(_), _));
        if lane.ksn != 0 || lane.taken != Taken::BaseKey || !right {
            return;
        }
        let blocks = || partial(clear, block, hints).or_else(|| garbled_objects(clear, block, hints));
        if let Some(kind) = tail(clear, block, hints).map(PartKind::Tail).or_else(|| blocks().map(PartKind::Blocks)) {
            self.parts.push(Part { lane, kind });
        }
    }
}

/// A second run behind the first one's padding, with a vector of zeros: its first block was added to what stands before it.
fn second(clear: &[u8], run: &Run, first: &Look, block: usize, mask: u8) -> Option<Look> {
    if !first.facts.contains(&Fact::Residue) {
        return None;
    }
    let hints = crate::clear_text::Hints { length: None, masked: None, ..run.hints(mask) };
    let seam = first.end.next_multiple_of(block);
    // The check character may be the last byte of the block, or not be there.
    [seam, seam.saturating_sub(block), seam + block].into_iter().find_map(|at| {
        let rest = clear.get(at..).filter(|rest| !rest.is_empty())?;
        let before = run.ciphertext.get(at.checked_sub(block)?..at)?;
        let second = look(&added(rest, before), &hints)?;
        let mut both = first.clone();
        both.facts.retain(|fact| !fact.is_wrong());
        both.join(second);
        Some(both)
    })
}

/// A copy with a vector added to its first bytes.
fn added(clear: &[u8], vector: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut sum = Zeroizing::new(clear.to_vec());
    sum.iter_mut().zip(vector).for_each(|(byte, other)| *byte ^= other);
    sum
}
