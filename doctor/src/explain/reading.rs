//! How the blocks of a run hang together and what its clear text is, against what the profile says.

use p2pe_crypto::{Holds, Iv, Mode, Scope};

use super::Explainer;
use crate::{
    Cause, Code,
    clear_text::Content,
    inspect::{Chaining, Hit},
};

impl Explainer<'_> {
    /// How a device of the profile chains the blocks of a run.
    fn wanted(&self, run: usize) -> Chaining {
        let Some(profile) = self.device.filter(|_| self.fits).map(|device| &device.profile) else {
            return Chaining::Own;
        };
        match (profile.mode(), profile.iv()) {
            (Mode::Ecb, _) => Chaining::Blocks,
            _ if profile.scope() == Scope::Payload && run > 0 => Chaining::GoesOn,
            (_, Iv::Zero) if self.specimen.runs[run].iv.is_some() => Chaining::ZeroIv,
            _ => Chaining::Own,
        }
    }

    pub(super) fn chaining(&self, hit: &Hit, causes: &mut Vec<Cause>) {
        let wanted = self.wanted(hit.run);
        let part = hit.run + 1;
        if hit.chaining == wanted {
            return;
        }
        let cause = match (hit.chaining, wanted) {
            (Chaining::Two, _) => Cause::new(
                Code::JoinedRuns,
                "two separately encrypted tracks were passed as one ciphertext: the first block of the second comes out wrong",
                "pass the ciphertext of each track by itself",
            ),
            (Chaining::Blocks, _) => Cause::new(
                Code::ChainingMode,
                "the sender encrypted in ECB mode, each block by itself, instead of CBC",
                "give the device a [[profile]] with mode = \"ecb\", or set it to CBC",
            ),
            (_, Chaining::Blocks) => Cause::new(
                Code::ChainingMode,
                "the device encrypts in CBC mode, and its profile says ECB",
                "give the device a profile with mode = \"cbc\"",
            ),
            (Chaining::GoesOn, _) => Cause::new(
                Code::ChainedRuns,
                format!(
                    "part {part} goes on with the CBC run of the part before, instead of beginning with a new vector"
                ),
                "give the device a [[profile]] with scope = \"payload\", or have the sender begin each track anew",
            ),
            (_, Chaining::GoesOn) => Cause::new(
                Code::ChainedRuns,
                format!("part {part} is a CBC run of its own, and the profile says that one run goes over the payload"),
                "give the device a profile with scope = \"field\"",
            ),
            (Chaining::ZeroIv, _) => Cause::new(
                Code::IvIgnored,
                "the device sends an initialisation vector and did not encrypt with it",
                "give the device a [[profile]] with iv = \"zero\"",
            ),
            (Chaining::Own, _) => Cause::new(
                Code::IvIgnored,
                "the device encrypts with the initialisation vector that it sends, and its profile says zero",
                "give the device a profile with iv = \"sent\"",
            ),
        };
        if !causes.iter().any(|other| other.code == cause.code) {
            causes.push(cause);
        }
    }

    pub(super) fn content(&self, hit: &Hit, causes: &mut Vec<Cause>) {
        let (wanted, found) = (self.specimen.runs[hit.run].content, hit.look.content);
        let same = wanted == found
            || matches!((wanted, found), (Content::Joined, Content::Track) | (Content::Packed, Content::Track))
            || hit.chaining == Chaining::Two;
        if same || causes.iter().any(|cause| cause.code == Code::Content) {
            return;
        }
        // Of one format: the profile says which of the two.
        let inner = match (self.specimen.payload.encrypted().into_iter().next().map(|run| run.holds), found) {
            (Some(Holds::Tlv { .. } | Holds::Value { .. }), Content::Tlv) => Some(true),
            (Some(Holds::Tlv { .. } | Holds::Value { .. }), Content::Value) => Some(false),
            _ => None,
        };
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
            match inner {
                Some(inner) => format!("give the device a profile with inner_tlv = {inner}"),
                None => format!("give the device a profile of the family {format}"),
            },
        ));
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
