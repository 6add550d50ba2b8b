//! The ID TECH XML message (SecureKey). Over HID the encrypted values are raw bytes, which no XML parser takes: the
//! attributes are found by their names.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, KsnError};
use zeroize::Zeroizing;

use crate::{
    Entry, TrackNumber, masked,
    payload::{Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Scope, Unsupported, alarm, hex},
};

const BEGIN: &[u8] = b"<DvcMsg";
const END: &[u8] = b"</DvcMsg>";
const KSN: usize = 10;
const BLOCK: usize = 8;
/// The longest ciphertext of a track, in bytes.
const LONGEST: usize = 512;
/// What a value that may be raw bytes ends with: the next attribute of its element, or the element's own end.
const BEHIND: [&[u8]; 9] = [
    b"\" ETrk1=\"",
    b"\" ETrk2=\"",
    b"\" ECData=\"",
    b"\" CDataKSN=\"",
    b"\" Exp=\"",
    b"\" MskPAN=\"",
    b"\" CHolder=\"",
    b"\" EFormat=\"",
    b"\"></Card>",
];
/// The attributes that hold ciphertext: track 1, track 2, what was keyed in.
const ENCRYPTED: [&[u8]; 3] = [b" ETrk1=\"", b" ETrk2=\"", b" ECData=\""];
const KSN_NAME: &[u8] = b" CDataKSN=\"";

/// A message: its decoded values, and where each stands.
#[derive(Clone, PartialEq, Eq)]
pub struct XmlMessage {
    entry: Entry,
    // Wiped on drop, as all that may hold digits of a card.
    data: Zeroizing<Vec<u8>>,
    encrypted: [Option<Range<usize>>; 3],
    masked: Option<Range<usize>>,
    serial: Option<Range<usize>>,
    ksn: Ksn,
}

impl XmlMessage {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, PayloadError> {
        let message = input.trim_ascii();
        if !message.starts_with(BEGIN) {
            return Err(PayloadError::StxMissing);
        }
        match find(message, END) {
            None => return Err(PayloadError::Truncated),
            Some(at) if at + END.len() != message.len() => return Err(PayloadError::TrailingBytes),
            Some(_) => {}
        }
        // The alarm goes before all else that may be wrong with the message.
        if clear(message).any(alarm::in_slot) {
            return Err(PayloadError::ClearAccountData);
        }
        let entry = match text(message, b" Entry=\"")? {
            Some(b"SWIPE") => Entry::Swiped,
            Some(b"MANUAL") => Entry::Keyed,
            _ => return Err(PayloadError::Unsupported(Unsupported::Encoding)),
        };
        match text(message, b" CEncode=\"")? {
            Some(b"0") => {}
            None if entry == Entry::Keyed => {}
            Some(b"1") => return Err(PayloadError::Unsupported(Unsupported::Aamva)),
            _ => return Err(PayloadError::Unsupported(Unsupported::Encoding)),
        }

        // Room for all of it at once: a buffer that grows leaves what it held behind.
        let mut data = Zeroizing::new(Vec::with_capacity(message.len()));
        let mut keep = |value: &[u8], digits: bool| {
            let start = data.len();
            if digits {
                hex::decode_into(value, &mut data)?
            } else {
                data.extend_from_slice(value)
            };
            Ok::<_, PayloadError>(start..data.len())
        };
        let ksn = value(message, KSN_NAME)?.ok_or(PayloadError::MissingKsn)?;
        // Raw bytes or hex digits: of all values alike.
        let digits = ksn.len() != KSN;
        let ksn = keep(ksn, digits)?;
        let mut encrypted = [const { None }; 3];
        for (place, name) in encrypted.iter_mut().zip(ENCRYPTED) {
            let keyed = name == ENCRYPTED[2];
            if let Some(value) = value(message, name)?.filter(|value| !value.is_empty())
                && keyed == (entry == Entry::Keyed)
            {
                *place = Some(keep(value, digits)?);
            }
        }
        let masked = text(message, b" MskPAN=\"")?.map(|value| keep(value, false)).transpose()?;
        let serial = text(message, b" DvcSN=\"")?.map(|value| keep(value, false)).transpose()?;

