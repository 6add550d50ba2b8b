//! What a vault's database keeps, and what it answers.

use std::{fmt, sync::Arc};

use dukpt::KeyId;
use p2pe_crypto::Purpose;

/// What the vault was made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The HMAC keys of the fingerprints, in order of their versions. New rows get the last; before that are those which a
    /// rotation has not emptied yet.
    pub fingerprint_keys: Vec<FingerprintKey>,
    /// The key that wraps new data keys.
    pub wrapping_key: KeyId,
    /// A data key of nobody, wrapped, by which that key is recognised.
    pub wrapped_check: [u8; 40],
    /// Which part of a set of vaults this one is; `None` for one that stands alone.
    pub shard: Option<Shard>,
}

/// One of the vaults over which cards are spread ([`crate::ShardedVault`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shard {
    /// The name of the set: random.
    pub set: [u8; 16],
    /// 1, 2, 3 …
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The HMAC key that says which card belongs to which shard.
    pub routing_key: KeyId,
    /// An HMAC of the first three, by which that key is recognised.
    pub check: [u8; 32],
}

/// An HMAC key of fingerprints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FingerprintKey {
    /// 1, 2, 3 …
    pub version: u32,
    /// Its name in the key store.
    pub key: KeyId,
    /// An HMAC by which it is recognised.
    pub check: [u8; 32],
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
    /// The fingerprint key of the next two.
    pub print_version: u32,
    /// HMAC of what the token is for, with its tenant: the card number, or card number and expiry date.
    pub fingerprint: [u8; 32],
    /// HMAC of the card number alone; the same as `fingerprint` if the token has no expiry date.
    pub pan_fingerprint: [u8; 32],
    /// The data key that the card number is sealed under.
    pub key_version: u32,
    /// The nonce it is sealed with.
    pub nonce: u64,
    /// Card number and expiry date, encrypted, and their tag.
    pub sealed: Vec<u8>,
    /// Unix time in seconds when the token ends.
    pub ends: Option<u64>,
    /// Whether it works once.
    pub single_use: bool,
    /// Whether it was used.
    pub used: bool,
    /// The token that the card has under the policy's successor.
    pub successor: Option<String>,
}

/// A row that is to be stored.
#[derive(Clone, Debug)]
pub struct New {
    /// With the newest fingerprint key and the tenant's newest data key.
    pub row: Row,
    /// Its `fingerprint` under each older key of the header.
    pub earlier: Vec<[u8; 32]>,
    /// The named request, if it has a name.
    pub request: Option<Request>,
}

/// The name of a request, by which it is recognised when it is sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Of the tenant's choice.
    pub name: String,
    /// Unix time in seconds when it is forgotten, if it is new.
    pub ends: u64,
}

/// The shard that the name of a request is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Its number.
    pub shard: u32,
    /// Unix time in seconds when the name is free again.
    pub ends: u64,
}

/// What became of a row that was to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// Stored.
    Stored,
    /// The card, or the request, has this token already.
    Has(String),
    /// The request was made before for another card or policy.
    RequestReused,
    /// The token is another card's: draw again.
    TokenTaken,
    /// Fingerprint or data key is not the newest: make the row again.
    OldKey,
    /// The policy version has a successor, and takes no new rows.
    PolicyReplaced,
}

/// New contents of a row.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The row as it is to be. Its id, tenant, policy, token and kind of use are as they were.
    pub row: Row,
    /// The data key it was on …
    pub from_key: u32,
    /// … with this nonce …
    pub from_nonce: u64,
    /// … and the fingerprint key.
    pub from_print: u32,
}

/// The rows that a rotation has still to move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left<'a> {
    /// Those of a tenant on data keys before this version.
    DataKey {
        /// Whose.
        tenant: &'a str,
        /// The version that they are moved to.
        to: u32,
    },
    /// Those on fingerprint keys before this version.
    FingerprintKey {
        /// The version that they are moved to.
        to: u32,
    },
    /// Multi-use rows of a tenant's policy version that end after this time, or never.
    Policy {
        /// Whose.
        tenant: &'a str,
        /// The version that they were made under.
        version: u32,
        /// Unix time in seconds.
        ends: u64,
    },
}

/// What comes after a policy version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Succession {
    /// The version of its successor.
    pub by: u32,
    /// Unix time in seconds when its tokens end.
    pub ends: u64,
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

/// What belongs to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Orphan {
    /// A row whose data key is not there.
    NoKey(RowId),
    /// A row whose nonce was not set aside: the counter was set back.
    Nonce(RowId),
    /// A remembered request, by tenant and name, whose row is not there.
    Request(String, String),
    /// A row whose token or card belongs to another shard: nobody looks for it here.
    Misplaced(RowId),
}

/// What is in the database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Rows by tenant and data key, with the key that wraps it.
    pub keys: Vec<KeyCount>,
    /// Fingerprint keys by version, and the rows on each.
    pub fingerprint_keys: Vec<(FingerprintKey, u64)>,
    /// Rows by tenant and policy version.
    pub policies: Vec<PolicyCount>,
    /// Named requests that are remembered.
    pub requests: u64,
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

/// A policy version, and the rows made under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyCount {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub version: u32,
    /// Rows made under it that are still there.
    pub rows: u64,
    /// What comes after it, if it was replaced.
    pub succession: Option<Succession>,
}

/// A database that does not do its work.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Made by a newer version of this library.
    #[error("the database has schema {0}, which this version does not know")]
    NewerSchema(i64),
    /// A value that cannot be, in the named column.
    #[error("the database holds a value that cannot be, in {0}")]
    Malformed(&'static str),
    /// Not a URL that can be opened; why.
    #[error("the database's URL: {0}")]
    Address(&'static str),
    /// The server does not keep what it confirms: `fsync` or `full_page_writes` is off, or it has no serializable transactions.
    #[error("the server does not keep what it confirms: fsync or full_page_writes is off")]
    NotDurable,
    /// No answer before the deadline. Whether it was done is unknown: ask again.
    #[error("the database does not answer: {0}")]
    Unavailable(Arc<dyn std::error::Error + Send + Sync>),
    /// No space is left for the database; nothing was stored.
    #[error("no space is left for the database")]
    Full,
    /// The database itself.
    #[error("database: {0}")]
    Database(Arc<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NewerSchema(_) => "database_newer",
            Self::Malformed(_) => "database_malformed",
            Self::Address(_) => "database_address",
            Self::NotDurable => "database_not_durable",
            Self::Unavailable(_) => "database_unavailable",
            Self::Full => "database_full",
            Self::Database(_) => "database",
        }
    }
}
