//! What is in a vault, and whether it is as it was stored.

use serde_json::{Value, json};
use vault::{Orphan, Stats, VaultError, Verification};

use crate::{failure::Failure, output::Output};

/// Of a vault, or of each shard of a set.
pub(super) fn stats(all: &[Stats], output: &Output) -> Result<(), Failure> {
    if let [one] = all {
        return output.result(&counts(one), || tables(one));
    }
    let values: Vec<_> = all.iter().map(counts).collect();
    output.result(&json!({ "shards": values }), || {
        let shards = all.iter().zip(1..).map(|(stats, n)| format!("shard {n} of {}\n\n{}", all.len(), tables(stats)));
        shards.collect::<Vec<_>>().join("\n")
    })
}

fn counts(stats: &Stats) -> Value {
    let keys = stats.keys.iter().map(|key| {
        json!({ "merchant": key.tenant, "data_key": key.version, "wrapped_by": key.wrapped_by,
                "tokens": key.rows, "nonces": key.nonces })
    });
    let prints = stats
        .fingerprint_keys
        .iter()
        .map(|(key, rows)| json!({ "key": key.key.as_str(), "version": key.version, "tokens": rows }));
    let policies = stats.policies.iter().map(|policy| {
        let (by, ends) = policy.succession.map(|to| (to.by, to.ends)).unzip();
        json!({ "merchant": policy.tenant, "version": policy.version, "tokens": policy.rows,
                "replaced_by": by, "ends": ends })
    });
    json!({
        "keys": keys.collect::<Vec<_>>(),
        "fingerprint_keys": prints.collect::<Vec<_>>(),
        "policies": policies.collect::<Vec<_>>(),
        "requests": stats.requests,
        "audit_records": stats.audit,
    })
}

fn tables(stats: &Stats) -> String {
    let mut text = format!("{:<24} {:>8} {:>10}  wrapped by\n", "merchant", "data key", "tokens");
    for key in &stats.keys {
        text += &format!("{:<24} {:>8} {:>10}  {}\n", key.tenant, key.version, key.rows, key.wrapped_by);
    }
    text += &format!("\n{:<24} {:>8} {:>10}\n", "fingerprint key", "version", "tokens");
    for (key, rows) in &stats.fingerprint_keys {
        text += &format!("{:<24} {:>8} {rows:>10}\n", key.key.as_str(), key.version);
    }
    text += &format!("\n{:<24} {:>8} {:>10}  replaced by\n", "merchant", "policy", "tokens");
    for policy in &stats.policies {
        let by = policy.succession.map(|to| format!("{}, ends at {}", to.by, to.ends)).unwrap_or_default();
        text += format!("{:<24} {:>8} {:>10}  {by}", policy.tenant, policy.version, policy.rows).trim_end();
        text.push('\n');
    }
    text + &format!("\n{} requests remembered, {} audit records\n", stats.requests, stats.audit)
}

pub(super) fn verify(found: Verification, output: &Output) -> Result<(), Failure> {
    let problems: Vec<String> = found.problems.iter().map(|problem| problem.row.to_string()).collect();
    let orphans: Vec<String> = found.orphans.iter().map(orphan).collect();
    output.result(&json!({ "rows": found.rows, "corrupted": problems, "orphans": orphans }), || {
        let mut text = format!("{} rows, {} corrupted, {} orphans\n", found.rows, problems.len(), orphans.len());
        problems.iter().for_each(|row| text += &format!("corrupted: row {row}\n"));
        orphans.iter().for_each(|orphan| text += &format!("orphan: {orphan}\n"));
        text
    })?;
    match (found.problems.first(), orphans.first()) {
        (Some(problem), _) => Err(VaultError::Corrupted(problem.row).into()),
        (None, Some(orphan)) => Err(Failure::new(
            10,
            "orphan",
            format!("orphan: {orphan}"),
            "restore the rows and keys around it from a backup; after a nonce that is ahead, rotate the data key",
        )),
        (None, None) => Ok(()),
    }
}

fn orphan(orphan: &Orphan) -> String {
    match orphan {
        Orphan::NoKey(row) => format!("row {row} has no data key"),
        Orphan::Nonce(row) => format!("row {row} has a nonce that was not set aside"),
        Orphan::Request(merchant, name) => format!("request {name:?} of {merchant} has no row"),
        Orphan::Misplaced(row) => format!("row {row} belongs to another shard"),
    }
}
