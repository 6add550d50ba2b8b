//! Storing rows: all at once those that meet nothing, one by one what is left.

use std::collections::HashSet;

use super::{
    fault::Fault,
    session::{SERIALIZABLE, Session, Values},
    values::{bytes, get, long, version},
};
use crate::{New, Put, Request, Row, StoreError};

/// Rows of one tenant and policy version, on the newest keys, if the version has no successor. What a unique index refuses is
/// left out.
const ALL: &str = "
    INSERT INTO tokens (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, sealed, ends,
        single_use)
    SELECT id, $1::text, $2::bigint, token, $3::bigint, fingerprint, pan_fingerprint, $4::bigint, nonce, sealed, ends, single_use
    FROM unnest($5::bytea[], $6::text[], $7::bytea[], $8::bytea[], $9::bigint[], $10::bytea[], $11::bigint[], $12::boolean[])
        AS r (id, token, fingerprint, pan_fingerprint, nonce, sealed, ends, single_use)
    WHERE $3 = (SELECT max(version) FROM fingerprint_keys)
        AND $4 = (SELECT max(version) FROM data_keys WHERE tenant = $1)
        AND NOT EXISTS (SELECT 1 FROM successions WHERE tenant = $1 AND version = $2)
    ON CONFLICT DO NOTHING RETURNING id";

/// The same for one row, in a transaction of its own: where that is not serializable, nothing is stored. Rows that came back would
/// be put aside on the server first.
const ONE: &str = "
    INSERT INTO tokens (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, sealed, ends,
        single_use)
    SELECT $5::bytea, $1::text, $2::bigint, $6::text, $3::bigint, $7::bytea, $8::bytea, $4::bigint, $9::bigint, $10::bytea,
        $11::bigint, $12::boolean
    WHERE current_setting('transaction_isolation') = 'serializable'
        AND $3 = (SELECT max(version) FROM fingerprint_keys)
        AND $4 = (SELECT max(version) FROM data_keys WHERE tenant = $1)
        AND NOT EXISTS (SELECT 1 FROM successions WHERE tenant = $1 AND version = $2)
    ON CONFLICT DO NOTHING";

type Id = [u8; 16];

pub(super) async fn put(s: &mut Session, rows: &[New], now: u64) -> Result<Vec<Put>, Fault> {
    let meets_nothing = |new: &&New| new.request.is_none() && (new.earlier.is_empty() || new.row.single_use);
    let likely: Vec<&Row> = rows.iter().filter(meets_nothing).map(|new| &new.row).collect();
    let alone = rows.len() == 1;
    let mut stored = HashSet::new();
    if alone
        && let [row] = likely[..]
        && stored_alone(s, row).await?
    {
        return Ok(vec![Put::Stored]);
    }
    if rows.iter().any(|new| new.request.is_some()) {
        forget(s, now).await?;
    }
    s.run(SERIALIZABLE).await?;
    if !alone {
        for alike in likely.chunk_by(|one, next| group(one) == group(next)) {
            stored.extend(all(s, alike).await?);
        }
    }
    let mut puts = Vec::with_capacity(rows.len());
    for new in rows {
        puts.push(if stored.contains(&new.row.id.0) { Put::Stored } else { one(s, new, now).await? });
    }
    s.run("COMMIT").await?;
    Ok(puts)
}

/// Rows that one statement can store: tenant, policy, fingerprint key, data key.
fn group(row: &Row) -> (&str, [i64; 3]) {
    (&row.tenant, [row.policy, row.print_version, row.key_version].map(i64::from))
}

/// Whether a row was stored, in a transaction of its own.
async fn stored_alone(s: &mut Session, row: &Row) -> Result<bool, Fault> {
    let (tenant, [policy, print_version, key_version]) = group(row);
    let values: Values<'_> = &[
        &tenant,
        &policy,
        &print_version,
        &key_version,
        &&row.id.0[..],
        &row.token,
        &&row.fingerprint[..],
        &&row.pan_fingerprint[..],
        &long(row.nonce),
        &row.sealed,
        &row.ends.map(long),
        &row.single_use,
    ];
    Ok(s.execute(ONE, values).await? == 1)
}

/// The ids of those that were stored, in a transaction that is open.
async fn all(s: &mut Session, rows: &[&Row]) -> Result<HashSet<Id>, Fault> {
    let Some(first) = rows.first() else { return Ok(HashSet::new()) };
    let (tenant, [policy, print_version, key_version]) = group(first);
    let blobs = |of: fn(&Row) -> &[u8]| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
    let tokens: Vec<&str> = rows.iter().map(|row| row.token.as_str()).collect();
    let nonces: Vec<i64> = rows.iter().map(|row| long(row.nonce)).collect();
    let ends: Vec<Option<i64>> = rows.iter().map(|row| row.ends.map(long)).collect();
    let single_use: Vec<bool> = rows.iter().map(|row| row.single_use).collect();
    let values: Values<'_> = &[
        &tenant,
        &policy,
        &print_version,
        &key_version,
        &blobs(|row| &row.id.0),
        &tokens,
        &blobs(|row| &row.fingerprint),
        &blobs(|row| &row.pan_fingerprint),
        &nonces,
        &blobs(|row| &row.sealed),
        &ends,
        &single_use,
    ];
    let stored = s.query(ALL, values).await?;
    stored.iter().map(|record| bytes(record, 0, "id")).collect()
}

