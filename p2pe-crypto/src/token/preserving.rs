//! Tokens by format-preserving encryption: the digits that are not kept become other digits, and back, under one key.

use alloc::{vec, vec::Vec};

use dukpt::Key;
use ff1::{Ff1, Message};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{CardToken, Kept, KeptError, Policy, TokenForm, card_number};
use crate::{Pan, TokenError};

/// Which digits FF1 tokens keep, for each length of card number.
///
/// An opt-in, with two things to know. A token that keeps BIN and last four cannot be made to fail the Luhn check: the check
/// digit is kept, and every value of the others is some card's token. And no token of this form can be told from a card
/// number afterwards, so a list of them does not show which rows were tokenized.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatPreserving {
    /// For numbers of 12 to 19 digits.
    kept: [Option<Kept>; 8],
}

impl FormatPreserving {
    /// From pairs of a card number's length and the digits kept of such numbers. Other lengths get no token.
    ///
    /// # Errors
    /// [`KeptError`]: under six digits would be left, as with BIN 8 and last four of 16 digits, or BIN 6 and last four of 15.
    pub fn new(rules: &[(usize, Kept)]) -> Result<Self, KeptError> {
        let mut kept = [None; 8];
        for (length, rule) in rules {
            let place = length.checked_sub(12).and_then(|at| kept.get_mut(at)).ok_or(KeptError::Length(*length))?;
            if rule.middle(*length).len() < ff1::SHORTEST {
                return Err(KeptError::TooFewDigits(*length));
            }
            if place.replace(*rule).is_some() {
                return Err(KeptError::Twice(*length));
            }
        }
        Ok(Self { kept })
    }

    fn kept(&self, length: usize) -> Option<Kept> {
        *length.checked_sub(12).and_then(|at| self.kept.get(at))?
    }
}

/// Turns card numbers into FF1 tokens and back, under a key of kind `ff1`.
///
/// The tweak is policy version (4 bytes, big endian) ‖ how many digits are kept in front and at the end (a byte each) ‖
/// merchant length (1) ‖ merchant ‖ the kept digits.
#[derive(Debug)]
pub struct FormatPreservingTokenizer<K> {
    ff1: Ff1<K>,
}

#[derive(Clone, Copy)]
enum Direction {
    Token,
    Pan,
}

impl<K: Key> FormatPreservingTokenizer<K> {
    /// Under this key. Keep it for as long as there is work.
    pub fn new(key: K) -> Self {
        Self { ff1: Ff1::new(key) }
    }

    /// The token of a card number; always the same under one policy version.
    ///
    /// # Errors
    /// [`TokenError::Form`], [`TokenError::AlreadyToken`], [`TokenError::CheckDigit`], [`TokenError::Length`],
    /// [`TokenError::OwnToken`], [`TokenError::Key`].
    pub fn token(&self, policy: &Policy, pan: &Pan) -> Result<CardToken, TokenError> {
        only(self.tokens(policy, &[pan]))
    }

    /// The tokens of many card numbers, each result as if it were alone, in few calls of the key's store.
    pub fn tokens(&self, policy: &Policy, pans: &[&Pan]) -> Vec<Result<CardToken, TokenError>> {
        let numbers = pans.iter().map(|pan| card_number::checked(pan)).collect();
        self.turn(policy, numbers, Direction::Token, |digits| Ok(CardToken::of(digits)))
    }

    /// The card number of a token.
    ///
    /// # Errors
    /// [`TokenError::Form`], [`TokenError::Key`]; [`TokenError::Unknown`] for what cannot be a token of this policy. A token
    /// of another merchant, or digits that are no token, lead to a wrong card number where that happens to pass the Luhn
    /// check: FF1 has no authenticity.
    pub fn pan(&self, policy: &Policy, token: &CardToken) -> Result<Pan, TokenError> {
        only(self.pans(policy, &[token]))
    }

    /// The card numbers of many tokens, each result as if it were alone.
    pub fn pans(&self, policy: &Policy, tokens: &[&CardToken]) -> Vec<Result<Pan, TokenError>> {
        let numbers = tokens.iter().map(|token| Ok(token.as_bytes())).collect();
        let mut pans = self.turn(policy, numbers, Direction::Pan, |digits| {
            let pan = Pan::new(digits).map_err(|_| TokenError::Unknown)?;
            card_number::checked(&pan)?;
            Ok(pan)
        });
        for pan in &mut pans {
            if !matches!(pan, Ok(_) | Err(TokenError::Key(_) | TokenError::Form)) {
                *pan = Err(TokenError::Unknown);
            }
        }
        pans
    }

    fn turn<T>(
        &self,
        policy: &Policy,
        numbers: Vec<Result<&[u8], TokenError>>,
        direction: Direction,
        finish: impl Fn(&[u8]) -> Result<T, TokenError>,
    ) -> Vec<Result<T, TokenError>> {
        let prepare = |number: Result<&'_ [u8], TokenError>| {
            let TokenForm::FormatPreserving(form) = policy.form() else { return Err(TokenError::Form) };
            let number = number?;
            let kept = form.kept(number.len()).ok_or(TokenError::Length)?;
            Ok((tweak(policy, kept, number), kept.middle(number.len())))
        };
        let prepared: Vec<_> = numbers.iter().map(|number| prepare(number.clone())).collect();
        let mut digits = Zeroizing::new(vec![[0; 19]; numbers.len()]);
        for (digits, number) in digits.iter_mut().zip(&numbers) {
            number.iter().for_each(|number| digits[..number.len()].copy_from_slice(number));
        }
        let mut messages = Vec::with_capacity(numbers.len());
        for (digits, prepared) in digits.iter_mut().zip(&prepared) {
            if let Ok((tweak, middle)) = prepared {
                messages.push(Message { tweak, digits: &mut digits[middle.clone()] });
            }
        }
        let turned = match direction {
            Direction::Token => self.ff1.encrypt_batch(&mut messages),
            Direction::Pan => self.ff1.decrypt_batch(&mut messages),
        };
        let turned = turned.map_err(TokenError::from);
        let results = digits.iter().zip(numbers).zip(prepared).map(|((digits, number), prepared)| {
            prepared?;
            turned.clone()?;
            let number = number?;
            let digits = &digits[..number.len()];
            unless_own(digits, number, &finish)
        });
        results.collect()
    }
}

/// By itself, so that tools/ctgrind can tell the branch on the outcome.
#[inline(never)]
fn unless_own<T>(
    digits: &[u8],
    number: &[u8],
    finish: impl Fn(&[u8]) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    if digits.ct_eq(number).into() { Err(TokenError::OwnToken) } else { finish(digits) }
}

fn tweak(policy: &Policy, kept: Kept, number: &[u8]) -> Vec<u8> {
    let (merchant, middle) = (policy.merchant().as_str().as_bytes(), kept.middle(number.len()));
    let mut tweak = Vec::with_capacity(4 + 2 + 1 + merchant.len() + number.len());
    tweak.extend(policy.version().to_be_bytes());
    tweak.extend(kept.sizes());
    // A merchant's name has at most 64 bytes.
    tweak.push(u8::try_from(merchant.len()).unwrap_or(u8::MAX));
    tweak.extend_from_slice(merchant);
    tweak.extend_from_slice(&number[..middle.start]);
    tweak.extend_from_slice(&number[middle.end..]);
    tweak
}

fn only<T>(results: Vec<Result<T, TokenError>>) -> Result<T, TokenError> {
    results.into_iter().next().unwrap_or(Err(TokenError::Unknown))
}
