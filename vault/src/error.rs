//! Why the vault did not do what it was asked.

use dukpt::{KeyError, KeyId};
use p2pe_crypto::TokenError;

use crate::{RowId, StoreError};

/// A request that was not fulfilled.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The card number, the policy or the text of the token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No such token at this merchant, or it has ended or was used: it is not told which.
    #[error("unknown token")]
    Unknown,
    /// The policy does not let its tokens be led back for this.
    #[error("the policy does not permit this purpose")]
    Purpose,
    /// The caller asked too often within a minute.
    #[error("the caller has asked too often: wait")]
    RateLimited,
    /// The same request was made before, for another card or under another policy version.
    #[error("the same request was made before for another card or policy")]
    RequestReused,
    /// The policy wants an expiry date with the card number and there is none, or the other way round.
    #[error("an expiry date belongs to the card number if the policy says so, and only then")]
    Expiry,
    /// The policy version was replaced: tokenize under its successor.
    #[error("the policy version was replaced and takes no new cards")]
    PolicyReplaced,
    /// A policy version is replaced by a multi-use one of another version; its successor and date stay as they were first said.
    #[error("a policy version is replaced once, by another version of multi-use tokens")]
    Succession,
    /// The name of a caller or request is empty, over 64 bytes or has control characters.
    #[error("a caller or request has 1 to 64 bytes and no control characters")]
    Name,
    /// The tenant's data key has encrypted as much as it may: rotate it.
    #[error("the data key has no nonces left: rotate it")]
    KeySpent,
    /// A row that does not decrypt, or not to what its fingerprint says. It is not returned.
    #[error("row {0} is corrupted")]
    Corrupted(RowId),
    /// The database holds no vault yet.
    #[error("the database holds no vault")]
    NotInitialised,
    /// The database holds a vault already.
    #[error("the database holds a vault already")]
    AlreadyInitialised,
    /// The database is this shard of so many: they are opened together only ([`crate::ShardedVault`]).
    #[error("the database is shard {0} of {1}: open all of them together")]
    Shard(u32, u32),
    /// The databases are not the shards of one set, each of them once; why.
    #[error("the databases are no set: {0}")]
    NoSet(&'static str),
    /// The key store has another key of this name than the vault was made with.
    #[error("key {0} is not the one that the vault was made with")]
    WrongKey(KeyId),
    /// The key store.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VaultError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(error) => error.code(),
            Self::Unknown => "unknown_token",
            Self::Purpose => "purpose_not_permitted",
            Self::RateLimited => "rate_limited",
            Self::RequestReused => "request_reused",
            Self::Expiry => "expiry_and_policy",
            Self::PolicyReplaced => "policy_replaced",
            Self::Succession => "policy_succession",
            Self::Name => "name_format",
            Self::KeySpent => "data_key_spent",
            Self::Corrupted(_) => "row_corrupted",
            Self::NotInitialised => "vault_not_initialised",
            Self::AlreadyInitialised => "vault_already_initialised",
            Self::Shard(..) => "vault_is_shard",
            Self::NoSet(_) => "vault_no_set",
            Self::WrongKey(_) => "vault_wrong_key",
            Self::Key(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}
