//! What is in a vault, as dictionaries: the names are those of `p2pe vault stats --json`.

use ::vault::Stats;
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

pub(crate) fn shown(py: Python<'_>, stats: &Stats) -> PyResult<Py<PyDict>> {
    let keys = PyList::empty(py);
    for key in &stats.keys {
        let entry = PyDict::new(py);
        entry.set_item("merchant", &key.tenant)?;
        entry.set_item("data_key", key.version)?;
        entry.set_item("wrapped_by", &key.wrapped_by)?;
        entry.set_item("tokens", key.rows)?;
        entry.set_item("nonces", key.nonces)?;
        keys.append(entry)?;
    }
    let fingerprint_keys = PyList::empty(py);
    for (key, rows) in &stats.fingerprint_keys {
        let entry = PyDict::new(py);
        entry.set_item("key", key.key.as_str())?;
        entry.set_item("version", key.version)?;
        entry.set_item("tokens", rows)?;
        fingerprint_keys.append(entry)?;
    }
    let policies = PyList::empty(py);
    for policy in &stats.policies {
        let (by, ends) = policy.succession.map(|to| (to.by, to.ends)).unzip();
        let entry = PyDict::new(py);
        entry.set_item("merchant", &policy.tenant)?;
        entry.set_item("version", policy.version)?;
        entry.set_item("tokens", policy.rows)?;
        entry.set_item("replaced_by", by)?;
        entry.set_item("ends", ends)?;
        policies.append(entry)?;
    }
    let all = PyDict::new(py);
    all.set_item("keys", keys)?;
    all.set_item("fingerprint_keys", fingerprint_keys)?;
    all.set_item("policies", policies)?;
    all.set_item("requests", stats.requests)?;
    all.set_item("audit_records", stats.audit)?;
    Ok(all.unbind())
}
