//! What a database must do for a vault. It sees tokens, fingerprints and sealed card numbers, never a clear one.

use dukpt::KeyId;

use crate::{
    Asked, Changed, Claim, FingerprintKey, Header, Left, New, Orphan, Put, RateLimit, Released, Row, RowId, Stats,
    StoreError, StoredKey, Succession,
};

/// A database of rows. Each call is one transaction, durable when it returns. When a call fails, it has stored nothing.
pub trait VaultStore: Send + Sync {
    /// What the vault was made with; `None` before [`VaultStore::initialise`].
    ///
    /// # Errors
    /// [`StoreError`], as of every call.
    fn header(&self) -> Result<Option<Header>, StoreError>;

    /// Makes the vault; `false` if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn initialise(&self, header: &Header) -> Result<bool, StoreError>;

    /// Sets the wrapping key that new data keys get, and its check.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_wrapping(&self, key: &KeyId, wrapped_check: [u8; 40]) -> Result<(), StoreError>;

    /// Adds a fingerprint key. `false`, and nothing is added, if the version is not the one behind the newest. From here on
    /// [`VaultStore::put`] takes no row under an older one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn add_fingerprint_key(&self, key: &FingerprintKey) -> Result<bool, StoreError>;

    /// Removes the fingerprint keys before `version` from the header, unless a row is on one of them: then `false`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_fingerprint_keys_before(&self, version: u32) -> Result<bool, StoreError>;

    /// A tenant's data key of this version, or its newest.
    ///
    /// # Errors
    /// [`StoreError`].
    fn key(&self, tenant: &str, version: Option<u32>) -> Result<Option<StoredKey>, StoreError>;

    /// Adds a tenant's data key behind its newest, which has the version `newest` (`None`: it has none), and wrapped by the key
    /// of the header; else `None`, and nothing is added. Returns the version: one more than the tenant ever had, those
    /// before [`VaultStore::shred`] included.
    ///
    /// # Errors
    /// [`StoreError`].
    fn add_key(
        &self,
        tenant: &str,
        newest: Option<u32>,
        wrapped_by: &KeyId,
        wrapped: [u8; 40],
    ) -> Result<Option<u32>, StoreError>;

    /// Replaces the wrapping of a data key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rewrap(&self, tenant: &str, key: &StoredKey) -> Result<(), StoreError>;

    /// Some data keys, with their tenants, that this key did not wrap, and how many there are in all.
    ///
    /// # Errors
    /// [`StoreError`].
    fn not_wrapped_by(&self, wrapping: &KeyId) -> Result<(Vec<(String, StoredKey)>, u64), StoreError>;

    /// Deletes a tenant's data keys before `version`, unless a row is on one of them: then `false`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_keys_before(&self, tenant: &str, version: u32) -> Result<bool, StoreError>;

    /// Sets `count` nonces of a data key aside and returns the first; `None` if it has not so many left.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reserve_nonces(&self, tenant: &str, version: u32, count: u64) -> Result<Option<u64>, StoreError>;

    /// The multi-use tokens that these fingerprints have under a policy version and that have not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find(
        &self,
        tenant: &str,
        policy: u32,
        fingerprints: &[[u8; 32]],
        now: u64,
    ) -> Result<Vec<Option<String>>, StoreError>;

    /// Stores rows, each as if it came alone, and answers the first of these that holds:
    /// [`Put::OldKey`], if its fingerprint key or data key is not the newest;
    /// of a named request that is remembered, [`Put::Has`] its token, or [`Put::RequestReused`] for another policy version or
    /// fingerprint (it is forgotten when its time or its token has ended, or its row is gone);
    /// of a multi-use row, [`Put::Has`] the token that the fingerprint, or an earlier one, has under this policy version,
    /// unless it has ended: then that row is deleted;
    /// [`Put::PolicyReplaced`]; [`Put::TokenTaken`], if the tenant has the token already; [`Put::Stored`].
    /// The name of a request is remembered with the row that it gets.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&self, rows: Vec<New>, now: u64) -> Result<Vec<Put>, StoreError>;

    /// Binds the name of a request to a shard, unless it is bound already and the time of that has not ended. Returns what it is
    /// bound to.
    ///
    /// # Errors
    /// [`StoreError`].
    fn claim(&self, tenant: &str, name: &str, claim: Claim, now: u64) -> Result<Claim, StoreError>;

    /// The row of a tenant's token.
    ///
    /// # Errors
    /// [`StoreError`].
    fn by_token(&self, tenant: &str, token: &str) -> Result<Option<Row>, StoreError>;

    /// A tenant's rows whose card number has one of these fingerprints, in order of policy version and token.
    ///
    /// # Errors
    /// [`StoreError`].
    fn by_pan(&self, tenant: &str, pan_fingerprints: &[[u8; 32]]) -> Result<Vec<Row>, StoreError>;

    /// Writes the audit record of a request for a card number and, if it is to be granted, uses a single-use token up.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release(&self, asked: &Asked<'_>, limit: RateLimit) -> Result<Released, StoreError>;

    /// Deletes a token, and the requests that had it; `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&self, tenant: &str, token: &str) -> Result<bool, StoreError>;

    /// Deletes a tenant's rows, requests, names that are bound to shards, and data keys, and returns how many rows.
    ///
    /// # Errors
    /// [`StoreError`].
    fn shred(&self, tenant: &str) -> Result<u64, StoreError>;

    /// Ends a tenant's policy version: from here on [`VaultStore::put`] takes no row under it. Returns what is recorded, which
    /// is what was said the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn replace_policy(&self, tenant: &str, version: u32, by: &Succession) -> Result<Succession, StoreError>;

    /// The tokens of a tenant's policy version with their successors, in order of the tokens, those behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn successors(
        &self,
        tenant: &str,
        version: u32,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// Some of the rows that are left, in an order of the store's choice; those behind the row `after`, as it was read.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rows_left(&self, of: &Left<'_>, after: Option<&Row>, most: usize) -> Result<Vec<Row>, StoreError>;

    /// How many rows are left.
    ///
    /// # Errors
    /// [`StoreError`].
    fn count_left(&self, of: &Left<'_>) -> Result<u64, StoreError>;

    /// Changes rows, and returns how many; one that was changed or deleted since it was read is left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    fn change(&self, rows: Vec<Changed>) -> Result<u64, StoreError>;

    /// Rows in order of their ids, those behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rows_after(&self, after: Option<RowId>, most: usize) -> Result<Vec<Row>, StoreError>;

    /// What belongs to nothing, in all tables.
    ///
    /// # Errors
    /// [`StoreError`].
    fn orphans(&self) -> Result<Vec<Orphan>, StoreError>;

    /// Counts.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stats(&self) -> Result<Stats, StoreError>;
}
