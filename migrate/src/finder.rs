//! Which columns hold card numbers: counted before anything is changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    cell::{Cell, plausible},
};

/// Masked numbers shown of a column.
const SAMPLES: usize = 3;
/// Brands by their names; a number in no scheme's range has none.
const NO_BRAND: &str = "none";

/// When a column is taken for one of card numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Thresholds {
    /// The part of its cells that must be plausible card numbers, floats of such, or tokens. Random digits are plausible about
    /// once in thirty times.
    pub share: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { share: 0.5 }
    }
}

/// What was counted in one column. Empty cells are not.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// Name or number.
    pub name: String,
    /// Cells that are not empty.
    pub cells: u64,
    /// Card numbers: a scheme's range and length, and a right check digit.
    pub plausible: u64,
    /// Other numbers of 12 to 19 digits.
    pub other_numbers: u64,
    /// Card numbers as floating-point numbers: digits are lost.
    pub floats: u64,
    /// Tokens.
    pub tokens: u64,
    /// Texts with a plausible card number within.
    pub within: u64,
    /// Card numbers of more than 15 digits that end in zeros from the 16th on …
    pub zeros: u64,
    /// … and of which the check digit is wrong: a spreadsheet keeps 15 digits.
    pub zeros_wrong: u64,
    /// Plausible card numbers by scheme.
    pub brands: BTreeMap<String, u64>,
    /// BIN and last four of some.
    pub samples: Vec<String>,
}

/// What is to be done with a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Copied: no card number stands in it, or the caller says so.
    Keep,
    /// Its card numbers become tokens.
    Tokenize {
        /// Numbers that end in zeros from the 16th digit on are rejected: a spreadsheet has rounded some of the column, and one
        /// in ten of those passes the Luhn check all the same.
        doubt_zeros: bool,
    },
    /// Some cells may be card numbers: the caller has to say.
    Unsure,
}

/// Counts what stands in columns; each cell is shown to it once.
#[derive(Clone, Debug, Default)]
pub struct Finder {
    columns: Vec<Findings>,
}

impl Finder {
    /// Takes a cell of a column into account.
    pub fn see(&mut self, column: usize, text: &str) {
        let cell = Cell::read(text);
        let found = self.column(column);
        found.cells += u64::from(!matches!(cell, Cell::Empty));
        match cell {
            Cell::Empty | Cell::Other { holds: false } => {}
            Cell::Other { holds: true } => found.within += 1,
            Cell::Token => found.tokens += 1,
            Cell::Float => found.floats += 1,
            Cell::Number(pan, _) => {
                let zeros = ends_in_zeros(pan.expose());
                if plausible(&pan) {
                    found.plausible += 1;
                    found.zeros += u64::from(zeros);
                    let brand = pan.brand().map_or(NO_BRAND.into(), |brand| format!("{brand:?}"));
                    *found.brands.entry(brand).or_default() += 1;
                    let sample = pan.to_string();
                    if found.samples.len() < SAMPLES && !found.samples.contains(&sample) {
                        found.samples.push(sample);
                    }
                } else {
                    found.other_numbers += 1;
                    let rounded = zeros && pan.brand().is_some();
                    found.zeros += u64::from(rounded);
                    found.zeros_wrong += u64::from(rounded);
                }
            }
        }
    }

    /// The columns so far; one that was never seen is empty.
    #[must_use]
    pub fn columns(&self) -> &[Findings] {
        &self.columns
    }

    /// With these names, and as many columns at least.
    #[must_use]
    pub fn named(mut self, count: usize, name: impl Fn(usize) -> String) -> Vec<Findings> {
        let count = count.max(self.columns.len());
        self.columns.resize_with(count, Findings::default);
        self.columns.iter_mut().enumerate().for_each(|(at, column)| column.name = name(at));
        self.columns
    }

    fn column(&mut self, column: usize) -> &mut Findings {
        if self.columns.len() <= column {
            self.columns.resize_with(column + 1, Findings::default);
        }
        &mut self.columns[column]
    }
}

impl Findings {
    /// What the counts say.
    #[must_use]
    pub fn decision(&self, thresholds: Thresholds) -> Decision {
        let may_be = self.plausible + self.floats;
        if may_be + self.within == 0 {
            return Decision::Keep;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = (may_be + self.tokens) as f64 / self.cells as f64;
        if share >= thresholds.share { self.tokenize() } else { Decision::Unsure }
    }

    fn tokenize(&self) -> Decision {
        // In a column that nothing has rounded, numbers that end in zeros have right check digits like all others.
        Decision::Tokenize { doubt_zeros: self.zeros_wrong * 10 > self.zeros }
    }
}

/// Whether a number has digits behind the 15th, and all are zeros.
pub(crate) fn ends_in_zeros(digits: &str) -> bool {
    digits.len() > 15 && digits[15..].bytes().all(|digit| digit == b'0')
}

/// What the caller says about columns: by name, or by number from 1.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Choice {
    /// Card numbers in these become tokens.
    pub tokenize: Vec<String>,
    /// These hold no card numbers, whatever they look like.
    pub keep: Vec<String>,
}

impl Choice {
    /// The decision for each column.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`]; [`Error::Unsure`] for columns that the caller has to name; [`Error::NoColumn`].
    pub fn decide(&self, columns: &[Findings], thresholds: Thresholds) -> Result<Vec<Decision>, Error> {
        let mut decisions: Vec<Decision> = columns.iter().map(|column| column.decision(thresholds)).collect();
        for name in &self.keep {
            places(columns, name)?.for_each(|at| decisions[at] = Decision::Keep);
        }
        for name in &self.tokenize {
            places(columns, name)?.for_each(|at| decisions[at] = columns[at].tokenize());
        }
        let unsure = columns.iter().zip(&decisions).filter(|(_, decision)| **decision == Decision::Unsure);
        let unsure: Vec<String> = unsure.map(|(column, _)| column.name.clone()).collect();
        if !unsure.is_empty() {
            return Err(Error::Unsure(unsure));
        }
        if decisions.iter().all(|decision| *decision == Decision::Keep) {
            return Err(Error::NoColumn);
        }
        Ok(decisions)
    }
}

fn places<'c>(columns: &'c [Findings], name: &str) -> Result<impl Iterator<Item = usize> + use<'c>, Error> {
    let mut at: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].name == name).collect();
    if at.is_empty() {
        at = name
            .parse::<usize>()
            .ok()
            .and_then(|n| n.checked_sub(1))
            .filter(|n| *n < columns.len())
            .into_iter()
            .collect();
    }
    if at.is_empty() { Err(Error::UnknownColumn(name.into())) } else { Ok(at.into_iter()) }
}
