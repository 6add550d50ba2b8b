//! Parquet files: column chunks without card numbers are copied as they are packed, those of card numbers are written anew.
//!
//! Of a chunk that is written anew nothing is taken over: neither dictionary, statistics, page index nor Bloom filter.

mod column;
mod input;
mod schema;
mod source;

use std::{fs::File, path::Path};

use parquet::{
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::{metadata::ColumnChunkMetaData, writer::SerializedFileWriter},
};

use crate::{Batch, Error, Finder, Findings, Outcome, Phase, Progress, Tokens, options::BATCH};
use column::{Cells, Values};
use input::Input;
use source::{failed, guarded};

/// What is done with a cell that gets no token: called with row, column and reason.
pub(crate) type Rejected<'r> = &'r mut dyn FnMut(u64, usize, &'static str) -> Result<(), Error>;

/// Shows the cells of all columns to a finder; returns the columns and the number of records.
pub(crate) fn count(
    path: &Path,
    most: Option<u64>,
    phase: Phase,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Vec<Findings>, u64), Error> {
    let input = Input::open(path)?;
    let (mut finder, mut far, mut rows) = (Finder::default(), Far::new(&input, phase), 0);
    for (group, records) in input.records.iter().enumerate() {
        let wanted = most.map_or(*records, |most| (*records).min(most - rows));
        for (at, column) in input.columns().iter().enumerate() {
            if let Some(values) = Values::of(column) {
                input.read((group, at), values, (wanted, BATCH), &mut |cells| {
                    cells.texts.iter().for_each(|text| finder.see(at, text));
                    far.within((group, at), cells.first, progress);
                    Ok(())
                })?;
            }
            far.over((group, at), progress);
        }
        rows += wanted;
    }
    Ok((finder.named(input.columns().len(), |at| input.name(at)), rows))
}

/// Writes the file with tokens; returns its size.
pub(crate) fn moved(
    (input, output): (&Path, &Path),
    batch: &mut Batch<'_, dyn Tokens + '_>,
    at_once: usize,
    rejected: Rejected<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Error> {
    let input = Input::open(input)?;
    let (columns, unwritten) = (input.columns(), |error| failed(output, error));
    let works_on: Vec<usize> = (0..columns.len()).filter(|at| batch.works_on(*at)).collect();
    if let Some(at) = works_on.iter().find(|at| Values::of(&columns[**at]).is_none()) {
        return Err(Error::Refused(format!("column {} has a type without room for a card number", input.name(*at))));
    }
    let strings: Vec<usize> = works_on.iter().copied().filter(|at| !schema::takes_tokens(&columns[*at])).collect();
    let schema = schema::with_strings(input.about.file_metadata().schema_descr(), &strings).map_err(unwritten)?;
    let file = File::options().write(true).truncate(true).open(output);
    let file = file.map_err(|error| Error::File(output.into(), error))?;
    let properties = input.properties(&works_on, strings.is_empty())?;
    let mut writer = SerializedFileWriter::new(file, schema, properties).map_err(unwritten)?;
    let (mut far, mut row) = (Far::new(&input, Phase::Move), 1);
    for (group, records) in input.records.iter().enumerate() {
        let mut new = writer.next_row_group().map_err(unwritten)?;
        for (at, column) in columns.iter().enumerate() {
            let values = Values::of(column).unwrap_or(Values::Bytes);
            if !works_on.contains(&at) && !input.hides((group, at))? {
                guarded(|| new.append_column(&*input.source, input.packed((group, at)))).map_err(unwritten)?;
            } else if let Some(mut column) = new.next_column().map_err(unwritten)?
                && let ColumnWriter::ByteArrayColumnWriter(writer) = column.untyped()
            {
                input.read((group, at), values, (*records, at_once), &mut |cells| {
                    let first = row + cells.first;
                    let new = replaced(batch, at, &cells, &mut |of, reason| rejected(first + of, at, reason))?;
                    let new = new.ok_or_else(|| {
                        Error::Refused(format!(
                            "column {} has a cell that is no UTF-8 and would not stay",
                            input.name(at)
                        ))
                    })?;
                    let (def, rep) = cells.levels;
                    far.within((group, at), cells.first, progress);
                    writer.write_batch(&new, levels(def), levels(rep)).map_err(unwritten).map(drop)
                })?;
                column.close().map_err(unwritten)?;
            }
            far.over((group, at), progress);
        }
        new.close().map_err(unwritten)?;
        row += records;
    }
    let file = writer.into_inner().map_err(unwritten)?;
    let size = file.sync_all().and_then(|()| file.metadata()).map(|about| about.len());
    size.map_err(|error| Error::File(output.into(), error))
}

fn levels(levels: &[i16]) -> Option<&[i16]> {
    (!levels.is_empty()).then_some(levels)
}

/// The values that are written in place of some cells'; `None` if a string would be all that is left of other bytes.
fn replaced(
    batch: &mut Batch<'_, dyn Tokens + '_>,
    column: usize,
    cells: &Cells<'_>,
    rejected: &mut dyn FnMut(u64, &'static str) -> Result<(), Error>,
) -> Result<Option<Vec<ByteArray>>, Error> {
    let asked: Vec<(usize, &str)> = cells.texts.iter().map(|text| (column, &**text)).collect();
    let value = |(at, outcome)| {
        let text = match outcome {
            Outcome::Kept => None,
            Outcome::Token(text) => Some(text),
            Outcome::Rejected { reason, masked } => {
                rejected(cells.rows[at], reason)?;
                masked
            }
        };
        Ok(match text {
            Some(text) => (cells.exact)(at).then(|| text.into_bytes().into()),
            None => (cells.kept)(at),
        })
    };
    batch.replace(&asked)?.into_iter().enumerate().map(value).collect()
}

/// How far a pass over all column chunks is.
struct Far<'i> {
    input: &'i Input<'i>,
    phase: Phase,
    /// Bytes of the chunks that are over, and of all.
    over: u64,
    total: u64,
}

impl<'i> Far<'i> {
    fn new(input: &'i Input<'_>, phase: Phase) -> Self {
        let chunks = input.about.row_groups().iter().flat_map(|group| group.columns());
        Self { input, phase, over: 0, total: chunks.map(size).sum() }
    }

    /// So many records into a chunk.
    fn within(&self, (group, at): (usize, usize), records: u64, progress: &mut dyn FnMut(Progress)) {
        let size = u128::from(size(self.input.chunk((group, at))));
        let bytes = size * u128::from(records) / u128::from(self.input.records[group].max(1));
        let before: u64 = self.input.records[..group].iter().sum();
        let bytes = self.over + u64::try_from(bytes).unwrap_or_default();
        progress(Progress { phase: self.phase, rows: before, bytes, total: self.total });
    }

    fn over(&mut self, (group, at): (usize, usize), progress: &mut dyn FnMut(Progress)) {
        self.over += size(self.input.chunk((group, at)));
        self.within((group, at), 0, progress);
    }
}

fn size(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.compressed_size()).unwrap_or_default()
}
