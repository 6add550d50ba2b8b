//! A key inside the token, and what each kind may be asked.

use std::{fmt, sync::Arc};

use cryptoki_sys::{
    CKA_VALUE, CKM_AES_CMAC, CKM_DES3_CBC, CKM_DES3_CMAC, CKM_SHA256_HMAC, CKR_ENCRYPTED_DATA_INVALID,
    CKR_GENERAL_ERROR, CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE,
};
use dukpt::{
    CheckMethod, CheckValue, Key, KeyError, KeyKind, KsnError, MacAlgorithm, Tag,
    aes::{Derivation, Purpose, WorkingKeyType},
    tdes::{Cipher, InitialKey, Ksn, Variant},
};
use zeroize::Zeroize;

use zeroize::Zeroizing;

use crate::{
    Pkcs11Store,
    direct::{Direct, Direction, Object},
    dukpt_mechanisms, kind,
    store::Stored,
};

/// A key of a [`Pkcs11Store`]. Dropping a derived one destroys it in the token.
pub struct Pkcs11Key<'s> {
    store: &'s Pkcs11Store,
    held: Held,
}

pub(crate) enum Held {
    Stored(Arc<Stored>),
    Derived { object: Object, key_type: WorkingKeyType, purpose: Purpose },
}

impl<'s> Pkcs11Key<'s> {
    pub(crate) fn new(store: &'s Pkcs11Store, held: Held) -> Self {
        Self { store, held }
    }

    /// The kind of a stored key; derived keys have none.
    #[must_use]
    pub fn kind(&self) -> Option<KeyKind> {
        match &self.held {
            Held::Stored(stored) => Some(stored.kind),
            Held::Derived { .. } => None,
        }
    }

    /// The derived key of this purpose, and its type.
    fn derived(&self, wanted: Purpose) -> Result<(Object, WorkingKeyType), KeyError> {
        match self.held {
            Held::Derived { object, key_type, purpose } if purpose == wanted => Ok((object, key_type)),
            _ => Err(KeyError::NotPermitted),
        }
    }

    /// The CMAC of a key block protection key.
    fn protection_cmac(&self, stored: &Stored, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        match (stored.kind, algorithm) {
            (KeyKind::BlockProtection(WorkingKeyType::Aes(_)), MacAlgorithm::Cmac) => {
                let sign = |direct: &Direct<'_>, key: &Stored| direct.sign::<16>(CKM_AES_CMAC, key.protection()?, data);
                Tag::new(&*Zeroizing::new(self.store.run(stored, "CKM_AES_CMAC", sign)?))
            }
            (KeyKind::BlockProtection(_), MacAlgorithm::Cmac) => {
                let sign = |direct: &Direct<'_>, key: &Stored| direct.sign::<8>(CKM_DES3_CMAC, key.protection()?, data);
                Tag::new(&*Zeroizing::new(self.store.run(stored, "CKM_DES3_CMAC", sign)?))
            }
            _ => Err(KeyError::NotPermitted),
        }
    }

    /// One block is CBC with a zero IV: no further mechanism.
    fn pin_block(&self, block: &mut [u8], direction: Direction) -> Result<(), KeyError> {
        let (object, _) = self.derived(Purpose::Pin)?;
        if block.len() != 16 {
            return Err(KeyError::BadLength);
        }
        self.cbc(object, direction, &[0; 16], block)
    }

    fn cbc(&self, object: Object, direction: Direction, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        whole_blocks(data)?;
        self.store.direct().aes_cbc(direction, object, iv, data).map_err(|failure| failure.in_mechanism("CKM_AES_CBC"))
    }
}

fn whole_blocks(data: &[u8]) -> Result<(), KeyError> {
    if data.is_empty() || !data.len().is_multiple_of(16) { Err(KeyError::BadLength) } else { Ok(()) }
}

