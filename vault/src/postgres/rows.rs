//! Rows that are there: found, released, changed, deleted, counted.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;

use super::{
    fault::Fault,
    session::{READ_COMMITTED, SERIALIZABLE, Session, Values},
    values::{bytes, count, get, long, row, rows, select_rows, version},
};
use crate::{Asked, Changed, Left, Orphan, Outcome, RateLimit, Released, Row, RowId, StoreError};

pub(super) async fn find(
    s: &mut Session,
    tenant: &str,
    policy: u32,
    fingerprints: &[[u8; 32]],
    now: u64,
) -> Result<Vec<Option<String>>, Fault> {
    let sql = "SELECT token FROM tokens \
               WHERE tenant = $1 AND policy = $2 AND fingerprint = $3 AND NOT single_use AND coalesce(ends > $4, true)";
    let mut tokens = Vec::with_capacity(fingerprints.len());
    for print in fingerprints {
        let found = s.query_opt(sql, &[&tenant, &i64::from(policy), &&print[..], &long(now)]).await?;
        tokens.push(found.map(|record| get(&record, 0)).transpose()?);
    }
    Ok(tokens)
}

pub(super) async fn by_token(s: &mut Session, tenant: &str, token: &str) -> Result<Option<Row>, Fault> {
    let found = s.query_opt(select_rows!("WHERE tenant = $1 AND token = $2"), &[&tenant, &token]).await?;
    found.as_ref().map(row).transpose()
}

pub(super) async fn by_pan(s: &mut Session, tenant: &str, prints: &[[u8; 32]]) -> Result<Vec<Row>, Fault> {
    let mut all = Vec::new();
    for print in prints {
        let found =
            s.query(select_rows!("WHERE tenant = $1 AND pan_fingerprint = $2"), &[&tenant, &&print[..]]).await?;
        all.extend(rows(&found)?);
    }
    all.sort_by(|one, other| (one.policy, &one.token).cmp(&(other.policy, &other.token)));
    // A rotation may move a row from one fingerprint to the next in between.
    all.dedup_by(|one, other| one.id == other.id);
    Ok(all)
}

/// Counts, uses the token up and records. `id` is the call's.
pub(super) async fn release(
    s: &mut Session,
    id: &[u8; 16],
    asked: &Asked<'_>,
    RateLimit(limit): RateLimit,
) -> Result<Released, Fault> {
    // One after the other for each caller, so that each is counted; where nothing is limited, nobody waits.
    let lock = "INSERT INTO callers SELECT $1::text WHERE $2::bigint < 4294967295 \
                ON CONFLICT (caller) DO UPDATE SET caller = excluded.caller";
    // A token that is not there any more, or whose single use another caller had, is recorded as used.
    let sql = "
        WITH before AS (SELECT count(*) AS records FROM audit WHERE caller = $2 AND time > $3::bigint - 60 AND $9::bigint < 4294967295),
        token AS (SELECT single_use FROM tokens WHERE tenant = $4 AND id = $5 AND $7::text = 'granted'),
        used AS (UPDATE tokens SET used_at = $3::bigint WHERE tenant = $4 AND id = $5 AND used_at IS NULL AND $7::text = 'granted'
            AND (SELECT records FROM before) < $9::bigint RETURNING 1)
        INSERT INTO audit (id, time, caller, tenant, row, purpose, outcome)
        SELECT $1::bytea, $3::bigint, $2::text, $4::text, $5::bytea, $6::text,
            CASE WHEN $7::text = 'granted' AND NOT EXISTS (SELECT 1 FROM used)
                AND NOT EXISTS (SELECT 1 FROM token WHERE NOT single_use) THEN $8::text ELSE $7 END
        FROM before WHERE records < $9::bigint
        ON CONFLICT (caller, id) DO NOTHING RETURNING outcome";
    let row = asked.row.as_ref().map(|row| &row.0[..]);
    let (time, limit) = (long(asked.time), i64::from(limit));
    let names = (asked.purpose.name(), asked.outcome.name(), Outcome::Used.name());
    let values: Values<'_> =
        &[&&id[..], &asked.caller, &time, &asked.tenant, &row, &names.0, &names.1, &names.2, &limit];
    let done = s.at_once(READ_COMMITTED, &[(lock, &[&asked.caller, &limit]), (sql, values)]).await?;
    let mut recorded = done.into_iter().flatten().next();
    if recorded.is_none() {
        // Over the limit, or an earlier attempt was done after all.
        let sql = "SELECT outcome FROM audit WHERE caller = $1 AND id = $2";
        recorded = s.query_opt(sql, &[&asked.caller, &&id[..]]).await?;
    }
    let Some(recorded) = recorded else { return Ok(Released::RateLimited) };
    let outcome: &str = get(&recorded, 0)?;
    let known = [asked.outcome, Outcome::Used].into_iter().find(|known| known.name() == outcome);
    Ok(Released::Recorded(known.ok_or(StoreError::Malformed("outcome"))?))
}

