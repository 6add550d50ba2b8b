//! The list that a batch gives back: for each item its result, or the exception that it would raise alone.

use pyo3::prelude::*;

use crate::error::Failure;

/// Of `count` items, the results of those that were asked for and the exceptions of those that were refused before, each at its
/// place.
pub(crate) fn answers<T>(
    py: Python<'_>,
    count: usize,
    refused: Vec<(usize, PyErr)>,
    results: Vec<T>,
    mut shown: impl FnMut(T) -> PyResult<Py<PyAny>>,
) -> PyResult<Vec<Py<PyAny>>> {
    if refused.len() + results.len() != count {
        return Err(Failure::Closed.into());
    }
    let mut all = Vec::with_capacity(count);
    let mut results = results.into_iter();
    for (at, error) in refused {
        for result in results.by_ref().take(at.saturating_sub(all.len())) {
            all.push(shown(result)?);
        }
        all.push(error.into_value(py).into_any());
    }
    for result in results {
        all.push(shown(result)?);
    }
    Ok(all)
}
