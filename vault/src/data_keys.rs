//! The tenants' data keys while they are at work: unwrapped once, kept in wiped host memory as long as the `Vault` lives.

use std::rc::Rc;

use dukpt::KeyStore;
use p2pe_crypto::MerchantId;

use crate::{
    StoredKey, Vault, VaultError,
    open::{new_key, unwrap},
    seal::DataKey,
};

/// So many nonces are set aside at once at least, and for a batch enough for some more of its size.
const NONCES: u64 = 256;
const BATCHES: u64 = 16;

impl<K: KeyStore> Vault<K> {
    /// A tenant's newest data key, as far as this vault knows; the first token makes the first one.
    pub(crate) fn newest_key(&self, tenant: &str) -> Result<(u32, Rc<DataKey>), VaultError> {
        if let Some(version) = self.newest.borrow().get(tenant)
            && let Some(key) = self.data_keys.borrow().get(&(tenant.into(), *version))
        {
            return Ok((*version, Rc::clone(key)));
        }
        let stored = match self.rows.key(tenant, None)? {
            Some(stored) => stored,
            None => {
                self.add_key(tenant, None)?;
                self.rows.key(tenant, None)?.ok_or(VaultError::Unknown)?
            }
        };
        let key = self.unwrapped(tenant, &stored)?;
        self.newest.borrow_mut().insert(tenant.into(), stored.version);
        Ok((stored.version, key))
    }

    /// Looks for the tenant's newest data key again when it is asked for.
    pub(crate) fn forget_newest(&self, tenant: &str) {
        self.newest.borrow_mut().remove(tenant);
    }

    /// Adds a data key behind the tenant's newest, unless another caller was faster.
    pub(crate) fn add_key(&self, tenant: &str, newest: Option<u32>) -> Result<(), VaultError> {
        // The wrapping key may have been changed since this vault was opened.
        let header = self.reload()?;
        let (_, wrapped) = new_key(&*self.keys, &header.wrapping_key)?;
        self.rows.add_key(tenant, newest, &header.wrapping_key, wrapped)?;
        self.forget_newest(tenant);
        Ok(())
    }

    /// # Errors
    /// [`VaultError::Unknown`] if there is none of this version.
    pub(crate) fn data_key(&self, tenant: &str, version: u32) -> Result<Rc<DataKey>, VaultError> {
        if let Some(key) = self.data_keys.borrow().get(&(tenant.into(), version)) {
            return Ok(Rc::clone(key));
        }
        let stored = self.rows.key(tenant, Some(version))?.ok_or(VaultError::Unknown)?;
        self.unwrapped(tenant, &stored)
    }

    fn unwrapped(&self, tenant: &str, stored: &StoredKey) -> Result<Rc<DataKey>, VaultError> {
        let place = (tenant.to_owned(), stored.version);
        if let Some(key) = self.data_keys.borrow().get(&place) {
            return Ok(Rc::clone(key));
        }
        let key = Rc::new(DataKey::new(&*unwrap(&*self.keys, &stored.wrapped_by, &stored.wrapped)?));
        self.data_keys.borrow_mut().insert(place, Rc::clone(&key));
        Ok(key)
    }

    /// A nonce that no process has had for this key, and none will, of so many that are wanted now; `None` if the key is no
    /// more.
    pub(crate) fn nonce(&self, tenant: &str, version: u32, wanted: usize) -> Result<Option<u64>, VaultError> {
        let mut all = self.nonces.borrow_mut();
        let own = all.entry((tenant.into(), version)).or_insert(0..0);
        if own.is_empty() {
            let count = if wanted == 1 { NONCES } else { NONCES.max(BATCHES * wanted as u64) };
            *own = match self.rows.reserve_nonces(tenant, version, count)? {
                Some(first) => first..first + count,
                None if self.rows.key(tenant, Some(version))?.is_some() => return Err(VaultError::KeySpent),
                None => return Ok(None),
            };
        }
        Ok(own.next())
    }

    /// Deletes all of a merchant's tokens and its data keys: what is left in backups, nobody can decrypt but with a backup
    /// of the keys. Returns how many tokens.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn shred(&self, merchant: &MerchantId) -> Result<u64, VaultError> {
        let tenant = merchant.as_str();
        self.forget_keys(tenant, u32::MAX);
        Ok(self.rows.shred(tenant)?)
    }

    /// Wipes the tenant's data keys before `version`.
    pub(crate) fn forget_keys(&self, tenant: &str, version: u32) {
        self.forget_newest(tenant);
        self.data_keys.borrow_mut().retain(|(owner, old), _| owner != tenant || *old >= version);
        self.nonces.borrow_mut().retain(|(owner, old), _| owner != tenant || *old >= version);
    }
}
