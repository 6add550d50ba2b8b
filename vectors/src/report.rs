//! The report that a compliance tester files: what ran, over which store, with which vectors, and how it went.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{CaseResult, Outcome, VectorFile};

/// A conformance run as plain data; serialises to the JSON report.
#[derive(Serialize, Debug)]
pub struct Report {
    /// Name and version of the tool.
    pub tool: String,
    /// When the run ended, RFC 3339.
    pub time: String,
    /// Module, token and firmware; or that the store was memory.
    pub store: BTreeMap<String, String>,
    /// SHA-256 over each file of vectors, by name.
    pub vectors: BTreeMap<String, String>,
    /// Counts.
    pub summary: Summary,
    /// Every test.
    pub cases: Vec<ReportedCase>,
}

/// How many tests went which way.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// As the file says.
    pub passed: usize,
    /// Not as the file says.
    pub failed: usize,
    /// Not run.
    pub skipped: usize,
}

/// One test of a [`Report`].
#[derive(Serialize, Debug)]
pub struct ReportedCase {
    /// The file's name.
    pub file: String,
    /// The test's id.
    pub id: String,
    /// The test's type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The route the keys took: `token`, `hybrid` or `memory`; empty where no key of the store was used.
    pub custody: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: &'static str,
    /// Why it failed or was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took.
    pub microseconds: u64,
}

impl Summary {
    /// Whether the run proves something: at least one test passed and none failed.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl Report {
    /// Puts the report together.
    #[must_use]
    pub fn new(
        tool: String,
        time: String,
        store: BTreeMap<String, String>,
        files: &[VectorFile],
        results: Vec<CaseResult>,
    ) -> Self {
        let mut summary = Summary::default();
        let cases = results
            .into_iter()
            .map(|case| {
                let (outcome, reason, count) = match case.outcome {
                    Outcome::Passed => ("passed", None, &mut summary.passed),
                    Outcome::Failed(reason) => ("failed", Some(reason), &mut summary.failed),
                    Outcome::Skipped(reason) => ("skipped", Some(reason), &mut summary.skipped),
                };
                *count += 1;
                ReportedCase {
                    file: case.file,
                    id: case.id,
                    kind: case.kind,
                    custody: case.custody,
                    outcome,
                    reason,
                    microseconds: u64::try_from(case.duration.as_micros()).unwrap_or(u64::MAX),
                }
            })
            .collect();
        let vectors = files.iter().map(|file| (file.name.clone(), file.sha256.clone())).collect();
        Self { tool, time, store, vectors, summary, cases }
    }
}