pub(super) async fn delete(s: &mut Session, tenant: &str, token: &str) -> Result<bool, Fault> {
    Ok(s.execute("DELETE FROM tokens WHERE tenant = $1 AND token = $2", &[&tenant, &token]).await? > 0)
}

pub(super) async fn shred(s: &mut Session, tenant: &str) -> Result<u64, Fault> {
    s.run(SERIALIZABLE).await?;
    let sql = "INSERT INTO shredded SELECT tenant, max(version) FROM data_keys WHERE tenant = $1 GROUP BY tenant \
               ON CONFLICT (tenant) DO UPDATE SET version = excluded.version";
    s.execute(sql, &[&tenant]).await?;
    let rows = s.execute("DELETE FROM tokens WHERE tenant = $1", &[&tenant]).await?;
    s.execute("DELETE FROM data_keys WHERE tenant = $1", &[&tenant]).await?;
    s.execute("DELETE FROM successions WHERE tenant = $1", &[&tenant]).await?;
    s.execute("DELETE FROM claims WHERE tenant = $1", &[&tenant]).await?;
    s.run("COMMIT").await?;
    Ok(rows)
}

pub(super) async fn left(s: &mut Session, of: &Left<'_>, after: Option<&Row>, most: usize) -> Result<Vec<Row>, Fault> {
    let most = long(most as u64);
    let found = match *of {
        Left::DataKey { tenant, to } => {
            let sql = select_rows!(
                "WHERE tenant = $1 AND key_version < $2 AND (key_version, nonce) > ($3, $4) ORDER BY key_version, nonce LIMIT $5"
            );
            let after = after.map_or((-1, -1), |row| (i64::from(row.key_version), long(row.nonce)));
            s.query(sql, &[&tenant, &i64::from(to), &after.0, &after.1, &most]).await?
        }
        Left::FingerprintKey { to } => {
            let sql = select_rows!(
                "WHERE print_version < $1 AND (print_version, id) > ($2, $3) ORDER BY print_version, id LIMIT $4"
            );
            let after = after.map_or((-1, &[][..]), |row| (i64::from(row.print_version), &row.id.0[..]));
            s.query(sql, &[&i64::from(to), &after.0, &after.1, &most]).await?
        }
        Left::Policy { tenant, version, ends } => {
            let sql = select_rows!(
                "WHERE tenant = $1 AND policy = $2 AND NOT single_use AND coalesce(ends > $3, true) AND fingerprint > $4 \
                 ORDER BY fingerprint LIMIT $5"
            );
            let after = after.map_or(&[][..], |row| &row.fingerprint[..]);
            s.query(sql, &[&tenant, &i64::from(version), &long(ends), &after, &most]).await?
        }
    };
    rows(&found)
}

pub(super) async fn count_left(s: &mut Session, of: &Left<'_>) -> Result<u64, Fault> {
    let found = match *of {
        Left::DataKey { tenant, to } => {
            let sql = "SELECT count(*) FROM tokens WHERE tenant = $1 AND key_version < $2";
            s.query_opt(sql, &[&tenant, &i64::from(to)]).await?
        }
        Left::FingerprintKey { to } => {
            s.query_opt("SELECT count(*) FROM tokens WHERE print_version < $1", &[&i64::from(to)]).await?
        }
        Left::Policy { tenant, version, ends } => {
            let sql = "SELECT count(*) FROM tokens \
                       WHERE tenant = $1 AND policy = $2 AND NOT single_use AND coalesce(ends > $3, true)";
            s.query_opt(sql, &[&tenant, &i64::from(version), &long(ends)]).await?
        }
    };
    found.map_or(Ok(0), |record| count(&record, 0))
}

