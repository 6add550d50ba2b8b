//! The ID TECH XML message (SecureKey). Over HID the encrypted values are raw bytes, which no XML parser takes: the
//! attributes are found by their names.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::{Ksn, KsnError};
use zeroize::Zeroizing;

use crate::{
    Entry, TrackNumber, masked,
    payload::{
        Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Refusal, Scope, Unsupported, alarm, hex,
    },
    words,
};

const BEGIN: &[u8] = b"<DvcMsg";
const END: &[u8] = b"</DvcMsg>";
const CARD_END: &[u8] = b"\"></Card>";
const KSN: usize = 10;
const BLOCK: usize = 8;
/// The longest ciphertext of a track, in bytes.
const LONGEST: usize = 512;
/// The attributes that are read, and those that stand between them: a space, the name.
const NAMES: [&[u8]; 11] = [
    b" ETrk1",
    b" ETrk2",
    b" ECData",
    b" CDataKSN",
    b" MskPAN",
    b" DvcSN",
    b" Entry",
    b" CEncode",
    b" Exp",
    b" CHolder",
    b" EFormat",
];
const LONGEST_NAME: usize = 9;
/// Which of them may hold any bytes: ciphertext of track 1, track 2 and what was keyed in; KSN.
const OPAQUE: [usize; 4] = [0, 1, 2, 3];
const KSN_AT: usize = 3;
const MASKED_AT: usize = 4;
const SERIAL_AT: usize = 5;
const ENTRY_AT: usize = 6;
const ENCODING_AT: usize = 7;

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
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let message = input.trim_ascii();
        Self::read(message).map_err(|refusal| refusal.inside(input, message))
    }

    fn read(message: &[u8]) -> Result<Self, Refusal> {
        if !message.starts_with(BEGIN) {
            return Err(PayloadError::StxMissing.at(0));
        }
        let values = Values::find(message);
        // The alarm goes before all else that may be wrong with the message.
        if let Some(number) = values.clear().find_map(alarm::in_slot) {
            return Err(PayloadError::ClearAccountData.within(message, number));
        }
        if !message.ends_with(END) {
            let found = message.windows(END.len()).position(|window| window == END);
            return Err(match found {
                Some(at) => PayloadError::TrailingBytes.at(at + END.len()),
                None => PayloadError::Truncated.at(message.len()),
            });
        }
        if let Some(at) = values.repeated {
            return Err(PayloadError::FieldLayoutResidue.at(at));
        }
        let unsupported = |which: usize, feature| {
            let offset = values.starts[which];
            Refusal { error: PayloadError::Unsupported(feature), offset }
        };
        let entry = match values.text(ENTRY_AT)? {
            Some(b"SWIPE") => Entry::Swiped,
            Some(b"MANUAL") => Entry::Keyed,
            _ => return Err(unsupported(ENTRY_AT, Unsupported::Encoding)),
        };
        match values.text(ENCODING_AT)? {
            Some(b"0") => {}
            None if entry == Entry::Keyed => {}
            Some(b"1") => return Err(unsupported(ENCODING_AT, Unsupported::Aamva)),
            _ => return Err(unsupported(ENCODING_AT, Unsupported::Encoding)),
        }

        // Room for all of it at once: a buffer that grows leaves what it held behind.
        let mut data = Zeroizing::new(Vec::with_capacity(message.len()));
        let mut keep = |value: &[u8], digits: bool| {
            let start = data.len();
            if digits {
                hex::decode_into(value, &mut data).map_err(|refusal| refusal.inside(message, value))?;
            } else {
                data.extend_from_slice(value)
            }
            Ok::<_, Refusal>(start..data.len())
        };
        let number = values.opaque(KSN_AT)?.ok_or(PayloadError::MissingKsn)?;
        // Raw bytes or hex digits: of all values alike.
        let digits = number.len() != KSN;
        let ksn = keep(number, digits)?;
        let mut encrypted = [const { None }; 3];
        for (which, place) in encrypted.iter_mut().enumerate() {
            let keyed = which == 2;
            if let Some(value) = values.opaque(which)?.filter(|value| !value.is_empty())
                && keyed == (entry == Entry::Keyed)
            {
                *place = Some(keep(value, digits)?);
            }
        }
        let masked = values.text(MASKED_AT)?.map(|value| keep(value, false)).transpose()?;
        let serial = values.text(SERIAL_AT)?.map(|value| keep(value, false)).transpose()?;

        // Digits may have hidden a card number in a ciphertext's place.
        alarm::check_slot(&data).map_err(|refusal| refusal.error)?;
        if masked.as_ref().is_some_and(|range| masked::number_shows_too_much(&data[range.clone()])) {
            return Err(Refusal { error: PayloadError::ClearAccountData, offset: values.starts[MASKED_AT] });
        }
        if encrypted.iter().all(Option::is_none) {
            return Err(PayloadError::NotEncrypted.into());
        }
        let whole = |range: &Range<usize>| range.len() <= LONGEST && range.len().is_multiple_of(BLOCK);
        if let Some(which) = encrypted.iter().position(|range| range.as_ref().is_some_and(|range| !whole(range))) {
            return Err(Refusal { error: PayloadError::CiphertextLength, offset: values.starts[which] });
        }
        let ksn = match &data[ksn] {
            ksn if ksn.len() == KSN => Ksn::of_transaction(ksn),
            ksn => Err(KsnError::Length(ksn.len())),
        };
        let ksn = ksn.map_err(|error| PayloadError::Ksn(error).within(message, number))?;
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

fn quotes(message: &[u8]) -> impl Iterator<Item = usize> {
    words::places(message, |word| words::equal(word, b'"'))
}

/// Where the value of each attribute begins, found in one pass.
struct Values<'m> {
    message: &'m [u8],
    starts: [Option<usize>; NAMES.len()],
    /// Where an attribute's second value begins.
    repeated: Option<usize>,
}

