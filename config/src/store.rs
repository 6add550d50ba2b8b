//! One store type over memory and token, for programs that choose at run time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dukpt::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm,
    MemoryKey, MemoryStore, Scheme, Tag, aes,
    cache::{Cached, Limits},
    self_test, tdes,
};
use pkcs11_backend::{Pkcs11Key, Pkcs11Store, Token, TokenInfo};

use crate::{ConfigError, KeyFile, StoreSettings, read_key_file};

/// An open key store.
#[expect(missing_debug_implementations, reason = "may hold clear keys")]
pub enum Store {
    /// Keys in memory.
    Memory(MemoryStore),
    /// Keys in a PKCS#11 token, and which token it is.
    Pkcs11(Box<Pkcs11Store>, Box<TokenInfo>),
    /// None any more: this self-test gave a wrong answer. Open the store again.
    Failed(&'static str),
}

/// What a token's session may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Use keys; make session objects.
    Use,
    /// Also make and delete permanent keys.
    Admin,
}

/// A permanent key was asked of a store that has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the memory store keeps no keys; name a token in the configuration or with --module and --token")]
pub struct TokenError;

impl Store {
    /// Opens a store, after known answers of the host's ciphers and of the token.
    ///
    /// # Errors
    /// [`ConfigError::Open`] for a token; [`ConfigError::Key`] with [`KeyError::SelfTest`]; [`ConfigError::KeyFile`] and [`ConfigError::Material`] for the key files of a
    /// memory store.
    pub fn open(settings: &StoreSettings, access: Access) -> Result<Self, ConfigError> {
        match settings {
            StoreSettings::Memory(files) => {
                self_test::host()?;
                let mut store = MemoryStore::new();
                for file in files {
                    store.import(&file.id, &read_key(file)?, Lifetime::Session)?;
                }
                Ok(Self::Memory(store))
            }
            StoreSettings::Pkcs11(settings) => {
                let token = Token::open(settings)?;
                let store = match access {
                    Access::Use => token.store()?,
                    Access::Admin => token.admin()?,
                };
                Ok(Self::Pkcs11(Box::new(store), Box::new(token.info().clone())))
            }
        }
    }

    /// Executes the known answers again, as once a day.
    ///
    /// # Errors
    /// [`KeyError::SelfTest`] for a wrong answer: then the keys are gone from memory, the session is closed, and every later
    /// request is told the same, until the store is opened again. [`KeyError::Device`] for a fault of the token.
    pub fn self_test(&mut self) -> Result<(), KeyError> {
        let tested = match self {
            Self::Memory(_) => self_test::host(),
            Self::Pkcs11(store, _) => store.self_test(),
            Self::Failed(test) => Err(KeyError::SelfTest(test)),
        };
        if let Err(KeyError::SelfTest(test)) = tested {
            *self = Self::Failed(test);
        }
        tested
    }

    /// The store with what it remembers of devices; without limits, that is nothing.
    #[must_use]
    pub fn cached(&self, limits: Option<Limits>) -> Cached<'_, Self> {
        cached(self, limits)
    }

    /// The token behind it, for key ceremonies.
    ///
    /// # Errors
    /// [`TokenError`] for the memory store.
    pub fn token(&mut self) -> Result<&mut Pkcs11Store, TokenError> {
        match self {
            Self::Memory(_) | Self::Failed(_) => Err(TokenError),
            Self::Pkcs11(store, _) => Ok(store),
        }
    }

    /// Which store this is, for reports.
    #[must_use]
    pub fn describe(&self) -> BTreeMap<String, String> {
        let fields: Vec<(&str, String)> = match self {
            Self::Memory(_) => vec![("kind", "memory".into())],
            Self::Failed(test) => vec![("kind", "failed".into()), ("self_test", (*test).into())],
            Self::Pkcs11(_, info) => vec![
                ("kind", "pkcs11".into()),
                ("module", info.module.display().to_string()),
                ("library", format!("{} {}", info.library, info.library_version)),
                ("token", info.label.clone()),
                ("manufacturer", info.manufacturer.clone()),
                ("model", info.model.clone()),
                ("serial", info.serial.clone()),
                ("firmware", info.firmware.clone()),
                ("hardware", info.hardware.clone()),
            ],
        };
        fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}

/// A store with what it remembers of devices; without limits, that is nothing.
pub(crate) fn cached<S: KeyStore>(store: &S, limits: Option<Limits>) -> Cached<'_, S> {
    const NOTHING: Limits = Limits { initial_keys: 0, paths: 0, time_to_live: Duration::ZERO };
    let start = Instant::now();
    Cached::new(store, limits.unwrap_or(NOTHING), move || start.elapsed())
}

fn read_key(file: &KeyFile) -> Result<KeyMaterial, ConfigError> {
    let bytes = read_key_file(&file.path).map_err(|error| ConfigError::KeyFile(file.id.clone(), error))?;
    KeyMaterial::new(&file.kind, &bytes).map_err(|error| ConfigError::Material(file.path.clone(), error))
}

