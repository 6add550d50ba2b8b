//! A key inside the token, and what each kind may be asked.

use std::{fmt, sync::Arc};

use dukpt::{
    Key, KeyError,
    aes::{Derivation, Purpose},
    tdes::{InitialKey, Ksn},
};

use crate::{Pkcs11Store, direct::Object, kind, store::Stored};

/// A key of a [`Pkcs11Store`]. Dropping a derived one destroys it in the token.
pub struct Pkcs11Key<'s> {
    store: &'s Pkcs11Store,
    held: Held,
}

pub(crate) enum Held {
    Stored(Arc<Stored>),
    Derived { object: Object, purpose: Purpose },
}

impl<'s> Pkcs11Key<'s> {
    pub(crate) fn new(store: &'s Pkcs11Store, held: Held) -> Self {
        Self { store, held }
    }
}

impl Key for Pkcs11Key<'_> {
    fn derive(&self, step: &Derivation) -> Result<Self, KeyError> {
        const MECHANISM: &str = "CKM_AES_ECB_ENCRYPT_DATA";
        let template = kind::derived(step.key_type(), step.purpose());
        let object = match &self.held {
            Held::Stored(stored) => {
                self.store.destroy_leftovers()?;
                self.store.run(stored, MECHANISM, |direct, key| {
                    direct.derive(key.aes_base(step.key_type())?, step.data(), &template)
                })?
            }
            Held::Derived { object, purpose: Purpose::Derive } => {
                let child = self.store.direct().derive(*object, step.data(), &template);
                child.map_err(|failure| failure.in_mechanism(MECHANISM))?
            }
            Held::Derived { .. } => return Err(KeyError::NotPermitted),
        };
        Ok(Self::new(self.store, Held::Derived { object, purpose: step.purpose() }))
    }

    fn tdes_initial_key(&self, ksn: &Ksn) -> Result<InitialKey, KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        let block = ksn.initial_key_block();
        InitialKey::try_filled(|key| {
            let [left, right] = key.as_chunks_mut().0 else { return Err(KeyError::BadLength) };
            // One operation: if the keys are replaced between the two calls, both are run again.
            self.store.run(stored, "CKM_DES3_ECB", |direct, key| {
                let (base, variant) = key.tdes_base()?;
                direct.encrypt_des3(base, block, left)?;
                direct.encrypt_des3(variant, block, right)
            })
        })
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        let Held::Derived { object, purpose: Purpose::Decrypt } = &self.held else {
            return Err(KeyError::NotPermitted);
        };
        if data.is_empty() || !data.len().is_multiple_of(16) {
            return Err(KeyError::BadLength);
        }
        self.store.direct().decrypt_cbc(*object, iv, data).map_err(|failure| failure.in_mechanism("CKM_AES_CBC"))
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        self.store.run(stored, "CKM_SHA256_HMAC", |direct, key| direct.hmac_sha256(key.hmac()?, data))
    }
}

impl Drop for Pkcs11Key<'_> {
    fn drop(&mut self) {
        if let Held::Derived { object, .. } = self.held {
            self.store.destroy(object);
        }
    }
}

impl fmt::Debug for Pkcs11Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.held {
            Held::Stored(stored) => f.debug_tuple("Pkcs11Key").field(&stored.id).field(&stored.kind).finish(),
            Held::Derived { purpose, .. } => f.debug_tuple("Pkcs11Key").field(purpose).finish(),
        }
    }
}
