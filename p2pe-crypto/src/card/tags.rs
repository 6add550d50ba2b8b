//! The tags of chip data that are about the account (EMV Book 3, Annex A; Mastercard's kernel 2; ID TECH).

use crate::tlv::Tag;

pub(crate) const PAN: Tag = Tag::new(0x5A);
pub(crate) const TRACK2: Tag = Tag::new(0x57);
/// Track 2 data of a contactless magnetic stripe card.
pub(crate) const TRACK2_KERNEL2: Tag = Tag::new(0x9F6B);
/// Track 1 data of a contactless magnetic stripe card: as on the stripe, without sentinels.
pub(crate) const TRACK1_KERNEL2: Tag = Tag::new(0x56);
/// The texts of both, as ID TECH readers name them.
pub(crate) const TRACK1_TEXT: Tag = Tag::new(0xFF_EE13);
pub(crate) const TRACK2_TEXT: Tag = Tag::new(0xFF_EE14);
/// Tracks one behind the other.
pub(crate) const TRACKS: Tag = Tag::new(0xDF_EF4D);
pub(crate) const EXPIRY: Tag = Tag::new(0x5F24);
pub(crate) const NAME: Tag = Tag::new(0x5F20);
pub(crate) const SERVICE_CODE: Tag = Tag::new(0x5F30);
/// How the card was read (ISO 8583, POS entry mode).
pub(crate) const ENTRY_MODE: Tag = Tag::new(0x9F39);

/// Discretionary data of the tracks, and copies of tracks.
const SENSITIVE: [u32; 10] =
    [0x9F1F, 0x9F20, 0xDF_812A, 0xDF_812B, 0xDF_EF17, 0xDF_EF18, 0xDF31, 0xDF32, 0xDF_ED50, 0xDF_ED51];

/// What belongs to the payload and not to the card: KSN, frame, masked copies, track lengths, ciphertext.
const OF_THE_PAYLOAD: [u32; 11] = [
    0xDF_EE12, 0xFF_EE12, 0xDF_EE23, 0xDF_EF4C, 0xDF_EF5B, 0xDF_EF5D, 0xDF_DF4D, 0xDF_DF56, 0xDF_DF57, 0xDF_DF58,
    0xDF_DF59,
];

/// Whether the value is a card number in nibbles, or begins with one.
pub(crate) fn holds_account_nibbles(tag: Tag) -> bool {
    [PAN, TRACK2, TRACK2_KERNEL2].contains(&tag)
}

/// Whether the value tells the card number.
pub(super) fn is_account(tag: Tag) -> bool {
    holds_account_nibbles(tag) || [TRACK1_KERNEL2, TRACK1_TEXT, TRACK2_TEXT, TRACKS].contains(&tag)
}

/// Whether the value is of a track: sensitive authentication data (PCI DSS v4, 3.3.1).
pub(super) fn is_sensitive(tag: Tag) -> bool {
    tag != PAN && is_account(tag) || SENSITIVE.contains(&tag.number())
}

/// Whether the value is chip data that goes on as it is.
pub(super) fn is_chip_data(tag: Tag) -> bool {
    !is_account(tag) && !is_sensitive(tag) && !OF_THE_PAYLOAD.contains(&tag.number())
}
