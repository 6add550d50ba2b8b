//! Agreement of a frame's masked copy with the clear text.

/// Whether `masked` is `clear` with some positions covered by one mask character. The mask character is a device
/// setting (`*`, space and `~` were seen), so positions are compared, not characters searched.
pub(super) fn agrees(masked: &[u8], clear: &[u8]) -> bool {
    let mut mask = None;
    masked.len() == clear.len()
        && masked.iter().zip(clear).all(|(shown, actual)| {
            shown == actual || (!shown.is_ascii_alphanumeric() && *mask.get_or_insert(*shown) == *shown)
        })
}
