//! A policy version and its successor: each card gets a token of the new version, and the old token a date at which it ends.

use std::collections::BTreeMap;

use dukpt::KeyStore;
use p2pe_crypto::{MerchantId, Policy, Uses};

use super::changed;
use crate::{Card, Left, RowId, Succession, Vault, VaultError};

/// What the rotation of a policy did. Of the multi-use tokens of the old version, none but those that were refused lives
/// longer than to its date: the database looked.
#[derive(Debug)]
pub struct PolicyRotation {
    /// How many tokens got a successor now.
    pub moved: u64,
    /// Tokens that the new policy has no successor for. They stay as they were.
    pub refused: Vec<Refused>,
}

/// A token without a successor.
#[derive(Debug)]
pub struct Refused {
    /// Its row.
    pub row: RowId,
    /// Its text.
    pub token: String,
    /// Why.
    pub error: VaultError,
}

impl<K: KeyStore> Vault<K> {
    /// Replaces version `version` of a merchant's policy by `policy`: no card gets a token of the old version any more, each
    /// multi-use token of it gets a successor, and ends at `ends` (Unix seconds) if it does not end by itself before that.
    /// Until then both lead back. Single-use tokens are left to their use. `progress` gets how many tokens got a successor
    /// and about how many are left. Interrupted, it is called again with the same arguments.
    ///
    /// [`Vault::successors`] lists old and new tokens, for the merchant.
    ///
    /// # Errors
    /// [`VaultError::Succession`] for a successor of single use or of the same version, and when the version was replaced
    /// otherwise before; [`VaultError::PolicyReplaced`] if the successor was replaced itself; [`VaultError::Corrupted`],
    /// [`VaultError::KeySpent`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn rotate_policy(
        &self,
        version: u32,
        policy: &Policy,
        ends: u64,
        progress: impl FnMut(u64, u64),
    ) -> Result<PolicyRotation, VaultError> {
        let tenant = policy.merchant().as_str();
        let by = Succession { by: policy.version(), ends };
        if policy.uses() == Uses::Single
            || policy.version() == version
            || self.rows.replace_policy(tenant, version, &by)? != by
        {
            return Err(VaultError::Succession);
        }
        let left = Left::Policy { tenant, version, ends };
        let refused = std::cell::RefCell::new(BTreeMap::new());
        let moved = self.sweep(
            &left,
            progress,
            |mut rows| {
                rows.retain(|(row, _)| !refused.borrow().contains_key(&row.id));
                let cards: Vec<Card<'_>> = rows
                    .iter()
                    .map(|(_, card)| Card { pan: &card.pan, expiry: card.expiry.filter(|_| policy.has_expiry()) })
                    .collect();
                let tokens = self.issue(policy, &cards, None)?;
                let mut moved = Vec::with_capacity(rows.len());
                for ((row, card), token) in rows.into_iter().zip(tokens) {
                    let successor = match token {
                        Ok(token) => token,
                        Err(VaultError::PolicyReplaced) => return Err(VaultError::PolicyReplaced),
                        Err(error) => {
                            let found = Refused { row: row.id, token: row.token, error };
                            refused.borrow_mut().insert(row.id, found);
                            continue;
                        }
                    };
                    let (key_version, key) = self.newest_key(tenant)?;
                    let Some(nonce) = self.nonce(tenant, key_version, 1)? else {
                        self.forget_newest(tenant);
                        break;
                    };
                    let mut change = changed(row);
                    (change.row.key_version, change.row.nonce) = (key_version, nonce);
                    (change.row.ends, change.row.successor) = (Some(ends), Some(successor));
                    change.row.sealed = key.seal(&change.row, (&card).into()).ok_or(VaultError::KeySpent)?;
                    moved.push(change);
                }
                Ok(moved)
            },
            || Ok(self.rows.count_left(&left)? <= refused.borrow().len() as u64),
        )?;
        Ok(PolicyRotation { moved, refused: refused.into_inner().into_values().collect() })
    }

    /// The tokens of a replaced policy version, each with its successor, in order of the tokens: up to `most` behind the token
    /// `after`, or from the first if that is empty.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn successors(
        &self,
        merchant: &MerchantId,
        version: u32,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, String)>, VaultError> {
        Ok(self.rows.successors(merchant.as_str(), version, after, most)?)
    }
}
