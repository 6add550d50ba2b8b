//! The statements: each call of [`VaultStore`] is one transaction.

use dukpt::KeyId;
use rusqlite::{Connection, OptionalExtension, Row as Record, params};

use super::{Sqlite, put, rotate};
use crate::{
    Asked, Changed, Claim, FingerprintKey, Header, KeyCount, Left, New, Orphan, Outcome, PolicyCount, Put, RateLimit,
    Released, Row, RowId, Shard, Stats, StoreError, StoredKey, Succession, VaultStore,
};

/// Nonces of a data key (NIST SP 800-38D, 8.3, by a wide margin: these are counted, not random).
const NONCES: u64 = 1 << 32;
const KEY: &str = "version, wrapped_by, wrapped";
pub(super) const ROW: &str = "id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, \
                              nonce, sealed, ends, single_use, used_at IS NOT NULL, successor";

impl VaultStore for Sqlite {
    fn header(&self) -> Result<Option<Header>, StoreError> {
        self.read(|c| {
            // One statement, so that all of it is of one moment.
            let sql = "SELECT wrapping_key, wrapped_check, f.version, f.name, f.check_mac, \
                       set_id, number, shards, routing_key, s.check_mac \
                       FROM vault JOIN fingerprint_keys f LEFT JOIN shard s ORDER BY version";
            let mut statement = c.prepare_cached(sql)?;
            let mut records = statement.query([])?;
            let mut header = None;
            while let Some(r) = records.next()? {
                let key = FingerprintKey { version: r.get(2)?, key: key_id(r.get(3)?)?, check: r.get(4)? };
                let (wrapping_key, wrapped_check) = (key_id(r.get(0)?)?, r.get(1)?);
                let shard = match r.get(5)? {
                    Some(set) => {
                        let routing_key = key_id(r.get(8)?)?;
                        Some(Shard { set, number: r.get(6)?, of: r.get(7)?, routing_key, check: r.get(9)? })
                    }
                    None => None,
                };
                let empty = Header { fingerprint_keys: Vec::new(), wrapping_key, wrapped_check, shard };
                header.get_or_insert(empty).fingerprint_keys.push(key);
            }
            Ok(header)
        })
    }

    fn initialise(&self, header: &Header) -> Result<bool, StoreError> {
        let header = header.clone();
        self.write(move |t| {
            let sql = "INSERT INTO vault VALUES (1, ?, ?) ON CONFLICT DO NOTHING";
            let made = t.execute(sql, params![header.wrapping_key.as_str(), header.wrapped_check])? == 1;
            for FingerprintKey { version, key, check } in header.fingerprint_keys.iter().filter(|_| made) {
                t.execute("INSERT INTO fingerprint_keys VALUES (?, ?, ?)", params![version, key.as_str(), check])?;
            }
            if let (true, Some(Shard { set, number, of, routing_key, check })) = (made, &header.shard) {
                let values = params![set, number, of, routing_key.as_str(), check];
                t.execute("INSERT INTO shard VALUES (1, ?, ?, ?, ?, ?)", values)?;
            }
            Ok(made)
        })
    }

