//! The clear-account-data alarm: a card number must never reach us unencrypted.

/// Whether an input of any layout holds a clear card number. It goes over what was received before anything is checked:
/// a device that does not encrypt may send anything, and a damaged payload with a card number in it is still one.
pub(super) fn sounds(input: &[u8]) -> bool {
    // The header of a frame may be all digits, and run into what follows it.
    let header = match input {
        [0x02, ..] => 10,
        [b'0', b'2', ..] => 20,
        _ => 0,
    };
    holds_account_number(input.get(header..).unwrap_or_default())
}

/// Whether a run of 12 or more digits stands directly in front of a field separator (`=` or `^`), as the account
/// number of a track does. A masked number has no such run, and random bytes have one about once in 10^18 positions.
pub(super) fn holds_account_number(slot: &[u8]) -> bool {
    let mut digits = 0;
    for &byte in slot {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'=' | b'^' if digits >= 12 => return true,
            _ => digits = 0,
        }
    }
    false
}