/// A row that may meet something, in a transaction that is open.
async fn one(s: &mut Session, new: &New, now: u64) -> Result<Put, Fault> {
    let row = &new.row;
    let prints: Vec<&[u8]> = std::iter::once(&row.fingerprint).chain(&new.earlier).map(|print| &print[..]).collect();
    if let Some(request) = &new.request
        && let Some(put) = asked_before(s, row, &prints, request, now).await?
    {
        // By an old key, the card looks like another one.
        let old = put == Put::RequestReused && !why(s, row).await?.on_newest_keys;
        return Ok(if old { Put::OldKey } else { put });
    }
    if !row.single_use
        && let Some(token) = of_card(s, row, &prints, now).await?
    {
        remember(s, new, &token).await?;
        return Ok(Put::Has(token));
    }
    if all(s, &[row]).await?.is_empty() {
        let put = left_out(s, row).await?;
        if put != Put::Stored {
            return Ok(put);
        }
    }
    remember(s, new, &row.token).await?;
    Ok(Put::Stored)
}

/// What stands in the way of a row whose card has no token.
async fn left_out(s: &mut Session, row: &Row) -> Result<Put, Fault> {
    let sql = "SELECT id FROM tokens WHERE tenant = $1 AND token = $2";
    let namesake = s.query_opt(sql, &[&row.tenant, &row.token]).await?;
    let namesake: Option<Id> = namesake.map(|record| bytes(&record, 0, "id")).transpose()?;
    if namesake == Some(row.id.0) {
        // An earlier attempt was done after all.
        return Ok(Put::Stored);
    }
    let why = why(s, row).await?;
    match namesake {
        _ if !why.on_newest_keys => Ok(Put::OldKey),
        _ if why.replaced => Ok(Put::PolicyReplaced),
        Some(_) => Ok(Put::TokenTaken),
        None => Err(StoreError::Malformed("the counter of nonces").into()),
    }
}

struct Why {
    on_newest_keys: bool,
    replaced: bool,
}

async fn why(s: &mut Session, row: &Row) -> Result<Why, Fault> {
    let (tenant, [policy, print_version, key_version]) = group(row);
    let sql = "SELECT $3::bigint = (SELECT max(version) FROM fingerprint_keys) \
                   AND $4::bigint = (SELECT max(version) FROM data_keys WHERE tenant = $1::text), \
               EXISTS (SELECT 1 FROM successions WHERE tenant = $1 AND version = $2::bigint)";
    let found = s.query_opt(sql, &[&tenant, &policy, &print_version, &key_version]).await?;
    let Some(found) = found else { return Err(StoreError::Malformed("keys").into()) };
    let on_newest_keys = get::<Option<bool>>(&found, 0)? == Some(true);
    Ok(Why { on_newest_keys, replaced: get(&found, 1)? })
}

/// Deletes the names of requests whose time is over, some at a time: each call adds one.
async fn forget(s: &mut Session, now: u64) -> Result<(), Fault> {
    let now = long(now);
    for over in s.query("SELECT tenant, name FROM requests WHERE ends <= $1 LIMIT 16", &[&now]).await? {
        let (tenant, name): (&str, &str) = (get(&over, 0)?, get(&over, 1)?);
        let sql = "DELETE FROM requests WHERE tenant = $1 AND name = $2 AND ends <= $3";
        s.execute(sql, &[&tenant, &name, &now]).await?;
    }
    Ok(())
}

/// What a named request got before, if that is remembered.
async fn asked_before(
    s: &mut Session,
    row: &Row,
    prints: &[&[u8]],
    request: &Request,
    now: u64,
) -> Result<Option<Put>, Fault> {
    let (tenant, name, now) = (row.tenant.as_str(), request.name.as_str(), long(now));
    let sql = "SELECT t.token, t.policy, t.fingerprint FROM requests r JOIN tokens t ON t.tenant = r.tenant AND t.token = r.token \
               WHERE r.tenant = $1 AND t.tenant = $1 AND r.name = $2 AND r.ends > $3 AND coalesce(t.ends > $3, true)";
    if let Some(found) = s.query_opt(sql, &[&tenant, &name, &now]).await? {
        let same = version(&found, 1)? == row.policy && prints.contains(&get::<&[u8]>(&found, 2)?);
        return Ok(Some(if same { Put::Has(get(&found, 0)?) } else { Put::RequestReused }));
    }
    s.execute("DELETE FROM requests WHERE tenant = $1 AND name = $2", &[&tenant, &name]).await?;
    Ok(None)
}

/// The token that the card has; one that has ended makes room.
async fn of_card(s: &mut Session, row: &Row, prints: &[&[u8]], now: u64) -> Result<Option<String>, Fault> {
    let (tenant, policy) = (row.tenant.as_str(), i64::from(row.policy));
    let sql = "SELECT token, coalesce(ends > $4, true) FROM tokens \
               WHERE tenant = $1 AND policy = $2 AND fingerprint = $3 AND NOT single_use";
    for print in prints {
        let Some(found) = s.query_opt(sql, &[&tenant, &policy, print, &long(now)]).await? else { continue };
        let (token, lives): (String, bool) = (get(&found, 0)?, get(&found, 1)?);
        if lives {
            return Ok(Some(token));
        }
        s.execute("DELETE FROM tokens WHERE tenant = $1 AND token = $2", &[&tenant, &token]).await?;
    }
    Ok(None)
}

/// Remembers the name of a request with its token.
async fn remember(s: &mut Session, new: &New, token: &str) -> Result<(), Fault> {
    let Some(request) = &new.request else { return Ok(()) };
    let tenant = new.row.tenant.as_str();
    let values = (request.name.as_str(), long(request.ends));
    s.execute("INSERT INTO requests VALUES ($1, $2, $3, $4)", &[&tenant, &values.0, &token, &values.1]).await?;
    Ok(())
}