    fn set_wrapping(&self, key: &KeyId, wrapped_check: [u8; 40]) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(move |t| {
            t.execute("UPDATE vault SET wrapping_key = ?, wrapped_check = ?", params![key.as_str(), wrapped_check])?;
            Ok(())
        })
    }

    fn add_fingerprint_key(&self, key: &FingerprintKey) -> Result<bool, StoreError> {
        let FingerprintKey { version, key, check } = key.clone();
        self.write(move |t| {
            let sql = "INSERT INTO fingerprint_keys SELECT ?1, ?2, ?3 \
                       WHERE ?1 = 1 + (SELECT max(version) FROM fingerprint_keys)";
            Ok(t.execute(sql, params![version, key.as_str(), check])? == 1)
        })
    }

    fn remove_fingerprint_keys_before(&self, version: u32) -> Result<bool, StoreError> {
        self.write(move |t| rotate::remove_fingerprint_keys(t, version))
    }

    fn key(&self, tenant: &str, version: Option<u32>) -> Result<Option<StoredKey>, StoreError> {
        self.read(|c| {
            let sql = format!(
                "SELECT {KEY} FROM data_keys WHERE tenant = ? AND version = coalesce(?, version) \
                 ORDER BY version DESC LIMIT 1"
            );
            let mut statement = c.prepare_cached(&sql)?;
            statement.query_row(params![tenant, version], |r| Ok(stored_key(r, 0))).optional()?.transpose()
        })
    }

    fn add_key(
        &self,
        tenant: &str,
        newest: Option<u32>,
        wrapped_by: &KeyId,
        wrapped: [u8; 40],
    ) -> Result<Option<u32>, StoreError> {
        let (tenant, wrapped_by) = (tenant.to_owned(), wrapped_by.clone());
        self.write(move |t| {
            let sql = "INSERT INTO data_keys (tenant, version, wrapped_by, wrapped) \
                       SELECT ?1, 1 + coalesce(?2, (SELECT version FROM shredded WHERE tenant = ?1), 0), ?3, ?4 \
                       WHERE ?2 IS (SELECT max(version) FROM data_keys WHERE tenant = ?1) \
                       AND ?3 = (SELECT wrapping_key FROM vault) RETURNING version";
            let values = params![tenant, newest, wrapped_by.as_str(), wrapped];
            Ok(t.query_row(sql, values, |r| r.get(0)).optional()?)
        })
    }

    fn rewrap(&self, tenant: &str, key: &StoredKey) -> Result<(), StoreError> {
        let (tenant, key) = (tenant.to_owned(), key.clone());
        self.write(move |t| {
            let sql = "UPDATE data_keys SET wrapped_by = ?, wrapped = ? WHERE tenant = ? AND version = ?";
            t.execute(sql, params![key.wrapped_by.as_str(), key.wrapped, tenant, key.version])?;
            Ok(())
        })
    }

    fn not_wrapped_by(&self, wrapping: &KeyId) -> Result<(Vec<(String, StoredKey)>, u64), StoreError> {
        self.read(|c| {
            let sql = format!("SELECT {KEY}, tenant FROM data_keys WHERE wrapped_by <> ? LIMIT 100");
            let mut statement = c.prepare(&sql)?;
            let found = statement.query_map([wrapping.as_str()], |r| Ok((r.get(3)?, stored_key(r, 0))))?;
            let keys: Result<_, StoreError> = found.map(|pair| pair.map(|(t, key)| Ok((t, key?)))?).collect();
            let sql = "SELECT count(*) FROM data_keys WHERE wrapped_by <> ?";
            Ok((keys?, c.query_row(sql, [wrapping.as_str()], |r| r.get(0))?))
        })
    }

    fn remove_keys_before(&self, tenant: &str, version: u32) -> Result<bool, StoreError> {
        let tenant = tenant.to_owned();
        let removed = self.write(move |t| rotate::remove_keys(t, &tenant, version))?;
        self.writer.checkpoint()?;
        Ok(removed)
    }

    fn reserve_nonces(&self, tenant: &str, version: u32, count: u64) -> Result<Option<u64>, StoreError> {
        let tenant = tenant.to_owned();
        self.write(move |t| {
            let sql = "UPDATE data_keys SET nonces = nonces + ?1 \
                       WHERE tenant = ?2 AND version = ?3 AND nonces + ?1 <= ?4 RETURNING nonces - ?1";
            Ok(t.query_row(sql, params![count, tenant, version, NONCES], |r| r.get(0)).optional()?)
        })
    }

    fn find(
        &self,
        tenant: &str,
        policy: u32,
        fingerprints: &[[u8; 32]],
        now: u64,
    ) -> Result<Vec<Option<String>>, StoreError> {
        self.read(|c| {
            let sql = "SELECT token FROM tokens WHERE tenant = ? AND policy = ? AND fingerprint = ? \
                       AND single_use = 0 AND coalesce(ends > ?, 1)";
            let mut statement = c.prepare_cached(sql)?;
            let mut find = |print| statement.query_row(params![tenant, policy, print, now], |r| r.get(0)).optional();
            Ok(fingerprints.iter().map(&mut find).collect::<Result<_, _>>()?)
        })
    }

    fn put(&self, rows: Vec<New>, now: u64) -> Result<Vec<Put>, StoreError> {
        self.writer.write(move |t, known| put::put(t, known, &rows, now))
    }

    fn claim(&self, tenant: &str, name: &str, claim: Claim, now: u64) -> Result<Claim, StoreError> {
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        self.write(move |t| put::claim(t, &tenant, &name, claim, now))
    }

    fn by_token(&self, tenant: &str, token: &str) -> Result<Option<Row>, StoreError> {
        self.read(|c| {
            let sql = format!("SELECT {ROW} FROM tokens WHERE tenant = ? AND token = ?");
            Ok(c.prepare_cached(&sql)?.query_row([tenant, token], row).optional()?)
        })
    }

    fn by_pan(&self, tenant: &str, pan_fingerprints: &[[u8; 32]]) -> Result<Vec<Row>, StoreError> {
        self.read(|c| {
            let places = vec!["?"; pan_fingerprints.len()].join(", ");
            let sql = format!(
                "SELECT {ROW} FROM tokens WHERE tenant = ? AND pan_fingerprint IN ({places}) ORDER BY policy, token"
            );
            let mut values: Vec<&dyn rusqlite::ToSql> = vec![&tenant];
            values.extend(pan_fingerprints.iter().map(|print| print as &dyn rusqlite::ToSql));
            Ok(c.prepare(&sql)?.query_map(&values[..], row)?.collect::<Result<_, _>>()?)
        })
    }

    fn release(&self, asked: &Asked<'_>, RateLimit(limit): RateLimit) -> Result<Released, StoreError> {
        let Asked { purpose, time, outcome, .. } = *asked;
        let (caller, tenant, id) = (asked.caller.to_owned(), asked.tenant.to_owned(), asked.row.map(|row| row.0));
        self.write(move |t| {
            let sql = "SELECT count(*) FROM audit WHERE caller = ? AND time > ?";
            let before = params![caller, time.saturating_sub(60)];
            let before: u64 = t.prepare_cached(sql)?.query_row(before, |r| r.get(0))?;
            if before >= limit.into() {
                return Ok(Released::RateLimited);
            }
            let mut outcome = outcome;
            if outcome == Outcome::Granted {
                // Deleted since it was read, or a single use that another caller had.
                let sql = "UPDATE tokens SET used_at = coalesce(used_at, ?2) \
                           WHERE id = ?1 AND (single_use = 0 OR used_at IS NULL)";
                if t.prepare_cached(sql)?.execute(params![id, time])? == 0 {
                    outcome = Outcome::Used;
                }
            }
            let values = params![time, caller, tenant, id, purpose.name(), outcome.name()];
            t.prepare_cached("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)")?.execute(values)?;
            Ok(Released::Recorded(outcome))
        })
    }

    fn delete(&self, tenant: &str, token: &str) -> Result<bool, StoreError> {
        let (tenant, token) = (tenant.to_owned(), token.to_owned());
        let sql = "DELETE FROM tokens WHERE tenant = ? AND token = ?";
        let deleted = self.write(move |t| Ok(t.execute(sql, [&tenant, &token])? > 0))?;
        self.writer.checkpoint()?;
        Ok(deleted)
    }

    fn shred(&self, tenant: &str) -> Result<u64, StoreError> {
        let tenant = tenant.to_owned();
        let rows = self.write(move |t| {
            let rows = t.execute("DELETE FROM tokens WHERE tenant = ?", [&tenant])?;
            let sql = "INSERT INTO shredded SELECT tenant, max(version) FROM data_keys WHERE tenant = ? GROUP BY tenant \
                       ON CONFLICT (tenant) DO UPDATE SET version = excluded.version";
            t.execute(sql, [&tenant])?;
            for table in ["data_keys", "successions", "claims"] {
                t.execute(&format!("DELETE FROM {table} WHERE tenant = ?"), [&tenant])?;
            }
            Ok(rows as u64)
        })?;
        self.writer.checkpoint()?;
        Ok(rows)
    }

    fn replace_policy(&self, tenant: &str, version: u32, by: &Succession) -> Result<Succession, StoreError> {
        let (tenant, by) = (tenant.to_owned(), *by);
        self.write(move |t| rotate::replace_policy(t, &tenant, version, by))
    }

    fn successors(
        &self,
        tenant: &str,
        version: u32,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|c| {
            let sql = "SELECT token, successor FROM tokens WHERE tenant = ? AND policy = ? AND token > ? \
                       AND successor IS NOT NULL ORDER BY token LIMIT ?";
            let mut statement = c.prepare_cached(sql)?;
            let pairs = statement.query_map(params![tenant, version, after, most], |r| Ok((r.get(0)?, r.get(1)?)))?;
            Ok(pairs.collect::<Result<_, _>>()?)
        })
    }

    fn rows_left(&self, of: &Left<'_>, after: Option<&Row>, most: usize) -> Result<Vec<Row>, StoreError> {
        self.read(|c| rotate::left(c, of, after, most))
    }

    fn count_left(&self, of: &Left<'_>) -> Result<u64, StoreError> {
        self.read(|c| rotate::count(c, of))
    }

    fn change(&self, rows: Vec<Changed>) -> Result<u64, StoreError> {
        self.write(move |t| rotate::change(t, &rows))
    }

    fn rows_after(&self, after: Option<RowId>, most: usize) -> Result<Vec<Row>, StoreError> {
        self.read(|c| {
            let sql = format!("SELECT {ROW} FROM tokens WHERE id > ? ORDER BY id LIMIT ?");
            let after = after.map(|id| id.0.to_vec()).unwrap_or_default();
            Ok(c.prepare(&sql)?.query_map(params![after, most], row)?.collect::<Result<_, _>>()?)
        })
    }

    fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.read(orphans)
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        self.read(stats)
    }
}

