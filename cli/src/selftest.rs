//! `p2pe selftest`: one executed known answer for each mechanism in use, and `--break` to see one fail.
//!
//! What `--break` breaks is the input of one test in this one run: the store that serves knows nothing of it.

use std::fmt;

use dukpt::{
    KeyError, Lifetime,
    self_test::{OF_HOST, OF_STORE, SelfTest},
};
use p2pe_audit::{Event, Record};
use p2pe_config::{Access, Store, seal_passes_self_test};
use p2pe_vectors::VectorFile;
use serde_json::{Value, json};

use crate::{
    args::{Global, Selftest},
    audit::Journal,
    conformance,
    failure::Failure,
    open,
    output::Output,
};

/// The way from a payload to card data, by the ids of vectors.
const PAYLOADS: [(&str, &str); 2] = [
    ("idtech-keyed-kb-cvv-zip-tdes", "a keypad's frame to card data"),
    ("aes-dukpt-track2-128", "an AES DUKPT track to card data"),
];

/// The word for every test, after `--break`.
const ALL: &str = "all";

#[derive(Clone, Copy)]
enum Test {
    Host(&'static SelfTest),
    Ff1,
    Gcm,
    Seal,
    Token(&'static SelfTest),
    Payload(&'static str, &'static str),
}

impl Test {
    fn all(of_token: bool) -> Vec<Self> {
        let host = OF_STORE.iter().chain(&OF_HOST).map(Self::Host);
        let token = OF_STORE.iter().filter(|_| of_token).map(Self::Token);
        let payloads = PAYLOADS.map(|(id, what)| Self::Payload(id, what));
        host.chain([Self::Ff1, Self::Gcm, Self::Seal]).chain(token).chain(payloads).collect()
    }

    fn what(self) -> &'static str {
        match self {
            Self::Host(test) | Self::Token(test) => test.what,
            Self::Ff1 => "FF1, format-preserving encryption",
            Self::Gcm => "AES-256-GCM, the vault",
            Self::Seal => "the seal over the settings",
            Self::Payload(_, what) => what,
        }
    }

    /// Runs it; with a `flawed` input it must not pass.
    fn run(self, store: &mut Store, flawed: bool) -> Outcome {
        let passes = match self {
            Self::Host(test) => test.passes_in_memory(flawed),
            Self::Ff1 => Ok(ff1::passes_self_test(flawed)),
            Self::Gcm => Ok(vault::passes_self_test(flawed)),
            Self::Seal => Ok(seal_passes_self_test(flawed)),
            Self::Token(test) => match store.token() {
                Ok(token) => token.known_answer(test, flawed),
                Err(_) => Err(KeyError::NotPermitted),
            },
            Self::Payload(id, _) => return payload(store, id, flawed),
        };
        match passes {
            Ok(true) => Outcome::Passed,
            Ok(false) => Outcome::Failed,
            Err(error) => Outcome::NotRun(error.to_string()),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, name) = match self {
            Self::Host(test) => ("host", test.name),
            Self::Ff1 => ("host", "ff1"),
            Self::Gcm => ("host", "aes-gcm"),
            Self::Seal => ("settings", "seal"),
            Self::Token(test) => ("token", test.name),
            Self::Payload(id, _) => ("payload", *id),
        };
        f.pad(&format!("{group}/{name}"))
    }
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// The store does not do this, and says why: no wrong answer.
    NotRun(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun(_) => "not run",
        }
    }
}

pub(crate) fn run(global: &Global, args: &Selftest, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    // Here the store is tested by itself already, and not opened if it fails.
    let done = open::store(global, &config, Access::Use).and_then(|mut store| tests(&mut store, args, output));
    journal.record(|result| Record::new(Event::SelfTest, result), done)
}

fn tests(store: &mut Store, args: &Selftest, output: &Output) -> Result<(), Failure> {
    let all = Test::all(matches!(store, Store::Pkcs11(..)));
    let broken =
        match args.break_test.as_deref() {
            None => Vec::new(),
            Some(ALL) => all.clone(),
            Some(name) => {
                let found = all.iter().copied().find(|test| test.to_string() == name);
                vec![found.ok_or_else(|| {
                    Failure::usage(format!("no self-test {name:?}"), "p2pe selftest lists their names")
                })?]
            }
        };
    let flawed = !broken.is_empty();
    let run = if flawed { broken } else { all };
    let results: Vec<_> = run.into_iter().map(|test| (test, test.run(store, flawed))).collect();

    let memory = open::locked_memory().map(|()| "locked".to_string()).unwrap_or_else(|why| why);
    let rows: Vec<Value> = results
        .iter()
        .map(|(test, outcome)| {
            let reason = if let Outcome::NotRun(reason) = outcome { Some(reason) } else { None };
            json!({ "name": test.to_string(), "what": test.what(), "outcome": outcome.word(), "reason": reason })
        })
        .collect();
    output.result(&json!({ "tests": rows, "broken": flawed, "memory": memory }), || {
        let line = |(test, outcome): &(Test, Outcome)| {
            let reason = if let Outcome::NotRun(reason) = outcome { reason } else { "" };
            format!("{:<8} {test:<38} {} {reason}", outcome.word(), test.what()).trim_end().to_string() + "\n"
        };
        results.iter().map(line).chain([format!("memory   {memory}\n")]).collect()
    })?;
    verdict(&results, flawed)
}

fn verdict(results: &[(Test, Outcome)], flawed: bool) -> Result<(), Failure> {
    let names = |wanted: fn(&Outcome) -> bool| {
        let names = results.iter().filter(|(_, outcome)| wanted(outcome)).map(|(test, _)| test.to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    let failed = names(|outcome| *outcome == Outcome::Failed);
    if flawed {
        let passed = names(|outcome| *outcome == Outcome::Passed);
        if !passed.is_empty() {
            let message = format!("a flawed input was not noticed by {passed}");
            return Err(Failure::new(9, "self_test_blind", message, "this program cannot be trusted: report it"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let hint = match flawed {
        true => "as it must, because its input was broken for this run; nothing else was changed",
        false => "take this host or token out of service",
    };
    Err(Failure::new(9, "self_test_failed", format!("failed: {failed}"), hint))
}

/// One vector through the store; with a bit of its key changed, if `flawed`.
fn payload(store: &mut Store, id: &str, flawed: bool) -> Outcome {
    let Ok(mut files) = VectorFile::builtin() else { return Outcome::Failed };
    for file in &mut files {
        file.tests.retain(|test| test.id == id);
        let needed = |key: &str| file.tests.iter().any(|test| test.case.key() == Some(key));
        file.keys.retain(|key| needed(&key.id));
        if flawed {
            for key in &mut file.keys {
                key.check_value = None;
                // No parity bit of a DES key.
                key.value.0.iter_mut().take(1).for_each(|byte| *byte ^= 0x10);
            }
        }
    }
    let report = conformance::report(store, &files, Lifetime::Session);
    match report.cases.first() {
        Some(case) if case.outcome == "passed" => Outcome::Passed,
        Some(case) if case.outcome == "skipped" => Outcome::NotRun(case.reason.clone().unwrap_or_default()),
        _ => Outcome::Failed,
    }
}
