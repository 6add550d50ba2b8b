//! What a virtual device sent, and the card that a gateway must find in it.

use dukpt::Ksn;
use p2pe_crypto::{CardData, DeviceProfile, Entry, Pan, TrackNumber, tlv::Tag};

use crate::{
    Card,
    tracks::{Clear, joined},
};

/// One payload.
#[expect(missing_debug_implementations, reason = "knows a card")]
pub struct Emission {
    /// What went over the wire. Of [`Form::Beside`] it is one ciphertext a line, in hex digits.
    pub bytes: Vec<u8>,
    /// What the bytes are.
    pub form: Form,
    /// The key serial number of the transaction; in all forms but [`Form::Beside`] it stands in the bytes as well.
    pub ksn: Ksn,
    /// The profile that a gateway has to have for the device.
    pub profile: DeviceProfile,
    /// The card.
    pub expected: Expected,
}

/// What the bytes of a payload are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Bytes of any value.
    Binary,
    /// Printable characters.
    Text,
    /// Ciphertext that has its KSN beside it.
    Beside,
}

/// What a gateway must read from a payload: all that the device encrypted, and the chip data that it sent in clear. Wiped
/// on drop.
#[expect(missing_debug_implementations, reason = "holds a card number and its security code")]
pub struct Expected {
    pub(crate) entry: Entry,
    pub(crate) pan: Pan,
    pub(crate) expiry: [u8; 4],
    pub(crate) name: Option<Clear>,
    pub(crate) service_code: Option<[u8; 3]>,
    pub(crate) security_code: Option<Clear>,
    pub(crate) tracks: [Option<Clear>; 3],
    pub(crate) stripe: Option<Clear>,
    pub(crate) session_id: Option<[u8; 8]>,
    pub(crate) chip: Vec<(Tag, Vec<u8>)>,
}

impl Expected {
    /// A card's number and expiry, and nothing else yet.
    pub(crate) fn new(card: &Card, entry: Entry) -> Option<Self> {
        Some(Self {
            entry,
            pan: Pan::new(card.number()).ok()?,
            expiry: card.expiry,
            name: None,
            service_code: None,
            security_code: None,
            tracks: [const { None }; 3],
            stripe: None,
            session_id: None,
            chip: Vec::new(),
        })
    }

    /// With a track, and what it tells of the card.
    pub(crate) fn track(&mut self, number: usize, text: &[u8], card: &Card) {
        if number == 0 {
            self.name = Some(joined(&[&card.name]));
        }
        if number < 2 && self.entry != Entry::Keyed {
            self.service_code = Some(card.service_code);
        }
        self.tracks[number] = Some(joined(&[text]));
    }

    /// The card number.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The fields in which what a gateway read is not what the device sent: their names, never their values.
    pub fn differences(&self, card: &CardData) -> impl Iterator<Item = &'static str> {
        let text =
            |expected: &Option<Clear>, read: Option<&str>| expected.as_ref().map(|t| &t[..]) == read.map(str::as_bytes);
        let shown = |value: Option<String>, expected: Option<&[u8]>| value.as_deref().map(str::as_bytes) == expected;
        let sensitive = card.sensitive();
        let numbers = [TrackNumber::One, TrackNumber::Two, TrackNumber::Three];
        let track = |(expected, number)| text(expected, sensitive.track(number).map(|track| track.expose()));
        let chip = |(tag, value): &(Tag, Vec<u8>)| card.emv().get(*tag) == Some(value);
        let checks = [
            ("card number", card.pan().expose() == self.pan.expose()),
            ("expiry", shown(card.expiry().map(|expiry| expiry.to_string()), Some(&self.expiry))),
            ("security code", text(&self.security_code, sensitive.security_code().map(|code| code.expose()))),
            ("tracks", self.tracks.iter().zip(numbers).all(track)),
            ("front stripe", self.stripe.as_ref().map(|s| &s[1..70]) == sensitive.jis2().map(|s| s.expose())),
            ("entry", card.entry() == self.entry),
            ("name", text(&self.name, card.name())),
            (
                "service code",
                shown(card.service_code().map(|code| code.to_string()), self.service_code.as_ref().map(|c| &c[..])),
            ),
            ("session id", card.session_id() == self.session_id.as_ref()),
            ("chip data", self.chip.iter().all(chip)),
        ];
        checks.into_iter().filter(|(_, same)| !same).map(|(name, _)| name)
    }
}
