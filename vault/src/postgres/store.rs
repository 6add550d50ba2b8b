//! The vault's calls, each as work that may be done again.

use dukpt::KeyId;
use getrandom::{SysRng, rand_core::TryRng};

use super::{Postgres, claims, keys, policies, put, rows, session::Session, values::count};
use crate::{
    Asked, Changed, Claim, FingerprintKey, Header, Left, New, Orphan, Put, RateLimit, Released, Row, RowId, Stats,
    StoreError, StoredKey, Succession, VaultStore,
};

impl VaultStore for Postgres {
    fn header(&self) -> Result<Option<Header>, StoreError> {
        self.call(keys::header)
    }

    fn initialise(&self, header: &Header) -> Result<bool, StoreError> {
        self.call(async |s: &mut Session| keys::initialise(s, header).await)
    }

    fn set_wrapping(&self, key: &KeyId, wrapped_check: [u8; 40]) -> Result<(), StoreError> {
        self.call(async |s: &mut Session| keys::set_wrapping(s, key, &wrapped_check).await)
    }

    fn add_fingerprint_key(&self, key: &FingerprintKey) -> Result<bool, StoreError> {
        let mut again = false;
        self.call(async |s: &mut Session| keys::add_fingerprint(s, key, std::mem::replace(&mut again, true)).await)
    }

    fn remove_fingerprint_keys_before(&self, version: u32) -> Result<bool, StoreError> {
        self.call(async |s: &mut Session| keys::remove_fingerprints(s, version).await)
    }

    fn key(&self, tenant: &str, version: Option<u32>) -> Result<Option<StoredKey>, StoreError> {
        self.call(async |s: &mut Session| keys::key(s, tenant, version).await)
    }

    fn add_key(
        &self,
        tenant: &str,
        newest: Option<u32>,
        wrapped_by: &KeyId,
        wrapped: [u8; 40],
    ) -> Result<Option<u32>, StoreError> {
        self.call(async |s: &mut Session| keys::add(s, tenant, newest, wrapped_by, &wrapped).await)
    }

    fn rewrap(&self, tenant: &str, key: &StoredKey) -> Result<(), StoreError> {
        self.call(async |s: &mut Session| keys::rewrap(s, tenant, key).await)
    }

    fn not_wrapped_by(&self, wrapping: &KeyId) -> Result<(Vec<(String, StoredKey)>, u64), StoreError> {
        self.call(async |s: &mut Session| keys::not_wrapped_by(s, wrapping).await)
    }

    fn remove_keys_before(&self, tenant: &str, version: u32) -> Result<bool, StoreError> {
        self.call(async |s: &mut Session| keys::remove(s, tenant, version).await)
    }

    fn reserve_nonces(&self, tenant: &str, version: u32, count: u64) -> Result<Option<u64>, StoreError> {
        self.call(async |s: &mut Session| keys::reserve(s, tenant, version, count).await)
    }

    fn find(
        &self,
        tenant: &str,
        policy: u32,
        fingerprints: &[[u8; 32]],
        now: u64,
    ) -> Result<Vec<Option<String>>, StoreError> {
        self.call(async |s: &mut Session| rows::find(s, tenant, policy, fingerprints, now).await)
    }

    fn put(&self, rows: Vec<New>, now: u64) -> Result<Vec<Put>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.call(async |s: &mut Session| put::put(s, &rows, now).await)
    }

    fn claim(&self, tenant: &str, name: &str, claim: Claim, now: u64) -> Result<Claim, StoreError> {
        self.call(async |s: &mut Session| claims::claim(s, tenant, name, claim, now).await)
    }

    fn by_token(&self, tenant: &str, token: &str) -> Result<Option<Row>, StoreError> {
        // No text of the database has it, and none of its calls takes it.
        if token.contains('\0') {
            return Ok(None);
        }
        self.call(async |s: &mut Session| rows::by_token(s, tenant, token).await)
    }

    fn by_pan(&self, tenant: &str, pan_fingerprints: &[[u8; 32]]) -> Result<Vec<Row>, StoreError> {
        self.call(async |s: &mut Session| rows::by_pan(s, tenant, pan_fingerprints).await)
    }

    fn release(&self, asked: &Asked<'_>, limit: RateLimit) -> Result<Released, StoreError> {
        let mut id = [0; 16];
        SysRng.try_fill_bytes(&mut id).map_err(|error| StoreError::Database(std::sync::Arc::new(error)))?;
        self.call(async |s: &mut Session| rows::release(s, &id, asked, limit).await)
    }

    fn delete(&self, tenant: &str, token: &str) -> Result<bool, StoreError> {
        if token.contains('\0') {
            return Ok(false);
        }
        self.call(async |s: &mut Session| rows::delete(s, tenant, token).await)
    }

    fn shred(&self, tenant: &str) -> Result<u64, StoreError> {
        self.call(async |s: &mut Session| rows::shred(s, tenant).await)
    }

    fn replace_policy(&self, tenant: &str, version: u32, by: &Succession) -> Result<Succession, StoreError> {
        self.call(async |s: &mut Session| policies::replace(s, tenant, version, by).await)
    }

    fn successors(
        &self,
        tenant: &str,
        version: u32,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.call(async |s: &mut Session| policies::successors(s, tenant, version, after, most).await)
    }

    fn rows_left(&self, of: &Left<'_>, after: Option<&Row>, most: usize) -> Result<Vec<Row>, StoreError> {
        self.call(async |s: &mut Session| rows::left(s, of, after, most).await)
    }

    fn count_left(&self, of: &Left<'_>) -> Result<u64, StoreError> {
        self.call(async |s: &mut Session| rows::count_left(s, of).await)
    }

    fn change(&self, rows: Vec<Changed>) -> Result<u64, StoreError> {
        self.call(async |s: &mut Session| rows::change(s, &rows).await)
    }

    fn rows_after(&self, after: Option<RowId>, most: usize) -> Result<Vec<Row>, StoreError> {
        self.call(async |s: &mut Session| rows::after(s, after, most).await)
    }

    fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.call(rows::orphans)
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        self.call(async |s: &mut Session| {
            s.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let keys = keys::counts(s).await?;
            let of_print = rows::by_print(s).await?;
            let prints = keys::header(s).await?.map(|header| header.fingerprint_keys).unwrap_or_default();
            let rows_on = |version| of_print.get(&version).copied().unwrap_or(0);
            let fingerprint_keys = prints.into_iter().map(|key| (key.clone(), rows_on(key.version))).collect();
            let policies = policies::counts(s).await?;
            let sql = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM audit)";
            let counted = s.query_opt(sql, &[]).await?;
            let at = |at| counted.as_ref().map_or(Ok(0), |record| count(record, at));
            let (requests, audit) = (at(0)?, at(1)?);
            s.run("COMMIT").await?;
            Ok(Stats { keys, fingerprint_keys, policies, requests, audit })
        })
    }
}