impl<'m> Values<'m> {
    fn find(message: &'m [u8]) -> Self {
        let mut values = Self { message, starts: [None; NAMES.len()], repeated: None };
        for before in quotes(message).filter_map(|at| message[..at].strip_suffix(b"=")) {
            let at = before.len() + 1;
            // Of the names, only those of the same length are compared.
            let space = before.iter().rev().take(LONGEST_NAME).position(|byte| *byte == b' ');
            let name = space.map(|space| &before[before.len() - space - 1..]);
            let named = name.and_then(|name| NAMES.iter().position(|known| *known == name));
            if let Some(which) = named {
                let second = values.starts[which].replace(at + 1).map(|_| at + 1);
                values.repeated = values.repeated.or(second);
            }
        }
        values
    }

    /// A value of text, up to the next quote.
    fn text(&self, which: usize) -> Result<Option<&'m [u8]>, Refusal> {
        let Some(start) = self.starts[which] else { return Ok(None) };
        let rest = &self.message[start..];
        let end = rest.iter().position(|byte| *byte == b'"').ok_or(PayloadError::FieldOverrun.at(start))?;
        Ok(Some(&rest[..end]))
    }

    /// A value of any bytes, up to the next attribute or the end of its element.
    fn opaque(&self, which: usize) -> Result<Option<&'m [u8]>, Refusal> {
        let Some(start) = self.starts[which] else { return Ok(None) };
        let end = self.end(start).ok_or(PayloadError::FieldOverrun.at(start))?;
        // One that begins in here, with no quote in front of its name, would have its bytes read twice.
        match self.starts.iter().flatten().find(|other| (start + 1..=end).contains(*other)) {
            Some(other) => Err(PayloadError::FieldLayoutResidue.at(*other)),
            None => Ok(Some(&self.message[start..end])),
        }
    }

    /// Where a value of any bytes ends that begins at `start`.
    fn end(&self, start: usize) -> Option<usize> {
        // The quote stands in front of the next name; behind that are `="` and the next value.
        let next = self.starts.iter().zip(NAMES).filter_map(|(next, name)| (*next)?.checked_sub(name.len() + 3));
        let next = next.filter(|end| *end >= start && self.message[*end] == b'"').min();
        let rest = &self.message[start..];
        let element = || quotes(rest).find(|at| rest[*at..].starts_with(CARD_END));
        next.or_else(|| Some(start + element()?))
    }

    /// All of the message but its ciphertexts and KSN.
    fn clear(&self) -> impl Iterator<Item = &'m [u8]> {
        let mut opaque = OPAQUE.map(|which| self.starts[which].and_then(|start| Some((start, self.end(start)?))));
        opaque.sort_unstable();
        let mut from = 0;
        let before = opaque.map(|span| {
            let (start, end) = span?;
            let text = self.message.get(from..start);
            from = from.max(end);
            text
        });
        before.into_iter().flatten().chain(self.message.get(from..))
    }
}
