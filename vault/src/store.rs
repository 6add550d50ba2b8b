//! What a database must do for a vault. It sees tokens, fingerprints and sealed card numbers, never a clear one.

use std::fmt;

use dukpt::KeyId;
use p2pe_crypto::Purpose;

/// A database of rows. Each call is one transaction, durable when it returns.
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

    /// Sets the wrapping key that new data keys get.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_wrapping(&self, header: &Header) -> Result<(), StoreError>;

    /// A tenant's data key of this version, or its newest.
    ///
    /// # Errors
    /// [`StoreError`].
    fn key(&self, tenant: &str, version: Option<u32>) -> Result<Option<StoredKey>, StoreError>;

    /// Adds a tenant's data key. `false`, and nothing is added, if the version is not the one behind the newest, or if it is
    /// not wrapped by the key of the header.
    ///
    /// # Errors
    /// [`StoreError`].
    fn add_key(&self, tenant: &str, key: &StoredKey) -> Result<bool, StoreError>;

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

    /// Stores rows, each as if it came alone.
    ///
    /// # Errors
    /// [`StoreError`]; then none is stored.
    fn put(&self, rows: &[Row], now: u64) -> Result<Vec<Put>, StoreError>;

    /// The row of a tenant's token.
    ///
    /// # Errors
    /// [`StoreError`].
    fn by_token(&self, tenant: &str, token: &str) -> Result<Option<Row>, StoreError>;

    /// Writes the audit record of a request for a card number and, if it is to be granted, uses a single-use token up.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release(&self, asked: &Asked<'_>, limit: RateLimit) -> Result<Released, StoreError>;

    /// Deletes a token; `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&self, tenant: &str, token: &str) -> Result<bool, StoreError>;

    /// Deletes a tenant's rows and data keys, and returns how many rows.
    ///
    /// # Errors
    /// [`StoreError`].
    fn shred(&self, tenant: &str) -> Result<u64, StoreError>;

    /// Some of a tenant's rows on data keys before `version`, and how many there are in all.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rows_before(&self, tenant: &str, version: u32, most: usize) -> Result<(Vec<Row>, u64), StoreError>;

    /// Replaces what is sealed; a row that was changed or deleted since is left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reseal(&self, rows: &[Resealed]) -> Result<(), StoreError>;

    /// Deletes a tenant's data keys before `version`, unless a row is on one of them: then `false`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_keys_before(&self, tenant: &str, version: u32) -> Result<bool, StoreError>;

    /// Rows in order of their ids, those behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rows_after(&self, after: Option<RowId>, most: usize) -> Result<Vec<Row>, StoreError>;

    /// Counts.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stats(&self) -> Result<Stats, StoreError>;
}

/// What the vault was made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The HMAC key of the fingerprints.
    pub fingerprint_key: KeyId,
    /// An HMAC by which that key is recognised.
    pub fingerprint_check: [u8; 32],
    /// The key that wraps new data keys.
    pub wrapping_key: KeyId,
    /// A data key of nobody, wrapped, by which that key is recognised.
    pub wrapped_check: [u8; 40],
}

/// A tenant's data key as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredKey {
    /// 1, 2, 3 …
    pub version: u32,
    /// The key that wraps it.
    pub wrapped_by: KeyId,
    /// The key, wrapped.
    pub wrapped: [u8; 40],
}

/// The name of a row: 16 random bytes, shown as hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub [u8; 16]);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowId({self})")
    }
}

/// A token and its card number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name.
    pub id: RowId,
    /// Whose it is.
    pub tenant: String,
    /// Version of the policy that it was made under.
    pub policy: u32,
    /// The token's text.
    pub token: String,
    /// HMAC of tenant and card number.
    pub fingerprint: [u8; 32],
    /// The data key that the card number is sealed under.
    pub key_version: u32,
    /// The nonce it is sealed with.
    pub nonce: u64,
    /// The card number, encrypted, and its tag.
    pub sealed: Vec<u8>,
    /// Unix time in seconds when the token ends.
    pub ends: Option<u64>,
    /// Whether it works once.
    pub single_use: bool,
    /// Whether it was used.
    pub used: bool,
    /// The request that made it, if it had a name.
    pub request: Option<String>,
}

/// What became of a row that was to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// Stored.
    Stored,
    /// The card number, or the request, has this token already.
    Has(String),
    /// The request was made before for another card number.
    RequestReused,
    /// The token is another card number's: draw again.
    TokenTaken,
    /// The data key is not the tenant's newest: seal again.
    OldKey,
}

/// New contents of a row.
#[derive(Clone, Debug)]
pub struct Resealed {
    /// Which.
    pub id: RowId,
    /// The data key it was on.
    pub from: u32,
    /// The data key it is on now.
    pub to: u32,
    /// With which nonce.
    pub nonce: u64,
    /// The card number, encrypted, and its tag.
    pub sealed: Vec<u8>,
}

/// A request for a card number, for the audit.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asked.
    pub caller: &'a str,
    /// Whose token it is said to be.
    pub tenant: &'a str,
    /// The row, if there is one. The text that was asked for is not kept: it could be anything.
    pub row: Option<RowId>,
    /// What for.
    pub purpose: Purpose,
    /// When, in Unix seconds.
    pub time: u64,
    /// What the vault would answer.
    pub outcome: Outcome,
}

/// The answer to a request for a card number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The card number is handed out.
    Granted,
    /// There is no such token.
    Unknown,
    /// The token has ended.
    Ended,
    /// The token was used before.
    Used,
    /// The policy does not permit the purpose.
    Purpose,
    /// The row is corrupted.
    Corrupted,
}

impl Outcome {
    /// The name in audit records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Used => "used",
            Self::Purpose => "purpose",
            Self::Corrupted => "corrupted",
        }
    }
}

/// How many card numbers a caller may ask for within 60 seconds, granted or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit(pub u32);

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Released {
    /// Recorded with this outcome.
    Recorded(Outcome),
    /// Over the limit: not recorded, not granted.
    RateLimited,
}

/// What is in the database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Rows by tenant and data key, with the key that wraps it.
    pub keys: Vec<KeyCount>,
    /// Audit records.
    pub audit: u64,
}

/// A data key, and the rows on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyCount {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub version: u32,
    /// Name of the key that wraps it.
    pub wrapped_by: String,
    /// Rows sealed under it.
    pub rows: u64,
    /// Nonces set aside, of 2^32.
    pub nonces: u64,
}

/// A database that does not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Made by a newer version of this library.
    #[error("the database has schema {0}, which this version does not know")]
    NewerSchema(i64),
    /// A value that cannot be, in the named column.
    #[error("the database holds a value that cannot be, in {0}")]
    Malformed(&'static str),
    /// The database itself.
    #[error("database: {0}")]
    Database(Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NewerSchema(_) => "database_newer",
            Self::Malformed(_) => "database_malformed",
            Self::Database(_) => "database",
        }
    }
}
