//! Between the vault's values and those of the database.

use dukpt::KeyId;
use tokio_postgres::{Row as Record, types::FromSql};

use super::fault::Fault;
use crate::{Row, RowId, StoreError, StoredKey};

/// The columns that [`row`] reads.
macro_rules! select_rows {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, sealed, ends, \
             single_use, used_at IS NOT NULL, successor FROM tokens ",
            $rest
        )
    };
}
pub(super) use select_rows;

pub(super) fn row(record: &Record) -> Result<Row, Fault> {
    Ok(Row {
        id: RowId(bytes(record, 0, "id")?),
        tenant: get(record, 1)?,
        policy: version(record, 2)?,
        token: get(record, 3)?,
        print_version: version(record, 4)?,
        fingerprint: bytes(record, 5, "fingerprint")?,
        pan_fingerprint: bytes(record, 6, "pan_fingerprint")?,
        key_version: version(record, 7)?,
        nonce: count(record, 8)?,
        sealed: get(record, 9)?,
        ends: get::<Option<i64>>(record, 10)?.map(|ends| u64::try_from(ends).unwrap_or(0)),
        single_use: get(record, 11)?,
        used: get(record, 12)?,
        successor: get(record, 13)?,
    })
}

pub(super) fn rows(records: &[Record]) -> Result<Vec<Row>, Fault> {
    records.iter().map(row).collect()
}

/// From version, wrapping key and wrapped key, in this order.
pub(super) fn stored_key(record: &Record) -> Result<StoredKey, Fault> {
    let wrapped_by = key_id(record, 1)?;
    Ok(StoredKey { version: version(record, 0)?, wrapped_by, wrapped: bytes(record, 2, "wrapped")? })
}

pub(super) fn key_id(record: &Record, at: usize) -> Result<KeyId, Fault> {
    KeyId::new(get(record, at)?).map_err(|_| StoreError::Malformed("the name of a key").into())
}

pub(super) fn get<'a, T: FromSql<'a>>(record: &'a Record, at: usize) -> Result<T, Fault> {
    Ok(record.try_get(at)?)
}

pub(super) fn version(record: &Record, at: usize) -> Result<u32, Fault> {
    u32::try_from(get::<i64>(record, at)?).map_err(|_| StoreError::Malformed("a version").into())
}

pub(super) fn count(record: &Record, at: usize) -> Result<u64, Fault> {
    u64::try_from(get::<i64>(record, at)?).map_err(|_| StoreError::Malformed("a number").into())
}

pub(super) fn bytes<const N: usize>(record: &Record, at: usize, column: &'static str) -> Result<[u8; N], Fault> {
    get::<&[u8]>(record, at)?.try_into().map_err(|_| StoreError::Malformed(column).into())
}

/// A time or a count, which the database takes up to 2^63.
pub(super) fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
