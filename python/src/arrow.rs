//! Columns over the Arrow C data interface: chunks of card numbers in, tokens and reasons out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, StructArray, cast::AsArray, new_empty_array};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use p2pe_migrate::ArrowTokens as Made;
use pyo3::{
    prelude::*,
    types::{PyAny, PyCapsule},
};
use pyo3_arrow::{
    ffi::{ArrayIterator, ArrayReader, to_stream_pycapsule},
    input::AnyArray,
};

use crate::error::Failure;

/// The chunks of what a producer has, checked: the interface is a promise of the producer, about pointers.
pub(crate) struct Chunks(Box<dyn ArrayReader + Send>);

impl Chunks {
    /// `None` for an object that has no Arrow data.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if !object.hasattr("__arrow_c_array__")? && !object.hasattr("__arrow_c_stream__")? {
            return Ok(None);
        }
        let reader = sound(|| object.extract::<AnyArray>()?.into_reader())?;
        Ok(Some(Self(reader.map_err(|_| unsound(FAILED))?)))
    }

    /// The next chunk; of a table with one column, that column. A producer may compute it now, and needs the GIL for that or not.
    pub(crate) fn next(&mut self, py: Python<'_>) -> Result<Option<ArrayRef>, Failure> {
        py.detach(|| {
            sound(|| {
                let Some(chunk) = self.0.next() else { return Ok(None) };
                let chunk = chunk.map_err(|_| unsound(FAILED))?;
                // An empty slice of texts has offsets into a buffer that is taken to be empty.
                let chunk = if chunk.is_empty() { new_empty_array(chunk.data_type()) } else { chunk };
                chunk.to_data().validate_full().map_err(|_| unsound(MALFORMED))?;
                Ok(Some(column(chunk)))
            })?
        })
    }
}

const MALFORMED: &str = "the Arrow data is malformed";
/// What the producer itself says of its failure may quote a cell.
const FAILED: &str = "the producer of the Arrow data failed";

fn unsound(message: &str) -> Failure {
    Failure::argument(message, "arrow_data")
}

/// What the arrow crates panic at is malformed.
fn sound<T>(read: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| unsound(MALFORMED))
}

fn column(chunk: ArrayRef) -> ArrayRef {
    match chunk.as_struct_opt() {
        Some(table) if table.num_columns() == 1 && table.null_count() == 0 => Arc::clone(table.column(0)),
        _ => chunk,
    }
}

/// The tokens of an Arrow column, and why some cells have none: a table of two columns of strings, `tokens` and `reasons`, in
/// chunks as they came. `pyarrow.table`, `polars.DataFrame` and others take it as it is, over the Arrow C stream interface.
///
/// A cell's token stands in place of its number; a cell that is blank or a token already is as it was. Where there is no token,
/// the reason is the `code` that `Vault.tokenize` would raise, or `digits_lost` or `not_a_card_number`.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct ArrowTokens {
    chunks: Vec<ArrayRef>,
}

#[pymethods]
impl ArrowTokens {
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let table: FieldRef = Arc::new(Field::new("", DataType::Struct(fields()), false));
        let chunks = ArrayIterator::new(self.chunks.clone().into_iter().map(Ok), table);
        Ok(to_stream_pycapsule(py, Box::new(chunks), requested_schema)?)
    }

    fn __len__(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    fn __repr__(&self) -> String {
        format!("ArrowTokens({} rows)", self.__len__())
    }
}

impl ArrowTokens {
    pub(crate) fn new(chunks: impl IntoIterator<Item = Made>) -> Self {
        let table = |made: Made| {
            // Two arrays of one length.
            let columns: Vec<ArrayRef> = vec![Arc::new(made.tokens), Arc::new(made.reasons)];
            Arc::new(StructArray::new(fields(), columns, None)) as ArrayRef
        };
        Self { chunks: chunks.into_iter().map(table).collect() }
    }
}

fn fields() -> Fields {
    ["tokens", "reasons"].into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect()
}
