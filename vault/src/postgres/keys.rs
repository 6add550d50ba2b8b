//! The header and the keys.

use dukpt::KeyId;

use super::{
    fault::Fault,
    session::{SERIALIZABLE, Session, Values},
    values::{bytes, count, get, key_id, long, stored_key, version},
};
use crate::{FingerprintKey, Header, KeyCount, Shard, StoredKey};

/// Nonces of a data key (NIST SP 800-38D, 8.3, by a wide margin: these are counted, not random).
const NONCES: u64 = 1 << 32;

pub(super) async fn header(s: &mut Session) -> Result<Option<Header>, Fault> {
    let sql = "SELECT wrapping_key, wrapped_check, f.version, f.name, f.check_mac, set_id, number, shards, routing_key, s.check_mac \
               FROM vault CROSS JOIN fingerprint_keys f LEFT JOIN shard s ON true ORDER BY f.version";
    let found = s.query(sql, &[]).await?;
    let Some(first) = found.first() else { return Ok(None) };
    let fingerprint_keys = found.iter().map(|record| {
        Ok(FingerprintKey {
            version: version(record, 2)?,
            key: key_id(record, 3)?,
            check: bytes(record, 4, "check_mac")?,
        })
    });
    let fingerprint_keys = fingerprint_keys.collect::<Result<_, Fault>>()?;
    let shard = match get::<Option<&[u8]>>(first, 5)? {
        Some(_) => Some(Shard {
            set: bytes(first, 5, "set_id")?,
            number: version(first, 6)?,
            of: version(first, 7)?,
            routing_key: key_id(first, 8)?,
            check: bytes(first, 9, "check_mac")?,
        }),
        None => None,
    };
    Ok(Some(Header {
        fingerprint_keys,
        wrapping_key: key_id(first, 0)?,
        wrapped_check: bytes(first, 1, "wrapped_check")?,
        shard,
    }))
}

pub(super) async fn initialise(s: &mut Session, new: &Header) -> Result<bool, Fault> {
    s.run(SERIALIZABLE).await?;
    let sql = "INSERT INTO vault VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
    if s.execute(sql, &[&new.wrapping_key.as_str(), &&new.wrapped_check[..]]).await? == 0 {
        // The check has a random key in it: what is there is ours only if an earlier attempt was done after all.
        let ours = header(s).await?.as_ref() == Some(new);
        s.run("COMMIT").await?;
        return Ok(ours);
    }
    for key in &new.fingerprint_keys {
        let values = (i64::from(key.version), key.key.as_str());
        let sql = "INSERT INTO fingerprint_keys VALUES ($1, $2, $3)";
        s.execute(sql, &[&values.0, &values.1, &&key.check[..]]).await?;
    }
    if let Some(shard) = &new.shard {
        let values = (i64::from(shard.number), i64::from(shard.of), shard.routing_key.as_str());
        let sql = "INSERT INTO shard VALUES (1, $1, $2, $3, $4, $5)";
        s.execute(sql, &[&&shard.set[..], &values.0, &values.1, &values.2, &&shard.check[..]]).await?;
    }
    s.run("COMMIT").await?;
    Ok(true)
}

pub(super) async fn set_wrapping(s: &mut Session, key: &KeyId, check: &[u8; 40]) -> Result<(), Fault> {
    let sql = "UPDATE vault SET wrapping_key = $1, wrapped_check = $2";
    s.at_once(SERIALIZABLE, &[(sql, &[&key.as_str(), &&check[..]])]).await?;
    Ok(())
}

/// `again`: an earlier attempt may have been done.
pub(super) async fn add_fingerprint(s: &mut Session, key: &FingerprintKey, again: bool) -> Result<bool, Fault> {
    let version = i64::from(key.version);
    let sql = "INSERT INTO fingerprint_keys SELECT $1::bigint, $2::text, $3::bytea \
               WHERE $1 = 1 + (SELECT max(version) FROM fingerprint_keys) RETURNING 1";
    let values: Values<'_> = &[&version, &key.key.as_str(), &&key.check[..]];
    if s.at_once(SERIALIZABLE, &[(sql, values)]).await?.iter().any(|added| !added.is_empty()) {
        return Ok(true);
    }
    let sql = "SELECT 1 FROM fingerprint_keys WHERE version = $1 AND name = $2 AND check_mac = $3";
    Ok(again && s.query_opt(sql, &[&version, &key.key.as_str(), &&key.check[..]]).await?.is_some())
}

pub(super) async fn remove_fingerprints(s: &mut Session, before: u32) -> Result<bool, Fault> {
    let before = i64::from(before);
    s.run(SERIALIZABLE).await?;
    let left = s.query_opt("SELECT 1 FROM tokens WHERE print_version < $1 LIMIT 1", &[&before]).await?.is_some();
    if !left {
        s.execute("DELETE FROM fingerprint_keys WHERE version < $1", &[&before]).await?;
    }
    s.run("COMMIT").await?;
    Ok(!left)
}

