//! A file of records: counted, and rewritten batch by batch.

use std::path::Path;

use super::{
    Layout,
    csv::Csv,
    journal::{Journal, Point},
    json::JsonLines,
    source::{Identity, Source},
};
use crate::{
    Batch, Encoding, Error, Finder, Findings, Format, Options, Outcome, Phase, Progress, Rejects, Tokens,
    run::{Files, Plan, REJECTS, Written},
};

/// The row of the header.
pub(crate) const HEADER: Option<u64> = Some(1);
/// So many records are counted between two words to the caller.
const COUNTED: usize = 10_000;

/// With the columns that were seen in an earlier pass.
pub(crate) fn layout(
    format: Format,
    encoding: Encoding,
    header: Option<bool>,
    seen: &[Findings],
) -> Result<Box<dyn Layout>, Error> {
    Ok(match format {
        Format::Csv { delimiter } => Box::new(Csv::new(delimiter, encoding, header)),
        Format::JsonLines => Box::new(JsonLines::new(seen.iter().map(|column| column.name.clone()).collect())),
        Format::Xlsx | Format::Parquet => return Err(Error::Refused("these are no records in a row".into())),
    })
}

/// Shows each cell to a finder; returns the columns and the number of records.
pub(crate) fn count(
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

/// The second pass.
pub(crate) struct Move<'m> {
    pub(crate) input: &'m Path,
    pub(crate) tokens: &'m dyn Tokens,
    pub(crate) options: &'m Options,
    pub(crate) plan: &'m Plan,
    pub(crate) files: &'m Files,
}

impl Move<'_> {
    pub(crate) fn run(
        &self,
        journal: &mut Journal,
        from: Point,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Point, Error> {
        let Self { options, plan, .. } = *self;
        let mut layout = layout(options.format, plan.encoding, Some(plan.header()), &plan.found)?;
        let mut source = Source::open(self.input, from.input, from.rows + 1)?;
        let mut output = Written::open(&self.files.partial, from.output)?;
        let mut rejects = Written::open(&self.files.rejects, from.rejects)?;
        if from.rejects == 0 {
            rejects.add(REJECTS)?;
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
                    listed.extend(self.rejected(*row, field.column, reason)?);
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

    /// The line for the list of rejects.
    pub(crate) fn rejected(&self, row: u64, column: usize, reason: &'static str) -> Result<Vec<u8>, Error> {
        let column = &self.plan.found[column].name;
        match self.options.rejects {
            Rejects::Stop => Err(Error::Rejected { row, column: column.clone(), reason }),
            Rejects::Mask => Ok(format!("{row},\"{}\",{reason}\n", column.replace('"', "\"\"")).into_bytes()),
        }
    }
}
