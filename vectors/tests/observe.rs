//! All vectors over a store that remembers and records, at the highest level of logs: nothing secret stands in logs and
//! audit records, and the metrics are those that are documented.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use dukpt::{Lifetime, MemoryStore};
use metrics_util::debugging::DebuggingRecorder;
use p2pe_audit::{Audited, Event, Label, Log, Options, Record, Sync, verify};
use p2pe_crypto::{Decryptor, Devices, Payload};
use p2pe_vectors::{CaseResult, Outcome, VectorFile, run};
use serde_json::Value;
use tracing_subscriber::fmt::format::FmtSpan;

mod through_cache;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands in the vectors and must stand nowhere else: keys, card data, clear texts, PIN blocks.
fn secrets(value: &Value, field: &str, found: &mut BTreeSet<String>) {
    const SECRET: [&str; 15] = [
        "value",
        "clear_key",
        "initial_key",
        "data_key",
        "working_key",
        "update_key",
        "injected_key",
        "pan",
        "plaintext",
        "pin_block",
        "pin_field",
        "pan_field",
        "jis2",
        "name",
        "clear",
    ];
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| secrets(value, name, found)),
        Value::Array(values) => values.iter().for_each(|value| secrets(value, field, found)),
        // What is too short stands anywhere, and so do zeros.
        Value::String(text) if SECRET.contains(&field) && text.len() >= 8 && text.bytes().any(|b| b != b'0') => {
            found.insert(text.clone());
        }
        _ => {}
    }
}

/// The forms that a secret might take in a text.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_string(), secret.to_lowercase(), hex::encode(secret), hex::encode_upper(secret)];
    let bytes = hex::decode(secret).unwrap_or_else(|_| secret.as_bytes().to_vec());
    let printed = format!("{:?}", &bytes[..bytes.len().min(8)]);
    forms.push(printed.trim_matches(['[', ']']).to_string());
    forms.extend(String::from_utf8(bytes).ok().filter(|text| text.len() >= 8 && text.is_ascii()));
    forms
}

fn documented(prefixes: &[&str]) -> BTreeSet<String> {
    let table = include_str!("../../OBSERVABILITY.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let names = table.filter_map(|line| line.split('`').next());
    names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).map(String::from).collect()
}

const KEYPAD: &[u8] = b"02C100C037001C078692;4761********0010=2212:***?*098745=ACF828DC27C1BB4E1DAA43F06A25BDD1B661394C0BFA22248608AE55765ECA2D000000000000000000000000000000000000000037343254303930303934FFFF987654004300025A453D03";

/// Writes one record, and fails with the next.
fn unwritable(folder: &Path) {
    let options = Options { file_size: 1, ..Options::default() };
    let log = Log::open(folder, Label::new("vectors").unwrap(), options).unwrap();
    fs::create_dir(folder.join("audit-00000002.jsonl")).unwrap();
    log.append(&Record::new(Event::Start, "ok")).unwrap();
    log.append(&Record::new(Event::Start, "ok")).unwrap_err();
}

#[test]
fn nothing_secret_is_told_and_the_metrics_are_those_that_are_documented() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    recorder.install().unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .init();

    let folder = tempfile::tempdir().unwrap();
    let options = Options { sync: Sync::Never, ..Options::default() };
    let log = Arc::new(Log::open(folder.path(), Label::new("vectors").unwrap(), options).unwrap());
    let files = VectorFile::builtin().unwrap();
    let passed = |results: Vec<CaseResult>| assert!(results.iter().all(|case| case.outcome == Outcome::Passed));
    // The keys first: the cache takes none in.
    let mut store = Audited::new(MemoryStore::new(), Some(Arc::clone(&log)));
    passed(run(&mut store, &files, Lifetime::Session));
    let cached = through_cache::ThroughCache::new(store.store());
    passed(run(&mut Audited::new(cached, Some(log)), &files, Lifetime::Session));
    let payload = Payload::parse(KEYPAD).unwrap();
    assert!(Decryptor::new(store.store(), Devices::new()).decrypt_batch(&[payload])[0].is_err());
    drop(store);
    unwritable(&folder.path().join("other"));

    let mut told = fs::read_to_string(folder.path().join("audit-00000001.jsonl")).unwrap();
    let records = verify(folder.path(), None).unwrap().records;
    assert!(records > 3_000 && told.lines().count() as u64 == records, "{records}");
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("outcome=\"decrypt_failed\"") && logged.contains("custody=memory"), "it tells something");
    told += &logged;
    let mut known = BTreeSet::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/data")).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap();
        secrets(&serde_json::from_slice(&text).unwrap(), "", &mut known);
    }
    assert!(known.len() > 700, "{}", known.len());
    let found: Vec<_> = known.iter().filter(|secret| forms(secret).iter().any(|form| told.contains(form))).collect();
    assert!(found.is_empty(), "{found:?}");

    let emitted = metrics.snapshot().into_vec().into_iter().map(|(key, ..)| key.key().name().to_string());
    let emitted: BTreeSet<_> = emitted.collect();
    assert_eq!(emitted, documented(&["p2pe_decrypt", "p2pe_cache", "p2pe_audit"]));
}
