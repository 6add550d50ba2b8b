//! The front stripe of Japanese cards (JIS X 6302-2, type II): recognised, checked, and kept whole. Where the card number
//! and expiry stand in it is not public, so no fields are read from it.

/// Characters of the stripe: start sentinel, 69 of data, end sentinel, check character.
pub(crate) const LENGTH: usize = 72;
/// Start and end sentinel.
const SENTINEL: u8 = 0x7F;

/// The 69 characters of data, if this is the clear text of a stripe, of 7-bit characters, and its check character is right:
/// the exclusive-or of all behind the start sentinel. That alone lets one garbled block of 256 through.
pub(super) fn data(clear: &[u8]) -> Option<&[u8]> {
    match clear {
        [SENTINEL, data @ .., SENTINEL, check] if clear.len() == LENGTH => {
            let (check_character, bits) =
                data.iter().fold((SENTINEL, 0), |(lrc, bits), byte| (lrc ^ byte, bits | byte));
            (check_character == *check && bits <= 0x7F).then_some(data)
        }
        _ => None,
    }
}