impl Key for Pkcs11Key<'_> {
    fn derive(&self, step: &Derivation) -> Result<Self, KeyError> {
        const MECHANISM: &str = "CKM_AES_ECB_ENCRYPT_DATA";
        let (key_type, purpose) = (step.key_type(), step.purpose());
        let Some(template) = kind::derived(key_type, purpose) else {
            return Err(KeyError::Unsupported("TDES keys derived from AES keys"));
        };
        let object = match &self.held {
            Held::Stored(stored) => {
                self.store.destroy_leftovers()?;
                self.store.run(stored, MECHANISM, |direct, key| {
                    direct.derive(key.aes_base(key_type)?, step.data(), &template)
                })?
            }
            Held::Derived { object, purpose: Purpose::Derive, .. } => {
                let child = self.store.direct().derive(*object, step.data(), &template);
                child.map_err(|failure| failure.in_mechanism(MECHANISM))?
            }
            Held::Derived { .. } => return Err(KeyError::NotPermitted),
        };
        self.store.count_derived();
        Ok(Self::new(self.store, Held::Derived { object, key_type, purpose }))
    }

    fn tdes_initial_key(&self, ksn: &Ksn) -> Result<InitialKey, KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        if self.store.forbids_hybrid() && stored.kind == KeyKind::TdesBase {
            return Err(KeyError::HybridForbidden);
        }
        if stored.tdes_inside().is_ok() {
            return Err(KeyError::Unsupported("initial keys of a base key that derives inside"));
        }
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

    /// The 16 bytes of a TDES key as an AES key is what no token does.
    fn derives_tdes_inside(&self, _: Variant, cipher: Cipher) -> bool {
        matches!(&self.held, Held::Stored(stored) if cipher == Cipher::Tdes && stored.tdes_inside().is_ok())
    }

    fn tdes_key_inside(&self, ksn: &Ksn, variant: Variant) -> Result<Self, KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        if ksn.counter() == 0 {
            return Err(KsnError::CounterZero.into());
        }
        self.store.destroy_leftovers()?;
        let mechanism = dukpt_mechanisms::mechanism(variant);
        let object = self.store.run(stored, "CKM_DES2_DUKPT", |direct, key| {
            direct.derive_by(mechanism, key.tdes_inside()?, ksn.as_bytes(), &kind::TDES_DATA_KEY)
        })?;
        self.store.count_derived();
        let (key_type, purpose) = (WorkingKeyType::Tdes2, Purpose::Decrypt);
        Ok(Self::new(self.store, Held::Derived { object, key_type, purpose }))
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        let (object, key_type) = self.derived(Purpose::Decrypt)?;
        if key_type == WorkingKeyType::Tdes2 {
            if data.is_empty() || !data.len().is_multiple_of(8) {
                return Err(KeyError::BadLength);
            }
            let done = self.store.direct().cbc(CKM_DES3_CBC, Direction::Decrypt, object, &iv[..8], data);
            return done.map_err(|failure| failure.in_mechanism("CKM_DES3_CBC"));
        }
        self.cbc(object, Direction::Decrypt, iv, data)
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        if let Held::Stored(stored) = &self.held
            && matches!(stored.kind, KeyKind::Ff1(_))
        {
            whole_blocks(data)?;
            let encrypt = |direct: &Direct<'_>, key: &Stored| direct.aes_cbc(Direction::Encrypt, key.ff1()?, iv, data);
            return self.store.run(stored, "CKM_AES_CBC", encrypt);
        }
        let (object, _) = self.derived(Purpose::Encrypt)?;
        self.cbc(object, Direction::Encrypt, iv, data)
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        self.store.run(stored, "CKM_AES_ECB", |direct, key| direct.encrypt_aes_blocks(key.ff1()?, blocks))
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.pin_block(block, Direction::Encrypt)
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.pin_block(block, Direction::Decrypt)
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        self.store.run(stored, "CKM_AES_KEY_WRAP_PAD", |direct, key| {
            let (wrapping, passing) = (key.wrapping()?, direct.create(&kind::passing(Some(secret)))?);
            let mut wrapped = [0; 40];
            let done = direct.wrap(wrapping, passing, &mut wrapped);
            self.store.destroy(passing);
            done.map(|()| wrapped)
        })
    }

    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        let unwrapped = self.store.run(stored, "CKM_AES_KEY_WRAP_PAD", |direct, key| {
            let passing = direct.unwrap(key.wrapping()?, wrapped, &kind::passing(None))?;
            let value = direct.attribute(passing, CKA_VALUE, secret).map(|value| value.map(<[u8]>::len));
            self.store.destroy(passing);
            value
        });
        match unwrapped {
            Ok(Some(32)) => Ok(()),
            // The standard has a code for this; SoftHSM only says that something went wrong.
            Ok(_)
            | Err(KeyError::Device {
                function: "C_UnwrapKey",
                code:
                    CKR_WRAPPED_KEY_INVALID | CKR_WRAPPED_KEY_LEN_RANGE | CKR_ENCRYPTED_DATA_INVALID | CKR_GENERAL_ERROR,
            }) => {
                secret.zeroize();
                Err(KeyError::NotWrapped)
            }
            Err(error) => Err(error),
        }
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        if let Held::Stored(stored) = &self.held {
            return self.protection_cmac(stored, algorithm, data);
        }
        let (object, key_type) = self.derived(Purpose::Mac)?;
        let is_aes = matches!(key_type, WorkingKeyType::Aes(_));
        let direct = self.store.direct();
        match algorithm {
            MacAlgorithm::Cmac if is_aes => {
                let mac = direct.sign::<16>(CKM_AES_CMAC, object, data);
                Tag::new(&mac.map_err(|failure| failure.in_mechanism("CKM_AES_CMAC"))?)
            }
            MacAlgorithm::HmacSha256 if !is_aes => {
                let mac = direct.sign::<32>(CKM_SHA256_HMAC, object, data);
                Tag::new(&mac.map_err(|failure| failure.in_mechanism("CKM_SHA256_HMAC"))?)
            }
            _ => Err(KeyError::NotPermitted),
        }
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        let Held::Stored(stored) = &self.held else { return Err(KeyError::NotPermitted) };
        self.store.run(stored, "CKM_SHA256_HMAC", |direct, key| direct.sign(CKM_SHA256_HMAC, key.hmac()?, data))
    }

    /// Of a derived key, what its purpose lets the token tell: an encrypted zero block, or a MAC.
    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        const UNSUPPORTED: KeyError = KeyError::Unsupported("check values of this key");
        let (object, purpose) = match (&self.held, method) {
            (Held::Stored(stored), CheckMethod::Legacy) => {
                let check = |direct: &Direct<'_>, key: &Stored| self.store.check_value_of(direct, key.kind, key.object);
                return self.store.run(stored, "check values of AES keys", check)?.ok_or(UNSUPPORTED);
            }
            (Held::Stored(_), CheckMethod::Cmac) => return Err(KeyError::Unsupported("CMAC check values")),
            (Held::Derived { object, purpose, .. }, _) => (*object, *purpose),
        };
        match (method, purpose) {
            (CheckMethod::Cmac, Purpose::Mac) => {
                CheckValue::cmac(self.mac(MacAlgorithm::Cmac, &[0; 16])?.as_bytes()).ok_or(UNSUPPORTED)
            }
            (CheckMethod::Cmac, _) => Err(KeyError::Unsupported("CMAC check values")),
            (CheckMethod::Legacy, Purpose::Check | Purpose::Encrypt | Purpose::Pin) => {
                let mut block = [0; 16];
                self.cbc(object, Direction::Encrypt, &[0; 16], &mut block)?;
                CheckValue::legacy(&block).ok_or(UNSUPPORTED)
            }
            (CheckMethod::Legacy, Purpose::Derive | Purpose::Decrypt | Purpose::Mac) => {
                Err(KeyError::Unsupported("legacy check values of keys that may not encrypt"))
            }
        }
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
