//! Storing rows: all at once those that meet nothing, one by one what is left.

use std::collections::{HashMap, HashSet};

use super::{
    fault::Fault,
    session::{SERIALIZABLE, Session, Values},
    values::{bytes, get, long, version},
};
use crate::{New, Put, Request, Row, StoreError};

/// Rows on the newest keys, under policies that have no successor. What a unique index refuses is left out.
const ALL: &str = "
    INSERT INTO tokens (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, sealed, ends,
        single_use)
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bigint[],
        $9::bigint[], $10::bytea[], $11::bigint[], $12::boolean[])
        AS r (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, sealed, ends, single_use)
    WHERE r.print_version = (SELECT max(version) FROM fingerprint_keys)
        AND r.key_version = (SELECT max(k.version) FROM data_keys k WHERE k.tenant = r.tenant)
        AND NOT EXISTS (SELECT 1 FROM successions s WHERE s.tenant = r.tenant AND s.version = r.policy)
    ON CONFLICT DO NOTHING RETURNING id";

/// What stands in the way of rows that were not stored.
const WHY: &str = "
    SELECT id, print_version = (SELECT max(version) FROM fingerprint_keys)
            AND key_version = (SELECT max(k.version) FROM data_keys k WHERE k.tenant = r.tenant),
        EXISTS (SELECT 1 FROM tokens t WHERE t.tenant = r.tenant AND t.id = r.id),
        EXISTS (SELECT 1 FROM successions s WHERE s.tenant = r.tenant AND s.version = r.policy),
        EXISTS (SELECT 1 FROM tokens t WHERE t.tenant = r.tenant AND t.token = r.token)
    FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
        AS r (id, tenant, policy, token, print_version, key_version)";

/// So many requests whose time is over are forgotten at once.
const FORGOTTEN: &str = "DELETE FROM requests WHERE (tenant, name) IN \
    (SELECT tenant, name FROM requests WHERE ends <= $1 LIMIT 100 FOR UPDATE SKIP LOCKED)";

type Id = [u8; 16];

pub(super) async fn put(s: &mut Session, rows: &[New], now: u64) -> Result<Vec<Put>, Fault> {
    let meets_nothing = |new: &&New| new.request.is_none() && (new.earlier.is_empty() || new.row.single_use);
    let likely: Vec<&Row> = rows.iter().filter(meets_nothing).map(|new| &new.row).collect();
    let alone = rows.len() == 1;
    let mut stored = HashSet::new();
    if alone && !likely.is_empty() {
        stored = all(s, &likely, true).await?;
        if !stored.is_empty() {
            return Ok(vec![Put::Stored]);
        }
    }
    s.run(SERIALIZABLE).await?;
    if !alone && !likely.is_empty() {
        stored = all(s, &likely, false).await?;
    }
    if rows.iter().any(|new| new.request.is_some()) {
        s.execute(FORGOTTEN, &[&long(now)]).await?;
    }
    let why = why(s, rows.iter().map(|new| &new.row).filter(|row| !stored.contains(&row.id.0))).await?;
    let mut puts = Vec::with_capacity(rows.len());
    for new in rows {
        puts.push(match why.get(&new.row.id.0) {
            Some(why) => one(s, new, why, now).await?,
            None => Put::Stored,
        });
    }
    s.run("COMMIT").await?;
    Ok(puts)
}

/// The ids of those that were stored, in a transaction that is open, or in one of its own.
async fn all(s: &mut Session, rows: &[&Row], of_its_own: bool) -> Result<HashSet<Id>, Fault> {
    let blobs = |of: fn(&Row) -> &[u8]| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
    let texts = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
    let numbers = |of: fn(&Row) -> i64| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
    let ends: Vec<Option<i64>> = rows.iter().map(|row| row.ends.map(long)).collect();
    let single_use: Vec<bool> = rows.iter().map(|row| row.single_use).collect();
    let values: Values<'_> = &[
        &blobs(|row| &row.id.0),
        &texts(|row| &row.tenant),
        &numbers(|row| row.policy.into()),
        &texts(|row| &row.token),
        &numbers(|row| row.print_version.into()),
        &blobs(|row| &row.fingerprint),
        &blobs(|row| &row.pan_fingerprint),
        &numbers(|row| row.key_version.into()),
        &numbers(|row| long(row.nonce)),
        &blobs(|row| &row.sealed),
        &ends,
        &single_use,
    ];
    let stored = match of_its_own {
        true => s.at_once(SERIALIZABLE, &[(ALL, values)]).await?.pop().unwrap_or_default(),
        false => s.query(ALL, values).await?,
    };
    stored.iter().map(|record| bytes(record, 0, "id")).collect()
}

