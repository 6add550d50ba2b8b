//! From what the trials showed to causes: how the lane that gives a card differs from the settings.

use dukpt::tdes::{Cipher, TrialWorking, Variant};
use p2pe_crypto::{Device, DeviceProfile, Encryption, Format, Payload};

use crate::{
    Cause, Code, Fact, Finding,
    clear_text::Content,
    inspect::{Chaining, Hit, Part, PartKind, Shown},
    specimen::{KsnOrigin, Specimen},
    trial::{Lane, Taken, Working},
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

    /// How a lane differs from the settings.
    fn deviations(&self, lane: Lane) -> Vec<Cause> {
        let mut causes = Vec::new();
        let key = &self.keys[lane.key].name;
        match self.device {
            None => causes.push(self.unknown_device(lane)),
            Some(device) => {
                self.base_key(lane, device, &mut causes);
                self.working(lane, device.profile, &mut causes);
            }
        }
        match lane.taken {
            Taken::BaseKey => {}
            Taken::InitialKey => causes.push(Cause::new(
                Code::InitialKeyAsBaseKey,
                format!("the key {key} is the initial key of this device, and is stored as a base key"),
                "store the base key that the initial key was derived from",
            )),
            Taken::Twice => causes.push(Cause::new(
                Code::InitialKeyAsBaseKey,
                format!("the device was injected as if its initial key, derived from {key}, were a base key"),
                "inject the device again with the initial key itself",
            )),
            Taken::TransactionKey => causes.push(Cause::new(
                Code::SessionKeyAsBaseKey,
                format!("the key {key} is the key of this one transaction, and is stored as a base key"),
                "store the base key of the devices",
            )),
        }
        if let Working::Tdes(working, _) = lane.working {
            self.trial_working(working, &mut causes);
        }
        match &self.specimen.ksns[lane.ksn].0 {
            KsnOrigin::Sent => {}
            KsnOrigin::Counter(step) => causes.push(Cause::new(
                Code::KsnCounter,
                format!("the KSN is {} too {}", step.abs(), if *step < 0 { "high" } else { "low" }),
                format!("use the KSN that the device sent with this payload: {}", self.specimen.ksns[lane.ksn].1),
            )),
            KsnOrigin::Other(cause) => causes.push(cause.clone()),
        }
        causes
    }

    fn base_key(&self, lane: Lane, device: &Device, causes: &mut Vec<Cause>) {
        let (key, configured) = (&self.keys[lane.key], device.base_key.as_str());
        match key.origin {
            Origin::Store if key.name == configured => {}
            Origin::Store => causes.push(Cause::new(
                Code::BaseKey,
                format!("the base key is {}, and the settings name {configured} for this KSN prefix", key.name),
                format!("set base_key = \"{}\" for this KSN prefix", key.name),
            )),
            Origin::Component => causes.push(Cause::new(
                Code::ComponentsNotCombined,
                format!("the device was injected with {} alone", key.name),
                "inject the device again with the exclusive-or of all components",
            )),
            Origin::Combined => causes.push(Cause::new(
                Code::ComponentsNotCombined,
                format!("the key {configured} in the store is not the exclusive-or of the components"),
                "import the key again from all its components, and compare its check value",
            )),
        }
    }

    fn working(&self, lane: Lane, profile: DeviceProfile, causes: &mut Vec<Cause>) {
        let set =
            |code, sentence: String, encryption| Cause::new(code, sentence, self.fix(profile.format(), encryption));
        match (profile.encryption(), lane.working) {
            (Encryption::Tdes(variant, cipher), Working::Tdes(working, other)) => {
                let right = match working {
                    TrialWorking::Right(right) => right,
                    _ => variant,
                };
                let encryption = Encryption::Tdes(right, other);
                if right != variant {
                    let sentence = format!(
                        "the device encrypts under the {}, and its profile says {}",
                        name(right),
                        name(variant)
                    );
                    causes.push(set(Code::KeyVariant, sentence, encryption));
                }
                if other != cipher {
                    let sentence = format!(
                        "the device encrypts with {}, and its profile says {}",
                        cipher_name(other),
                        cipher_name(cipher)
                    );
                    causes.push(set(Code::Cipher, sentence, encryption));
                }
            }
            (Encryption::Aes(configured), Working::Aes(suite)) => {
                let encryption = Encryption::Aes(suite);
                if (configured.base(), configured.data()) != (suite.base(), suite.data()) {
                    let sentence = format!(
                        "the keys have the sizes of {encryption}, and the profile says {}",
                        profile.encryption()
                    );
                    causes.push(set(Code::KeySize, sentence, encryption));
                }
                if configured.usage() != suite.usage() {
                    let sentence = format!(
                        "the data key has the usage of {encryption}, and the profile says {}",
                        profile.encryption()
                    );
                    causes.push(set(Code::KeyUsage, sentence, encryption));
                }
            }
            (_, working) => {
                if let Some(encryption) = encryption(working) {
                    let sentence = format!(
                        "the device uses {}, and its profile says {}",
                        scheme_name(encryption),
                        scheme_name(profile.encryption())
                    );
                    causes.push(set(Code::AesFlavour, sentence, encryption));
                }
            }
        }
    }

    fn trial_working(&self, working: TrialWorking, causes: &mut Vec<Cause>) {
        let (code, what) = match working {
            TrialWorking::Right(_) => return,
            TrialWorking::RequestNotEncrypted => {
                (Code::SelfEncryption, "the request data key without its self-encryption")
            }
            TrialWorking::ResponseNotEncrypted => {
                (Code::SelfEncryption, "the response data key without its self-encryption")
            }
            TrialWorking::MacRequest => (Code::KeyVariant, "the request MAC key"),
            TrialWorking::MacResponse => (Code::KeyVariant, "the response MAC key"),
            TrialWorking::Bare => (Code::KeyVariant, "the transaction key itself, without any variant"),
        };
        causes.push(Cause::new(
            code,
            format!("the sender encrypted under {what}"),
            "correct the sender: no device of a standard does so, and no profile takes it",
        ));
    }

    fn unknown_device(&self, lane: Lane) -> Cause {
        let format = self.specimen.payload.format();
        let key = &self.keys[lane.key].name;
        let profile = encryption(lane.working).map(|encryption| self.fix(format, encryption)).unwrap_or_default();
        Cause::new(
            Code::UnknownDevice,
            format!("no device is configured for the KSN {}, and the key {key} decrypts it", self.specimen.ksns[0].1),
            format!("add a [[device]] table for its prefix with base_key = \"{key}\"; {profile}"),
        )
    }

    fn chaining(&self, hit: &Hit, causes: &mut Vec<Cause>) {
        let cause = match hit.chaining {
            Chaining::Own => return,
            Chaining::Blocks => Cause::new(
                Code::ChainingMode,
                "the sender encrypted in ECB mode, each block by itself, instead of CBC",
                "set the device or the sender to CBC",
            ),
            Chaining::GoesOn => Cause::new(
                Code::ChainedRuns,
                format!(
                    "part {} goes on with the CBC run of the part before, instead of beginning with a new vector",
                    hit.run + 1
                ),
                "have the sender begin each track anew, or pass both as the one ciphertext that they are",
            ),
            Chaining::Two => Cause::new(
                Code::JoinedRuns,
                "two separately encrypted tracks were passed as one ciphertext: the first block of the second comes out wrong",
                "pass the ciphertext of each track by itself",
            ),
        };
        if !causes.iter().any(|other| other.code == cause.code) {
            causes.push(cause);
        }
    }

    fn content(&self, hit: &Hit, causes: &mut Vec<Cause>) {
        let (wanted, found) = (self.specimen.runs[hit.run].content, hit.look.content);
        let same = wanted == found
            || matches!((wanted, found), (Content::Joined, Content::Track) | (Content::Packed, Content::Track))
            || hit.chaining == Chaining::Two;
        if same || causes.iter().any(|cause| cause.code == Code::Content) {
            return;
        }
        let format = match found {
            Content::Track => "track",
            Content::Packed => "packed-track2",
            Content::Tlv => "tlv",
            Content::Joined => "idtech-transarmor",
            Content::KeyedBare => "idtech-keyed-original",
            Content::Value => "quick-chip",
        };
        causes.push(Cause::new(
            Code::Content,
            format!("the clear text is {}, and is read as {}", content_name(found), content_name(wanted)),
            format!("give the device a profile of the family {format}"),
        ));
    }

    fn fix(&self, format: Format, encryption: Encryption) -> String {
        let scope = self.specimen.payload.features().scope;
        let fits = |profile: &DeviceProfile| {
            profile.format() == format && profile.scope() == scope && profile.encryption() == encryption
        };
        match DeviceProfile::builtin().find(fits) {
            Some(profile) => format!("set profile = \"{}\"", profile.name()),
            None => format!("set a profile with the encryption {encryption}"),
        }
    }
}

