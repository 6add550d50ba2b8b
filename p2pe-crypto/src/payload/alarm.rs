//! The clear-account-data alarm: a card number must never reach us unencrypted.

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
