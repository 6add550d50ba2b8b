//! Printing: lines for people, JSON for programs, failures on standard error.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use crate::failure::Failure;

/// Where results go.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: `value` as JSON, or `text`.
    pub(crate) fn result(&self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let line = if self.json { format!("{value:#}\n") } else { text() };
        print(&line)
    }

    /// Says what is being done, to people only.
    pub(crate) fn note(&self, line: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        print(&format!("{line}\n"))
    }

    /// Reports a failure and gives its exit code.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        let Failure { exit, code, message, hint, offset } = failure;
        if self.json {
            let mut error = json!({ "error": { "code": code, "message": message, "hint": hint, "exit": exit } });
            if let Some(offset) = offset {
                error["error"]["offset"] = json!(offset);
            }
            // If even this cannot be written, the exit code still tells.
            let _ = writeln!(io::stdout(), "{error:#}");
        }
        let _ = writeln!(io::stderr(), "error: {message}\n next: {hint}");
        ExitCode::from(*exit)
    }
}

/// A reader that has seen enough, as in `p2pe … | head`, is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::output(error)),
        _ => Ok(()),
    }
}

/// Lines of `name  value`.
pub(crate) fn table(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(name, value)| format!("{name:<14} {value}\n")).collect()
}
