//! ID TECH Augusta's Quick Chip answer: TLV whose card number and track 2 are encrypted without any flag that says so.
//!
//! The ciphertext holds the value alone; the masked copies, under tags of their own, tell how long it is.

use alloc::vec::Vec;
use core::fmt;

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Received, Refusal, Scope, refusal,
    tlv::{Lengths, Object, Objects, Tag},
};
use crate::card::{packed, tags};

pub(super) const KSN: Tag = Tag::new(0xDF_EE12);
/// Each encrypted tag and that of its masked copy.
const MASKED: [(Tag, Tag); 2] = [(tags::TRACK2, Tag::new(0xDF_EF5D)), (tags::PAN, Tag::new(0xDF_EF5B))];

/// Bytes of tag and length in front of such a value.
const HEAD: usize = 2;

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub struct QuickChip {
    // Wiped on drop: masked copies and a name may stand in it.
    objects: Zeroizing<Vec<u8>>,
    ksn: Ksn,
}

impl QuickChip {
    pub(super) fn parse(bytes: Received<'_>) -> Result<Self, Refusal> {
        let input = &*bytes;
        let mut ksn = None;
        let (mut values, mut copies) = ([None; MASKED.len()], [None; MASKED.len()]);
        for object in Objects::new(input, Lengths::IdTech) {
            let object = object?;
            let place = |of: fn(&(Tag, Tag)) -> Tag| MASKED.iter().position(|pair| of(pair) == object.tag);
            let (value, copy) = (place(|pair| pair.0), place(|pair| pair.1));
            let seen = match (value, copy) {
                (Some(at), _) => &mut values[at],
                (_, Some(at)) => &mut copies[at],
                _ if object.tag == KSN => &mut ksn,
                _ => continue,
            };
            if seen.replace(object.value).is_some() {
                return Err(PayloadError::FieldLayoutResidue.within(input, object.value));
            }
            if copy.is_some() && packed::shows_too_much(object.value) {
                return Err(PayloadError::ClearAccountData.within(input, object.value));
            }
        }
        let mut encrypted = 0;
        for (value, masked) in values.into_iter().zip(copies) {
            match (value, masked) {
                (None, _) => continue,
                (Some(value), Some(masked)) if value.len() == masked.len() && packed::is_clear_of(masked, value) => {
                    return Err(PayloadError::ClearAccountData.within(input, value));
                }
                (Some(value), None) if packed::is_account_number(value) => {
                    return Err(PayloadError::ClearAccountData.within(input, value));
                }
                // Without its copy, nobody knows how long the value is.
                (Some(value), None) => return Err(PayloadError::FieldLayoutResidue.within(input, value)),
                (Some(value), Some(masked)) => {
                    // The value, or tag and length too where the profile says so.
                    let fits = |text: usize| [8, 16].map(|block| text.next_multiple_of(block)).contains(&value.len());
                    if masked.is_empty() || !(fits(masked.len()) || fits(masked.len() + HEAD)) {
                        return Err(PayloadError::CiphertextLength.within(input, value));
                    }
                }
            }
            encrypted += 1;
        }
        if encrypted == 0 {
            return Err(PayloadError::NotEncrypted.into());
        }
        let ksn = refusal::ksn(input, ksn.ok_or(PayloadError::MissingKsn)?)?;
        Ok(Self { objects: bytes.keep(), ksn })
    }

    /// All objects as they were sent. Those tagged `57` and `5A` are ciphertext.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(&self.objects, Lengths::IdTech)
    }
}

/// The encrypted objects, each with its masked copy.
fn fields(objects: &[u8]) -> impl Iterator<Item = (Object<'_>, Option<&[u8]>)> {
    let find = |tag| Objects::new(objects, Lengths::IdTech).flatten().find(|object| object.tag == tag);
    MASKED.into_iter().filter_map(move |(tag, copy)| Some((find(tag)?, find(copy).map(|object| object.value))))
}

impl Content for QuickChip {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        Features { format: Format::QuickChip, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let holds = |tag, masked: Option<_>| Holds::Value { tag, length: masked.map(<[u8]>::len), masked };
        fields(&self.objects).map(|(o, masked)| EncryptedField::new(o.value, holds(o.tag, masked))).collect()
    }

    fn chip(&self) -> Option<Objects<'_>> {
        Some(self.objects())
    }
}

impl fmt::Debug for QuickChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuickChip").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
