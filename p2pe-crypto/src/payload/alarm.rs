//! The clear-account-data alarm: a card number must never reach us unencrypted.

use core::iter;

use super::{PayloadError, Refusal};
use crate::{card::pan::plausible, words};

/// Digits of the shortest card number.
const SHORTEST: usize = 12;

/// Refuses an input of any layout that holds a clear card number. It goes over what was received before anything is
/// checked: a device that does not encrypt may send anything, and a damaged payload with a card number in it is still one.
///
/// Where devices mask `with_digits`, a number whose middle is zeros may be a masked one; decryption tells.
pub(super) fn check(input: &[u8], with_digits: bool) -> Result<(), Refusal> {
    // The header of a frame may be all digits, and run into what follows it.
    let header = match input {
        [0x02, ..] => 10,
        [b'0', b'2', ..] => 20,
        _ => 0,
    };
    let behind = input.get(header..).unwrap_or_default();
    let clear = account_numbers(behind).find(|number| !(with_digits && may_be_masked(number)));
    clear.map_or(Ok(()), |number| Err(PayloadError::ClearAccountData.within(input, number)))
}

/// Refuses bytes in which a run of 12 or more digits stands directly in front of a field separator.
pub(super) fn check_slot(slot: &[u8]) -> Result<(), Refusal> {
    account_numbers(slot).next().map_or(Ok(()), |number| Err(PayloadError::ClearAccountData.within(slot, number)))
}

/// Each run of 12 or more digits that stands directly in front of a field separator (`=` or `^`), as the account
/// number of a track does. A masked number has no such run, and random bytes have one about once in 10^18 positions.
fn account_numbers(slot: &[u8]) -> impl Iterator<Item = &[u8]> {
    let separators = words::places(slot, |word| words::equal(word, b'=') | words::equal(word, b'^'));
    separators.filter_map(|end| {
        let before = &slot[..end];
        let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        (digits >= SHORTEST).then(|| &before[end - digits..])
    })
}

/// The card number that a clear slot holds, in front of a separator or not: a whole run of 12 to 19 digits that a scheme
/// could have issued. A front stripe (JIS II) is account data wherever its digits stand.
pub(super) fn in_slot(slot: &[u8]) -> Option<&[u8]> {
    let mut runs = runs(slot);
    match slot {
        [0x7F, ..] => runs.next(),
        _ => runs.find(|run| run.len() <= 19 && plausible(run)),
    }
}

/// Each whole run of 12 digits and more: such a run has one of them at every twelfth place.
fn runs(slot: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut next = SHORTEST - 1;
    iter::from_fn(move || {
        loop {
            let place = next;
            next += SHORTEST;
            if slot.get(place)?.is_ascii_digit() {
                let (before, behind) = slot.split_at(place);
                let start = before.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
                let end = place + behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
                next = end + SHORTEST;
                if end - start >= SHORTEST {
                    return slot.get(start..end);
                }
            }
        }
    })
}

/// One digit may be another: some devices put it there to make the check digit right.
fn may_be_masked(number: &[u8]) -> bool {
    let middle = number.get(6..number.len() - 4).unwrap_or_default();
    (12..=19).contains(&number.len()) && middle.iter().filter(|digit| **digit != b'0').count() <= 1
}
