//! New rows, many in a transaction, each as if it came alone.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row as Record, Transaction, params};

use crate::{Claim, New, Put, Row, StoreError};

/// So many requests whose time has ended are forgotten at once.
const FORGOTTEN: usize = 100;

/// What is the same for all rows of a transaction, looked up once, as long as nothing but rows is written.
#[derive(Default)]
pub(super) struct Known {
    newest_print: Option<u32>,
    /// By tenant.
    newest_keys: BTreeMap<String, Option<u32>>,
    /// By tenant and policy version.
    replaced: BTreeMap<(String, u32), bool>,
}

pub(super) fn put(t: &Transaction<'_>, known: &mut Known, rows: &[New], now: u64) -> Result<Vec<Put>, StoreError> {
    if rows.iter().any(|new| new.request.is_some()) {
        let sql = "DELETE FROM requests WHERE rowid IN (SELECT rowid FROM requests WHERE ends <= ? LIMIT ?)";
        t.prepare_cached(sql)?.execute(params![now, FORGOTTEN])?;
    }
    rows.iter().map(|new| one(t, known, new, now)).collect()
}

fn one(t: &Transaction<'_>, known: &mut Known, new: &New, now: u64) -> Result<Put, StoreError> {
    if !known.keys_are_newest(t, &new.row)? {
        return Ok(Put::OldKey);
    }
    if let Some(answer) = requested(t, new, now)? {
        return Ok(answer);
    }
    let put = stored(t, known, new, now)?;
    if let (Some(request), Put::Stored | Put::Has(_)) = (&new.request, &put) {
        let token = if let Put::Has(token) = &put { token } else { &new.row.token };
        let sql = "INSERT INTO requests (tenant, name, row, ends) \
                   SELECT tenant, ?, id, ? FROM tokens WHERE tenant = ? AND token = ?";
        t.prepare_cached(sql)?.execute(params![request.name, request.ends, new.row.tenant, token])?;
    }
    Ok(put)
}

/// What is answered to a request that was made before.
fn requested(t: &Transaction<'_>, new: &New, now: u64) -> Result<Option<Put>, StoreError> {
    let Some(request) = &new.request else { return Ok(None) };
    let sql = "SELECT token, policy, fingerprint, r.ends > ?1 AND coalesce(k.ends > ?1, 1) \
               FROM requests r JOIN tokens k ON k.id = r.row WHERE r.tenant = ?2 AND name = ?3";
    let found = t.prepare_cached(sql)?.query_row(params![now, new.row.tenant, request.name], |r| {
        Ok((r.get::<_, String>(0)?, r.get::<_, u32>(1)?, r.get::<_, [u8; 32]>(2)?, r.get::<_, bool>(3)?))
    });
    let Some((token, policy, fingerprint, alive)) = found.optional()? else { return Ok(None) };
    if !alive {
        let sql = "DELETE FROM requests WHERE tenant = ? AND name = ?";
        t.prepare_cached(sql)?.execute([&new.row.tenant, &request.name])?;
        return Ok(None);
    }
    let same = policy == new.row.policy && (fingerprint == new.row.fingerprint || new.earlier.contains(&fingerprint));
    Ok(Some(if same { Put::Has(token) } else { Put::RequestReused }))
}

/// What the name of a request is bound to now.
pub(super) fn claim(
    t: &Transaction<'_>,
    tenant: &str,
    name: &str,
    Claim { shard, ends }: Claim,
    now: u64,
) -> Result<Claim, StoreError> {
    let sql = "DELETE FROM claims WHERE rowid IN (SELECT rowid FROM claims WHERE ends <= ? LIMIT ?)";
    t.prepare_cached(sql)?.execute(params![now, FORGOTTEN])?;
    let sql = "INSERT INTO claims VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, name) DO UPDATE SET \
               shard = CASE WHEN ends <= ?5 THEN excluded.shard ELSE shard END, \
               ends = CASE WHEN ends <= ?5 THEN excluded.ends ELSE ends END RETURNING shard, ends";
    let bound = |r: &Record<'_>| Ok(Claim { shard: r.get(0)?, ends: r.get(1)? });
    Ok(t.prepare_cached(sql)?.query_row(params![tenant, name, shard, ends, now], bound)?)
}

