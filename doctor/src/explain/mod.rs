//! From what the trials showed to causes: how the lane that gives a card differs from the settings.

mod deviation;
mod reading;

use p2pe_crypto::{Candidates, Device, Payload};

use crate::{
    Cause, Code, Fact, Finding,
    inspect::{Chaining, Hit, Part, PartKind, Shown},
    specimen::Specimen,
};

/// A base key of the trials: its name, and whether it is a component or the sum of several.
pub(crate) struct TrialKey {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Store,
    Component,
    Combined,
}

pub(crate) struct Explainer<'e> {
    pub(crate) specimen: &'e Specimen,
    pub(crate) device: Option<&'e Device>,
    /// Whether the payload is of the kind that the device's profile says.
    pub(crate) fits: bool,
    pub(crate) keys: &'e [TrialKey],
}

impl Explainer<'_> {
    /// The findings, most probable first.
    pub(crate) fn findings(&self, shown: &Shown) -> Vec<Finding> {
        let mut findings: Vec<(usize, Finding)> = Vec::new();
        for hit in &shown.hits {
            let of_lane: Vec<&Hit> = shown.hits.iter().filter(|other| self.goes_with(hit, other)).collect();
            if of_lane.iter().any(|first| first.run < hit.run) {
                continue;
            }
            if let Some(finding) = self.lane(shown, &of_lane) {
                findings.push((of_lane.len(), finding));
            }
        }
        if findings.is_empty() {
            findings.extend(shown.parts.iter().flat_map(|part| self.part(part)).map(|finding| (1, finding)));
        }
        let most = findings.iter().map(|(runs, _)| *runs).max();
        findings.retain(|(runs, _)| Some(*runs) == most);
        let mut findings: Vec<Finding> = findings.into_iter().map(|(_, finding)| finding).collect();
        findings.sort_by_key(Finding::distance);
        let mut kept: Vec<Finding> = Vec::new();
        for finding in findings {
            let codes =
                |of: &Finding| of.causes.iter().map(|cause| (cause.code, cause.fix.clone())).collect::<Vec<_>>();
            if !kept.iter().any(|other| finding.needs_more_than(other) || codes(other) == codes(&finding)) {
                kept.push(finding);
            }
        }
        kept
    }

    /// Runs of one lane that hang together in the same way; a run that goes on belongs to one that stands by itself.
    fn goes_with(&self, one: &Hit, other: &Hit) -> bool {
        let kind = |chaining| if chaining == Chaining::Blocks { 1 } else { 0 };
        one.lane == other.lane && kind(one.chaining) == kind(other.chaining)
    }

    fn lane(&self, shown: &Shown, hits: &[&Hit]) -> Option<Finding> {
        let first = *hits.first()?;
        let mut causes = self.deviations(first.lane);
        for hit in hits {
            self.chaining(hit, &mut causes);
            self.content(hit, &mut causes);
        }
        let mut evidence: Vec<Fact> = Vec::new();
        for fact in hits.iter().flat_map(|hit| &hit.look.facts) {
            if !evidence.contains(fact) {
                evidence.push(*fact);
            }
        }
        let whole = hits.iter().all(|hit| hit.look.is_whole());
        if evidence.contains(&Fact::PkcsPadding) {
            causes.push(Cause::new(
                Code::Padding,
                "the clear text is padded as of PKCS #7, which no device of these formats does",
                "have the sender pad with zeros",
            ));
        } else if !whole {
            causes.push(damaged("what it decrypts to is a card's track with an error in it"));
        }
        self.missing(shown, hits, &mut causes);
        if causes.is_empty() {
            causes.push(self.contradiction());
        }
        Some(Finding { causes, evidence })
    }

    /// What is with the runs that this lane does not decrypt.
    fn missing(&self, shown: &Shown, hits: &[&Hit], causes: &mut Vec<Cause>) {
        let has = |run: usize| hits.iter().any(|hit| hit.run == run);
        let decisive = |run: &usize| self.specimen.runs[*run].decisive;
        for run in (0..self.specimen.runs.len()).filter(decisive).filter(|run| !has(*run)) {
            let other =
                shown.hits.iter().filter(|hit| hit.run == run).min_by_key(|hit| self.deviations(hit.lane).len());
            let number = run + 1;
            match other {
                Some(hit) => {
                    for cause in self.deviations(hit.lane) {
                        let sentence = format!("of part {number} of the payload: {}", cause.sentence);
                        causes.push(Cause { sentence, ..cause });
                    }
                }
                None if causes.iter().any(|cause| cause.code == Code::Damaged) => {}
                None => {
                    causes.push(damaged(&format!("part {number} of the payload does not decrypt, and the others do")))
                }
            }
        }
    }

    /// All is right by itself: only together it is refused.
    fn contradiction(&self) -> Cause {
        if self.specimen.payload.mac().is_some() {
            return Cause::new(
                Code::Mac,
                "all of it decrypts, but its message authentication code is not that of the payload",
                "find out what changes the payload on its way, or which KSN the code was made under",
            );
        }
        Cause::new(
            Code::Contradiction,
            "each part decrypts under the settings, but together they are not one card's, or the clear text breaks a rule",
            "read the card again; if it stays, the payload was put together from several or the card is no payment card",
        )
    }

    /// A run of which a part is right.
    fn part(&self, part: &Part) -> Vec<Finding> {
        let base = self.deviations(part.lane);
        let with = |cause: Cause, evidence: Vec<Fact>| {
            let causes = base.iter().cloned().chain([cause]).collect();
            Finding { causes, evidence }
        };
        let iv = || {
            Cause::new(
                Code::IvIgnored,
                "only the first block is wrong: the device used an initialisation vector that was left out or changed",
                "pass on the whole payload with the vector that the device sends (Verifone: tag DF9022)",
            )
        };
        match &part.kind {
            PartKind::Tail(look) => {
                vec![with(iv(), look.facts.clone()), with(damaged("the first block is wrong"), look.facts.clone())]
            }
            PartKind::Blocks(partial) if partial.wrong == 0 => vec![with(
                Cause::new(
                    Code::NotACard,
                    "the clear text is readable, but not a payment card's track",
                    "read a payment card; if it is one, the device encrypts something else",
                ),
                vec![partial.fact],
            )],
            PartKind::Blocks(partial) if partial.at == 0 && partial.wrong == 1 => {
                vec![with(iv(), vec![partial.fact]), with(damaged("the first block is wrong"), vec![partial.fact])]
            }
            PartKind::Blocks(partial) => {
                let block = partial.at + 1;
                vec![with(
                    damaged(&format!("the clear text is garbled from block {block} on, for a block or two")),
                    vec![partial.fact],
                )]
            }
        }
    }
}

/// The payload is of another kind than its device's profile.
pub(crate) fn profile_mismatch(payload: &Payload, device: &Device) -> Cause {
    let candidates = Candidates(payload.features());
    Cause::new(
        Code::ProfileMismatch,
        format!("the payload ({}) does not fit the profile {} of its device", payload.format().title(), device.profile),
        format!("set one of these profiles: {candidates}"),
    )
}

fn damaged(what: &str) -> Cause {
    Cause::new(
        Code::Damaged,
        format!(
            "under the right keys and settings {what}: ciphertext or masked copy were changed on their way, or not read well"
        ),
        "read the card again; if it stays, find out what changes the payload between device and host",
    )
}
