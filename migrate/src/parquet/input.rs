//! A Parquet file that is read: what its end says of it, the cells of its column chunks, and what is copied of them.

use std::{path::Path, sync::Arc};

use parquet::{
    basic::{Compression, Encoding},
    bloom_filter::Sbbf,
    column::{
        page::{Page, PageReader},
        reader::get_column_reader,
        writer::ColumnCloseResult,
    },
    file::{
        metadata::{ColumnChunkMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
    schema::types::ColumnDescPtr,
};

use super::{
    column::{See, Values, read as cells},
    schema::takes_tokens,
    source::{Pages, Source, failed, guarded},
};
use crate::{Error, cell::holds_card, encoding::Text};

/// What Arrow knows of the columns' types.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// A file, and what its end says of it.
pub(super) struct Input<'p> {
    path: &'p Path,
    pub(super) source: Arc<Source>,
    pub(super) about: ParquetMetaData,
    /// Records of each row group.
    pub(super) records: Vec<u64>,
}

impl<'p> Input<'p> {
    pub(super) fn open(path: &'p Path) -> Result<Self, Error> {
        let refused = |what: &str| Err(Error::Refused(what.into()));
        let source = Source::open(path).map_err(|error| Error::File(path.into(), error))?;
        match source.get_bytes(source.len().saturating_sub(4), 4).ok().as_deref() {
            Some(b"PAR1") => {}
            Some(b"PARE") => return refused("the Parquet file is encrypted"),
            _ => return refused("this is not a Parquet file, or not all of it"),
        }
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let about = guarded(|| reader.parse_and_finish(&source)).map_err(|error| failed(path, error))?;
        let columns = about.file_metadata().schema_descr().num_columns();
        let mut records = Vec::with_capacity(about.num_row_groups());
        for group in about.row_groups() {
            for chunk in group.columns() {
                if chunk.crypto_metadata().is_some() {
                    return refused("columns of the Parquet file are encrypted");
                }
                if chunk.file_path().is_some() {
                    return refused("columns of the Parquet file are in other files");
                }
                let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
                let end = start.checked_add(chunk.compressed_size()).and_then(|end| u64::try_from(end).ok());
                if start < 4 || chunk.compressed_size() < 0 || end.is_none_or(|end| end > source.len()) {
                    return refused("the Parquet file is damaged");
                }
            }
            match u64::try_from(group.num_rows()) {
                Ok(rows) if group.num_columns() == columns => records.push(rows),
                _ => return refused("the Parquet file is damaged"),
            }
        }
        Ok(Self { path, source: Arc::new(source), about, records })
    }

    pub(super) fn columns(&self) -> &[ColumnDescPtr] {
        self.about.file_metadata().schema_descr().columns()
    }

    /// The names on the way to a column.
    pub(super) fn name(&self, at: usize) -> String {
        self.columns()[at].path().string()
    }

    pub(super) fn chunk(&self, (group, at): (usize, usize)) -> &ColumnChunkMetaData {
        self.about.row_group(group).column(at)
    }

    fn pages(&self, place: (usize, usize)) -> Result<Pages<SerializedPageReader<Source>>, Error> {
        let chunk = self.chunk(place);
        let unknown = match chunk.compression() {
            Compression::BROTLI(_) => Some("Brotli"),
            Compression::LZO => Some("LZO"),
            _ => None,
        };
        if let Some(codec) = unknown {
            let name = self.name(place.1);
            return Err(Error::Refused(format!(
                "column {name} is packed with {codec}: write the file with another codec"
            )));
        }
        let pages = SerializedPageReader::new(self.source.clone(), chunk, 0, None);
        pages.map(Pages).map_err(|error| failed(self.path, error))
    }

    /// Shows the cells of a column in a row group, `at_once` records at a time.
    pub(super) fn read(
        &self,
        place: (usize, usize),
        values: Values,
        records: (u64, usize),
        see: See<'_>,
    ) -> Result<(), Error> {
        let column = &self.columns()[place.1];
        let reader = get_column_reader(column.clone(), Box::new(self.pages(place)?));
        cells(reader, column, values, records, &|error| failed(self.path, error), see)
    }

    /// Whether the dictionary of strings has a card number. Of a table that was filtered, it may be one that no cell refers to.
    pub(super) fn hides(&self, place: (usize, usize)) -> Result<bool, Error> {
        if self.chunk(place).dictionary_page_offset().is_none() || !takes_tokens(&self.columns()[place.1]) {
            return Ok(false);
        }
        let page = {
            let mut pages = self.pages(place)?;
            guarded(|| pages.get_next_page()).map_err(|error| failed(self.path, error))?
        };
        let Some(Page::DictionaryPage { buf, .. }) = &page else { return Ok(false) };
        let mut rest = &buf[..];
        while let Some((length, from)) = rest.split_first_chunk() {
            let Some((value, behind)) = from.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
            if holds_card(&Text::of_bytes(value)) {
                return Ok(true);
            }
            rest = behind;
        }
        Ok(false)
    }

    /// All that is known of a column chunk, to be copied with it.
    pub(super) fn packed(&self, (group, at): (usize, usize)) -> ColumnCloseResult {
        let chunk = self.chunk((group, at));
        ColumnCloseResult {
            bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or_default(),
            rows_written: self.records[group],
            metadata: chunk.clone(),
            bloom_filter: guarded(|| Sbbf::read_from_column_chunk(chunk, &*self.source)).ok().flatten(),
            column_index: self.about.column_index().map(|index| index[group][at].clone()),
            offset_index: self.about.offset_index().map(|index| index[group][at].clone()),
        }
    }

    /// What the new file says of itself: what the old one does, but for what is no longer true.
    pub(super) fn properties(&self, works_on: &[usize], same_types: bool) -> Result<WriterPropertiesPtr, Error> {
        let about = self.about.file_metadata();
        let mut notes: Vec<KeyValue> = about.key_value_metadata().cloned().unwrap_or_default();
        if let Some(note) =
            notes.iter().find(|note| note.value.as_deref().is_some_and(holds_card) || holds_card(&note.key))
        {
            let key = if holds_card(&note.key) { "that" } else { &note.key };
            return Err(Error::Refused(format!("metadata {key} of the Parquet file holds a card number: remove it")));
        }
        // Columns that became strings are found out by readers themselves.
        notes.retain(|note| same_types || note.key != ARROW_SCHEMA);
        let mut properties = WriterProperties::builder().set_key_value_metadata(Some(notes).filter(|n| !n.is_empty()));
        // Readers know writers whose statistics are not to be trusted, and those of columns that are copied are theirs.
        if let Some(writer) = about.created_by() {
            properties = properties.set_created_by(writer.into());
        }
        // A file has an index of pages for all columns or for none.
        if self.about.offset_index().is_none() {
            properties = properties.set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true);
        }
        if let Some(first) = self.about.row_groups().first() {
            // Tokens have another order.
            let sorted = first.sorting_columns().into_iter().flatten();
            let sorted = sorted.take_while(|by| !works_on.iter().any(|at| usize::try_from(by.column_idx) == Ok(*at)));
            let sorted: Vec<_> = sorted.cloned().collect();
            let all = self.about.row_groups().iter().all(|group| group.sorting_columns() == first.sorting_columns());
            properties = properties.set_sorting_columns(Some(sorted).filter(|by| all && !by.is_empty()));
            for (chunk, column) in first.columns().iter().zip(self.columns()) {
                let dictionary =
                    chunk.encodings().any(|how| how == Encoding::RLE_DICTIONARY || how == Encoding::PLAIN_DICTIONARY);
                properties = properties
                    .set_column_compression(column.path().clone(), chunk.compression())
                    .set_column_dictionary_enabled(column.path().clone(), dictionary);
            }
        }
        Ok(Arc::new(properties.build()))
    }
}