pub(super) async fn key(s: &mut Session, tenant: &str, version: Option<u32>) -> Result<Option<StoredKey>, Fault> {
    let found = match version {
        Some(version) => {
            let sql = "SELECT version, wrapped_by, wrapped FROM data_keys WHERE tenant = $1 AND version = $2";
            s.query_opt(sql, &[&tenant, &i64::from(version)]).await?
        }
        None => {
            let sql =
                "SELECT version, wrapped_by, wrapped FROM data_keys WHERE tenant = $1 ORDER BY version DESC LIMIT 1";
            s.query_opt(sql, &[&tenant]).await?
        }
    };
    found.as_ref().map(stored_key).transpose()
}

pub(super) async fn add(
    s: &mut Session,
    tenant: &str,
    newest: Option<u32>,
    wrapped_by: &KeyId,
    wrapped: &[u8; 40],
) -> Result<Option<u32>, Fault> {
    let sql = "INSERT INTO data_keys (tenant, version, wrapped_by, wrapped) \
               SELECT $1::text, 1 + greatest($2::bigint, (SELECT version FROM shredded WHERE tenant = $1), 0), $3::text, $4::bytea \
               WHERE (SELECT max(version) FROM data_keys WHERE tenant = $1) IS NOT DISTINCT FROM $2 \
               AND $3 = (SELECT wrapping_key FROM vault) RETURNING version";
    let newest = newest.map(i64::from);
    let values: Values<'_> = &[&tenant, &newest, &wrapped_by.as_str(), &&wrapped[..]];
    let mut added = s.at_once(SERIALIZABLE, &[(sql, values)]).await?.into_iter().flatten().next();
    if added.is_none() {
        // No other key is wrapped to the same bytes: an earlier attempt was done after all.
        let sql = "SELECT version FROM data_keys WHERE tenant = $1 AND wrapped = $2";
        added = s.query_opt(sql, &[&tenant, &&wrapped[..]]).await?;
    }
    added.map(|record| version(&record, 0)).transpose()
}

pub(super) async fn rewrap(s: &mut Session, tenant: &str, key: &StoredKey) -> Result<(), Fault> {
    let sql = "UPDATE data_keys SET wrapped_by = $1, wrapped = $2 WHERE tenant = $3 AND version = $4";
    s.execute(sql, &[&key.wrapped_by.as_str(), &&key.wrapped[..], &tenant, &i64::from(key.version)]).await?;
    Ok(())
}

pub(super) async fn not_wrapped_by(
    s: &mut Session,
    wrapping: &KeyId,
) -> Result<(Vec<(String, StoredKey)>, u64), Fault> {
    let sql =
        "SELECT version, wrapped_by, wrapped, tenant, count(*) OVER () FROM data_keys WHERE wrapped_by <> $1 LIMIT 100";
    let found = s.query(sql, &[&wrapping.as_str()]).await?;
    let left = found.first().map_or(Ok(0), |record| count(record, 4))?;
    let keys = found.iter().map(|record| Ok((get(record, 3)?, stored_key(record)?)));
    Ok((keys.collect::<Result<_, Fault>>()?, left))
}

pub(super) async fn remove(s: &mut Session, tenant: &str, before: u32) -> Result<bool, Fault> {
    let before = i64::from(before);
    s.run(SERIALIZABLE).await?;
    let sql = "SELECT 1 FROM tokens WHERE tenant = $1 AND key_version < $2 LIMIT 1";
    let left = s.query_opt(sql, &[&tenant, &before]).await?.is_some();
    if !left {
        s.execute("DELETE FROM data_keys WHERE tenant = $1 AND version < $2", &[&tenant, &before]).await?;
    }
    s.run("COMMIT").await?;
    Ok(!left)
}

pub(super) async fn reserve(s: &mut Session, tenant: &str, version: u32, wanted: u64) -> Result<Option<u64>, Fault> {
    let sql = "UPDATE data_keys SET nonces = nonces + $1 \
               WHERE tenant = $2 AND version = $3 AND nonces + $1 <= $4 RETURNING nonces - $1";
    let found = s.query_opt(sql, &[&long(wanted), &tenant, &i64::from(version), &long(NONCES)]).await?;
    found.map(|record| count(&record, 0)).transpose()
}

pub(super) async fn counts(s: &mut Session) -> Result<Vec<KeyCount>, Fault> {
    let sql = "SELECT tenant, version, wrapped_by, nonces, \
               (SELECT count(*) FROM tokens WHERE tenant = k.tenant AND key_version = k.version) \
               FROM data_keys k ORDER BY tenant, version";
    let found = s.query(sql, &[]).await?;
    let counts = found.iter().map(|record| {
        let (tenant, version, wrapped_by) = (get(record, 0)?, version(record, 1)?, get(record, 2)?);
        Ok(KeyCount { tenant, version, wrapped_by, nonces: count(record, 3)?, rows: count(record, 4)? })
    });
    counts.collect()
}
