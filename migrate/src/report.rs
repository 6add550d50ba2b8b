//! What was found and what was done, for people and programs. BIN and last four at most.

use std::{
    fmt,
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Decision, Encoding, Error, Findings, Tally};

/// What stands in a file.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scan {
    /// Of its characters.
    pub encoding: Encoding,
    /// The row that names the columns, for each sheet; other files than workbooks have one.
    pub headers: Vec<Option<u64>>,
    /// Records that were read, a header too.
    pub rows: u64,
    /// By column.
    pub columns: Vec<Findings>,
    /// What the counts say about each.
    pub decisions: Vec<Decision>,
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows", self.rows)?;
        writeln!(f, "{:<24} {:>9} {:>9} {:>9} {:>9}  verdict", "column", "cells", "cards", "floats", "tokens")?;
        for (column, decision) in self.columns.iter().zip(&self.decisions) {
            let Findings { name, cells, plausible, floats, tokens, within, samples, .. } = column;
            let verdict = match decision {
                Decision::Keep => "no card numbers",
                Decision::Tokenize { doubt_zeros: false } => "card numbers",
                Decision::Tokenize { doubt_zeros: true } => "card numbers, some rounded by a spreadsheet",
                Decision::Unsure => "unsure: name it with --column or --keep",
            };
            writeln!(f, "{name:<24} {cells:>9} {plausible:>9} {floats:>9} {tokens:>9}  {verdict}")?;
            if *within > 0 {
                writeln!(f, "  card numbers within {within} texts")?;
            }
            if !samples.is_empty() {
                writeln!(f, "  {}", samples.join(" "))?;
            }
        }
        Ok(())
    }
}

/// One column after the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// Its name.
    pub name: String,
    /// What was done in it; `None` if it was kept.
    pub tally: Option<Tally>,
}

/// The reconciliation of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Records read, a header too.
    pub rows_in: u64,
    /// Records in the output, counted there.
    pub rows_out: u64,
    /// By column.
    pub columns: Vec<Moved>,
}

impl Report {
    pub(crate) fn new(
        rows_in: u64,
        rows_out: u64,
        found: &[Findings],
        decisions: &[Decision],
        tallies: &[Tally],
    ) -> Self {
        let columns = found.iter().zip(decisions).zip(tallies).map(|((found, decision), tally)| Moved {
            name: found.name.clone(),
            tally: matches!(decision, Decision::Tokenize { .. }).then_some(*tally),
        });
        Self { rows_in, rows_out, columns: columns.collect() }
    }

    /// Cells that got no token.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.columns.iter().filter_map(|column| column.tally).map(|tally| tally.rejected).sum()
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let write = || {
            let mut file = File::create(path)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()
        };
        write().map_err(|error| Error::File(path.into(), error))
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let read = || Ok(serde_json::from_slice(&fs::read(path)?)?);
        read().map_err(|error| Error::File(path.into(), error))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows in, {} rows out", self.rows_in, self.rows_out)?;
        for column in &self.columns {
            let name = &column.name;
            match column.tally {
                None => writeln!(f, "{name:<24} kept")?,
                Some(Tally { cells, empty, tokenized, already, rejected }) => writeln!(
                    f,
                    "{name:<24} {cells} cells: {tokenized} tokenized, {already} tokens already, {empty} empty, {rejected} rejected"
                )?,
            }
        }
        Ok(())
    }
}