/// The payload is of another kind than its device's profile.
pub(crate) fn profile_mismatch(payload: &Payload, device: &Device) -> Cause {
    let candidates = p2pe_crypto::Candidates(payload.features());
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

fn encryption(working: Working) -> Option<Encryption> {
    match working {
        Working::Tdes(TrialWorking::Right(variant), cipher) => Some(Encryption::Tdes(variant, cipher)),
        Working::Tdes(..) => None,
        Working::Aes(suite) => Some(Encryption::Aes(suite)),
    }
}

fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::DataRequest => "request data key",
        Variant::DataResponse => "response data key",
        Variant::Pin => "PIN-variant key",
    }
}

fn cipher_name(cipher: Cipher) -> &'static str {
    match cipher {
        Cipher::Tdes => "TDES",
        Cipher::Aes128 => "AES",
    }
}

fn scheme_name(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::Tdes(_, Cipher::Tdes) => "TDES DUKPT (10-byte KSN) with TDES",
        Encryption::Tdes(_, Cipher::Aes128) => "TDES DUKPT (10-byte KSN) with AES, which is not AES DUKPT",
        Encryption::Aes(_) => "AES DUKPT (12-byte KSN)",
    }
}

fn content_name(content: Content) -> &'static str {
    match content {
        Content::Track => "a track",
        Content::KeyedBare => "keyed data without sentinels",
        Content::Joined => "tracks 1 and 2 in one text",
        Content::Packed => "a track 2 in nibbles",
        Content::Tlv => "a string of TLV objects",
        Content::Value => "the value of a TLV object",
    }
}
