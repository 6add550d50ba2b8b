//! Whether a number may be tokenized at all: not a token already, and of a range whose check digit holds.

use crate::{Pan, TokenError, card::luhn_sum};

/// How tokens begin that keep no BIN: 9 stands for a country's own numbers, with the country code behind it (ISO/IEC
/// 7812-1:2017, 4.2), and no country has a code from 900 on (ISO 3166-1). So no scheme and no country issues these.
pub(crate) const TOKEN_RANGE: &[u8; 2] = b"99";

/// Ranges whose schemes make the check digit mandatory: first and last prefix. UnionPay's 62 and 81 are not among them, and
/// neither is any range of which that is not known.
const CHECKED: [(u16, u16); 17] = [
    (4000, 4999), // Visa
    (5100, 5599), // Mastercard
    (2221, 2720), // Mastercard
    (3400, 3499), // American Express
    (3700, 3799), // American Express
    (3528, 3589), // JCB
    (3000, 3059), // Diners Club
    (3095, 3095), // Diners Club
    (3600, 3699), // Diners Club
    (3800, 3999), // Diners Club
    (6011, 6011), // Discover
    (6440, 6499), // Discover
    (6500, 6599), // Discover
    (5000, 5099), // Maestro
    (5600, 5699), // Maestro
    (5700, 5799), // Maestro
    (5800, 5899), // Maestro
];

/// Whether every card of the number's range passes the Luhn check. The BIN is no secret.
pub(crate) fn has_check_digit(digits: &[u8]) -> bool {
    let prefix = digits.iter().take(4).fold(0, |prefix, digit| prefix * 10 + u16::from(digit & 0x0F));
    CHECKED.iter().any(|(first, last)| (*first..=*last).contains(&prefix))
}

/// The digits of a number that may be tokenized. By itself, so that tools/ctgrind can tell the branch on the outcome.
#[inline(never)]
pub(crate) fn checked(pan: &Pan) -> Result<&[u8], TokenError> {
    let digits = pan.as_bytes();
    if digits.starts_with(TOKEN_RANGE) {
        return Err(TokenError::AlreadyToken);
    }
    if has_check_digit(digits) && !luhn_sum(digits).is_multiple_of(10) {
        return Err(TokenError::CheckDigit);
    }
    Ok(digits)
}