fn stored(t: &Transaction<'_>, known: &mut Known, new: &New, now: u64) -> Result<Put, StoreError> {
    let row = &new.row;
    // A row under an earlier key is no conflict for the index.
    if !row.single_use {
        for earlier in &new.earlier {
            if let Some(token) = of_card(t, row, earlier, now)? {
                return Ok(Put::Has(token));
            }
        }
    }
    if known.replaced(t, row)? {
        let has = if row.single_use { None } else { of_card(t, row, &row.fingerprint, now)? };
        return Ok(has.map_or(Put::PolicyReplaced, Put::Has));
    }
    if insert(t, row)? {
        return Ok(Put::Stored);
    }
    if !row.single_use {
        if let Some(token) = of_card(t, row, &row.fingerprint, now)? {
            return Ok(Put::Has(token));
        }
        // The one that had ended is gone.
        if insert(t, row)? {
            return Ok(Put::Stored);
        }
    }
    let sql = "SELECT 1 FROM tokens WHERE tenant = ? AND token = ?";
    match t.prepare_cached(sql)?.exists([&row.tenant, &row.token])? {
        true => Ok(Put::TokenTaken),
        false => Err(StoreError::Malformed("the counter of nonces")),
    }
}

/// The multi-use token of this fingerprint; one that has ended is deleted and makes room for its successor.
fn of_card(t: &Transaction<'_>, row: &Row, fingerprint: &[u8; 32], now: u64) -> Result<Option<String>, StoreError> {
    let sql = "SELECT token, coalesce(ends > ?, 1), id FROM tokens \
               WHERE tenant = ? AND policy = ? AND fingerprint = ? AND single_use = 0";
    let found = t.prepare_cached(sql)?.query_row(params![now, row.tenant, row.policy, fingerprint], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get::<_, [u8; 16]>(2)?))
    });
    match found.optional()? {
        Some((token, true, _)) => Ok(Some(token)),
        Some((_, false, id)) => {
            t.prepare_cached("DELETE FROM tokens WHERE id = ?")?.execute([id])?;
            Ok(None)
        }
        None => Ok(None),
    }
}

/// `false` if one of the unique indices is against it.
fn insert(t: &Transaction<'_>, row: &Row) -> Result<bool, StoreError> {
    let sql = "INSERT INTO tokens (id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, \
               nonce, sealed, ends, single_use) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![
        row.id.0,
        row.tenant,
        row.policy,
        row.token,
        row.print_version,
        row.fingerprint,
        row.pan_fingerprint,
        row.key_version,
        row.nonce,
        row.sealed,
        row.ends,
        row.single_use
    ];
    Ok(t.prepare_cached(sql)?.execute(values)? == 1)
}

impl Known {
    fn keys_are_newest(&mut self, t: &Transaction<'_>, row: &Row) -> Result<bool, StoreError> {
        let print = match self.newest_print {
            Some(print) => print,
            None => {
                let sql = "SELECT max(version) FROM fingerprint_keys";
                t.prepare_cached(sql)?.query_row([], |r| r.get(0))?
            }
        };
        self.newest_print = Some(print);
        if !self.newest_keys.contains_key(&row.tenant) {
            let sql = "SELECT max(version) FROM data_keys WHERE tenant = ?";
            let newest = t.prepare_cached(sql)?.query_row([&row.tenant], |r| r.get(0))?;
            self.newest_keys.insert(row.tenant.clone(), newest);
        }
        let key = self.newest_keys.get(&row.tenant).copied().flatten();
        Ok((print, key) == (row.print_version, Some(row.key_version)))
    }

    fn replaced(&mut self, t: &Transaction<'_>, row: &Row) -> Result<bool, StoreError> {
        let place = (row.tenant.clone(), row.policy);
        if let Some(replaced) = self.replaced.get(&place) {
            return Ok(*replaced);
        }
        let sql = "SELECT 1 FROM successions WHERE tenant = ? AND version = ?";
        let replaced = t.prepare_cached(sql)?.exists(params![row.tenant, row.policy])?;
        self.replaced.insert(place, replaced);
        Ok(replaced)
    }
}
