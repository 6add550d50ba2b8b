//! A file of records, moved: read whole once, then rewritten batch by batch beside the original, then read again.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Layout,
    csv::Csv,
    journal::{Journal, Point},
    json::JsonLines,
    source::{self, Identity, Source},
};
use crate::{
    Batch, Decision, Encoding, Error, Finder, Findings, Format, Options, Outcome, Phase, Progress, Rejects, Report,
    Scan, Tokens,
};

/// So many records are counted between two words to the caller.
const COUNTED: usize = 10_000;

/// What a run is: with the points behind it, all that is needed to go on.
#[derive(Serialize, Deserialize)]
struct Plan {
    input: Identity,
    /// Of the tokens and of the caller's options.
    tokens: String,
    options: String,
    encoding: Encoding,
    header: bool,
    found: Vec<Findings>,
    decisions: Vec<Decision>,
    rows: u64,
}

/// The files beside the output.
struct Files {
    output: PathBuf,
    partial: PathBuf,
    rejects: PathBuf,
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

/// With the columns that were seen in an earlier pass.
fn layout(format: Format, encoding: Encoding, header: Option<bool>, seen: &[Findings]) -> Box<dyn Layout> {
    match format {
        Format::Csv { delimiter } => Box::new(Csv::new(delimiter, encoding, header)),
        Format::JsonLines => Box::new(JsonLines::new(seen.iter().map(|column| column.name.clone()).collect())),
    }
}

pub(crate) fn scan(
    input: &Path,
    options: &Options,
    most: Option<u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scan, Error> {
    let encoding = options.encoding.map_or_else(|| source::encoding(input), Ok)?;
    let mut layout = layout(options.format, encoding, options.header, &[]);
    let (columns, rows) = count(input, &mut *layout, most, Phase::Scan, progress)?;
    let decisions = columns.iter().map(|column| column.decision(options.thresholds)).collect();
    Ok(Scan { encoding, header: layout.header(), rows, columns, decisions })
}

/// Shows each cell to a finder; returns the columns and the number of records.
fn count(
    path: &Path,
    layout: &mut dyn Layout,
    most: Option<u64>,
    phase: Phase,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Vec<Findings>, u64), Error> {
    let total = Identity::of(path)?.size();
    let (mut source, mut finder) = (Source::open(path, 0, 1)?, Finder::default());
    let most = most.map_or(u64::MAX, |most| most.saturating_add(1));
    while source.row() < most {
        let ends = source.records(layout, COUNTED.min(usize::try_from(most - source.row()).unwrap_or(usize::MAX)))?;
        let (mut start, mut row) = (0, source.row());
        for end in &ends {
            for field in layout.fields(&source.held()[start..*end], row)? {
                finder.see(field.column, &field.text);
            }
            (start, row) = (*end, row + 1);
        }
        source.done(start, ends.len());
        progress(Progress { phase, rows: source.row() - 1, bytes: source.offset(), total });
        if ends.is_empty() {
            break;
        }
    }
    let names = layout.columns();
    let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| format!("column {}", at + 1));
    Ok((finder.named(names.len(), name), source.row() - 1))
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
    let moved = Move { input, tokens, options, plan: &plan, files: &files }.run(&mut journal, from, progress);
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
        Err(error @ (Error::Rejected { .. } | Error::Changed | Error::NotReconciled(_) | Error::Malformed { .. })) => {
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
    let Scan { encoding, header, rows, columns, .. } = scan(input, options, None, progress)?;
    let decisions = options.choice.decide(&columns, options.thresholds)?;
    if Identity::of(input)? != identity {
        return Err(Error::Changed);
    }
    let (tokens, options) = (tokens.settings(), options.settings());
    Ok(Plan { input: identity, tokens, options, encoding, header, found: columns, decisions, rows })
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

/// The second pass.
struct Move<'m> {
    input: &'m Path,
    tokens: &'m dyn Tokens,
    options: &'m Options,
    plan: &'m Plan,
    files: &'m Files,
}

impl Move<'_> {
    fn run(&self, journal: &mut Journal, from: Point, progress: &mut dyn FnMut(Progress)) -> Result<Point, Error> {
        let Self { options, plan, .. } = *self;
        let mut layout = layout(options.format, plan.encoding, Some(plan.header), &plan.found);
        let mut source = Source::open(self.input, from.input, from.rows + 1)?;
        let mut output = Written::open(&self.files.partial, from.output)?;
        let mut rejects = Written::open(&self.files.rejects, from.rejects)?;
        if from.rejects == 0 {
            rejects.add(b"row,column,reason\n")?;
        }
        let batch = Batch::new(self.tokens, plan.decisions.clone(), options.remembered)?;
        let mut batch = batch.resumed(from.tallies.clone());
        loop {
            let ends = source.records(&*layout, options.batch.max(1))?;
            if ends.is_empty() {
                break;
            }
            let (new, listed) = self.replaced(&mut *layout, &mut batch, source.held(), &ends, source.row())?;
            source.done(ends.last().copied().unwrap_or_default(), ends.len());
            output.add(&new)?;
            rejects.add(&listed)?;
            output.sync()?;
            rejects.sync()?;
            journal.add(&Point {
                input: source.offset(),
                output: output.length,
                rejects: rejects.length,
                rows: source.row() - 1,
                tallies: batch.tallies().to_vec(),
            })?;
            let (rows, bytes, total) = (source.row() - 1, source.offset(), plan.input.size());
            progress(Progress { phase: Phase::Move, rows, bytes, total });
        }
        let (input, rows) = (source.offset(), source.row() - 1);
        if rows != plan.rows {
            return Err(Error::Changed);
        }
        output.sync()?;
        rejects.sync()?;
        Ok(Point { input, output: output.length, rejects: rejects.length, rows, tallies: batch.tallies().to_vec() })
    }

    /// The records with their new cells, and the lines for the list of rejects.
    fn replaced(
        &self,
        layout: &mut dyn Layout,
        batch: &mut Batch<'_, dyn Tokens + '_>,
        held: &[u8],
        ends: &[usize],
        first: u64,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let mut fields = Vec::new();
        let mut start = 0;
        for (row, end) in (first..).zip(ends) {
            let of_record = layout.fields(&held[start..*end], row)?;
            fields.extend(of_record.into_iter().filter(|field| batch.works_on(field.column)).map(|f| (row, start, f)));
            start = *end;
        }
        let cells: Vec<(usize, &str)> = fields.iter().map(|(_, _, field)| (field.column, &*field.text)).collect();
        let outcomes = batch.replace(&cells)?;
        let (mut new, mut listed, mut at) = (Vec::with_capacity(start + start / 4), Vec::new(), 0);
        for ((row, start, field), outcome) in fields.iter().zip(outcomes) {
            let text = match outcome {
                Outcome::Kept => None,
                Outcome::Token(text) => Some(text),
                Outcome::Rejected { reason, masked } => {
                    let column = &self.plan.found[field.column].name;
                    if self.options.rejects == Rejects::Stop {
                        return Err(Error::Rejected { row: *row, column: column.clone(), reason });
                    }
                    listed.extend(format!("{row},\"{}\",{reason}\n", column.replace('"', "\"\"")).into_bytes());
                    masked
                }
            };
            if let Some(text) = text {
                let place = start + field.place.start..start + field.place.end;
                new.extend_from_slice(&held[at..place.start]);
                new.extend(layout.written(&held[place.clone()], &field.text, &text));
                at = place.end;
            }
        }
        new.extend_from_slice(&held[at..start]);
        Ok((new, listed))
    }
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
    let mut layout = layout(options.format, plan.encoding, Some(plan.header), &plan.found);
    let (columns, rows) = count(partial, &mut *layout, None, Phase::Reconcile, progress)?;
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
        Self { tallies: vec![crate::Tally::default(); columns], ..Self::default() }
    }
}

/// A file that grows, cut to what the journal knows of.
struct Written {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Written {
    fn open(path: &Path, length: u64) -> Result<Self, Error> {
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

    fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| Error::File(self.path.clone(), error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| Error::File(self.path.clone(), error))
    }
}
