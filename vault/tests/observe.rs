//! What an operator sees of a vault: the metrics that are documented, with outcomes and without merchants.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use p2pe_crypto::{Pan, Purpose};
use support::{made, policy};

#[test]
fn the_metrics_are_those_that_are_documented() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    recorder.install().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let (policy, pan) = (policy("shop-1"), Pan::new(b"4761739001010010").unwrap());
    let token = vault.tokenize(&policy, &pan, None).unwrap();
    vault.tokenize_batch(&policy, &[&pan, &pan]).unwrap();
    vault.detokenize("desk", &policy, Purpose::Payment, &token).unwrap();
    vault.detokenize("desk", &policy, Purpose::Payment, "tok_no").unwrap_err();
    vault.detokenize("desk", &policy, Purpose::Refund, &token).unwrap_err();
    let database = rusqlite::Connection::open(folder.path().join("vault.db")).unwrap();
    database.execute_batch("PRAGMA foreign_keys = OFF; DROP TABLE tokens").unwrap();
    vault.tokenize(&policy, &pan, None).unwrap_err();

    let entry = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let labels: String = key.key().labels().map(|label| format!(" {}", label.value())).collect();
        let count = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Histogram(values) => values.len() as u64,
            DebugValue::Gauge(_) => 0,
        };
        (key.key().name().to_string() + &labels, count)
    };
    let seen: BTreeMap<String, u64> = metrics.snapshot().into_vec().into_iter().map(entry).collect();
    for (name, count) in [
        ("p2pe_vault_tokens_total ok", 3),
        ("p2pe_vault_tokens_total database", 1),
        ("p2pe_vault_tokenize_seconds", 3),
        ("p2pe_vault_detokenizations_total ok", 1),
        ("p2pe_vault_detokenizations_total unknown_token", 1),
        ("p2pe_vault_detokenizations_total purpose_not_permitted", 1),
        ("p2pe_vault_detokenize_seconds", 3),
        ("p2pe_vault_store_seconds release", 3),
    ] {
        assert_eq!(seen.get(name), Some(&count), "{name}: {seen:?}");
    }
    assert!(!seen.keys().any(|name| name.contains("shop-1") || name.contains("desk")), "{seen:?}");
    let names: BTreeSet<_> = seen.keys().filter_map(|name| name.split(' ').next()).collect();
    let table = include_str!("../../OBSERVABILITY.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let documented = table.filter_map(|line| line.split('`').next()).filter(|name| name.starts_with("p2pe_vault"));
    assert_eq!(names, documented.collect());
}
