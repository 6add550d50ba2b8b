//! The report as JUnit XML, for CI systems and report archives.

use std::time::Duration;

use p2pe_vectors::Report;
use quick_junit::{NonSuccessKind, Report as JUnit, TestCase, TestCaseStatus, TestSuite};

use crate::failure::Failure;

pub(crate) fn write(report: &Report) -> Result<String, Failure> {
    let mut junit = JUnit::new("p2pe conformance");
    for (file, sha256) in &report.vectors {
        let mut suite = TestSuite::new(file.as_str());
        suite.add_property(("sha256", sha256.as_str()));
        suite.add_property(("tool", report.tool.as_str()));
        suite.add_property(("time", report.time.as_str()));
        for (name, value) in &report.store {
            suite.add_property((format!("store.{name}"), value.clone()));
        }
        for case in report.cases.iter().filter(|case| &case.file == file) {
            let reason = case.reason.clone().unwrap_or_default();
            let mut status = match case.outcome {
                "passed" => TestCaseStatus::success(),
                "failed" => TestCaseStatus::non_success(NonSuccessKind::Failure),
                _ => TestCaseStatus::skipped(),
            };
            if case.outcome != "passed" {
                status.set_message(reason);
            }
            let mut test = TestCase::new(case.id.as_str(), status);
            test.set_classname(format!("{file}.{}", case.kind)).set_time(Duration::from_micros(case.microseconds));
            suite.add_test_case(test);
        }
        junit.add_test_suite(suite);
    }
    junit.to_string().map_err(Failure::output)
}
