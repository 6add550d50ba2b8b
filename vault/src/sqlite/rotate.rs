//! What rotations ask of the database: rows that are left, changes, and keys that go when no row is on them.

use rusqlite::{Connection, ToSql, Transaction, params};

use super::rows::{ROW, row};
use crate::{Changed, Left, Row, StoreError, Succession};

type Values<'a> = Vec<Box<dyn ToSql + 'a>>;

/// Which rows are left.
fn condition<'a>(of: &Left<'a>) -> (&'static str, Values<'a>) {
    match *of {
        Left::DataKey { tenant, to } => ("tenant = ? AND key_version < ?", vec![Box::new(tenant), Box::new(to)]),
        Left::FingerprintKey { to } => ("print_version < ?", vec![Box::new(to)]),
        Left::Policy { tenant, version, ends } => (
            "tenant = ? AND policy = ? AND single_use = 0 AND coalesce(ends > ?, 1)",
            vec![Box::new(tenant), Box::new(version), Box::new(ends)],
        ),
    }
}

/// Which of them are behind a row, in the order of an index.
fn behind<'a>(of: &Left<'_>, after: &'a Row) -> (&'static str, Values<'a>) {
    match of {
        Left::DataKey { .. } => {
            ("(key_version, nonce) > (?, ?)", vec![Box::new(after.key_version), Box::new(after.nonce)])
        }
        Left::FingerprintKey { .. } => (
            "(print_version, rowid) > (?, (SELECT rowid FROM tokens WHERE id = ?))",
            vec![Box::new(after.print_version), Box::new(after.id.0)],
        ),
        Left::Policy { .. } => ("fingerprint > ?", vec![Box::new(after.fingerprint)]),
    }
}

pub(super) fn left(
    connection: &Connection,
    of: &Left<'_>,
    after: Option<&Row>,
    most: usize,
) -> Result<Vec<Row>, StoreError> {
    let (mut wanted, mut values) = {
        let (wanted, values) = condition(of);
        (wanted.to_owned(), values)
    };
    if let Some(after) = after {
        let (behind, more) = behind(of, after);
        wanted = format!("{wanted} AND {behind}");
        values.extend(more);
    }
    let order = match of {
        Left::DataKey { .. } => "key_version, nonce",
        Left::FingerprintKey { .. } => "print_version, rowid",
        Left::Policy { .. } => "fingerprint",
    };
    let sql = format!("SELECT {ROW} FROM tokens WHERE {wanted} ORDER BY {order} LIMIT {most}");
    let mut statement = connection.prepare(&sql)?;
    let values = rusqlite::params_from_iter(values.iter().map(|value| &**value));
    Ok(statement.query_map(values, row)?.collect::<Result<_, _>>()?)
}

pub(super) fn count(connection: &Connection, of: &Left<'_>) -> Result<u64, StoreError> {
    let (wanted, values) = condition(of);
    let values = rusqlite::params_from_iter(values.iter().map(|value| &**value));
    Ok(connection.query_row(&format!("SELECT count(*) FROM tokens WHERE {wanted}"), values, |r| r.get(0))?)
}

pub(super) fn change(t: &Transaction<'_>, rows: &[Changed]) -> Result<u64, StoreError> {
    // Not to a data key that another rotation has removed since.
    let sql = "UPDATE tokens SET print_version = ?, fingerprint = ?, pan_fingerprint = ?, key_version = ?, nonce = ?, \
               sealed = ?, ends = ?, successor = ? \
               WHERE id = ? AND key_version = ? AND nonce = ? AND print_version = ? \
               AND EXISTS (SELECT 1 FROM data_keys k WHERE k.tenant = tokens.tenant AND k.version = ?)";
    let (mut statement, mut changed) = (t.prepare_cached(sql)?, 0);
    for Changed { row, from_key, from_nonce, from_print } in rows {
        changed += statement.execute(params![
            row.print_version,
            row.fingerprint,
            row.pan_fingerprint,
            row.key_version,
            row.nonce,
            row.sealed,
            row.ends,
            row.successor,
            row.id.0,
            from_key,
            from_nonce,
            from_print,
            row.key_version
        ])?;
    }
    Ok(changed as u64)
}

pub(super) fn remove_keys(t: &Transaction<'_>, tenant: &str, version: u32) -> Result<bool, StoreError> {
    let none = count(t, &Left::DataKey { tenant, to: version })? == 0;
    if none {
        t.execute("DELETE FROM data_keys WHERE tenant = ? AND version < ?", params![tenant, version])?;
    }
    Ok(none)
}

pub(super) fn remove_fingerprint_keys(t: &Transaction<'_>, version: u32) -> Result<bool, StoreError> {
    let none = count(t, &Left::FingerprintKey { to: version })? == 0;
    if none {
        t.execute("DELETE FROM fingerprint_keys WHERE version < ?", [version])?;
    }
    Ok(none)
}

pub(super) fn replace_policy(
    t: &Transaction<'_>,
    tenant: &str,
    version: u32,
    Succession { by, ends }: Succession,
) -> Result<Succession, StoreError> {
    let sql = "INSERT INTO successions (tenant, version, successor, ends) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
    t.execute(sql, params![tenant, version, by, ends])?;
    let sql = "SELECT successor, ends FROM successions WHERE tenant = ? AND version = ?";
    Ok(t.query_row(sql, params![tenant, version], |r| Ok(Succession { by: r.get(0)?, ends: r.get(1)? }))?)
}
