//! Parquet files, written and looked through.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::panic, reason = "a test may panic")]

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    column::writer::ColumnWriter,
    data_type::{ByteArray, FixedLenByteArray},
    file::{
        metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};

/// The values of a flat optional column, or, with the levels of each, of another.
pub(crate) enum Values {
    Texts(Vec<Option<String>>),
    Ints(Vec<Option<i64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Levels(Vec<String>, Vec<i16>, Vec<i16>),
}

pub(crate) fn write(path: &Path, schema: &str, properties: WriterProperties, groups: Vec<Vec<Values>>) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let levels = |present: Vec<bool>| -> Vec<i16> { present.into_iter().map(i16::from).collect() };
    let bytes = |texts: &[String]| -> Vec<ByteArray> { texts.iter().map(|text| text.as_str().into()).collect() };
    for group in groups {
        let mut writer = writer.next_row_group().unwrap();
        for values in group {
            let mut column = writer.next_column().unwrap().unwrap();
            match (values, column.untyped()) {
                (Values::Texts(texts), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                    let def = levels(texts.iter().map(Option::is_some).collect());
                    let texts: Vec<_> = texts.into_iter().flatten().collect();
                    writer.write_batch(&bytes(&texts), Some(&def), None).unwrap();
                }
                (Values::Bytes(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                    let def = levels(values.iter().map(Option::is_some).collect());
                    let values: Vec<ByteArray> = values.into_iter().flatten().map(ByteArray::from).collect();
                    writer.write_batch(&values, Some(&def), None).unwrap();
                }
                (Values::Bytes(values), ColumnWriter::FixedLenByteArrayColumnWriter(writer)) => {
                    let def = levels(values.iter().map(Option::is_some).collect());
                    let values: Vec<FixedLenByteArray> =
                        values.into_iter().flatten().map(FixedLenByteArray::from).collect();
                    writer.write_batch(&values, Some(&def), None).unwrap();
                }
                (Values::Ints(ints), ColumnWriter::Int64ColumnWriter(writer)) => {
                    let def = levels(ints.iter().map(Option::is_some).collect());
                    writer.write_batch(&ints.into_iter().flatten().collect::<Vec<_>>(), Some(&def), None).unwrap();
                }
                (Values::Levels(texts, def, rep), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                    writer.write_batch(&bytes(&texts), Some(&def), Some(&rep)).unwrap();
                }
                _ => panic!("values of another type"),
            }
            column.close().unwrap();
        }
        writer.close().unwrap();
    }
    writer.close().unwrap();
}

/// A file's records, as JSON-like texts.
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
}

pub(crate) fn about(path: &Path) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.parse_and_finish(&File::open(path).unwrap()).unwrap()
}

/// All bytes of a file as they are, and as they were before they were packed and before they were encoded.
pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.extend(rows(path).concat().into_bytes());
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        for column in 0..group.num_columns() {
            for page in group.get_column_page_reader(column).unwrap() {
                bytes.extend_from_slice(page.unwrap().buffer());
            }
        }
    }
    bytes
}

/// A column chunk as it is packed.
pub(crate) fn packed(path: &Path, chunk: &ColumnChunkMetaData) -> Vec<u8> {
    let (start, length) = chunk.byte_range();
    let start = usize::try_from(start).unwrap();
    std::fs::read(path).unwrap()[start..start + usize::try_from(length).unwrap()].to_vec()
}
