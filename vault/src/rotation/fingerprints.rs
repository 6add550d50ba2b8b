//! The key of the fingerprints. While rows move to another one, a card is looked for under both.

use dukpt::{KeyId, KeyStore};

use super::{Rotation, changed};
use crate::{
    Card, FingerprintKey, Left, Vault, VaultError,
    fingerprint::{check, prints},
};

impl<K: KeyStore> Vault<K> {
    /// Makes all fingerprints again under another key of the store, which must have both until this is done, and drops the old
    /// keys. `progress` gets how many rows were moved and about how many are left. Interrupted, it is called again.
    ///
    /// # Errors
    /// [`VaultError::Corrupted`] for a row that does not decrypt: it stays where it is, and the old key with it;
    /// [`VaultError::Key`], [`VaultError::Store`].
    pub fn rotate_fingerprint_key(&self, key: &KeyId, progress: impl FnMut(u64, u64)) -> Result<Rotation, VaultError> {
        let newest = self.reload()?.fingerprint_keys.last().cloned().ok_or(VaultError::NotInitialised)?;
        let interrupted = newest.key == *key;
        if !interrupted {
            let check = check(&*self.keys, key)?;
            // `false`: another rotation was faster.
            self.rows.add_fingerprint_key(&FingerprintKey { version: newest.version + 1, key: key.clone(), check })?;
        }
        let newest = self.reload()?.fingerprint_keys.last().cloned().ok_or(VaultError::NotInitialised)?;
        let to = newest.version;
        let moved = self.sweep(
            &Left::FingerprintKey { to },
            progress,
            |rows| {
                let mut moved = Vec::with_capacity(rows.len());
                for (row, card) in rows {
                    let tenant = row.tenant.clone();
                    let mut change = changed(row);
                    for prints in prints(&*self.keys, &newest.key, &tenant, [Card::from(&card)].into_iter())? {
                        (change.row.fingerprint, change.row.pan_fingerprint) = (prints.card, prints.pan);
                    }
                    change.row.print_version = to;
                    moved.push(change);
                }
                Ok(moved)
            },
            || Ok(self.rows.remove_fingerprint_keys_before(to)?),
        )?;
        self.reload()?;
        Ok(Rotation { key: newest.key.to_string(), moved })
    }
}
