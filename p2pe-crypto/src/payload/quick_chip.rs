//! ID TECH Augusta's Quick Chip answer: TLV whose card number and track 2 are encrypted without any flag that says so.
//!
//! The ciphertext holds the value alone; the masked copies, under tags of their own, tell how long it is.

use alloc::boxed::Box;
use core::fmt;

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Scope,
    tlv::{Lengths, Object, Objects, Protection, Tag},
};
use crate::card::{packed, tags};

const KSN: Tag = Tag::new(0xDF_EE12);
/// Each encrypted tag and that of its masked copy.
const MASKED: [(Tag, Tag); 2] = [(tags::TRACK2, Tag::new(0xDF_EF5D)), (tags::PAN, Tag::new(0xDF_EF5B))];

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub struct QuickChip {
    // Wiped on drop: masked copies and a name may stand in it.
    objects: Zeroizing<Box<[u8]>>,
    ksn: Ksn,
}

impl QuickChip {
    /// Whether these are objects with a KSN and a card number or track 2, and none that is flagged encrypted.
    pub(super) fn begins(input: &[u8]) -> bool {
        let (mut ksn, mut account) = (false, false);
        let mut objects = Objects::new(input, Lengths::IdTech);
        let plain = objects.all(|object| {
            object.is_ok_and(|object| {
                ksn |= object.tag == KSN;
                account |= MASKED.iter().any(|(tag, _)| *tag == object.tag);
                object.protection == Protection::Plain
            })
        });
        plain && ksn && account
    }

    pub(super) fn parse(input: &[u8]) -> Result<Self, PayloadError> {
        let mut ksn = None;
        for object in Objects::new(input, Lengths::IdTech) {
            let object = object?;
            let repeated =
                |tag: Tag| Objects::new(input, Lengths::IdTech).flatten().filter(|o| o.tag == tag).count() > 1;
            if object.tag == KSN {
                ksn = Some(object.value);
            }
            let known = object.tag == KSN || MASKED.iter().any(|(tag, copy)| [*tag, *copy].contains(&object.tag));
            if known && repeated(object.tag) {
                return Err(PayloadError::FieldLayoutResidue);
            }
            if MASKED.iter().any(|(_, copy)| *copy == object.tag) && packed::shows_too_much(object.value) {
                return Err(PayloadError::ClearAccountData);
            }
        }
        let mut encrypted = 0;
        for (object, masked) in fields(input) {
            match masked {
                Some(masked) if object.value.len() == masked.len() && packed::is_clear_of(masked, object.value) => {
                    return Err(PayloadError::ClearAccountData);
                }
                None if packed::is_account_number(object.value) => return Err(PayloadError::ClearAccountData),
                // Without its copy, nobody knows how long the value is.
                None => return Err(PayloadError::FieldLayoutResidue),
                Some(masked) => {
                    let blocks = [8, 16].map(|block| masked.len().next_multiple_of(block));
                    if masked.is_empty() || !blocks.contains(&object.value.len()) {
                        return Err(PayloadError::CiphertextLength);
                    }
                }
            }
            encrypted += 1;
        }
        if encrypted == 0 {
            return Err(PayloadError::NotEncrypted);
        }
        let ksn = Ksn::of_transaction(ksn.ok_or(PayloadError::MissingKsn)?)?;
        Ok(Self { objects: Zeroizing::new(input.into()), ksn })
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