fn orphans(c: &Connection) -> Result<Vec<Orphan>, StoreError> {
    let mut found = Vec::new();
    let rows = "SELECT t.id FROM tokens t LEFT JOIN data_keys k ON k.tenant = t.tenant AND k.version = t.key_version";
    for (condition, orphan) in
        [("k.version IS NULL", Orphan::NoKey as fn(RowId) -> Orphan), ("t.nonce >= k.nonces", Orphan::Nonce)]
    {
        let mut statement = c.prepare(&format!("{rows} WHERE {condition}"))?;
        for id in statement.query_map([], |r| r.get(0))? {
            found.push(orphan(RowId(id?)));
        }
    }
    let sql = "SELECT r.tenant, r.name FROM requests r LEFT JOIN tokens t ON t.id = r.row WHERE t.id IS NULL";
    let mut statement = c.prepare(sql)?;
    for request in statement.query_map([], |r| Ok(Orphan::Request(r.get(0)?, r.get(1)?)))? {
        found.push(request?);
    }
    Ok(found)
}

fn stats(c: &Connection) -> Result<Stats, StoreError> {
    let sql = "SELECT tenant, version, wrapped_by, nonces, \
               (SELECT count(*) FROM tokens WHERE tenant = k.tenant AND key_version = k.version) \
               FROM data_keys k ORDER BY tenant, version";
    let mut statement = c.prepare(sql)?;
    let count = |r: &Record<'_>| {
        let (tenant, version, wrapped_by) = (r.get(0)?, r.get(1)?, r.get(2)?);
        Ok(KeyCount { tenant, version, wrapped_by, nonces: r.get(3)?, rows: r.get(4)? })
    };
    let keys = statement.query_map([], count)?.collect::<Result<_, _>>()?;
    let sql = "SELECT version, name, check_mac, (SELECT count(*) FROM tokens WHERE print_version = k.version) \
               FROM fingerprint_keys k ORDER BY version";
    let mut statement = c.prepare(sql)?;
    let mut records = statement.query([])?;
    let mut fingerprint_keys = Vec::new();
    while let Some(r) = records.next()? {
        let key = FingerprintKey { version: r.get(0)?, key: key_id(r.get(1)?)?, check: r.get(2)? };
        fingerprint_keys.push((key, r.get(3)?));
    }
    let sql = "SELECT p.tenant, p.policy, p.rows, s.successor, s.ends \
               FROM (SELECT tenant, policy, count(*) AS rows FROM tokens GROUP BY tenant, policy) p \
               LEFT JOIN successions s ON s.tenant = p.tenant AND s.version = p.policy ORDER BY p.tenant, p.policy";
    let mut statement = c.prepare(sql)?;
    let count = |r: &Record<'_>| {
        let (by, ends): (Option<u32>, Option<u64>) = (r.get(3)?, r.get(4)?);
        let succession = by.zip(ends).map(|(by, ends)| Succession { by, ends });
        Ok(PolicyCount { tenant: r.get(0)?, version: r.get(1)?, rows: r.get(2)?, succession })
    };
    let policies = statement.query_map([], count)?.collect::<Result<_, _>>()?;
    let all = |table| c.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0));
    Ok(Stats { keys, fingerprint_keys, policies, requests: all("requests")?, audit: all("audit")? })
}

pub(super) fn row(r: &Record<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: RowId(r.get(0)?),
        tenant: r.get(1)?,
        policy: r.get(2)?,
        token: r.get(3)?,
        print_version: r.get(4)?,
        fingerprint: r.get(5)?,
        pan_fingerprint: r.get(6)?,
        key_version: r.get(7)?,
        nonce: r.get(8)?,
        sealed: r.get(9)?,
        ends: r.get(10)?,
        single_use: r.get(11)?,
        used: r.get(12)?,
        successor: r.get(13)?,
    })
}

/// From the three columns of [`KEY`], the first of them in place `at`.
fn stored_key(r: &Record<'_>, at: usize) -> Result<StoredKey, StoreError> {
    Ok(StoredKey { version: r.get(at)?, wrapped_by: key_id(r.get(at + 1)?)?, wrapped: r.get(at + 2)? })
}

fn key_id(name: String) -> Result<KeyId, StoreError> {
    KeyId::new(&name).map_err(|_| StoreError::Malformed("the name of a key"))
}
