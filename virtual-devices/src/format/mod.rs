//! What each model sends: written after public manuals and real captures, and apart from the parsers of `p2pe-crypto`.

mod enhanced;
mod envelope;
mod magtek;
mod neo;
mod original;
mod raw;
mod verifone;
mod xml;

use dukpt::KeyError;
use p2pe_crypto::Entry;

use crate::{
    Card, Form, Model, Setting,
    device::Reading,
    emission::Expected,
    tracks::{self, Clear},
};

/// One payload, written.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) form: Form,
    pub(crate) expected: Expected,
}

pub(crate) fn write(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    match reading.setup.model() {
        Model::SredKey => enhanced::keyed(reading),
        Model::SredKeyOriginal => original::keyed(reading),
        Model::IdTechSwipe => enhanced::swiped(reading),
        Model::IdTechSwipeOriginal => original::swiped(reading),
        Model::IdTechXml => xml::message(reading),
        Model::Neo => neo::answer(reading),
        Model::Augusta => neo::quick_chip(reading),
        Model::MagTek => magtek::stream(reading),
        Model::MagTekReport => magtek::report(reading),
        Model::DynaPro => magtek::tlv(reading),
        Model::Verifone => verifone::vsd(reading),
        Model::WisePad | Model::Track => raw::tracks(reading),
        Model::Tlv => raw::tlv(reading),
        Model::PackedTrack2 => raw::packed(reading),
    }
}

/// What is expected of a card: its number was checked when the card was made.
fn expected(card: &Card, entry: Entry) -> Result<Expected, KeyError> {
    Expected::new(card, entry).ok_or(KeyError::BadLength)
}

/// The texts of the tracks that the device is set to read, without check characters, `start` in front of the third; and
/// what is expected of them.
fn swipe(reading: &mut Reading<'_, '_>, start: u8) -> Result<([Option<Clear>; 3], Expected), KeyError> {
    let card = reading.card;
    let discretionary = tracks::discretionary(card, reading.random);
    let without = |others: &[Setting]| !others.iter().any(|other| reading.has(*other));
    let texts = [
        without(&[Setting::Track2, Setting::StripeInSlot1]).then(|| tracks::track1(card, &discretionary)),
        without(&[Setting::Track1, Setting::StripeInSlot2]).then(|| tracks::track2(card, &discretionary)),
        reading.has(Setting::Tracks123).then(|| tracks::track3(card, start)),
    ];
    let mut expected = expected(card, Entry::Swiped)?;
    for (number, text) in texts.iter().enumerate() {
        if let Some(text) = text {
            expected.track(number, text, card);
        }
    }
    Ok((texts, expected))
}

/// A number keyed in, without check character, and what is expected of it.
fn keyed(reading: &Reading<'_, '_>, with_code: bool) -> Result<(Clear, Expected), KeyError> {
    let card = reading.card;
    let text = tracks::keyed(card, with_code);
    let mut expected = expected(card, Entry::Keyed)?;
    expected.track(1, &text, card);
    expected.security_code = with_code.then(|| card.security_code.clone());
    Ok((text, expected))
}
