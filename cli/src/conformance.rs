//! `p2pe conformance`: vectors over the store, a table, and reports to file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use chrono::{SecondsFormat, Utc};
use dukpt::Lifetime;
use p2pe_audit::{Event, Record};
use p2pe_config::{Access, Store};
use p2pe_vectors::{Report, VectorFile, run as run_vectors};
use serde_json::json;

use crate::{
    args::{Conformance, Global},
    audit::Journal,
    failure::Failure,
    junit, open,
    output::Output,
};

pub(crate) fn run(global: &Global, args: &Conformance, output: &Output) -> Result<(), Failure> {
    let files = files(args)?;
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let (access, lifetime) = match args.token_objects {
        true => (Access::Admin, Lifetime::Permanent),
        false => (Access::Use, Lifetime::Session),
    };
    let mut store = open::store(global, &config, access)?;
    // Before the run: it would be a pity to lose a long one.
    let json = args.report_json.as_deref().map(ReportFile::open).transpose()?;
    let xml = args.report_junit.as_deref().map(ReportFile::open).transpose()?;
    let report = report(&mut store, &files, lifetime);
    if let Some(file) = json {
        file.write(&(serde_json::to_string_pretty(&report).map_err(Failure::output)? + "\n"))?;
    }
    if let Some(file) = xml {
        file.write(&junit::write(&report)?)?;
    }
    output.result(&json!(report), || table(&report))?;
    // The keys are test keys: the run is one record.
    journal.record(|result| Record::new(Event::Conformance, result), verdict(&report))
}

/// Runs vectors and puts the report together.
pub(crate) fn report(store: &mut Store, files: &[VectorFile], lifetime: Lifetime) -> Report {
    let results = run_vectors(store, files, lifetime);
    let tool = concat!("p2pe ", env!("CARGO_PKG_VERSION")).to_string();
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    Report::new(tool, time, store.describe(), files, results)
}

/// Passes if something ran and nothing failed.
pub(crate) fn verdict(report: &Report) -> Result<(), Failure> {
    let summary = report.summary;
    if summary.succeeded() {
        return Ok(());
    }
    if summary.failed > 0 {
        return Err(Failure::new(
            9,
            "conformance_failed",
            format!("{} of {} tests failed", summary.failed, report.cases.len()),
            "see the reasons in the table; p2pe selftest shows which mechanism is at fault",
        ));
    }
    Err(Failure::new(
        9,
        "conformance_empty",
        "no test was run",
        "the store refused the test keys: store them in the token under the names of the file, and run again",
    ))
}

fn files(args: &Conformance) -> Result<Vec<VectorFile>, Failure> {
    let unreadable = |error| Failure::config(error, "vectors/schema.json describes the files");
    if args.vectors.is_empty() {
        return VectorFile::builtin().map_err(unreadable);
    }
    let mut files = Vec::new();
    for path in &args.vectors {
        files.extend(VectorFile::load(path).map_err(unreadable)?);
    }
    Ok(files)
}

/// A report's file, open for writing. What it held before stays until the new report is there.
struct ReportFile(PathBuf, File);

impl ReportFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Ok(Self(path.into(), file.map_err(|error| unwritten(path, &error))?))
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        // A pipe has no length.
        let regular = self.1.metadata().is_ok_and(|about| about.is_file());
        let emptied = if regular { self.1.set_len(0) } else { Ok(()) };
        emptied.and_then(|()| self.1.write_all(text.as_bytes())).map_err(|error| unwritten(&self.0, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::output(format!("cannot write {}: {error}", path.display()))
}

fn table(report: &Report) -> String {
    let mut text: String = report.store.iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect();
    text += &format!("{:<13} {}\n{:<13} {}\n\n", "tool", report.tool, "time", report.time);
    text += &format!("{:<28} {:<17} {:>6} {:>6} {:>7}\n", "vectors", "type", "passed", "failed", "skipped");
    let mut rows: Vec<(&str, &str, [usize; 3])> = Vec::new();
    for case in &report.cases {
        let at = rows.iter().position(|(file, kind, _)| (*file, *kind) == (&case.file, case.kind));
        let at = at.unwrap_or_else(|| {
            rows.push((&case.file, case.kind, [0; 3]));
            rows.len() - 1
        });
        let column = match case.outcome {
            "passed" => 0,
            "failed" => 1,
            _ => 2,
        };
        rows[at].2[column] += 1;
    }
    for (file, kind, [passed, failed, skipped]) in rows {
        text += &format!("{file:<28} {kind:<17} {passed:>6} {failed:>6} {skipped:>7}\n");
    }
    let summary = report.summary;
    text += &format!("{:<46} {:>6} {:>6} {:>7}\n", "all", summary.passed, summary.failed, summary.skipped);
    for case in report.cases.iter().filter(|case| case.outcome != "passed") {
        text += &format!("\n{} {} {}: {}", case.outcome, case.file, case.id, case.reason.as_deref().unwrap_or(""));
    }
    if report.summary.passed < report.cases.len() {
        text.push('\n');
    }
    text
}
