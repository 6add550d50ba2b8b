//! What is examined: the CBC runs of a payload with all KSNs that may be meant.

use dukpt::{Ksn, Scheme};
use p2pe_crypto::{DeviceProfile, EncryptedField, Holds, Payload, TrackNumber};

use crate::{
    Cause, Code,
    clear_text::{Content, Hints},
};

/// Tags of tracks (EMV Book 3, Annex A, and ID TECH's).
const TRACKS: [u32; 6] = [0x57, 0x56, 0x9F6B, 0xFF_EE13, 0xFF_EE14, 0xDF_EF4D];

/// One CBC run, copied out of the payload.
pub(crate) struct Run {
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) iv: Option<[u8; 8]>,
    pub(crate) content: Content,
    length: Option<usize>,
    pad: Option<usize>,
    masked: Option<Vec<u8>>,
    /// Whether a card's clear text can be told from others: not of a track 3, nor of an object without a track.
    pub(crate) decisive: bool,
}

impl Run {
    fn new(field: &EncryptedField<'_>) -> Option<Self> {
        let (content, length, pad, masked) = match field.holds {
            Holds::Track { length, masked, .. } => (Content::Track, length, None, masked),
            Holds::Keyed { length, masked } => (Content::Track, Some(length), None, masked),
            Holds::KeyedBare { length } => (Content::KeyedBare, Some(length), None, None),
            Holds::JoinedTracks { length, masked, .. } => (Content::Joined, Some(length), None, masked),
            Holds::Tlv { masked, .. } => (Content::Tlv, None, None, masked),
            Holds::Value { length, masked, .. } => (Content::Value, length, None, masked),
            Holds::TlvString { pad, masked } => (Content::Tlv, None, pad, masked),
            Holds::PackedTrack2 => (Content::Packed, None, None, None),
            Holds::SessionId => return None,
        };
        let decisive = match field.holds {
            Holds::Track { number, .. } => number != Some(TrackNumber::Three),
            Holds::Tlv { tag, .. } | Holds::Value { tag, .. } => TRACKS.contains(&tag.number()),
            _ => true,
        };
        Some(Self {
            ciphertext: field.ciphertext.to_vec(),
            iv: field.iv,
            content,
            length,
            pad,
            masked: masked.map(<[u8]>::to_vec),
            decisive,
        })
    }

    pub(crate) fn hints(&self, mask: u8) -> Hints<'_> {
        Hints { content: self.content, length: self.length, pad: self.pad, masked: self.masked.as_deref(), mask }
    }
}

/// Where a KSN that is tried comes from.
#[derive(Clone, Debug)]
pub(crate) enum KsnOrigin {
    /// The payload.
    Sent,
    /// So many transactions later, or earlier.
    Counter(i32),
    /// Another one, for the reason of this cause.
    Other(Cause),
}

/// What is examined.
pub(crate) struct Specimen {
    pub(crate) runs: Vec<Run>,
    /// The one that was sent is the first.
    pub(crate) ksns: Vec<(KsnOrigin, Ksn)>,
    pub(crate) payload: Payload,
}

impl Specimen {
    /// Counters that are tried on either side.
    const NEIGHBOURS: i32 = 3;

    pub(crate) fn new(payload: Payload, profile: Option<&DeviceProfile>, others: &[(Cause, Ksn)]) -> Self {
        let fields = profile.map_or_else(|| payload.encrypted(), |profile| payload.encrypted_as(profile));
        let runs = fields.into_iter().filter_map(|field| Run::new(&field)).collect();
        let sent = *payload.ksn();
        let steps = (1..=Self::NEIGHBOURS).flat_map(|step| [-step, step]);
        let near = steps.filter_map(|step| Some((KsnOrigin::Counter(step), moved(&sent, step)?)));
        let others = others.iter().map(|(cause, ksn)| (KsnOrigin::Other(cause.clone()), *ksn));
        let ksns = [(KsnOrigin::Sent, sent)].into_iter().chain(near).chain(others).collect();
        Self { runs, ksns, payload }
    }
}

/// The KSN of the same device so many counters on.
fn moved(ksn: &Ksn, step: i32) -> Option<Ksn> {
    let counter = ksn.counter().checked_add_signed(step)?;
    let mut bytes = ksn.as_bytes().to_vec();
    let at = bytes.len() - 4;
    let (mask, low) = match ksn.scheme() {
        Scheme::Tdes => (0x1F_FFFFu32, counter),
        Scheme::Aes => (u32::MAX, counter),
    };
    if low > mask {
        return None;
    }
    let old = u32::from_be_bytes(*bytes.last_chunk()?);
    bytes[at..].copy_from_slice(&(old & !mask | low).to_be_bytes());
    Ksn::of_transaction(&bytes).ok()
}

/// Other ways to read the hex digits of a KSN: padded, cut, or with digits lost.
pub(crate) fn forms(digits: &str) -> Vec<(Cause, Ksn)> {
    let length = digits.len();
    let cause = |sentence: &str, ksn: &Ksn| {
        Cause::new(Code::KsnForm, sentence, format!("pass the KSN as the device has it: {ksn}"))
    };
    let mut all: Vec<(Cause, Ksn)> = Vec::new();
    let mut add = |text: String, sentence: &str| {
        let ksn = hex::decode(&text).ok().and_then(|bytes| Ksn::of_transaction(&bytes).ok());
        if let Some(ksn) = ksn
            && !all.iter().any(|(_, other)| *other == ksn)
        {
            all.push((cause(sentence, &ksn), ksn));
        }
    };
    for full in [20usize, 24] {
        if length < full {
            let missing = full - length;
            let sentence = format!("the KSN has {length} hex digits: leading digits got lost");
            add("F".repeat(missing) + digits, &sentence);
            add("0".repeat(missing) + digits, &sentence);
            let sentence = format!("the KSN has {length} hex digits: trailing digits got lost");
            add(digits.to_owned() + &"0".repeat(missing), &sentence);
        }
        if length > full {
            let extra = length - full;
            let sentence = format!("the KSN was padded to {length} hex digits");
            if let (Some(cut), Some(kept)) = (digits.get(..extra), digits.get(extra..))
                && is_padding(cut)
            {
                add(kept.to_owned(), &sentence);
            }
            if let (Some(kept), Some(cut)) = (digits.get(..full), digits.get(full..))
                && is_padding(cut)
            {
                add(kept.to_owned(), &sentence);
            }
        }
    }
    all
}

fn is_padding(digits: &str) -> bool {
    digits.bytes().all(|digit| matches!(digit, b'F' | b'f')) || digits.bytes().all(|digit| digit == b'0')
}
