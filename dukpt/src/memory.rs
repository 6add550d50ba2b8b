//! Keys in wiped host memory: tests, development, and the software side of a differential test.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyImport, KeyKind, KeyMaterial, KeyStore, Lifetime,
    MacAlgorithm, Scheme, Tag, aes, clear::ClearKey, secret::Secret, software, tdes,
};

/// A key store in memory. It has the same rules as a token: each kind of key does its own work and no other.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct MemoryStore {
    keys: BTreeMap<KeyId, KeyMaterial>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn material(&self, id: &KeyId) -> Result<&KeyMaterial, KeyError> {
        self.keys.get(id).ok_or_else(|| KeyError::NotFound(id.clone()))
    }
}

impl KeyStore for MemoryStore {
    type Key<'s> = MemoryKey<'s>;

    fn key(&self, id: &KeyId) -> Result<MemoryKey<'_>, KeyError> {
        self.material(id).map(|material| MemoryKey(Held::Stored(material)))
    }

    fn custody(&self, _: Scheme) -> Custody {
        Custody::Memory
    }
}

impl KeyImport for MemoryStore {
    fn import(&mut self, id: &KeyId, material: &KeyMaterial, _: Lifetime) -> Result<(), KeyError> {
        if self.keys.contains_key(id) {
            return Err(KeyError::AlreadyExists(id.clone()));
        }
        let copy = KeyMaterial::new(material.kind().name(), material.expose()).map_err(|_| KeyError::BadLength)?;
        self.keys.insert(id.clone(), copy);
        Ok(())
    }

    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError> {
        Ok(self.material(id)?.check_value())
    }
}

/// A key of a [`MemoryStore`]; derived ones are wiped on drop.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct MemoryKey<'s>(Held<'s>);

enum Held<'s> {
    Stored(&'s KeyMaterial),
    Derived { bytes: Secret<32>, key_type: aes::WorkingKeyType, purpose: aes::Purpose },
}

impl MemoryKey<'_> {
    fn stored(&self, kind: KeyKind) -> Result<&[u8], KeyError> {
        match &self.0 {
            Held::Stored(material) if material.kind() == kind => Ok(material.expose()),
            _ => Err(KeyError::NotPermitted),
        }
    }

    fn derived(&self, wanted: aes::Purpose) -> Result<ClearKey<'_>, KeyError> {
        match &self.0 {
            Held::Derived { bytes, key_type, purpose } if *purpose == wanted => {
                ClearKey::new(*key_type, &bytes.expose()[..key_type.length()])
            }
            _ => Err(KeyError::NotPermitted),
        }
    }
}

impl Key for MemoryKey<'_> {
    fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError> {
        let parent = match (&self.0, step.key_type()) {
            // An initial key is of its base key's size; another size means that the suite is not this key's.
            (Held::Stored(material), aes::WorkingKeyType::Aes(size)) if material.kind() == KeyKind::AesBase(size) => {
                material.expose()
            }
            (Held::Derived { bytes, key_type, purpose: aes::Purpose::Derive }, _) => {
                &bytes.expose()[..key_type.length()]
            }
            _ => return Err(KeyError::NotPermitted),
        };
        let bytes = Secret::try_filled(|out: &mut [u8; 32]| {
            let data = step.data();
            out[..data.len()].copy_from_slice(data);
            software::aes_ecb_encrypt(parent, &mut out[..data.len()])
        })?;
        Ok(Self(Held::Derived { bytes, key_type: step.key_type(), purpose: step.purpose() }))
    }

    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        let base_key = self.stored(KeyKind::TdesBase)?;
        Ok(tdes::InitialKey::derive(base_key.try_into().map_err(|_| KeyError::BadLength)?, ksn))
    }

    fn tdes_initial_keys(&self, ksns: &[tdes::Ksn]) -> Result<Vec<tdes::InitialKey>, KeyError> {
        let base_key = self.stored(KeyKind::TdesBase)?;
        Ok(tdes::InitialKey::derive_many(base_key.try_into().map_err(|_| KeyError::BadLength)?, ksns))
    }

    fn tdes_taken_for(&self, taken: tdes::TrialBase, ksn: &tdes::Ksn) -> Result<tdes::TrialKeys, KeyError> {
        let base_key = self.stored(KeyKind::TdesBase)?;
        Ok(tdes::TrialKeys::of_base(base_key.try_into().map_err(|_| KeyError::BadLength)?, taken, ksn)?)
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Decrypt)?.decrypt_cbc(iv, data)
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Encrypt)?.encrypt_cbc(iv, data)
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Pin)?.encrypt_block(block)
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Pin)?.decrypt_block(block)
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        self.derived(aes::Purpose::Mac)?.mac(algorithm, data)
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        software::hmac_sha256(self.stored(KeyKind::Hmac)?, data)
    }

    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        match (&self.0, method) {
            (Held::Stored(material), CheckMethod::Legacy) => Ok(material.check_value()),
            (Held::Stored(material), CheckMethod::Cmac) => material.cmac_check_value().ok_or(KeyError::NotPermitted),
            (Held::Derived { purpose, .. }, _) => method.of(self.derived(*purpose)?),
        }
    }
}
