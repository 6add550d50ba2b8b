//! A file, moved: read whole once, then rewritten beside the original, then read again.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Batch, Decision, Encoding, Error, Findings, Format, Options, Phase, Progress, Report, Scan, Tally, Tokens, parquet,
    text::{
        journal::{Journal, Point},
        records::{self, HEADER, Move},
        source::{self, Identity},
    },
    xlsx::{self, Counted},
};

/// How the list of rejects begins.
pub(crate) const REJECTS: &[u8] = b"row,column,reason\n";

/// What a run is: with the points behind it, all that is needed to go on.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) input: Identity,
    /// Of the tokens and of the caller's options.
    tokens: String,
    options: String,
    pub(crate) encoding: Encoding,
    headers: Vec<Option<u64>>,
    pub(crate) found: Vec<Findings>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) rows: u64,
}

impl Plan {
    /// Whether the first record names the columns.
    pub(crate) fn header(&self) -> bool {
        self.headers == [HEADER]
    }
}

/// The files beside the output.
pub(crate) struct Files {
    output: PathBuf,
    pub(crate) partial: PathBuf,
    pub(crate) rejects: PathBuf,
    report: PathBuf,
    journal: PathBuf,
}

impl Files {
    fn beside(output: &Path) -> Self {
        let named = |end: &str| {
            let mut name: OsString = output.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        Self {
            output: output.into(),
            partial: named(".partial"),
            rejects: named(".rejects.csv"),
            report: named(".report.json"),
            journal: named(".journal"),
        }
    }
}

pub(crate) fn scan(
    input: &Path,
    options: &Options,
    most: Option<u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scan, Error> {
    let (encoding, Counted { columns, rows, headers }) = match options.format {
        Format::Xlsx => (Encoding::Utf8, xlsx::count(input, options.header, None, Phase::Scan, progress)?),
        Format::Parquet => {
            let (columns, rows) = parquet::count(input, most, Phase::Scan, progress)?;
            (Encoding::Utf8, Counted { columns, rows, headers: vec![None] })
        }
        Format::Csv { .. } | Format::JsonLines => {
            let encoding = options.encoding.map_or_else(|| source::encoding(input), Ok)?;
            let mut layout = records::layout(options.format, encoding, options.header, &[])?;
            let (columns, rows) = records::count(input, &mut *layout, most, Phase::Scan, progress)?;
            (encoding, Counted { columns, rows, headers: vec![if layout.header() { HEADER } else { None }] })
        }
    };
    let decisions = columns.iter().map(|column| column.decision(options.thresholds)).collect();
    Ok(Scan { encoding, headers, rows, columns, decisions })
}

pub(crate) fn run(
    input: &Path,
    output: &Path,
    tokens: &dyn Tokens,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let files = Files::beside(output);
    if !files.journal.exists() {
        none_there(&files)?;
    }
    let (mut journal, begun) = Journal::open::<Plan>(&files.journal)?;
    let (plan, from) = match begun {
        Some((plan, point)) => {
            if !files.partial.exists() && files.output.exists() {
                // Only the journal was still to be removed.
                let report = Report::read(&files.report)?;
                journal.remove()?;
                return Ok(report);
            }
            if let Some(what) = differs(&plan, input, tokens, options)? {
                return Err(Error::OtherRun { path: files.journal, what });
            }
            (plan, point)
        }
        None => {
            let planned = none_there(&files).and_then(|()| self::plan(input, tokens, options, progress));
            let plan = match planned {
                Ok(plan) => plan,
                Err(error) => {
                    journal.remove()?;
                    return Err(error);
                }
            };
            journal.add(&plan)?;
            (plan, None)
        }
    };
    let from = from.unwrap_or_else(|| Point::start(plan.decisions.len()));
    let moved = Move { input, tokens, options, plan: &plan, files: &files };
    let moved = match options.format {
        Format::Xlsx | Format::Parquet => in_one_go(&moved, progress),
        Format::Csv { .. } | Format::JsonLines => moved.run(&mut journal, from, progress),
    };
    let moved = moved.and_then(|end| {
        if differs(&plan, input, tokens, options)?.is_some() {
            return Err(Error::Changed);
        }
        let rows_out = reconciled(&files.partial, options, &plan, &end, tokens.like_cards(), progress)?;
        Ok(Report::new(plan.rows, rows_out, &plan.found, &plan.decisions, &end.tallies))
    });
    match moved {
        Ok(report) => {
            report.write(&files.report)?;
            none(&files.output)?;
            fs::rename(&files.partial, &files.output).map_err(|error| Error::File(files.output.clone(), error))?;
            let folder =
                files.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| Error::File(folder.into(), error))?;
            journal.remove()?;
            Ok(report)
        }
        Err(
            error @ (Error::Rejected { .. }
            | Error::Changed
            | Error::NotReconciled(_)
            | Error::Malformed { .. }
            | Error::Refused(_)),
        ) => {
            // Nothing to go on with.
            for path in [&files.partial, &files.rejects] {
                fs::remove_file(path).map_err(|error| Error::File(path.clone(), error))?;
            }
            journal.remove()?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

fn none(path: &Path) -> Result<(), Error> {
    // A link to nowhere is there too.
    if path.symlink_metadata().is_ok() { Err(Error::Exists(path.into())) } else { Ok(()) }
}

fn none_there(files: &Files) -> Result<(), Error> {
    [&files.output, &files.partial, &files.rejects, &files.report].into_iter().try_for_each(|path| none(path))
}

fn plan(
    input: &Path,
    tokens: &dyn Tokens,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Plan, Error> {
    let identity = Identity::of(input)?;
    let Scan { encoding, headers, rows, columns, .. } = scan(input, options, None, progress)?;
    let decisions = options.choice.decide(&columns, options.thresholds)?;
    if Identity::of(input)? != identity {
        return Err(Error::Changed);
    }
    let (tokens, options) = (tokens.settings(), options.settings());
    Ok(Plan { input: identity, tokens, options, encoding, headers, found: columns, decisions, rows })
}

fn differs(plan: &Plan, input: &Path, tokens: &dyn Tokens, options: &Options) -> Result<Option<&'static str>, Error> {
    Ok(if Identity::of(input)? != plan.input {
        Some("input")
    } else if tokens.settings() != plan.tokens {
        Some("merchant, policy or form of token")
    } else if options.settings() != plan.options {
        Some("set of options")
    } else {
        None
    })
}

/// A workbook or a Parquet file ends with what makes it one: it is begun again after an interruption. Tokens that were made are
/// the same then.
fn in_one_go(run: &Move<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Point, Error> {
    let Move { input, tokens, options, plan, files } = *run;
    let mut batch = Batch::new(tokens, plan.decisions.clone(), options.remembered)?;
    drop(Written::open(&files.partial, 0)?);
    let mut rejects = Written::open(&files.rejects, 0)?;
    rejects.add(REJECTS)?;
    let mut rejected = |row, column, reason| run.rejected(row, column, reason).and_then(|line| rejects.add(&line));
    let paths = (input, &*files.partial);
    let at_once = options.batch.max(1);
    let output = match options.format {
        Format::Parquet => parquet::moved(paths, &mut batch, at_once, &mut rejected, progress)?,
        _ => xlsx::moved(paths, &plan.headers, &mut batch, at_once, &mut rejected, progress)?,
    };
    rejects.sync()?;
    let tallies = batch.tallies().to_vec();
    Ok(Point { input: plan.input.size(), output, rejects: rejects.length, rows: plan.rows, tallies })
}

/// Reads the output and counts again: as many records, as many cells in each column, what is kept unchanged, and no card number in
/// a column of tokens.
fn reconciled(
    partial: &Path,
    options: &Options,
    plan: &Plan,
    end: &Point,
    like_cards: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Error> {
    let (columns, rows) = match options.format {
        Format::Xlsx => {
            let counted = xlsx::count(partial, options.header, Some(&plan.headers), Phase::Reconcile, progress)?;
            (counted.columns, counted.rows)
        }
        Format::Parquet => parquet::count(partial, None, Phase::Reconcile, progress)?,
        Format::Csv { .. } | Format::JsonLines => {
            let mut layout = records::layout(options.format, plan.encoding, Some(plan.header()), &plan.found)?;
            records::count(partial, &mut *layout, None, Phase::Reconcile, progress)?
        }
    };
    let wrong = |what: String| Err(Error::NotReconciled(what));
    if rows != plan.rows {
        return wrong(format!("{} rows in, {rows} out", plan.rows));
    }
    for (((before, after), decision), tally) in plan.found.iter().zip(&columns).zip(&plan.decisions).zip(&end.tallies) {
        let name = &before.name;
        if before.cells != after.cells {
            return wrong(format!("column {name}: {} cells in, {} out", before.cells, after.cells));
        }
        match decision {
            Decision::Keep | Decision::Unsure if before != after => return wrong(format!("column {name} is changed")),
            Decision::Keep | Decision::Unsure => {}
            Decision::Tokenize { .. }
                if tally.cells != tally.empty + tally.tokenized + tally.already + tally.rejected =>
            {
                return wrong(format!("column {name}: cells are not accounted for"));
            }
            Decision::Tokenize { .. } if !like_cards && after.plausible + after.within > 0 => {
                return wrong(format!("column {name} holds card numbers"));
            }
            Decision::Tokenize { .. } => {}
        }
    }
    Ok(rows)
}

impl Point {
    fn start(columns: usize) -> Self {
        Self { tallies: vec![Tally::default(); columns], ..Self::default() }
    }
}

/// A file that grows, cut to what the journal knows of.
pub(crate) struct Written {
    path: PathBuf,
    file: File,
    pub(crate) length: u64,
}

impl Written {
    pub(crate) fn open(path: &Path, length: u64) -> Result<Self, Error> {
        let open = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
            if file.metadata()?.len() < length {
                return Err(io::Error::other("it is shorter than the journal says"));
            }
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(file)
        };
        let file = open().map_err(|error| Error::File(path.into(), error))?;
        Ok(Self { path: path.into(), file, length })
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| Error::File(self.path.clone(), error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| Error::File(self.path.clone(), error))
    }
}
