//! The cells of an Arrow array as texts.

use arrow_array::{
    AnyDictionaryArray, Array, ArrayAccessor,
    cast::AsArray,
    types::{Decimal128Type, Float64Type, Int64Type, UInt64Type},
};
use arrow_schema::DataType;

use crate::{Error, encoding::Text};

/// The text at a place below the array's length; `None` if it is null.
type Cells<'a> = Box<dyn Fn(usize) -> Option<Text<'a>> + 'a>;

/// Reads an array's cells. Texts that do not stand in the array as they are, are wiped.
///
/// # Errors
/// [`Error::ArrayType`].
pub(super) fn cells(array: &dyn Array) -> Result<Cells<'_>, Error> {
    let cells = match array.data_type() {
        DataType::Null => Some(nulls()),
        DataType::Utf8 => array.as_string_opt::<i32>().map(|array| each(array, Text::Raw)),
        DataType::LargeUtf8 => array.as_string_opt::<i64>().map(|array| each(array, Text::Raw)),
        DataType::Utf8View => array.as_string_view_opt().map(|array| each(array, Text::Raw)),
        DataType::Binary => array.as_binary_opt::<i32>().map(|array| each(array, Text::of_bytes)),
        DataType::LargeBinary => array.as_binary_opt::<i64>().map(|array| each(array, Text::of_bytes)),
        DataType::BinaryView => array.as_binary_view_opt().map(|array| each(array, Text::of_bytes)),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(|array| each(array, Text::of_bytes)),
        DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(|array| each(array, Text::of_number)),
        DataType::UInt64 => array.as_primitive_opt::<UInt64Type>().map(|array| each(array, Text::of_number)),
        DataType::Decimal128(_, 0) => {
            array.as_primitive_opt::<Decimal128Type>().map(|array| each(array, Text::of_number))
        }
        DataType::Float64 => array.as_primitive_opt::<Float64Type>().map(|array| each(array, Text::of_double)),
        DataType::Dictionary(..) => array.as_any_dictionary_opt().map(dictionary).transpose()?,
        _ => None,
    };
    cells.ok_or_else(|| Error::ArrayType(array.data_type().to_string()))
}

fn nulls<'a>() -> Cells<'a> {
    Box::new(|_| None)
}

fn each<'a, A: ArrayAccessor + 'a>(array: A, text: impl Fn(A::Item) -> Text<'a> + 'a) -> Cells<'a> {
    Box::new(move |at| array.is_valid(at).then(|| text(array.value(at))))
}

/// Cell by cell: values that no cell of this array refers to are not looked at.
fn dictionary(array: &dyn AnyDictionaryArray) -> Result<Cells<'_>, Error> {
    let value = cells(array.values())?;
    if array.values().is_empty() {
        return Ok(nulls());
    }
    let keys = array.normalized_keys();
    Ok(Box::new(move |at| if array.keys().is_valid(at) { value(keys[at]) } else { None }))
}
