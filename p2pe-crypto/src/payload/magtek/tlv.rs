//! The TLV of DynaPro and eDynamo chip readers: one ciphertext over a string of objects, in tag `DFDF59`.

use alloc::vec::Vec;
use core::fmt;

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::super::{
    Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Received, Refusal, Scope, Unsupported,
    refusal,
    tlv::{Lengths, Object, Objects, Tag},
};

const CIPHERTEXT: Tag = Tag::new(0xDF_DF59);
const KSN: Tag = Tag::new(0xDF_DF56);
/// Which key; `80` is the data key of the request direction.
const ENCRYPTION: Tag = Tag::new(0xDF_DF57);
const PADDING: Tag = Tag::new(0xDF_DF58);
/// A masked track 2, as text.
const MASKED: Tag = Tag::new(0xDF_DF4D);
/// The wrapper of an answer that asks for authorisation. A MAC of four bytes may stand behind it.
const WRAPPER: Tag = Tag::new(0xF9);
/// The wrapper of the older layout, whose objects are encrypted one by one. What each ciphertext holds is not documented.
const OLDER: Tag = Tag::new(0xFD);

/// One message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    // Wiped on drop: a masked copy may stand in it.
    bytes: Zeroizing<Vec<u8>>,
    padding: usize,
    ksn: Ksn,
}

impl Message {
    /// Whether the first object is one of the containers, with a ciphertext in it; with a KSN in that of the older layout.
    pub(in super::super) fn begins(input: &[u8]) -> bool {
        let mut objects = Objects::new(input, Lengths::Ber).map_while(Result::ok);
        let Some(first) = objects.next().filter(|o| o.constructed && o.tag.number() >> 4 == 0xF) else { return false };
        objects.any(|object| object.tag == CIPHERTEXT || first.tag == OLDER && object.tag == KSN)
    }

    pub(in super::super) fn parse(bytes: Received<'_>) -> Result<Self, Refusal> {
        let input = &*bytes;
        refuse_mac(input)?;
        let mut told = [None; 5];
        for object in Objects::new(input, Lengths::Ber) {
            let object = object?;
            let tags = [CIPHERTEXT, KSN, PADDING, ENCRYPTION, MASKED];
            if let Some(at) = tags.iter().position(|tag| *tag == object.tag)
                && told[at].replace(object.value).is_some()
            {
                return Err(PayloadError::FieldLayoutResidue.within(input, object.value));
            }
        }
        let [ciphertext, ksn, padding, ..] = told;
        let older = || objects(input).next().is_some_and(|first| first.tag == OLDER);
        let ciphertext = match ciphertext {
            None if older() => return Err(PayloadError::Unsupported(Unsupported::Encryption).at(0)),
            other => other.ok_or(PayloadError::NotEncrypted)?,
        };
        let padding = match padding {
            Some(&[count]) if usize::from(count) < ciphertext.len().min(16) => count.into(),
            None => 0,
            Some(other) => return Err(PayloadError::FieldLayoutResidue.within(input, other)),
        };
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(8) {
            return Err(PayloadError::CiphertextLength.within(input, ciphertext));
        }
        let ksn = refusal::ksn(input, ksn.ok_or(PayloadError::MissingKsn)?)?;
        Ok(Self { bytes: bytes.keep(), padding, ksn })
    }

    /// All objects as they were sent, containers in front of what they hold.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(&self.bytes, Lengths::Ber)
    }

    /// Which key the device says it used: `80` is the data key of the request direction.
    #[must_use]
    pub fn encryption(&self) -> Option<&[u8]> {
        find(&self.bytes, ENCRYPTION)
    }
}

impl Content for Message {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        let format = Format::MagTekTlv;
        Features { format, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let holds = Holds::TlvString { pad: Some(self.padding), masked: find(&self.bytes, MASKED) };
        find(&self.bytes, CIPHERTEXT).map(|ciphertext| EncryptedField::new(ciphertext, holds)).into_iter().collect()
    }

    fn chip(&self) -> Option<Objects<'_>> {
        Some(self.objects())
    }
}

fn objects(bytes: &[u8]) -> impl Iterator<Item = Object<'_>> {
    Objects::new(bytes, Lengths::Ber).flatten()
}

fn find(bytes: &[u8], tag: Tag) -> Option<&[u8]> {
    objects(bytes).find(|object| object.tag == tag).map(|object| object.value)
}

/// The key of the MAC is not documented: a message that carries one is refused by name.
fn refuse_mac(input: &[u8]) -> Result<(), Refusal> {
    let wrapper = objects(input).next().filter(|first| first.tag == WRAPPER);
    match wrapper.map(|wrapper| &input[wrapper.end..]) {
        Some(mac @ &[_, _, _, _]) if mac != [0; 4] => {
            Err(PayloadError::Unsupported(Unsupported::Mac).within(input, mac))
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