/// A key of a [`Store`].
#[expect(missing_debug_implementations, reason = "may hold a clear key")]
pub enum StoreKey<'s> {
    /// In memory.
    Memory(MemoryKey<'s>),
    /// In a token.
    Pkcs11(Pkcs11Key<'s>),
}

/// Passes a call on to whichever key it is.
macro_rules! either {
    ($self:expr, $inner:ident => $call:expr) => {
        match $self {
            StoreKey::Memory($inner) => $call,
            StoreKey::Pkcs11($inner) => $call,
        }
    };
}

impl KeyStore for Store {
    type Key<'s> = StoreKey<'s>;

    fn key(&self, id: &KeyId) -> Result<StoreKey<'_>, KeyError> {
        match self {
            Self::Memory(store) => store.key(id).map(StoreKey::Memory),
            Self::Pkcs11(store, _) => store.key(id).map(StoreKey::Pkcs11),
            Self::Failed(test) => Err(KeyError::SelfTest(test)),
        }
    }

    fn key_in_use(&self, id: &KeyId) -> Result<KeyId, KeyError> {
        match self {
            Self::Memory(store) => store.key_in_use(id),
            Self::Pkcs11(store, _) => store.key_in_use(id),
            Self::Failed(test) => Err(KeyError::SelfTest(test)),
        }
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        match self {
            Self::Pkcs11(store, _) => store.custody(scheme),
            // Where nothing is served, nothing is kept in a token.
            Self::Memory(_) | Self::Failed(_) => Custody::Memory,
        }
    }
}

impl KeyImport for Store {
    fn import(&mut self, id: &KeyId, material: &KeyMaterial, lifetime: Lifetime) -> Result<(), KeyError> {
        match self {
            Self::Memory(store) => store.import(id, material, lifetime),
            Self::Pkcs11(store, _) => store.import(id, material, lifetime),
            Self::Failed(test) => Err(KeyError::SelfTest(test)),
        }
    }

    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError> {
        match self {
            Self::Memory(store) => store.check_value(id),
            Self::Pkcs11(store, _) => store.check_value(id),
            Self::Failed(test) => Err(KeyError::SelfTest(test)),
        }
    }
}

impl Key for StoreKey<'_> {
    fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError> {
        match self {
            Self::Memory(key) => key.derive(step).map(Self::Memory),
            Self::Pkcs11(key) => key.derive(step).map(Self::Pkcs11),
        }
    }

    fn derive_path(
        &self,
        path: impl IntoIterator<Item = aes::Derivation>,
        spent: Option<Self>,
    ) -> Result<Self, KeyError> {
        match (self, spent) {
            (Self::Memory(key), Some(Self::Memory(spent))) => key.derive_path(path, Some(spent)).map(Self::Memory),
            (Self::Memory(key), _) => key.derive_path(path, None).map(Self::Memory),
            (Self::Pkcs11(key), Some(Self::Pkcs11(spent))) => key.derive_path(path, Some(spent)).map(Self::Pkcs11),
            (Self::Pkcs11(key), _) => key.derive_path(path, None).map(Self::Pkcs11),
        }
    }

    fn derive_each<P: IntoIterator<Item = aes::Derivation>>(
        &self,
        paths: impl IntoIterator<Item = Result<P, KeyError>>,
        mut each: impl FnMut(usize, Result<Self, KeyError>) -> Option<Self>,
    ) {
        match self {
            Self::Memory(key) => key.derive_each(paths, |number, key| match each(number, key.map(Self::Memory)) {
                Some(Self::Memory(spent)) => Some(spent),
                _ => None,
            }),
            Self::Pkcs11(key) => key.derive_each(paths, |number, key| match each(number, key.map(Self::Pkcs11)) {
                Some(Self::Pkcs11(spent)) => Some(spent),
                _ => None,
            }),
        }
    }

    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        either!(self, key => key.tdes_initial_key(ksn))
    }

    fn tdes_initial_keys(&self, ksns: &[tdes::Ksn]) -> Result<Vec<tdes::InitialKey>, KeyError> {
        either!(self, key => key.tdes_initial_keys(ksns))
    }

    fn tdes_taken_for(&self, taken: tdes::TrialBase, ksn: &tdes::Ksn) -> Result<tdes::TrialKeys, KeyError> {
        either!(self, key => key.tdes_taken_for(taken, ksn))
    }

    fn tdes_data_keys(&self, ksns: &[tdes::Ksn], variant: tdes::Variant) -> Result<tdes::DataKeys, KeyError> {
        either!(self, key => key.tdes_data_keys(ksns, variant))
    }

    fn derives_tdes_inside(&self, variant: tdes::Variant, cipher: tdes::Cipher) -> bool {
        either!(self, key => key.derives_tdes_inside(variant, cipher))
    }

    fn tdes_key_inside(&self, ksn: &tdes::Ksn, variant: tdes::Variant) -> Result<Self, KeyError> {
        match self {
            Self::Memory(key) => key.tdes_key_inside(ksn, variant).map(Self::Memory),
            Self::Pkcs11(key) => key.tdes_key_inside(ksn, variant).map(Self::Pkcs11),
        }
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        either!(self, key => key.decrypt_cbc(iv, data))
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        either!(self, key => key.encrypt_cbc(iv, data))
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        either!(self, key => key.encrypt_block(block))
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        either!(self, key => key.decrypt_block(block))
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        either!(self, key => key.encrypt_blocks(blocks))
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        either!(self, key => key.wrap(secret))
    }

    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        either!(self, key => Key::unwrap(key, wrapped, secret))
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        either!(self, key => key.mac(algorithm, data))
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        either!(self, key => key.hmac_sha256(data))
    }

    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        either!(self, key => key.check_value(method))
    }
}
