//! What an operator sees of a pool: the metrics that are documented, and what they say of faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    common::{fault_environment, faulty_settings, filled, open, plan},
    pool::{LONG, ask, eventually, right},
};
use dukpt::Lifetime;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use pkcs11_backend::{HealthState, Pool, PoolError, PoolSettings};
use throwaway_token::{Error, isolated_with};

/// By name and labels: gauges as they are, counters and the number of values of a histogram since the last look.
fn look(metrics: &Snapshotter) -> BTreeMap<String, f64> {
    let entry = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let key = key.key();
        let labels: String = key.labels().map(|label| format!(" {}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        (key.name().to_string() + &labels, value)
    };
    metrics.snapshot().into_vec().into_iter().map(entry).collect()
}

fn documented(prefix: &str) -> BTreeSet<String> {
    let table = include_str!("../../../OBSERVABILITY.md").lines().filter_map(|line| line.strip_prefix("| `"));
    table.filter_map(|line| line.split('`').next()).filter(|name| name.starts_with(prefix)).map(String::from).collect()
}

#[test]
fn the_metrics_are_those_that_are_documented() -> Result<(), Error> {
    isolated_with("observe::the_metrics_are_those_that_are_documented", fault_environment, |token| {
        let recorder = DebuggingRecorder::new();
        let metrics = recorder.snapshotter();
        recorder.install().unwrap();
        drop(filled(&open(token), Lifetime::Permanent));
        plan(token, "");
        let mut settings = PoolSettings::new(faulty_settings(token));
        (settings.first_wait, settings.longest_wait) = (Duration::from_millis(20), Duration::from_millis(100));
        let pool = Pool::open(settings).unwrap();
        right(&pool, 0..8);
        let seen = look(&metrics);
        assert_eq!(seen["p2pe_pool_requests_total outcome=ok"], 8.0);
        assert_eq!(seen["p2pe_pool_openings_total shard=0 outcome=ok"], 1.0);
        assert_eq!((seen["p2pe_pool_request_seconds"], seen["p2pe_pool_queue_wait_seconds"]), (8.0, 8.0));
        assert_eq!((seen["p2pe_pool_epoch shard=0"], seen["p2pe_pool_state shard=0"]), (1.0, 0.0));
        assert!(seen["p2pe_pkcs11_call_seconds function=C_DeriveKey"] >= 8.0, "{seen:?}");
        assert!(!seen.keys().any(|name| name.starts_with("p2pe_pool_faults")), "{seen:?}");

        // A device error that ends the epoch: the request runs again, and the token is opened a second time.
        plan(token, "C_DeriveKey 30 at=1");
        right(&pool, 0..2);
        let seen = look(&metrics);
        assert!(seen["p2pe_pool_faults_total shard=0"] >= 1.0 && seen["p2pe_pool_retries_total shard=0"] >= 1.0);
        assert_eq!(seen["p2pe_pool_openings_total shard=0 outcome=ok"], 1.0);
        assert_eq!(seen["p2pe_pool_epoch shard=0"], 2.0);
        assert!(seen["p2pe_pkcs11_call_failures_total function=C_DeriveKey"] >= 1.0);
        assert_eq!(seen["p2pe_pool_requests_total outcome=ok"], 2.0);

        // The token is gone, and the circuit breaker opens.
        plan(token, "C_DeriveKey 30\nC_OpenSession 30");
        assert!(eventually(|| ask(&pool, 0) == Err(PoolError::Unavailable)));
        assert!(eventually(|| pool.health().state == HealthState::Down));
        let seen = look(&metrics);
        assert_eq!(seen["p2pe_pool_state shard=0"], 2.0);
        assert!(seen["p2pe_pool_requests_total outcome=pool_unavailable"] >= 1.0);
        assert!(seen["p2pe_pool_openings_total shard=0 outcome=failed"] >= 1.0);

        // It comes back.
        plan(token, "");
        assert!(eventually(|| pool.run(LONG, |_| ()).is_ok()));
        assert!(eventually(|| look(&metrics)["p2pe_pool_state shard=0"] == 0.0));

        let names: BTreeSet<_> =
            look(&metrics).keys().filter_map(|name| name.split(' ').next().map(String::from)).collect();
        let expected = &documented("p2pe_pkcs11") | &documented("p2pe_pool");
        assert_eq!(names, expected);
    })
}
