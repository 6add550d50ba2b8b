//! A batch of cells: what becomes of each, with the store asked once for each number.

use std::collections::HashMap;

use p2pe_crypto::Pan;
use serde::{Deserialize, Serialize};

use crate::{
    Decision, Error, Tokens,
    cell::{Cell, masked, plausible, shows_too_much},
    finder::ends_in_zeros,
    known::{Known, Print},
};

/// How card-shaped tokens begin that keep no BIN (p2pe-crypto).
const TOKEN_RANGE: &str = "99";

/// What becomes of a cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It stays as it is: empty, a token already, or in a column that is kept.
    Kept,
    /// The text with the token in place of the number.
    Token(String),
    /// No token for it.
    Rejected {
        /// `check_digit`, `digits_lost`, `not_a_card_number`, or the name of a [`p2pe_crypto::TokenError`].
        reason: &'static str,
        /// The text with its digits masked; `None` if it stays as it is, because it shows no more than BIN and last four could.
        masked: Option<String>,
    },
}

/// What was done in one column.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Cells in all.
    pub cells: u64,
    /// Of these, empty ones.
    pub empty: u64,
    /// Card numbers that became tokens.
    pub tokenized: u64,
    /// Tokens that were there already.
    pub already: u64,
    /// Cells that got no token; each is listed.
    pub rejected: u64,
}

/// Replaces card numbers, batch by batch.
#[expect(missing_debug_implementations, reason = "holds the key of the run")]
pub struct Batch<'t, T: ?Sized> {
    tokens: &'t T,
    known: Known,
    decisions: Vec<Decision>,
    tallies: Vec<Tally>,
}

/// A number that waits for its token.
struct Asked {
    /// Where in the batch.
    at: usize,
    print: Print,
    place: std::ops::Range<usize>,
    masked: String,
    /// From an earlier batch.
    known: Option<String>,
}

impl<'t, T: Tokens + ?Sized> Batch<'t, T> {
    /// Over columns of these decisions. At most `remembered` tokens are kept to be used again.
    ///
    /// # Errors
    /// [`Error::Token`] without random bytes.
    pub fn new(tokens: &'t T, decisions: Vec<Decision>, remembered: usize) -> Result<Self, Error> {
        let tallies = vec![Tally::default(); decisions.len()];
        Ok(Self { tokens, known: Known::new(remembered / 2)?, decisions, tallies })
    }

    /// What was done so far, by column.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Goes on from what was done before an interruption.
    #[must_use]
    pub fn resumed(self, tallies: Vec<Tally>) -> Self {
        Self { tallies, ..self }
    }

    /// Whether anything is to be done in a column.
    #[must_use]
    pub fn works_on(&self, column: usize) -> bool {
        matches!(self.decisions.get(column), Some(Decision::Tokenize { .. }))
    }

    /// What becomes of these cells, each with its column. The store is asked once.
    ///
    /// # Errors
    /// What stops all, of [`Tokens::tokens`].
    pub fn replace(&mut self, cells: &[(usize, &str)]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(cells.len());
        // Those that the store is asked for: each number once.
        let (mut pans, mut first): (Vec<Pan>, HashMap<Print, usize>) = (Vec::new(), HashMap::new());
        let mut asked: Vec<Asked> = Vec::new();
        for (at, (column, text)) in cells.iter().enumerate() {
            let Some(Decision::Tokenize { doubt_zeros }) = self.decisions.get(*column).copied() else {
                outcomes.push(Outcome::Kept);
                continue;
            };
            let cell = Cell::read(text);
            let tally = &mut self.tallies[*column];
            tally.cells += 1;
            tally.empty += u64::from(matches!(cell, Cell::Empty));
            tally.already += u64::from(matches!(cell, Cell::Token));
            let rejected = match &cell {
                Cell::Empty | Cell::Token => None,
                Cell::Float => Some("digits_lost"),
                Cell::Other { .. } => Some("not_a_card_number"),
                Cell::Number(pan, _) => unfit(pan, doubt_zeros),
            };
            outcomes.push(match rejected {
                Some(reason) => Outcome::Rejected {
                    reason,
                    masked: shows_too_much(text).then(|| masked(text, &cell)).filter(|masked| masked != text),
                },
                None => Outcome::Kept,
            });
            if let (Cell::Number(..), None) = (&cell, rejected) {
                let masked = masked(text, &cell);
                let Cell::Number(pan, place) = cell else { continue };
                // A card-shaped token: no scheme and no country issues this range.
                if pan.expose().starts_with(TOKEN_RANGE) {
                    self.tallies[*column].already += 1;
                    continue;
                }
                let print = self.known.print(&pan);
                let known = self.known.token(&print).cloned();
                if known.is_none() {
                    first.entry(print).or_insert_with(|| {
                        pans.push(pan);
                        pans.len() - 1
                    });
                }
                asked.push(Asked { at, print, place, masked, known });
            }
        }
        let answers =
            if pans.is_empty() { Vec::new() } else { self.tokens.tokens(&pans.iter().collect::<Vec<_>>())? };
        drop(pans);
        for Asked { at, print, place, masked, known } in asked {
            let text = cells[at].1;
            let with = |token: &str| Outcome::Token([&text[..place.start], token, &text[place.end..]].concat());
            outcomes[at] = match (known, first.get(&print).and_then(|asked| answers.get(*asked))) {
                (Some(token), _) => with(&token),
                (None, Some(Ok(token))) => with(token),
                (None, Some(Err(error))) => Outcome::Rejected { reason: error.code(), masked: Some(masked) },
                (None, None) => return Err(Error::NotReconciled("the store did not answer for each number".into())),
            };
        }
        for (print, at) in first {
            if let Some(Ok(token)) = answers.get(at) {
                self.known.insert(print, token.clone());
            }
        }
        for (outcome, (column, _)) in outcomes.iter().zip(cells) {
            match outcome {
                Outcome::Kept => {}
                Outcome::Token(_) => self.tallies[*column].tokenized += 1,
                Outcome::Rejected { .. } => self.tallies[*column].rejected += 1,
            }
        }
        Ok(outcomes)
    }
}

/// Why a number is not to be asked for.
fn unfit(pan: &Pan, doubt_zeros: bool) -> Option<&'static str> {
    if pan.expose().starts_with(TOKEN_RANGE) {
        return None;
    }
    let zeros = ends_in_zeros(pan.expose());
    match (plausible(pan), pan.brand()) {
        (true, _) if zeros && doubt_zeros => Some("digits_lost"),
        (true, _) => None,
        (false, Some(_)) if zeros => Some("digits_lost"),
        // A number of a shop's own cards.
        (false, None) if pan.luhn() => None,
        (false, _) => Some("check_digit"),
    }
}
