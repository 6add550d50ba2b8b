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
    /// One with so many decimal places.
    Places(u32),
    /// A double.
    Double,
}

/// A card number has so many digits at least.
const SHORTEST: i32 = 12;

impl Values {
    /// `None`: no card number can stand in the column. A date is no number, and neither 32 bits nor fewer than twelve digits
    /// before the decimal places have room for one.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Self> {
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        let scale = match logical {
            Some(LogicalType::Decimal(decimal)) => Some(decimal.scale),
            None if converted == ConvertedType::DECIMAL => Some(column.type_scale()),
            _ => None,
        };
        match (column.physical_type(), logical, converted, scale) {
            (_, _, _, Some(scale)) if scale != 0 && column.type_precision().saturating_sub(scale) < SHORTEST => None,
            (Physical::INT64 | Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY, _, _, Some(scale)) => {
                Some(if scale == 0 { Self::Whole } else { Self::Places(scale.unsigned_abs()) })
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
    /// The bytes of a value that stays; `None` if a column of strings has no room for them.
    pub(super) kept: &'c dyn Fn(usize) -> Option<ByteArray>,
    /// Whether the text is all of a value. Of bytes that are no UTF-8 it is not.
    pub(super) exact: &'c dyn Fn(usize) -> bool,
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
        let (mut def, mut rep, mut read) = (Vec::new(), Vec::new(), Wiped(Vec::with_capacity(most.min(BATCH))));
        let records = guarded(|| reader.read_records(most, Some(&mut def), Some(&mut rep), &mut read.0));
        let values_read = &read.0;
        let rows = records.and_then(|(records, ..)| rows(column, records, values_read.len(), &def, &rep));
        let (records, rows) = rows.map_err(failed)?;
        let texts = values_read.iter().map(|value| value.text(values)).collect::<Option<_>>();
        let texts = texts.ok_or_else(|| {
            Error::Refused(format!("column {} has decimals of more than 38 digits", column.path().string()))
        })?;
        let kept = |at: usize| values_read[at].kept(values);
        let exact = |at: usize| values_read[at].exact(values);
        see(Cells { first: wanted - left, texts, rows, levels: (&def, &rep), kept: &kept, exact: &exact })?;
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

/// Values that are wiped, whether all of them could be read or not.
struct Wiped<T: Value>(Vec<T>);

impl<T: Value> Drop for Wiped<T> {
    fn drop(&mut self) {
        T::wipe(&mut self.0);
    }
}

/// A value as a text, and as it is written where it stays.
trait Value: Sized {
    /// `None`: a decimal that is too long.
    fn text(&self, values: Values) -> Option<Text<'_>>;

    fn kept(&self, values: Values) -> Option<ByteArray> {
        self.exact(values).then(|| self.text(values)).flatten().map(|text| text.as_bytes().into())
    }

    fn exact(&self, _: Values) -> bool {
        true
    }

    /// Values in buffers are wiped there.
    fn wipe(_: &mut Vec<Self>) {}
}

impl Value for ByteArray {
    fn text(&self, values: Values) -> Option<Text<'_>> {
        of_bytes(self.data(), values)
    }

    fn kept(&self, values: Values) -> Option<ByteArray> {
        match values {
            // The column stays one of bytes.
            Values::Bytes => Some(self.clone()),
            _ => self.text(values).map(|text| text.as_bytes().into()),
        }
    }

    fn exact(&self, values: Values) -> bool {
        values != Values::Bytes || str::from_utf8(self.data()).is_ok()
    }
}

impl Value for FixedLenByteArray {
    fn text(&self, values: Values) -> Option<Text<'_>> {
        of_bytes(self.data(), values)
    }

    fn exact(&self, values: Values) -> bool {
        values != Values::Bytes || str::from_utf8(self.data()).is_ok()
    }
}

impl Value for i64 {
    fn text(&self, values: Values) -> Option<Text<'_>> {
        Some(match values {
            Values::Unsigned => Text::of_number(self.cast_unsigned()),
            Values::Places(places) => Text::of_decimal(i128::from(*self), places),
            _ => Text::of_number(self),
        })
    }

    fn wipe(values: &mut Vec<Self>) {
        values.zeroize();
    }
}

impl Value for f64 {
    fn text(&self, _: Values) -> Option<Text<'_>> {
        Some(Text::of_double(*self))
    }

    fn wipe(values: &mut Vec<Self>) {
        values.zeroize();
    }
}

fn of_bytes(bytes: &[u8], values: Values) -> Option<Text<'_>> {
    match values {
        Values::Whole => number(bytes).map(|number| Text::of_decimal(*number, 0)),
        Values::Places(places) => number(bytes).map(|number| Text::of_decimal(*number, places)),
        _ => Some(Text::of_bytes(bytes)),
    }
}

/// A decimal without its point: two's complement, the highest byte first. `None`: it needs more than 16 bytes.
fn number(bytes: &[u8]) -> Option<Zeroizing<i128>> {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(size_of::<i128>()));
    let number = Zeroizing::new(low.iter().fold(sign, |number: i128, byte| number << 8 | i128::from(*byte)));
    (high.iter().all(|byte| i128::from(byte.cast_signed()) == sign) && (*number < 0) == (sign < 0)).then_some(number)
}
