//! Making a vault and opening it: with the keys that it was made with, or not at all.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use dukpt::{Key, KeyError, KeyId, KeyStore};
use getrandom::{SysRng, rand_core::TryRng};
use p2pe_crypto::TokenError;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    FingerprintKey, Header, KeyNames, RateLimit, Vault, VaultError, VaultStore, fingerprint::check, passes_self_test,
};

impl<K: KeyStore> Vault<K> {
    /// Makes a vault in an empty database, with keys of kinds `hmac` and `wrap`.
    ///
    /// # Errors
    /// [`VaultError::AlreadyInitialised`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn init(rows: Arc<dyn VaultStore>, keys: K, names: KeyNames) -> Result<Self, VaultError> {
        let check = check(&keys, &names.fingerprint)?;
        let header = Header {
            fingerprint_keys: vec![FingerprintKey { version: 1, key: names.fingerprint, check }],
            wrapped_check: new_key(&keys, &names.wrapping)?.1,
            wrapping_key: names.wrapping,
            shard: None,
        };
        if !rows.initialise(&header)? {
            return Err(VaultError::AlreadyInitialised);
        }
        Self::open(rows, keys)
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// [`VaultError::NotInitialised`]; [`VaultError::Shard`]; [`VaultError::WrongKey`] if a key is not the one that the vault
    /// was made with; [`VaultError::Key`], [`VaultError::Store`].
    pub fn open(rows: Arc<dyn VaultStore>, keys: K) -> Result<Self, VaultError> {
        let header = rows.header()?.ok_or(VaultError::NotInitialised)?;
        match header.shard {
            Some(shard) => Err(VaultError::Shard(shard.number, shard.of)),
            None => Self::with_header(rows, Rc::new(keys), header),
        }
    }

    /// Opens a vault that has this header, alone or a shard.
    pub(crate) fn with_header(rows: Arc<dyn VaultStore>, keys: Rc<K>, header: Header) -> Result<Self, VaultError> {
        if !passes_self_test(false) {
            return Err(KeyError::SelfTest("aes-gcm").into());
        }
        for FingerprintKey { key, check: right, .. } in &header.fingerprint_keys {
            if !bool::from(check(&*keys, key)?.ct_eq(right)) {
                return Err(VaultError::WrongKey(key.clone()));
            }
        }
        unwrap(&*keys, &header.wrapping_key, &header.wrapped_check)?;
        Ok(Self {
            rows,
            keys,
            header: RefCell::new(Rc::new(header)),
            newest: RefCell::default(),
            data_keys: RefCell::default(),
            nonces: RefCell::default(),
            limit: RateLimit(600),
            remembered: Duration::from_secs(24 * 60 * 60),
            now: clock,
        })
    }

    pub(crate) fn header(&self) -> Rc<Header> {
        Rc::clone(&self.header.borrow())
    }

    /// Reads the header again: a rotation may have changed it.
    pub(crate) fn reload(&self) -> Result<Rc<Header>, VaultError> {
        let header = Rc::new(self.rows.header()?.ok_or(VaultError::NotInitialised)?);
        *self.header.borrow_mut() = Rc::clone(&header);
        Ok(header)
    }
}

/// The system's, in Unix seconds.
pub(crate) fn clock() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
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
