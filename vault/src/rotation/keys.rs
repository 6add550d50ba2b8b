//! Data keys and the key that wraps them.

use dukpt::{KeyId, KeyStore};
use p2pe_crypto::MerchantId;

use super::{Rotation, changed};
use crate::{
    Left, StoredKey, Vault, VaultError,
    open::{new_key, unwrap},
};

impl<K: KeyStore> Vault<K> {
    /// Moves a merchant's rows to a new data key and removes the old ones. `progress` gets how many rows were moved and about how
    /// many are left. Interrupted, it is called again and goes on with the same new key.
    ///
    /// # Errors
    /// [`VaultError::Unknown`] for a merchant without a data key; [`VaultError::Corrupted`] for a row that does not decrypt:
    /// it stays where it is, and the old key with it; [`VaultError::KeySpent`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn rotate_data_key(
        &self,
        merchant: &MerchantId,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotation, VaultError> {
        let tenant = merchant.as_str();
        let (newest, interrupted) = self.newest_and_left(tenant)?.ok_or(VaultError::Unknown)?;
        if !interrupted {
            self.add_key(tenant, Some(newest))?;
        }
        self.forget_newest(tenant);
        let (to, key) = self.newest_key(tenant)?;
        let moved = self.sweep(
            &Left::DataKey { tenant, to },
            progress,
            |rows| {
                let mut moved = Vec::with_capacity(rows.len());
                let count = rows.len();
                for (row, card) in rows {
                    // Another rotation may have come after this one and removed its key: then it does the rest.
                    let Some(nonce) = self.nonce(tenant, to, count - moved.len())? else { break };
                    let mut change = changed(row);
                    (change.row.key_version, change.row.nonce) = (to, nonce);
                    change.row.sealed = key.seal(&change.row, (&card).into()).ok_or(VaultError::KeySpent)?;
                    moved.push(change);
                }
                Ok(moved)
            },
            || Ok(self.rows.remove_keys_before(tenant, to)?),
        )?;
        self.forget_keys(tenant, to);
        Ok(Rotation { key: format!("{tenant} {to}"), moved })
    }

    /// The version of a tenant's newest data key, if it has one, and whether a rotation has left rows on an older one.
    pub(crate) fn newest_and_left(&self, tenant: &str) -> Result<Option<(u32, bool)>, VaultError> {
        let Some(StoredKey { version: to, .. }) = self.rows.key(tenant, None)? else { return Ok(None) };
        Ok(Some((to, self.rows.count_left(&Left::DataKey { tenant, to })? > 0)))
    }

    /// Wraps all data keys with another key of the store, which must have both until this is done. `progress` gets how many were
    /// wrapped and how many are left. Interrupted, it is called again.
    ///
    /// # Errors
    /// [`VaultError::WrongKey`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn rotate_wrapping_key(
        &self,
        wrapping: &KeyId,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Rotation, VaultError> {
        // First the header: from here on the database takes no data key under the old one.
        self.rows.set_wrapping(wrapping, new_key(&*self.keys, wrapping)?.1)?;
        self.reload()?;
        let mut moved = 0;
        loop {
            let (keys, left) = self.rows.not_wrapped_by(wrapping)?;
            progress(moved, left);
            if keys.is_empty() {
                break;
            }
            for (tenant, old) in keys {
                let key = unwrap(&*self.keys, &old.wrapped_by, &old.wrapped)?;
                let wrapped = dukpt::Key::wrap(&self.keys.key(wrapping)?, &key)?;
                self.rows.rewrap(&tenant, &StoredKey { wrapped_by: wrapping.clone(), wrapped, ..old })?;
                moved += 1;
            }
        }
        Ok(Rotation { key: wrapping.to_string(), moved })
    }
}
