//! Keys in wiped host memory: tests, development, and the software side of a differential test.

use alloc::{collections::BTreeMap, vec::Vec};

use zeroize::{Zeroize, Zeroizing};

use crate::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyImport, KeyKind, KeyMaterial, KeyStore, Lifetime,
    MacAlgorithm, Scheme, Tag, aes, clear::ClearKey, secret::Secret, software, software::AesEncryptor, tdes,
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
        let material = self.material(id)?;
        Ok(MemoryKey(match material.kind() {
            KeyKind::Ff1(_) => Held::Ff1(material, AesEncryptor::new(material.expose())?),
            _ => Held::Stored(material),
        }))
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
    /// With its schedule, because each use is many encryptions.
    Ff1(&'s KeyMaterial, AesEncryptor),
    Derived {
        bytes: Secret<32>,
        key_type: aes::WorkingKeyType,
        purpose: aes::Purpose,
    },
}

impl MemoryKey<'_> {
    fn stored(&self, kind: KeyKind) -> Result<&[u8], KeyError> {
        match &self.0 {
            Held::Stored(material) if material.kind() == kind => Ok(material.expose()),
            _ => Err(KeyError::NotPermitted),
        }
    }

    /// The key, if `step` may be taken from it.
    fn parent(&self, step: &aes::Derivation) -> Result<&[u8], KeyError> {
        match (&self.0, step.key_type()) {
            // An initial key is of its base key's size; another size means that the suite is not this key's.
            (Held::Stored(material), aes::WorkingKeyType::Aes(size)) if material.kind() == KeyKind::AesBase(size) => {
                Ok(material.expose())
            }
            (Held::Derived { bytes, key_type, purpose: aes::Purpose::Derive }, _) => {
                Ok(&bytes.expose()[..key_type.length()])
            }
            _ => Err(KeyError::NotPermitted),
        }
    }

    /// Takes the steps of a path, each in the place of the one before. `reached` is the type and purpose of the key there.
    fn walk(
        &self,
        path: impl IntoIterator<Item = aes::Derivation>,
        reached: &mut Reached,
        key: &mut [u8; 32],
    ) -> Result<(), KeyError> {
        let mut longest = 0;
        for step in path {
            let length = match reached {
                None => copy(self.parent(&step)?, key),
                Some(_) => parent_length(*reached),
            };
            let length = length.ok_or(KeyError::NotPermitted)?;
            longest = longest.max(length);
            software::aes_derive(key, length, step.data());
            *reached = Some((step.key_type(), step.purpose()));
        }
        // Behind the key may be what is left of longer ones, and of its own last block.
        let (key_type, _) = reached.ok_or(KeyError::NotPermitted)?;
        let length = key_type.length();
        key[length..longest.max(length).next_multiple_of(16)].zeroize();
        Ok(())
    }

    /// To the next step from a key of 16 bytes to another, whose block it puts down; or to the path's end.
    fn advance<P: Iterator<Item = aes::Derivation>>(
        &self,
        lane: &mut Lane<P>,
        key: &mut [u8; 16],
        block: &mut [u8; 16],
        spent: &mut Option<Self>,
    ) -> Option<Result<Self, KeyError>> {
        let step = lane.path.next();
        if let Some(step) = &step
            && let Ok(data) = step.data().try_into()
        {
            let parent = match lane.reached {
                None => self.parent(step).ok().and_then(|parent| copy(parent, key)),
                reached => parent_length(reached),
            };
            if parent == Some(16) {
                *block = data;
                lane.reached = Some((step.key_type(), step.purpose()));
                return None;
            }
        }
        let bytes = Secret::try_refilled(spent.take().and_then(Self::memory), |bytes| {
            bytes[..16].copy_from_slice(key);
            self.walk(step.into_iter().chain(&mut lane.path), &mut lane.reached, bytes)
        });
        Some(bytes.and_then(|bytes| Self::at(bytes, lane.reached)))
    }

    /// The memory of a derived key.
    fn memory(self) -> Option<Secret<32>> {
        match self.0 {
            Held::Derived { bytes, .. } => Some(bytes),
            Held::Stored(_) | Held::Ff1(..) => None,
        }
    }

    fn at(bytes: Secret<32>, reached: Reached) -> Result<Self, KeyError> {
        let (key_type, purpose) = reached.ok_or(KeyError::NotPermitted)?;
        Ok(Self(Held::Derived { bytes, key_type, purpose }))
    }

    fn wrapping(&self) -> Result<&[u8], KeyError> {
        match &self.0 {
            Held::Stored(material) if matches!(material.kind(), KeyKind::Wrap(_)) => Ok(material.expose()),
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

/// Type and purpose of the key that a path has come to.
type Reached = Option<(aes::WorkingKeyType, aes::Purpose)>;

/// Length of a key from which a further step may be taken.
fn parent_length(reached: Reached) -> Option<usize> {
    reached.filter(|(_, purpose)| *purpose == aes::Purpose::Derive).map(|(key_type, _)| key_type.length())
}

/// Copies a key to the beginning of `to`, if it has the room; its length.
fn copy(key: &[u8], to: &mut [u8]) -> Option<usize> {
    to.get_mut(..key.len())?.copy_from_slice(key);
    Some(key.len())
}

/// A path on its way through a lane of the cipher.
struct Lane<P> {
    number: usize,
    path: P,
    reached: Reached,
}

impl<P> Lane<P> {
    fn new(number: usize, path: P) -> Self {
        Self { number, path, reached: None }
    }
}

impl Key for MemoryKey<'_> {
    fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError> {
        self.derive_path([*step], None)
    }

    /// Every step in the place of the one before.
    fn derive_path(
        &self,
        path: impl IntoIterator<Item = aes::Derivation>,
        spent: Option<Self>,
    ) -> Result<Self, KeyError> {
        let mut reached = None;
        let bytes = Secret::try_refilled(spent.and_then(Self::memory), |key| self.walk(path, &mut reached, key))?;
        Self::at(bytes, reached)
    }

    /// Many paths at once, each in a lane of the cipher.
    fn derive_each<P: IntoIterator<Item = aes::Derivation>>(
        &self,
        paths: impl IntoIterator<Item = Result<P, KeyError>>,
        mut each: impl FnMut(usize, Result<Self, KeyError>) -> Option<Self>,
    ) {
        let mut paths = paths.into_iter().enumerate();
        let mut ciphers = software::Lanes::new();
        let mut lanes: [Option<Lane<P::IntoIter>>; software::LANES] = core::array::from_fn(|_| None);
        let mut keys = Zeroizing::new([[0; 16]; software::LANES]);
        let mut blocks = [[0; 16]; software::LANES];
        let mut spent = None;
        loop {
            let mut busy = false;
            for ((place, key), block) in lanes.iter_mut().zip(keys.iter_mut()).zip(&mut blocks) {
                loop {
                    let lane = match place {
                        Some(lane) => lane,
                        None => match paths.next() {
                            Some((number, Ok(path))) => place.insert(Lane::new(number, path.into_iter())),
                            Some((number, Err(error))) => {
                                spent = each(number, Err(error)).or(spent);
                                continue;
                            }
                            None => break,
                        },
                    };
                    let Some(end) = self.advance(lane, key, block, &mut spent) else {
                        busy = true;
                        break;
                    };
                    spent = each(lane.number, end).or(spent);
                    *place = None;
                }
            }
            if !busy {
                return;
            }
            ciphers.derive(&mut keys, &blocks);
        }
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

    fn tdes_data_keys(&self, ksns: &[tdes::Ksn], variant: tdes::Variant) -> Result<tdes::DataKeys, KeyError> {
        let base_key = self.stored(KeyKind::TdesBase)?;
        let base_key = base_key.try_into().map_err(|_| KeyError::BadLength)?;
        Ok(tdes::DataKeys::from_base_key(base_key, ksns, variant)?)
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Decrypt)?.decrypt_cbc(iv, data)
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        match &self.0 {
            Held::Ff1(_, cipher) => cipher.encrypt_cbc(iv, data),
            _ => self.derived(aes::Purpose::Encrypt)?.encrypt_cbc(iv, data),
        }
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        match &self.0 {
            Held::Ff1(_, cipher) => {
                cipher.encrypt_blocks(blocks);
                Ok(())
            }
            _ => Err(KeyError::NotPermitted),
        }
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Pin)?.encrypt_block(block)
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.derived(aes::Purpose::Pin)?.decrypt_block(block)
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        software::aes_wrap(self.wrapping()?, secret)
    }

    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        software::aes_unwrap(self.wrapping()?, wrapped, secret)
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        match &self.0 {
            Held::Stored(material) if matches!(material.kind(), KeyKind::BlockProtection(_)) => match algorithm {
                MacAlgorithm::Cmac => material.clear().mac(algorithm, data),
                _ => Err(KeyError::NotPermitted),
            },
            _ => self.derived(aes::Purpose::Mac)?.mac(algorithm, data),
        }
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        software::hmac_sha256(self.stored(KeyKind::Hmac)?, data)
    }

    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        match (&self.0, method) {
            (Held::Stored(material) | Held::Ff1(material, _), CheckMethod::Legacy) => Ok(material.check_value()),
            (Held::Stored(material) | Held::Ff1(material, _), CheckMethod::Cmac) => {
                material.cmac_check_value().ok_or(KeyError::NotPermitted)
            }
            (Held::Derived { purpose, .. }, _) => method.of(self.derived(*purpose)?),
        }
    }
}
