//! The vault's calls as SQL.

use dukpt::KeyId;
use rusqlite::{OptionalExtension, Row as Record, Transaction, params};

use super::Sqlite;
use crate::{
    Asked, Header, KeyCount, Outcome, Put, RateLimit, Released, Resealed, Row, RowId, Stats, StoreError, StoredKey,
    VaultStore,
};

/// Nonces of a data key (NIST SP 800-38D, 8.3, by a wide margin: these are counted, not random).
const NONCES: u64 = 1 << 32;
const KEY: &str = "version, wrapped_by, wrapped";
const ROW: &str = "id, tenant, policy, token, fingerprint, key_version, nonce, sealed, ends, single_use, \
                   used_at IS NOT NULL, request";

impl VaultStore for Sqlite {
    fn header(&self) -> Result<Option<Header>, StoreError> {
        let sql = "SELECT fingerprint_key, fingerprint_check, wrapping_key, wrapped_check FROM vault";
        let found = self.connection().query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)));
        let Some((fingerprint_key, fingerprint_check, wrapping_key, wrapped_check)) = found.optional()? else {
            return Ok(None);
        };
        let (fingerprint_key, wrapping_key) = (key_id(fingerprint_key)?, key_id(wrapping_key)?);
        Ok(Some(Header { fingerprint_key, fingerprint_check, wrapping_key, wrapped_check }))
    }

    fn initialise(&self, header: &Header) -> Result<bool, StoreError> {
        self.write(|t| {
            let Header { fingerprint_key, fingerprint_check, wrapping_key, wrapped_check } = header;
            let sql = "INSERT INTO vault VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let values = params![fingerprint_key.as_str(), fingerprint_check, wrapping_key.as_str(), wrapped_check];
            Ok(t.execute(sql, values)? == 1)
        })
    }

    fn set_wrapping(&self, header: &Header) -> Result<(), StoreError> {
        self.write(|t| {
            let values = params![header.wrapping_key.as_str(), header.wrapped_check];
            t.execute("UPDATE vault SET wrapping_key = ?, wrapped_check = ?", values)?;
            Ok(())
        })
    }

    fn key(&self, tenant: &str, version: Option<u32>) -> Result<Option<StoredKey>, StoreError> {
        let sql = format!(
            "SELECT {KEY} FROM data_keys WHERE tenant = ? AND version = coalesce(?, version) \
             ORDER BY version DESC LIMIT 1"
        );
        let found = self.connection().query_row(&sql, params![tenant, version], |r| Ok(stored_key(r, 0))).optional()?;
        found.transpose()
    }

    fn add_key(&self, tenant: &str, key: &StoredKey) -> Result<bool, StoreError> {
        self.write(|t| {
            let sql = "INSERT INTO data_keys (tenant, version, wrapped_by, wrapped) SELECT ?1, ?2, ?3, ?4 \
                       WHERE ?2 = 1 + (SELECT coalesce(max(version), 0) FROM data_keys WHERE tenant = ?1) \
                       AND ?3 = (SELECT wrapping_key FROM vault)";
            Ok(t.execute(sql, params![tenant, key.version, key.wrapped_by.as_str(), key.wrapped])? == 1)
        })
    }

    fn rewrap(&self, tenant: &str, key: &StoredKey) -> Result<(), StoreError> {
        self.write(|t| {
            let sql = "UPDATE data_keys SET wrapped_by = ?, wrapped = ? WHERE tenant = ? AND version = ?";
            t.execute(sql, params![key.wrapped_by.as_str(), key.wrapped, tenant, key.version])?;
            Ok(())
        })
    }

    fn not_wrapped_by(&self, wrapping: &KeyId) -> Result<(Vec<(String, StoredKey)>, u64), StoreError> {
        let connection = self.connection();
        let sql = format!("SELECT {KEY}, tenant FROM data_keys WHERE wrapped_by <> ? LIMIT 100");
        let mut statement = connection.prepare(&sql)?;
        let found = statement.query_map([wrapping.as_str()], |r| Ok((r.get(3)?, stored_key(r, 0))))?;
        let keys: Result<_, StoreError> = found.map(|pair| pair.map(|(t, key)| Ok((t, key?)))?).collect();
        let sql = "SELECT count(*) FROM data_keys WHERE wrapped_by <> ?";
        Ok((keys?, connection.query_row(sql, [wrapping.as_str()], |r| r.get(0))?))
    }

    fn reserve_nonces(&self, tenant: &str, version: u32, count: u64) -> Result<Option<u64>, StoreError> {
        self.write(|t| {
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
        let connection = self.connection();
        let sql = "SELECT token FROM tokens WHERE tenant = ? AND policy = ? AND fingerprint = ? AND single_use = 0 \
                   AND coalesce(ends > ?, 1)";
        let mut statement = connection.prepare_cached(sql)?;
        let mut find = |fingerprint| statement.query_row(params![tenant, policy, fingerprint, now], |r| r.get(0));
        Ok(fingerprints.iter().map(|fingerprint| find(fingerprint).optional()).collect::<Result<_, _>>()?)
    }

    fn put(&self, rows: &[Row], now: u64) -> Result<Vec<Put>, StoreError> {
        self.write(|t| rows.iter().map(|row| put(t, row, now)).collect())
    }

    fn by_token(&self, tenant: &str, token: &str) -> Result<Option<Row>, StoreError> {
        let sql = format!("SELECT {ROW} FROM tokens WHERE tenant = ? AND token = ?");
        Ok(self.connection().query_row(&sql, [tenant, token], row).optional()?)
    }

    fn release(&self, asked: &Asked<'_>, RateLimit(limit): RateLimit) -> Result<Released, StoreError> {
        self.write(|t| {
            let sql = "SELECT count(*) FROM audit WHERE caller = ? AND time > ?";
            let before: u64 = t.query_row(sql, params![asked.caller, asked.time.saturating_sub(60)], |r| r.get(0))?;
            if before >= limit.into() {
                return Ok(Released::RateLimited);
            }
            let mut outcome = asked.outcome;
            if outcome == Outcome::Granted {
                // Deleted since it was read, or a single use that another caller had.
                let sql = "UPDATE tokens SET used_at = coalesce(used_at, ?2) \
                           WHERE id = ?1 AND (single_use = 0 OR used_at IS NULL)";
                let granted = match t.execute(sql, params![asked.row.map(|row| row.0), asked.time])? {
                    0 => Outcome::Used,
                    _ => Outcome::Granted,
                };
                outcome = granted;
            }
            let values = params![
                asked.time,
                asked.caller,
                asked.tenant,
                asked.row.map(|row| row.0),
                asked.purpose.name(),
                outcome.name()
            ];
            t.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", values)?;
            Ok(Released::Recorded(outcome))
        })
    }

    fn delete(&self, tenant: &str, token: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM tokens WHERE tenant = ? AND token = ?";
        let deleted = self.write(|t| Ok(t.execute(sql, [tenant, token])?))? > 0;
        self.checkpoint()?;
        Ok(deleted)
    }

    fn shred(&self, tenant: &str) -> Result<u64, StoreError> {
        let rows = self.write(|t| {
            let rows = t.execute("DELETE FROM tokens WHERE tenant = ?", [tenant])?;
            t.execute("DELETE FROM data_keys WHERE tenant = ?", [tenant])?;
            Ok(rows)
        })?;
        self.checkpoint()?;
        Ok(rows as u64)
    }

    fn rows_before(&self, tenant: &str, version: u32, most: usize) -> Result<(Vec<Row>, u64), StoreError> {
        let connection = self.connection();
        let sql = format!("SELECT {ROW} FROM tokens WHERE tenant = ? AND key_version < ? LIMIT ?");
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![tenant, version, most], row)?.collect::<Result<_, _>>()?;
        let sql = "SELECT count(*) FROM tokens WHERE tenant = ? AND key_version < ?";
        Ok((rows, connection.query_row(sql, params![tenant, version], |r| r.get(0))?))
    }

    fn reseal(&self, rows: &[Resealed]) -> Result<(), StoreError> {
        let sql = "UPDATE tokens SET key_version = ?, nonce = ?, sealed = ? WHERE id = ? AND key_version = ?";
        self.write(|t| {
            let mut statement = t.prepare_cached(sql)?;
            for Resealed { id, from, to, nonce, sealed } in rows {
                statement.execute(params![to, nonce, sealed, id.0, from])?;
            }
            Ok(())
        })
    }

    fn remove_keys_before(&self, tenant: &str, version: u32) -> Result<bool, StoreError> {
        let removed = self.write(|t| {
            let sql = "SELECT count(*) FROM tokens WHERE tenant = ? AND key_version < ?";
            let rows: u64 = t.query_row(sql, params![tenant, version], |r| r.get(0))?;
            if rows == 0 {
                t.execute("DELETE FROM data_keys WHERE tenant = ? AND version < ?", params![tenant, version])?;
            }
            Ok(rows == 0)
        })?;
        self.checkpoint()?;
        Ok(removed)
    }

    fn rows_after(&self, after: Option<RowId>, most: usize) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection();
        let sql = format!("SELECT {ROW} FROM tokens WHERE id > ? ORDER BY id LIMIT ?");
        let mut statement = connection.prepare(&sql)?;
        let after = after.map(|id| id.0.to_vec()).unwrap_or_default();
        Ok(statement.query_map(params![after, most], row)?.collect::<Result<_, _>>()?)
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        let connection = self.connection();
        let sql = "SELECT tenant, version, wrapped_by, nonces, \
                   (SELECT count(*) FROM tokens WHERE tenant = k.tenant AND key_version = k.version) \
                   FROM data_keys k ORDER BY tenant, version";
        let mut statement = connection.prepare(sql)?;
        let count = |r: &Record<'_>| {
            let (tenant, version, wrapped_by) = (r.get(0)?, r.get(1)?, r.get(2)?);
            Ok(KeyCount { tenant, version, wrapped_by, nonces: r.get(3)?, rows: r.get(4)? })
        };
        let keys = statement.query_map([], count)?.collect::<Result<_, _>>()?;
        Ok(Stats { keys, audit: connection.query_row("SELECT count(*) FROM audit", [], |r| r.get(0))? })
    }
}

