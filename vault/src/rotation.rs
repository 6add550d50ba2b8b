//! Rotation while the vault serves: each step is a transaction, and a rotation that was interrupted goes on where it stopped.

use dukpt::{KeyId, KeyStore};
use p2pe_crypto::MerchantId;

use crate::{
    Header, Resealed, Row, StoredKey, Vault, VaultError,
    open::{new_key, unwrap},
    vault::Opened,
};

const GROUP: usize = 200;

/// What a rotation did. When it is returned, nothing is left on an old key: the database looked before it removed them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// The key that everything is on now.
    pub key: String,
    /// How many rows or data keys were moved to it.
    pub moved: u64,
}

impl<K: KeyStore> Vault<K> {
    /// Moves a merchant's rows to a new data key and removes the old ones. `progress` gets how many rows were moved and how many
    /// are left. Interrupted, it is called again and goes on with the same new key.
    ///
    /// # Errors
    /// [`VaultError::Unknown`] for a merchant without a data key; [`VaultError::Corrupted`] for a row that does not decrypt:
    /// it stays where it is, and the old key with it; [`VaultError::KeySpent`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn rotate_data_key(
        &self,
        merchant: &MerchantId,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Rotation, VaultError> {
        let tenant = merchant.as_str();
        let newest = self.rows.key(tenant, None)?.ok_or(VaultError::Unknown)?.version;
        let interrupted = self.rows.rows_before(tenant, newest, 1)?.1 > 0;
        if !interrupted {
            self.add_key(tenant, newest + 1)?;
        }
        let (version, key) = self.newest_key(tenant)?;
        let mut moved = 0;
        loop {
            let (rows, left) = self.rows.rows_before(tenant, version, GROUP)?;
            progress(moved, left);
            if rows.is_empty() {
                // A row may have been put on an old key between the two calls; the database looks again.
                if self.rows.remove_keys_before(tenant, version)? {
                    break;
                }
                continue;
            }
            let mut resealed = Vec::with_capacity(rows.len());
            for row in rows {
                let pan = match self.open_row(&row)? {
                    Opened::Pan(pan) => pan,
                    Opened::Corrupted => return Err(VaultError::Corrupted(row.id)),
                    Opened::Gone => continue,
                };
                // Another rotation may have come after this one and removed its key: then it does the rest.
                let Some(nonce) = self.nonce(tenant, version)? else { break };
                let from = row.key_version;
                let row = Row { key_version: version, nonce, ..row };
                let sealed = key.seal(&row, &pan).ok_or(VaultError::KeySpent)?;
                resealed.push(Resealed { id: row.id, from, to: version, nonce: row.nonce, sealed });
            }
            self.rows.reseal(&resealed)?;
            moved += resealed.len() as u64;
        }
        self.data_keys.borrow_mut().retain(|(owner, old), _| owner != tenant || *old >= version);
        Ok(Rotation { key: format!("{tenant} {version}"), moved })
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
        let header = self.rows.header()?.ok_or(VaultError::NotInitialised)?;
        let header =
            Header { wrapping_key: wrapping.clone(), wrapped_check: new_key(&self.keys, wrapping)?.1, ..header };
        self.rows.set_wrapping(&header)?;
        *self.header.borrow_mut() = header;
        let mut moved = 0;
        loop {
            let (keys, left) = self.rows.not_wrapped_by(wrapping)?;
            progress(moved, left);
            if keys.is_empty() {
                break;
            }
            for (tenant, old) in keys {
                let key = unwrap(&self.keys, &old.wrapped_by, &old.wrapped)?;
                let wrapped = dukpt::Key::wrap(&self.keys.key(wrapping)?, &key)?;
                self.rows.rewrap(&tenant, &StoredKey { wrapped_by: wrapping.clone(), wrapped, ..old })?;
                moved += 1;
            }
        }
        Ok(Rotation { key: wrapping.to_string(), moved })
    }
}
