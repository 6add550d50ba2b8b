//! How a pool is, as dictionaries that a health page can print.

use std::time::UNIX_EPOCH;

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use crate::handle::Handle;

/// The health of the store's pool, if it has one.
pub(crate) fn shown(py: Python<'_>, store: &Handle) -> PyResult<Option<Py<PyDict>>> {
    let Some(health) = store.health(py)? else { return Ok(None) };
    let shards = PyList::empty(py);
    for shard in &health.shards {
        let entry = PyDict::new(py);
        entry.set_item("state", shard.state.name())?;
        entry.set_item("epoch", shard.epoch)?;
        entry.set_item("faults", shard.faults)?;
        entry.set_item("failures_in_a_row", shard.failures_in_a_row)?;
        let fault = shard.last_fault.as_ref();
        entry.set_item("last_fault", fault.map(|fault| &fault.what))?;
        let at = fault.and_then(|fault| fault.at.duration_since(UNIX_EPOCH).ok());
        entry.set_item("last_fault_at", at.map(|at| at.as_secs_f64()))?;
        shards.append(entry)?;
    }
    let all = PyDict::new(py);
    all.set_item("state", health.state.name())?;
    all.set_item("queued", health.queued)?;
    all.set_item("busy", health.busy)?;
    all.set_item("overdue", health.overdue)?;
    all.set_item("shards", shards)?;
    Ok(Some(all.unbind()))
}
