//! The cells of a column of Parquet as texts, some records at a time, with the levels that say where they stand.

use parquet::{
    basic::{ConvertedType, LogicalType, Type as Physical},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType, FixedLenByteArray},
    errors::{ParquetError, Result as Read},
    schema::types::ColumnDescriptor,
};
use zeroize::{Zeroize, Zeroizing};

use super::source::guarded;
use crate::{Error, encoding::Text, options::BATCH};

/// How the values of a column are texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Values {
    /// UTF-8, or bytes that may be.
    Bytes,
    /// A whole number.
    Whole,
    /// One that has no sign.
    Unsigned,
    /// A double.
    Double,
}

impl Values {
    /// `None`: no card number can stand in the column. A date is no number, and 32 bits have no room for one.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Self> {
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        let scale = match logical {
            Some(LogicalType::Decimal(decimal)) => Some(decimal.scale),
            None if converted == ConvertedType::DECIMAL => Some(column.type_scale()),
            _ => None,
        };
        match (column.physical_type(), logical, converted, scale) {
            (_, _, _, Some(scale)) if scale != 0 => None,
            (Physical::INT64 | Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY, _, _, Some(_)) => {
                Some(Self::Whole)
            }
            (Physical::INT64, Some(LogicalType::Integer(integer)), ..) if !integer.is_signed => Some(Self::Unsigned),
            (Physical::INT64, None, ConvertedType::UINT_64, _) => Some(Self::Unsigned),
            (Physical::INT64, Some(LogicalType::Integer(_)), ..)
            | (Physical::INT64, None, ConvertedType::NONE | ConvertedType::INT_64, _) => Some(Self::Whole),
            (Physical::BYTE_ARRAY, ..) | (Physical::FIXED_LEN_BYTE_ARRAY, None, ConvertedType::NONE, _) => {
                Some(Self::Bytes)
            }
            (Physical::DOUBLE, ..) => Some(Self::Double),
            _ => None,
        }
    }
}

/// Some whole records of a column.
pub(super) struct Cells<'c> {
    /// So many records of the row group are before these.
    pub(super) first: u64,
    /// The values that are not null.
    pub(super) texts: Vec<Text<'c>>,
    /// The record of each, counted from the first of these.
    pub(super) rows: Vec<u64>,
    /// Of definition and repetition; empty where a column needs none.
    pub(super) levels: (&'c [i16], &'c [i16]),
    /// The bytes of a value that stays.
    pub(super) kept: &'c dyn Fn(usize) -> ByteArray,
}

/// What is done with some cells.
pub(super) type See<'s> = &'s mut dyn FnMut(Cells<'_>) -> Result<(), Error>;

/// Reads so many records, `at_once` at a time.
pub(super) fn read(
    reader: ColumnReader,
    column: &ColumnDescriptor,
    values: Values,
    (records, at_once): (u64, usize),
    failed: &dyn Fn(ParquetError) -> Error,
    see: See<'_>,
) -> Result<(), Error> {
    let read = (column, values, records, at_once, failed);
    match reader {
        ColumnReader::ByteArrayColumnReader(reader) => batches(reader, read, see),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => batches(reader, read, see),
        ColumnReader::Int64ColumnReader(reader) => batches(reader, read, see),
        ColumnReader::DoubleColumnReader(reader) => batches(reader, read, see),
        _ => Ok(()),
    }
}

type Wanted<'w> = (&'w ColumnDescriptor, Values, u64, usize, &'w dyn Fn(ParquetError) -> Error);

fn batches<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    (column, values, wanted, at_once, failed): Wanted<'_>,
    see: See<'_>,
) -> Result<(), Error>
where
    T::T: Value,
{
    let at_once = at_once as u64;
    let mut left = wanted;
    while left > 0 {
        let most = usize::try_from(left.min(at_once)).unwrap_or(usize::MAX);
        // Growing would leave a copy behind.
        let (mut def, mut rep, mut read) = (Vec::new(), Vec::new(), Vec::with_capacity(most.min(BATCH)));
        let records = guarded(|| reader.read_records(most, Some(&mut def), Some(&mut rep), &mut read));
        let rows = records.and_then(|(records, ..)| rows(column, records, read.len(), &def, &rep));
        let (records, rows) = rows.map_err(failed)?;
        let texts = read.iter().map(|value| value.text(values)).collect();
        let first = wanted - left;
        let seen = see(Cells { first, texts, rows, levels: (&def, &rep), kept: &|at| read[at].kept(values) });
        read.iter_mut().for_each(Value::wipe);
        seen?;
        left -= records;
    }
    Ok(())
}

/// How many records there are, and that of each value.
fn rows(column: &ColumnDescriptor, records: usize, values: usize, def: &[i16], rep: &[i16]) -> Read<(u64, Vec<u64>)> {
    let (levels, of_value) = (def.len().max(rep.len()), column.max_def_level());
    let mut row = 0;
    let rows: Vec<u64> = if levels == 0 {
        (0..records as u64).collect()
    } else {
        let place = |level: usize| {
            // Without repetition, each level is a record.
            row += u64::from(level > 0 && rep.get(level).is_none_or(|rep| *rep == 0));
            def.get(level).is_none_or(|def| *def == of_value).then_some(row)
        };
        (0..levels).filter_map(place).collect()
    };
    if records == 0 || rows.len() != values {
        return Err(ParquetError::General("fewer records than the row group has".into()));
    }
    Ok((records as u64, rows))
}

/// A value as a text, and as it is written where it stays.
trait Value {
    fn text(&self, values: Values) -> Text<'_>;

    fn kept(&self, values: Values) -> ByteArray {
        self.text(values).as_bytes().into()
    }

    /// Values in buffers are wiped there.
    fn wipe(&mut self) {}
}

impl Value for ByteArray {
    fn text(&self, values: Values) -> Text<'_> {
        match values {
            Values::Whole => decimal(self.data()),
            _ => Text::of_bytes(self.data()),
        }
    }

    fn kept(&self, values: Values) -> ByteArray {
        match values {
            Values::Whole => self.text(values).as_bytes().into(),
            _ => self.clone(),
        }
    }
}

impl Value for FixedLenByteArray {
    fn text(&self, values: Values) -> Text<'_> {
        match values {
            Values::Whole => decimal(self.data()),
            _ => Text::of_bytes(self.data()),
        }
    }
}

impl Value for i64 {
    fn text(&self, values: Values) -> Text<'_> {
        match values {
            Values::Unsigned => Text::of_number(self.cast_unsigned()),
            _ => Text::of_number(self),
        }
    }

    fn wipe(&mut self) {
        self.zeroize();
    }
}

impl Value for f64 {
    fn text(&self, _: Values) -> Text<'_> {
        Text::of_double(*self)
    }

    fn wipe(&mut self) {
        self.zeroize();
    }
}

/// A whole decimal: two's complement, the highest byte first. No precision needs more than 16 bytes.
fn decimal(bytes: &[u8]) -> Text<'static> {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    let number = Zeroizing::new(bytes.iter().fold(sign, |number: i128, byte| number << 8 | i128::from(*byte)));
    Text::of_number(*number)
}
