//! `p2pe health`: opens the pool of the settings as a gateway would, finds the keys that they name, and says how it is.

use std::{collections::BTreeSet, time::Instant};

use dukpt::{KeyId, KeyStore};
use p2pe_config::{StoreSettings, TokenPool};
use pkcs11_backend::{Health, HealthState, PoolError};
use serde_json::{Value, json};

use crate::{
    args::Global,
    failure::Failure,
    open,
    output::{Output, table},
};

pub(crate) fn run(global: &Global, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let token = match open::settings(global, &config)? {
        StoreSettings::Pkcs11(token) => token,
        StoreSettings::Memory(_) => return Err(no_pool()),
    };
    let mut options = config.pool.ok_or_else(no_pool)?;
    options.settings.token = *token;
    let named = config.devices.iter().map(|(_, device)| device.base_key.clone());
    let keys: BTreeSet<KeyId> = named.chain(config.token_key).collect();
    let count = keys.len();

    let pool = TokenPool::open(options, config.cache)?;
    let start = Instant::now();
    let found = pool.run(move |store| keys.iter().try_for_each(|id| store.key(id).map(|_| ())))?;
    let (took, health) = (start.elapsed(), pool.health());
    output.result(&object(&health), || {
        let mut rows = vec![
            ("state", health.state.name().to_string()),
            ("keys", format!("{count} named by the settings, looked for in {took:.1?}")),
        ];
        for shard in &health.shards {
            let fault = shard.last_fault.as_ref().map(|fault| format!("; last: {}", fault.what)).unwrap_or_default();
            rows.push(("shard", format!("{}, {} fault(s){fault}", shard.state.name(), shard.faults)));
        }
        table(&rows)
    })?;
    found?;
    match health.state {
        HealthState::Serving => Ok(()),
        _ => Err(PoolError::Unavailable.into()),
    }
}

fn no_pool() -> Failure {
    Failure::config("the settings have no pool", "add pool = { workers = 4 } to [store] of kind pkcs11")
}

fn object(health: &Health) -> Value {
    let shards: Vec<_> = health
        .shards
        .iter()
        .map(|shard| {
            let fault = shard.last_fault.as_ref().map(|fault| &fault.what);
            json!({
                "state": shard.state.name(),
                "epoch": shard.epoch,
                "faults": shard.faults,
                "failures_in_a_row": shard.failures_in_a_row,
                "last_fault": fault,
            })
        })
        .collect();
    json!({
        "state": health.state.name(),
        "queued": health.queued,
        "busy": health.busy,
        "overdue": health.overdue,
        "shards": shards,
    })
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        let hint = match error {
            PoolError::DeadlineExceeded => "check that the HSM answers, or raise deadline_ms in the settings",
            PoolError::Stopped => "check the PIN before trying again: tokens lock after a few wrong ones",
            _ => "check that the HSM is up and has as many free sessions as the pool has workers",
        };
        Self::new(8, error.code(), error, hint)
    }
}
