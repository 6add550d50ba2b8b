//! What an operator sees of a token and its pool: metrics and events. None holds key, PIN or data.

use std::time::{Duration, Instant};

use crate::{Fault, HealthState, PoolError, ShardHealth, failure::Failure};

/// Measures one call of the module.
pub(crate) fn called<T>(function: &'static str, call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let started = Instant::now();
    let result = call();
    let time = started.elapsed();
    metrics::histogram!("p2pe_pkcs11_call_seconds", "function" => function).record(time);
    if let Err(failure) = &result {
        metrics::counter!("p2pe_pkcs11_call_failures_total", "function" => function).increment(1);
        tracing::debug!(function, ?failure, "call failed");
    } else {
        tracing::trace!(function, ?time, "called");
    }
    result
}

/// A request of a pool ended.
pub(crate) fn requested<T>(started: Instant, result: &Result<T, PoolError>) {
    let outcome = result.as_ref().err().map_or("ok", |error| error.code());
    metrics::counter!("p2pe_pool_requests_total", "outcome" => outcome).increment(1);
    metrics::histogram!("p2pe_pool_request_seconds").record(started.elapsed());
    if outcome != "ok" {
        tracing::warn!(outcome, "no result from the token");
    }
}

/// A request was taken up by a worker.
pub(crate) fn waited(time: Duration) {
    metrics::histogram!("p2pe_pool_queue_wait_seconds").record(time);
}

/// So many requests wait.
pub(crate) fn queued(requests: usize) {
    metrics::gauge!("p2pe_pool_queue_length").set(u32::try_from(requests).unwrap_or(u32::MAX));
}

/// A run of a request ended in a fault; whether it will run again.
pub(crate) fn faulted(shard: usize, fault: &Fault, again: bool) {
    metrics::counter!("p2pe_pool_faults_total", "shard" => shard.to_string()).increment(1);
    if again {
        metrics::counter!("p2pe_pool_retries_total", "shard" => shard.to_string()).increment(1);
    }
    tracing::warn!(shard, %fault, again, "the token failed");
}

/// A shard was opened, for the first time or again, or could not be.
pub(crate) fn opened(shard: usize, epoch: u64, failed: Option<&crate::OpenError>) {
    let outcome = if failed.is_some() { "failed" } else { "ok" };
    metrics::counter!("p2pe_pool_openings_total", "shard" => shard.to_string(), "outcome" => outcome).increment(1);
    match failed {
        None => tracing::info!(shard, epoch, "token opened"),
        Some(error) => tracing::warn!(shard, %error, "token not opened"),
    }
}

/// How a shard is now: its epoch and its state, of which 2 is an open circuit breaker.
pub(crate) fn changed(shard: usize, health: &ShardHealth) {
    let state = match health.state {
        HealthState::Serving => 0,
        HealthState::Recovering => 1,
        HealthState::Down => 2,
        HealthState::Stopped => 3,
    };
    metrics::gauge!("p2pe_pool_state", "shard" => shard.to_string()).set(state);
    // A pool opens a token some times a day.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 openings")]
    metrics::gauge!("p2pe_pool_epoch", "shard" => shard.to_string()).set(health.epoch as f64);
}