fn put(t: &Transaction<'_>, row: &Row, now: u64) -> Result<Put, StoreError> {
    let Row { id, tenant, policy, token, fingerprint, key_version, nonce, sealed, ends, single_use, request, .. } = row;
    if let Some(request) = request {
        let sql = "SELECT token, fingerprint, policy FROM tokens WHERE tenant = ? AND request = ?";
        let same =
            |r: &Record<'_>| Ok((r.get(0)?, r.get::<_, [u8; 32]>(1)? == *fingerprint && r.get(2) == Ok(*policy)));
        match t.query_row(sql, [tenant, request], same).optional()? {
            Some((token, true)) => return Ok(Put::Has(token)),
            Some((_, false)) => return Ok(Put::RequestReused),
            None => {}
        }
    }
    if !single_use {
        let sql = "SELECT token, coalesce(ends > ?, 1) FROM tokens \
                   WHERE tenant = ? AND policy = ? AND fingerprint = ? AND single_use = 0";
        let values = params![now, tenant, policy, fingerprint];
        match t.query_row(sql, values, |r| Ok((r.get(0)?, r.get(1)?))).optional()? {
            Some((token, true)) => return Ok(Put::Has(token)),
            // It has ended, and makes room for its successor.
            Some((token, false)) => {
                let _: usize = t.execute("DELETE FROM tokens WHERE tenant = ? AND token = ?", [tenant, &token])?;
            }
            None => {}
        }
    }
    let sql = "SELECT max(version) = ? FROM data_keys WHERE tenant = ?";
    let newest: Option<bool> = t.query_row(sql, params![key_version, tenant], |r| r.get(0))?;
    if newest != Some(true) {
        return Ok(Put::OldKey);
    }
    let sql = "INSERT INTO tokens (id, tenant, policy, token, fingerprint, key_version, nonce, sealed, ends, single_use, \
               request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, token) DO NOTHING";
    let values =
        params![id.0, tenant, policy, token, fingerprint, key_version, nonce, sealed, ends, single_use, request];
    Ok(match t.prepare_cached(sql)?.execute(values)? {
        0 => Put::TokenTaken,
        _ => Put::Stored,
    })
}

fn row(r: &Record<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: RowId(r.get(0)?),
        tenant: r.get(1)?,
        policy: r.get(2)?,
        token: r.get(3)?,
        fingerprint: r.get(4)?,
        key_version: r.get(5)?,
        nonce: r.get(6)?,
        sealed: r.get(7)?,
        ends: r.get(8)?,
        single_use: r.get(9)?,
        used: r.get(10)?,
        request: r.get(11)?,
    })
}

/// From the three columns of [`KEY`], the first of them in place `at`.
fn stored_key(r: &Record<'_>, at: usize) -> Result<StoredKey, StoreError> {
    Ok(StoredKey { version: r.get(at)?, wrapped_by: key_id(r.get(at + 1)?)?, wrapped: r.get(at + 2)? })
}

fn key_id(name: String) -> Result<KeyId, StoreError> {
    KeyId::new(&name).map_err(|_| StoreError::Malformed("the name of a key"))
}
