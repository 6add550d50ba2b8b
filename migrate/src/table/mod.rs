//! A column of a database, moved in place: batch by batch in the order of the key, each batch in one transaction together with the
//! place that it came to. So a run that is interrupted goes on, and no cell is moved twice.
//!
//! Cells that get no token stay as they are, and are listed: nothing could bring them back.

mod mysql;
mod postgres;
mod sqlite;

use std::path::PathBuf;

pub use self::{mysql::MySql, postgres::Postgres, sqlite::Sqlite};

use zeroize::Zeroizing;

use crate::{
    Batch, Choice, Decision, Error, Finder, Findings, Moved, Options, Outcome, Phase, Progress, Rejects, Report,
    Tokens,
    cell::{Cell, plausible},
};

/// The table that remembers how far a column is. It holds no card number, and no row when nothing is under way.
const STATE: &str = "p2pe_migrate";

/// Which column, and by which key its rows are told apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// Name of the table; a schema may stand in front of it: `schema.table`.
    pub table: String,
    /// Name of the column.
    pub column: String,
    /// Name of the primary key or of another column that is unique and never null.
    pub key: String,
}

impl Column {
    /// What is remembered of it.
    fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }

    fn table(&self, quote: char) -> String {
        self.table.split('.').map(|part| quoted(part, quote)).collect::<Vec<_>>().join(".")
    }

    /// Of how many rows the key is null or another row's too: of none, or it is refused.
    fn must_be_key(&self, wrong: Option<i64>) -> Result<(), Error> {
        if wrong == Some(0) {
            return Ok(());
        }
        Err(Error::Refused(format!("{} is no key: it has equal or null values", self.key)))
    }
}

/// A name as SQL has it: whatever stands in it, it stays one name.
fn quoted(name: &str, quote: char) -> String {
    format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
}

/// A cell and the key of its row, as text.
#[expect(missing_debug_implementations, reason = "holds card numbers")]
pub struct Row {
    key: String,
    text: Option<Zeroizing<String>>,
}

/// Makes new values out of rows: `None` where the old one stays.
type Work<'w> = &'w mut dyn FnMut(&[Row]) -> Result<Vec<Option<String>>, Error>;

/// A database of which a column is moved: [`Sqlite`], [`Postgres`], [`MySql`].
pub trait Database: sealed::Rows {}

mod sealed {
    use super::{Column, Error, Row, Work};

    pub trait Rows {
        /// Makes the table of what is under way, and checks that the column's key is one.
        fn prepare(&mut self, column: &Column) -> Result<(), Error>;
        /// Settings of the run that is under way, and the key that it came to.
        fn state(&mut self, column: &Column) -> Result<Option<(String, Option<String>)>, Error>;
        fn count(&mut self, column: &Column) -> Result<u64, Error>;
        /// The next rows behind a key.
        fn page(&mut self, column: &Column, after: Option<&str>, most: usize) -> Result<Vec<Row>, Error>;
        /// In one transaction: the next rows, their new values, and the state. Returns the last key.
        fn work(
            &mut self,
            column: &Column,
            settings: &str,
            after: Option<&str>,
            most: usize,
            work: Work<'_>,
        ) -> Result<Option<String>, Error>;
        /// Nothing is under way any more.
        fn done(&mut self, column: &Column) -> Result<(), Error>;
    }
}

