//! The data objects of a plausible chip transaction (EMV Book 3, annex A).

use p2pe_crypto::tlv::Tag;

use crate::{
    Card, tlv,
    tracks::{self, Clear, joined},
};

pub(crate) const PAN: u32 = 0x5A;
pub(crate) const TRACK2: u32 = 0x57;
pub(crate) const NAME: u32 = 0x5F20;
pub(crate) const EXPIRY: u32 = 0x5F24;
pub(crate) const ENTRY_MODE: u32 = 0x9F39;

/// The account of a card as its chip tells it.
pub(crate) struct Account {
    /// Track 2 equivalent data: digits, `=` for the separator.
    pub(crate) track2: Clear,
    /// The same as the text of a stripe.
    pub(crate) text: Clear,
    pub(crate) expiry: Clear,
}

impl Account {
    pub(crate) fn of(card: &Card, random: &mut fastrand::Rng) -> Self {
        let text = tracks::track2(card, &tracks::discretionary(card, random));
        Self {
            track2: joined(&[&text[1..text.len() - 1]]),
            expiry: tlv::nibbles(&joined(&[&card.expiry, b"31"])),
            text,
        }
    }
}

/// How the card was read, tag `9F39`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    Contact = 0x05,
    Contactless = 0x07,
    ContactlessMagstripe = 0x91,
}

/// What is not of the account, in the order in which it is sent. A transaction counter never repeats.
pub(crate) fn transaction(interface: Interface, counter: u32, random: &mut fastrand::Rng) -> Vec<(Tag, Vec<u8>)> {
    let [.., atc_high, atc_low] = counter.to_be_bytes();
    let amount = random.u32(100..1_000_000);
    // JCB, Visa and Mastercard credit.
    let application =
        [&[0xA0, 0, 0, 0, 0x65, 0x10, 0x10][..], &[0xA0, 0, 0, 0, 3, 0x10, 0x10], &[0xA0, 0, 0, 0, 4, 0x10, 0x10]]
            [random.usize(..3)];
    let bytes = |random: &mut fastrand::Rng, count: usize| (0..count).map(|_| random.u8(..)).collect::<Vec<u8>>();
    let decimal =
        |number: u32, bytes: usize| tlv::nibbles(format!("{number:0width$}", width = 2 * bytes).as_bytes()).to_vec();
    let contact = interface == Interface::Contact;
    let objects = [
        (0x4F, application.to_vec()),
        (0x82, if contact { vec![0x38, 0] } else { vec![0x20, 0] }),
        (0x84, application.to_vec()),
        (0x95, if contact { vec![0x02, 0, 0x04, 0x80, 0] } else { vec![0; 5] }),
        (0x9A, decimal(260_000 + 100 * random.u32(1..=12) + random.u32(1..=28), 3)),
        (0x9C, vec![0]),
        (0x5F2A, vec![0x03, 0x92]),
        (0x5F34, vec![0x01]),
        (0x9F02, decimal(amount, 6)),
        (0x9F03, vec![0; 6]),
        (0x9F09, vec![0, 0x96]),
        (0x9F10, [&[0x06, 0x01, 0x0A, 0x03, 0xA0, 0, 0][..], &bytes(random, 4)].concat()),
        (0x9F1A, vec![0x03, 0x92]),
        (0x9F26, bytes(random, 8)),
        (0x9F27, vec![0x80]),
        (0x9F33, vec![0xE0, 0xB8, 0xC8]),
        (0x9F34, if contact { vec![0x41, 0x03, 0x02] } else { vec![0x1F, 0x03, 0] }),
        (0x9F35, vec![0x22]),
        (0x9F36, vec![atc_high, atc_low]),
        (0x9F37, bytes(random, 4)),
        (0x9F41, decimal(counter % 10_000, 2)),
        (ENTRY_MODE, vec![interface as u8]),
    ];
    objects.into_iter().map(|(tag, value)| (Tag::new(tag), value)).collect()
}

/// The objects as they are sent.
pub(crate) fn objects(transaction: &[(Tag, Vec<u8>)]) -> Vec<Clear> {
    transaction.iter().map(|(tag, value)| tlv::object(tag.number(), value)).collect()
}
