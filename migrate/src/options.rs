//! What the caller chooses.

use std::path::Path;

use crate::{Choice, Encoding, Error, Thresholds};

/// Records for which tokens are asked at once.
pub(crate) const BATCH: usize = 1000;
/// Tokens that are remembered.
pub(crate) const REMEMBERED: usize = 200_000;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Format {
    /// CSV, or TSV and their like by another delimiter.
    Csv {
        /// An ASCII character that is no quote and no line end.
        delimiter: u8,
    },
    /// A JSON value a line.
    JsonLines,
    /// A workbook of Excel 2007 and later.
    Xlsx,
    /// A file of Apache Parquet.
    Parquet,
}

impl Format {
    /// By the end of a file's name.
    ///
    /// # Errors
    /// [`Error::Refused`], by name for files of spreadsheets that cannot be kept as they are.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match &*end {
            "csv" => Ok(Self::Csv { delimiter: b',' }),
            "tsv" | "tab" => Ok(Self::Csv { delimiter: b'\t' }),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            "xlsx" => Ok(Self::Xlsx),
            "parquet" => Ok(Self::Parquet),
            "xlsb" | "xlsm" | "xls" => Err(Error::Refused(format!("{end}: save the workbook as .xlsx"))),
            _ => Err(Error::Refused(format!("no format goes with a name that ends in {end:?}"))),
        }
    }
}

/// What becomes of a cell that gets no token, in a column of card numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Rejects {
    /// It is listed, and written with BIN and last four at most.
    #[default]
    Mask,
    /// The run stops, and nothing is written.
    Stop,
}

/// How a file is moved.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// How it is written.
    pub format: Format,
    /// Of its characters; `None` looks at all of it.
    pub encoding: Option<Encoding>,
    /// Whether the first record names the columns; `None`: it does if no cell of it has more than ten digits.
    pub header: Option<bool>,
    /// The caller's word on columns.
    pub choice: Choice,
    /// Else these.
    pub thresholds: Thresholds,
    /// What becomes of cells without a token.
    pub rejects: Rejects,
    /// Records for which tokens are asked at once.
    pub batch: usize,
    /// Tokens that are remembered, to ask once for each number.
    pub remembered: usize,
}

impl Options {
    /// The usual ones.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            encoding: None,
            header: None,
            choice: Choice::default(),
            thresholds: Thresholds::default(),
            rejects: Rejects::default(),
            batch: BATCH,
            remembered: REMEMBERED,
        }
    }

    /// Those that decide what is written. A run that was interrupted goes on only with the same.
    pub(crate) fn settings(&self) -> String {
        let Self { format, encoding, header, choice, thresholds, rejects, batch: _, remembered: _ } = self;
        format!("{format:?} {encoding:?} {header:?} {choice:?} {thresholds:?} {rejects:?}")
    }
}

/// What a run is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Counting what stands in the input.
    Scan,
    /// Replacing card numbers.
    Move,
    /// Counting what stands in the output.
    Reconcile,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Records so far.
    pub rows: u64,
    /// Bytes so far, of …
    pub bytes: u64,
    /// … so many.
    pub total: u64,
}