/// Counts what stands in a column, and changes nothing.
///
/// # Errors
/// [`Error::Database`], [`Error::Refused`].
pub fn scan(
    database: &mut dyn Database,
    column: &Column,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Findings, Error> {
    let mut finder = Finder::default();
    each(database, column, options, Phase::Scan, progress, |row| {
        finder.see(0, row.text.as_deref().map_or("", String::as_str));
        Ok(())
    })?;
    finder.named(1, |_| column.name()).pop().ok_or(Error::NoColumn)
}

/// Replaces the card numbers of a column by tokens. `rejected` is told key and reason of each cell that is left.
///
/// # Errors
/// As of [`crate::run`]; [`Error::Database`].
pub fn run(
    database: &mut dyn Database,
    column: &Column,
    tokens: &dyn Tokens,
    options: &Options,
    rejected: &mut dyn FnMut(&str, &'static str) -> Result<(), Error>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    if column.key == column.column {
        return Err(Error::Refused("the key cannot be the column that is moved".into()));
    }
    database.prepare(column)?;
    let own = format!("{} {}", tokens.settings(), column.key);
    let (decision, mut last) = match database.state(column)? {
        Some((settings, last)) => match settings.split_once('\n') {
            Some((begun, doubt)) if begun == own => (Decision::Tokenize { doubt_zeros: doubt == "doubt" }, last),
            _ => {
                return Err(Error::OtherRun {
                    path: PathBuf::from(column.name()),
                    what: "merchant, policy, form of token or key",
                });
            }
        },
        None => {
            let found = scan(database, column, options, progress)?;
            let all = Choice { tokenize: vec![column.name()], keep: Vec::new() };
            let decided = all.decide(&[found], options.thresholds)?;
            (decided.first().copied().unwrap_or(Decision::Unsure), None)
        }
    };
    let doubt = if decision == (Decision::Tokenize { doubt_zeros: true }) { "doubt" } else { "" };
    let settings = format!("{own}\n{doubt}");
    let total = database.count(column)?;
    let mut batch = Batch::new(tokens, vec![decision], options.remembered)?;
    let mut rows = 0;
    loop {
        let next = database.work(column, &settings, last.as_deref(), options.batch.max(1), &mut |found| {
            if found.iter().any(|row| matches!(Cell::read(&row.key), Cell::Number(pan, _) if plausible(&pan))) {
                return Err(Error::Refused("the key holds card numbers: choose another one".into()));
            }
            rows += found.len() as u64;
            let cells: Vec<(usize, &str)> =
                found.iter().map(|row| (0, row.text.as_deref().map_or("", String::as_str))).collect();
            let outcomes = batch.replace(&cells)?.into_iter().zip(found);
            let new = outcomes.map(|(outcome, row)| match outcome {
                Outcome::Token(text) => Ok(Some(text)),
                Outcome::Rejected { reason, .. } if options.rejects == Rejects::Stop => {
                    Err(Error::Rejected { row: rows, column: format!("{} of {}", column.name(), row.key), reason })
                }
                Outcome::Kept | Outcome::Rejected { .. } => Ok(None),
            });
            new.collect()
        })?;
        progress(Progress { phase: Phase::Move, rows, bytes: rows, total });
        match next {
            Some(key) => last = Some(key),
            None => break,
        }
    }
    let report = reconciled(database, column, options, (decision, total), tokens, rejected, progress)?;
    database.done(column)?;
    Ok(report)
}

/// Reads the column again: what it holds now, not what was done, is the report.
fn reconciled(
    database: &mut dyn Database,
    column: &Column,
    options: &Options,
    (decision, before): (Decision, u64),
    tokens: &dyn Tokens,
    rejected: &mut dyn FnMut(&str, &'static str) -> Result<(), Error>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let mut tally = crate::Tally::default();
    // Answers nothing: whatever would be asked for now is left over.
    let nobody = Nobody;
    let mut batch = Batch::new(&nobody, vec![decision], 2)?;
    let rows = each(database, column, options, Phase::Reconcile, progress, |row| {
        let text = row.text.as_deref().map_or("", String::as_str);
        tally.cells += 1;
        tally.empty += u64::from(text.trim().is_empty());
        // Format-preserving tokens read as card numbers.
        if tokens.like_cards() && matches!(Cell::read(text), Cell::Number(..)) {
            tally.tokenized += 1;
            return Ok(());
        }
        match batch.replace(&[(0, text)])?.pop() {
            Some(Outcome::Rejected { reason, .. }) => {
                tally.rejected += 1;
                // The store gave none, or the row came in while this ran.
                rejected(&row.key, if reason == UNASKED { "no_token" } else { reason })?;
            }
            _ => tally.tokenized += u64::from(!text.trim().is_empty()),
        }
        Ok(())
    })?;
    Ok(Report { rows_in: before, rows_out: rows, columns: vec![Moved { name: column.name(), tally: Some(tally) }] })
}

/// What a number is told that a token would have to be asked for.
const UNASKED: &str = "unknown_token";

/// Gives no token.
struct Nobody;

impl Tokens for Nobody {
    fn tokens(&self, pans: &[&p2pe_crypto::Pan]) -> Result<Vec<Result<String, p2pe_crypto::TokenError>>, Error> {
        Ok(pans.iter().map(|_| Err(p2pe_crypto::TokenError::Unknown)).collect())
    }

    fn settings(&self) -> String {
        String::new()
    }
}

fn each(
    database: &mut dyn Database,
    column: &Column,
    options: &Options,
    phase: Phase,
    progress: &mut dyn FnMut(Progress),
    mut see: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<u64, Error> {
    let (mut last, mut rows, total) = (None::<String>, 0, database.count(column)?);
    loop {
        let page = database.page(column, last.as_deref(), options.batch.max(1))?;
        page.iter().try_for_each(&mut see)?;
        rows += page.len() as u64;
        progress(Progress { phase, rows, bytes: rows, total });
        match page.last() {
            Some(row) => last = Some(row.key.clone()),
            None => return Ok(rows),
        }
    }
}
