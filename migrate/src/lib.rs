#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod arrow;
mod batch;
mod cell;
mod encoding;
mod error;
mod finder;
mod known;
mod options;
mod parquet;
mod report;
mod run;
pub mod table;
mod text;
mod tokens;
mod xlsx;

use std::path::Path;

pub use arrow::{ArrowTokens, tokenize_batch};
pub use batch::{Batch, Outcome, Tally};
pub use cell::{Cell, masked, plausible};
pub use encoding::Encoding;
pub use error::Error;
pub use finder::{Choice, Decision, Finder, Findings, Thresholds};
pub use options::{Format, Options, Phase, Progress, Rejects};
pub use report::{Moved, Report, Scan};
pub use tokens::{KeyedTokens, PreservingTokens, Tokens, VaultTokens};

/// Counts what stands in a file, or in its first records, and changes nothing.
///
/// # Errors
/// [`Error::File`], [`Error::Refused`], [`Error::Malformed`].
pub fn scan(
    input: &Path,
    options: &Options,
    most: Option<u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scan, Error> {
    run::scan(input, options, most, progress)
}

/// Writes a copy of a file with tokens in place of card numbers. The input is never changed, and nothing is overwritten.
///
/// While it runs, the output is `OUTPUT.partial`, and `OUTPUT.journal` says how far it is: called again with the same arguments
/// after a crash, it goes on. `OUTPUT.rejects.csv` lists cells without a token, `OUTPUT.report.json` is the report.
///
/// # Errors
/// [`Error::Exists`], [`Error::Busy`], [`Error::OtherRun`]; as of [`scan`] and [`Choice::decide`]; [`Error::Rejected`] under
/// [`Rejects::Stop`]; [`Error::Changed`], [`Error::NotReconciled`]; of the tokens, after which the run can go on.
pub fn run(
    input: &Path,
    output: &Path,
    tokens: &dyn Tokens,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    run::run(input, output, tokens, options, progress)
}