struct Why {
    on_newest_keys: bool,
    /// An earlier attempt was done after all.
    stored: bool,
    replaced: bool,
    taken: bool,
}

async fn why(s: &mut Session, rows: impl Iterator<Item = &Row>) -> Result<HashMap<Id, Why>, Fault> {
    let rows: Vec<&Row> = rows.collect();
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<&[u8]> = rows.iter().map(|row| &row.id.0[..]).collect();
    let tenants: Vec<&str> = rows.iter().map(|row| row.tenant.as_str()).collect();
    let tokens: Vec<&str> = rows.iter().map(|row| row.token.as_str()).collect();
    let numbers = |of: fn(&Row) -> u32| rows.iter().map(|row| i64::from(of(row))).collect::<Vec<_>>();
    let (policies, prints, keys) =
        (numbers(|row| row.policy), numbers(|row| row.print_version), numbers(|row| row.key_version));
    let found = s.query(WHY, &[&ids, &tenants, &policies, &tokens, &prints, &keys]).await?;
    let why = found.iter().map(|record| {
        let on_newest_keys = get::<Option<bool>>(record, 1)? == Some(true);
        let why = Why { on_newest_keys, stored: get(record, 2)?, replaced: get(record, 3)?, taken: get(record, 4)? };
        Ok((bytes(record, 0, "id")?, why))
    });
    why.collect()
}

/// A row that meets something, in a transaction that is open.
async fn one(s: &mut Session, new: &New, why: &Why, now: u64) -> Result<Put, Fault> {
    let row = &new.row;
    let tenant = row.tenant.as_str();
    if why.stored {
        return Ok(Put::Stored);
    }
    if !why.on_newest_keys {
        return Ok(Put::OldKey);
    }
    let prints: Vec<&[u8]> = std::iter::once(&row.fingerprint).chain(&new.earlier).map(|print| &print[..]).collect();
    if let Some(request) = &new.request
        && let Some(put) = asked_before(s, row, &prints, request, now).await?
    {
        return Ok(put);
    }
    if !row.single_use
        && let Some(token) = of_card(s, row, &prints, now).await?
    {
        remember(s, new, &token).await?;
        return Ok(Put::Has(token));
    }
    if why.replaced {
        return Ok(Put::PolicyReplaced);
    }
    if why.taken {
        return Ok(Put::TokenTaken);
    }
    let sql = "INSERT INTO tokens (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, \
               sealed, ends, single_use) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
               ON CONFLICT DO NOTHING";
    let (print, pan, sealed) = (&row.fingerprint[..], &row.pan_fingerprint[..], &row.sealed[..]);
    let numbers = (i64::from(row.print_version), i64::from(row.key_version), i64::from(row.policy));
    let (nonce, ends) = (long(row.nonce), row.ends.map(long));
    let (id, token) = (&row.id.0[..], row.token.as_str());
    let stored = s
        .execute(
            sql,
            &[
                &id,
                &tenant,
                &numbers.2,
                &token,
                &numbers.0,
                &print,
                &pan,
                &numbers.1,
                &nonce,
                &sealed,
                &ends,
                &row.single_use,
            ],
        )
        .await?;
    if stored == 0 {
        let sql = "SELECT 1 FROM tokens WHERE tenant = $1 AND token = $2";
        return match s.query_opt(sql, &[&tenant, &token]).await? {
            Some(_) => Ok(Put::TokenTaken),
            None => Err(StoreError::Malformed("the counter of nonces").into()),
        };
    }
    remember(s, new, token).await?;
    Ok(Put::Stored)
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
               WHERE tenant = $1 AND policy = $2 AND fingerprint = ANY ($3) AND NOT single_use";
    for found in s.query(sql, &[&tenant, &policy, &prints, &long(now)]).await? {
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
