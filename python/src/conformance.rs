//! `run_conformance` and the report of it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use chrono::{SecondsFormat, Utc};
use dukpt::Lifetime;
use p2pe_audit::{Event, Record};
use p2pe_vectors::{ReportedCase, VectorFile};
use pyo3::prelude::*;

use crate::{error::Failure, store::Store};

/// Runs known answers over a store and reports how each went.
///
/// `vectors` is a file of vectors or a folder of them; without it, those that come with this package. The published
/// test keys are imported until the store is closed, so give it a store of its own. Other threads wait for its end. Over a
/// pool it has a session of its own, and the keys go with it; the pool cannot open the token again before.
///
/// Raises `ConfigError` for a file that holds no vectors; `StoreError` if the store is closed.
#[pyfunction]
#[pyo3(signature = (store, /, vectors = None))]
pub(crate) fn run_conformance(
    py: Python<'_>,
    store: &Bound<'_, Store>,
    vectors: Option<PathBuf>,
) -> Result<Report, Failure> {
    let report = store.get().0.with_mut(py, move |store| {
        let files = match vectors {
            Some(path) => VectorFile::load(&path)?,
            None => VectorFile::builtin()?,
        };
        let results = p2pe_vectors::run(store, &files, Lifetime::Session);
        let tool = concat!("p2pe-crypto for Python ", env!("CARGO_PKG_VERSION")).to_string();
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        Ok(Report(Arc::new(p2pe_vectors::Report::new(tool, time, store.describe(), &files, results))))
    })?;
    let summary = report.0.summary;
    let result = match summary.failed {
        0 if summary.succeeded() => "ok",
        0 => "conformance_empty",
        _ => "conformance_failed",
    };
    store.get().0.record(py, &Record::new(Event::Conformance, result))?;
    Ok(report)
}

/// A conformance run. It succeeded if `failed` is 0 and `passed` is not: a skipped test proves nothing.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Report(Arc<p2pe_vectors::Report>);

#[pymethods]
impl Report {
    /// Name and version of the tool.
    #[getter]
    fn tool(&self) -> &str {
        &self.0.tool
    }

    /// When the run ended: RFC 3339, UTC, whole seconds.
    #[getter]
    fn time(&self) -> &str {
        &self.0.time
    }

    /// Module, token and firmware; or `{"kind": "memory"}`.
    #[getter]
    fn store(&self) -> BTreeMap<String, String> {
        self.0.store.clone()
    }

    /// SHA-256 over each file of vectors, in hex digits, by the file's name.
    #[getter]
    fn vectors(&self) -> BTreeMap<String, String> {
        self.0.vectors.clone()
    }

    /// How many tests went as their file says.
    #[getter]
    fn passed(&self) -> usize {
        self.0.summary.passed
    }

    /// How many did not.
    #[getter]
    fn failed(&self) -> usize {
        self.0.summary.failed
    }

    /// How many were not run.
    #[getter]
    fn skipped(&self) -> usize {
        self.0.summary.skipped
    }

    /// Every test, in the order of the files.
    #[getter]
    fn cases(&self) -> Vec<Case> {
        (0..self.0.cases.len()).map(|index| Case { report: Arc::clone(&self.0), index }).collect()
    }

    /// The report as JSON, the same as `p2pe conformance --report-json` writes.
    fn to_json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(&*self.0)?)
    }

    fn __repr__(&self) -> String {
        format!("Report(passed={}, failed={}, skipped={})", self.passed(), self.failed(), self.skipped())
    }
}

/// One test of a `Report`.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Case {
    report: Arc<p2pe_vectors::Report>,
    index: usize,
}

impl Case {
    fn case(&self) -> &ReportedCase {
        &self.report.cases[self.index]
    }
}

#[pymethods]
impl Case {
    /// The file's name.
    #[getter]
    fn file(&self) -> &str {
        &self.case().file
    }

    /// The test's id, unique in its file.
    #[getter]
    fn id(&self) -> &str {
        &self.case().id
    }

    /// The test's type, as `payload` or `aes-data-key`.
    #[getter]
    fn r#type(&self) -> &'static str {
        self.case().kind
    }

    /// The route that the keys took: `token`, `hybrid` or `memory`; empty where no key was used.
    #[getter]
    fn custody(&self) -> &str {
        &self.case().custody
    }

    /// `passed`, `failed` or `skipped`.
    #[getter]
    fn outcome(&self) -> &'static str {
        self.case().outcome
    }

    /// Why it failed or was skipped; `None` if it passed.
    #[getter]
    fn reason(&self) -> Option<&str> {
        self.case().reason.as_deref()
    }

    /// How long it took.
    #[getter]
    fn microseconds(&self) -> u64 {
        self.case().microseconds
    }

    fn __repr__(&self) -> String {
        format!("Case(id={:?}, outcome='{}')", self.id(), self.outcome())
    }
}
