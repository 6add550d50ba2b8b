//! Making a vault and opening it: with the keys that it was made with, or not at all.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::SystemTime};

use dukpt::{Key, KeyError, KeyId, KeyStore};
use getrandom::{SysRng, rand_core::TryRng};
use p2pe_crypto::TokenError;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Header, KeyNames, RateLimit, Vault, VaultError, VaultStore};

impl<K: KeyStore> Vault<K> {
    /// Makes a vault in an empty database, with keys of kinds `hmac` and `wrap`.
    ///
    /// # Errors
    /// [`VaultError::AlreadyInitialised`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn init(rows: Arc<dyn VaultStore>, keys: K, names: KeyNames) -> Result<Self, VaultError> {
        let header = Header {
            fingerprint_check: check(&keys, &names.fingerprint)?,
            fingerprint_key: names.fingerprint,
            wrapped_check: new_key(&keys, &names.wrapping)?.1,
            wrapping_key: names.wrapping,
        };
        if !rows.initialise(&header)? {
            return Err(VaultError::AlreadyInitialised);
        }
        Self::open(rows, keys)
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// [`VaultError::NotInitialised`]; [`VaultError::WrongKey`] if a key is not the one that the vault was made with;
    /// [`VaultError::Key`], [`VaultError::Store`].
    pub fn open(rows: Arc<dyn VaultStore>, keys: K) -> Result<Self, VaultError> {
        let header = rows.header()?.ok_or(VaultError::NotInitialised)?;
        if !bool::from(check(&keys, &header.fingerprint_key)?.ct_eq(&header.fingerprint_check)) {
            return Err(VaultError::WrongKey(header.fingerprint_key));
        }
        unwrap(&keys, &header.wrapping_key, &header.wrapped_check)?;
        Ok(Self {
            rows,
            keys,
            header: RefCell::new(header),
            data_keys: RefCell::default(),
            nonces: RefCell::new(BTreeMap::new()),
            limit: RateLimit(600),
            now: || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        })
    }
}

fn check(keys: &impl KeyStore, name: &KeyId) -> Result<[u8; 32], KeyError> {
    keys.key(name)?.hmac_sha256(b"p2pe vault key check v1\0")
}

/// A random key, in clear and wrapped.
pub(crate) fn new_key(keys: &impl KeyStore, wrapping: &KeyId) -> Result<(Zeroizing<[u8; 32]>, [u8; 40]), VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut *key).map_err(|_| TokenError::Random)?;
    let wrapped = keys.key(wrapping)?.wrap(&key)?;
    Ok((key, wrapped))
}

pub(crate) fn unwrap(
    keys: &impl KeyStore,
    wrapping: &KeyId,
    wrapped: &[u8; 40],
) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    match Key::unwrap(&keys.key(wrapping)?, wrapped, &mut key) {
        Ok(()) => Ok(key),
        Err(KeyError::NotWrapped) => Err(VaultError::WrongKey(wrapping.clone())),
        Err(error) => Err(error.into()),
    }
}