pub(super) async fn change(s: &mut Session, rows: &[Changed]) -> Result<u64, Fault> {
    // Not to a data key that another rotation has removed since.
    let sql = "UPDATE tokens SET print_version = $1, fingerprint = $2, pan_fingerprint = $3, key_version = $4, nonce = $5, \
               sealed = $6, ends = $7, successor = $8 \
               WHERE tenant = $9 AND id = $10 AND key_version = $11 AND nonce = $12 AND print_version = $13 \
               AND EXISTS (SELECT 1 FROM data_keys k WHERE k.tenant = $9 AND k.version = $4) RETURNING 1";
    let mut changed = 0;
    // Few in a transaction: one that has read many rows conflicts with every other.
    for rows in rows.chunks(16) {
        let values: Vec<_> = rows.iter().map(ChangedValues::new).collect();
        let values: Vec<_> = values.iter().map(ChangedValues::list).collect();
        let statements: Vec<(_, Values<'_>)> = values.iter().map(|values| (sql, &values[..])).collect();
        let done = s.at_once(SERIALIZABLE, &statements).await?;
        changed += done.iter().filter(|row| !row.is_empty()).count() as u64;
    }
    Ok(changed)
}

struct ChangedValues<'a> {
    /// Fingerprint key, data key, nonce.
    keys: [i64; 3],
    /// The two fingerprints and what is sealed.
    blobs: [&'a [u8]; 3],
    ends: Option<i64>,
    successor: Option<&'a str>,
    /// Of the row as it was read.
    tenant: &'a str,
    id: &'a [u8],
    from: [i64; 3],
}

impl<'a> ChangedValues<'a> {
    fn new(Changed { row, from_key, from_nonce, from_print }: &'a Changed) -> Self {
        Self {
            keys: [row.print_version.into(), row.key_version.into(), long(row.nonce)],
            blobs: [&row.fingerprint, &row.pan_fingerprint, &row.sealed],
            ends: row.ends.map(long),
            successor: row.successor.as_deref(),
            tenant: &row.tenant,
            id: &row.id.0,
            from: [(*from_key).into(), long(*from_nonce), (*from_print).into()],
        }
    }

    fn list(&self) -> [&(dyn ToSql + Sync); 13] {
        let Self { keys, blobs, ends, successor, tenant, id, from } = self;
        [
            &keys[0], &blobs[0], &blobs[1], &keys[1], &keys[2], &blobs[2], ends, successor, tenant, id, &from[0],
            &from[1], &from[2],
        ]
    }
}

pub(super) async fn after(s: &mut Session, after: Option<RowId>, most: usize) -> Result<Vec<Row>, Fault> {
    let after = after.map(|id| id.0.to_vec()).unwrap_or_default();
    rows(&s.query(select_rows!("WHERE id > $1 ORDER BY id LIMIT $2"), &[&after, &long(most as u64)]).await?)
}

pub(super) async fn orphans(s: &mut Session) -> Result<Vec<Orphan>, Fault> {
    let mut orphans = Vec::new();
    let sql = "SELECT t.id, k.version IS NULL FROM tokens t \
               LEFT JOIN data_keys k ON k.tenant = t.tenant AND k.version = t.key_version \
               WHERE k.version IS NULL OR t.nonce >= k.nonces ORDER BY k.version IS NOT NULL, t.id";
    for record in s.query(sql, &[]).await? {
        let row = RowId(bytes(&record, 0, "id")?);
        orphans.push(if get(&record, 1)? { Orphan::NoKey(row) } else { Orphan::Nonce(row) });
    }
    let sql = "SELECT r.tenant, r.name FROM requests r LEFT JOIN tokens t ON t.tenant = r.tenant AND t.token = r.token \
               WHERE t.token IS NULL ORDER BY r.tenant, r.name";
    for record in s.query(sql, &[]).await? {
        orphans.push(Orphan::Request(get(&record, 0)?, get(&record, 1)?));
    }
    Ok(orphans)
}

/// Rows by version of the fingerprint key.
pub(super) async fn by_print(s: &mut Session) -> Result<HashMap<u32, u64>, Fault> {
    let found = s.query("SELECT print_version, count(*) FROM tokens GROUP BY print_version", &[]).await?;
    found.iter().map(|record| Ok((version(record, 0)?, count(record, 1)?))).collect()
}