        // Digits may have hidden a card number in a ciphertext's place.
        if alarm::holds_account_number(&data)
            || masked.as_ref().is_some_and(|range| masked::number_shows_too_much(&data[range.clone()]))
        {
            return Err(PayloadError::ClearAccountData);
        }
        if encrypted.iter().all(Option::is_none) {
            return Err(PayloadError::NotEncrypted);
        }
        let whole = |range: &Range<usize>| range.len() <= LONGEST && range.len().is_multiple_of(BLOCK);
        if !encrypted.iter().flatten().all(whole) {
            return Err(PayloadError::CiphertextLength);
        }
        let ksn = match &data[ksn] {
            ksn if ksn.len() == KSN => Ksn::of_transaction(ksn)?,
            ksn => return Err(PayloadError::Ksn(KsnError::Length(ksn.len()))),
        };
        Ok(Self { entry, encrypted, masked, serial, ksn, data })
    }

    /// Whether the card was swiped or its number keyed in.
    #[must_use]
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// The key serial number, 10 bytes.
    #[must_use]
    pub fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    /// The masked card number.
    #[must_use]
    pub fn masked(&self) -> Option<&[u8]> {
        self.masked.clone().map(|range| &self.data[range])
    }

    /// The device's serial number.
    #[must_use]
    pub fn serial(&self) -> Option<&[u8]> {
        self.serial.clone().map(|range| &self.data[range])
    }

    /// The ciphertext of track 1 or 2 (index 0 and 1) or of what was keyed in (2), whole blocks.
    #[must_use]
    pub fn ciphertext(&self, which: usize) -> Option<&[u8]> {
        self.encrypted.get(which)?.clone().map(|range| &self.data[range])
    }
}

impl Content for XmlMessage {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        let (format, scheme) = (Format::IdTechXml, self.ksn.scheme());
        Features { format, scheme, cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let numbers = [Some(TrackNumber::One), Some(TrackNumber::Two), None];
        let fields = numbers.into_iter().zip(0..).filter_map(|(number, which)| {
            let holds = Holds::Track { number, length: None, masked: None };
            Some(EncryptedField::new(self.ciphertext(which)?, holds))
        });
        fields.collect()
    }
}

impl fmt::Debug for XmlMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The masked number and the ciphertext stay out of logs.
        f.debug_struct("XmlMessage").field("entry", &self.entry).field("ksn", &self.ksn).finish_non_exhaustive()
    }
}

/// All of the message but its ciphertexts and KSN.
fn clear(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(message);
    core::iter::from_fn(move || {
        let text = rest?;
        let names = ENCRYPTED.into_iter().chain([KSN_NAME]);
        let Some((at, name)) = names.filter_map(|name| Some((find(text, name)?, name))).min() else {
            return rest.take();
        };
        let (before, behind) = text.split_at(at + name.len());
        let end = BEHIND.iter().filter_map(|end| find(behind, end)).min();
        rest = Some(&behind[end.unwrap_or(0)..]);
        Some(before)
    })
}

/// The value of an attribute that may hold any bytes. `name` is with the space in front and `="` behind.
fn value<'m>(message: &'m [u8], name: &[u8]) -> Result<Option<&'m [u8]>, PayloadError> {
    let Some(rest) = behind(message, name)? else { return Ok(None) };
    let end = BEHIND.iter().filter_map(|behind| find(rest, behind)).min().ok_or(PayloadError::FieldOverrun)?;
    Ok(Some(&rest[..end]))
}

/// The value of an attribute that holds text.
fn text<'m>(message: &'m [u8], name: &[u8]) -> Result<Option<&'m [u8]>, PayloadError> {
    let Some(rest) = behind(message, name)? else { return Ok(None) };
    let end = find(rest, b"\"").ok_or(PayloadError::FieldOverrun)?;
    Ok(Some(&rest[..end]))
}

/// What stands behind the one place with this name.
fn behind<'m>(message: &'m [u8], name: &[u8]) -> Result<Option<&'m [u8]>, PayloadError> {
    let Some(at) = find(message, name) else { return Ok(None) };
    let rest = &message[at + name.len()..];
    if find(rest, name).is_some() { Err(PayloadError::FieldLayoutResidue) } else { Ok(Some(rest)) }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|byte| *byte == first)?;
        if text[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
}
