//! A seal over the settings: an HMAC under a key of the store that they lead to, in a file beside them.
//!
//! Whoever can change the settings could also take the demand for a seal out of them, or lead to a store of their own, with a
//! key of their own under the same name. So the demand stands outside of the file, and names the key by its fingerprint.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use dukpt::{Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Access, Config, ConfigError, Store, StoreSettings, read_file_wiped};

const OF_SETTINGS: &[u8] = b"p2pe settings seal v1\0";
const OF_KEY: &[u8] = b"p2pe settings seal key v1\0";

/// A seal is a MAC in hex digits; no seal file is longer than this, in bytes.
const LONGEST: usize = 128;
/// No key file is longer than this, in bytes.
const LONGEST_KEY: usize = 4096;

/// Which key the seal must be of: `NAME:FINGERPRINT`, the key's name in the store and 32 hex digits, as
/// `p2pe config seal` prints it. No secret; but whoever demands a seal keeps it where the settings' writers cannot change it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealKey {
    id: KeyId,
    /// The first half of the HMAC of a fixed text: nobody finds another key that has it.
    fingerprint: [u8; 16],
}

/// Why settings that must be sealed are not accepted. Nothing of them is used then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not `NAME:FINGERPRINT`.
    #[error("a seal is demanded as NAME:FINGERPRINT, as p2pe config seal prints it")]
    Demand,
    /// The settings are in no file, or lead to no store.
    #[error("settings that must be sealed are a file, and name a store")]
    NoSettings,
    /// There is no seal.
    #[error("no seal at {}", .0.display())]
    Missing(PathBuf),
    /// The store has no such key, or it cannot do this.
    #[error("the key of the seal: {0}")]
    Key(KeyError),
    /// The store has another key of this name.
    #[error("key {0} is not the one that the seal must be of")]
    OtherKey(KeyId),
    /// The settings, or a key file that they name, are not what was sealed.
    #[error("the settings are not what was sealed")]
    Broken,
}

/// Where settings came from: what a seal is over.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    path: PathBuf,
    digest: [u8; 32],
}

impl Source {
    pub(crate) fn new(path: &Path, bytes: &[u8]) -> Self {
        Self { path: path.into(), digest: Sha256::digest(bytes).into() }
    }

    fn seal_file(&self) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".seal");
        name.into()
    }
}

impl SealKey {
    /// The key of this name in this store.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn of(store: &impl KeyStore, id: &KeyId) -> Result<Self, SealError> {
        let mac = store.key(id).and_then(|key| key.hmac_sha256(OF_KEY)).map_err(SealError::Key)?;
        Ok(Self { id: id.clone(), fingerprint: std::array::from_fn(|at| mac[at]) })
    }
}

impl fmt::Display for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, hex::encode(self.fingerprint))
    }
}

impl FromStr for SealKey {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let (id, digits) = text.rsplit_once(':').ok_or(SealError::Demand)?;
        let mut fingerprint = [0; 16];
        hex::decode_to_slice(digits, &mut fingerprint).map_err(|_| SealError::Demand)?;
        Ok(Self { id: KeyId::new(id).map_err(|_| SealError::Demand)?, fingerprint })
    }
}

impl Config {
    /// Reads a file that must be sealed. Before anything else of it is used, the store that it names is opened, and the seal
    /// verified; this store is closed again.
    ///
    /// # Errors
    /// [`ConfigError`]; [`ConfigError::Seal`] if the seal is not right.
    pub fn load_sealed(path: &Path, key: &SealKey) -> Result<Self, ConfigError> {
        let config = Self::load(path)?;
        let settings = config.store.as_ref().ok_or(SealError::NoSettings)?;
        config.verify_seal(&Store::open(settings, Access::Use)?, key)?;
        Ok(config)
    }

    /// Whether the file that this was read from is what was sealed under this key of the store. The MACs are compared in
    /// constant time.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn verify_seal(&self, store: &impl KeyStore, key: &SealKey) -> Result<(), SealError> {
        let source = self.source.as_ref().ok_or(SealError::NoSettings)?;
        let text = read_file_wiped(&source.seal_file(), LONGEST).map_err(|_| SealError::Missing(source.seal_file()))?;
        let mut seal = [0; 32];
        hex::decode_to_slice(text.trim_ascii_end(), &mut seal).map_err(|_| SealError::Broken)?;
        self.verify(store, source, key, &seal)
    }

    fn verify(&self, store: &impl KeyStore, source: &Source, key: &SealKey, seal: &[u8; 32]) -> Result<(), SealError> {
        let found = SealKey::of(store, &key.id)?;
        if !bool::from(found.fingerprint.ct_eq(&key.fingerprint)) {
            return Err(SealError::OtherKey(key.id.clone()));
        }
        if self.mac(store, source, &key.id)?.ct_eq(seal).into() { Ok(()) } else { Err(SealError::Broken) }
    }

    /// Writes the seal beside the file that this was read from; where, and what to demand of whoever reads the settings.
    ///
    /// # Errors
    /// [`SealError`]; [`ConfigError::Write`] if the seal cannot be written.
    pub fn seal(&self, store: &impl KeyStore, id: &KeyId) -> Result<(PathBuf, SealKey), ConfigError> {
        let source = self.source.as_ref().ok_or(SealError::NoSettings)?;
        let (key, mac) = (SealKey::of(store, id)?, self.mac(store, source, id)?);
        let path = source.seal_file();
        // In its place at once: who reads now finds the old seal or the new one.
        let mut new = OsString::from(&path);
        new.push(".new");
        let written = fs::write(&new, hex::encode(mac) + "\n").and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| ConfigError::Write(path.clone(), error))?;
        Ok((path, key))
    }

    /// HMAC-SHA-256 over the hashes of the settings' bytes and of each key file that they name.
    fn mac(&self, store: &impl KeyStore, source: &Source, id: &KeyId) -> Result<[u8; 32], SealError> {
        let mut message = [OF_SETTINGS, &source.digest].concat();
        if let Some(StoreSettings::Memory(files)) = &self.store {
            for file in files {
                let bytes = read_file_wiped(&file.path, LONGEST_KEY).map_err(|_| SealError::Broken)?;
                message.extend_from_slice(&Sha256::digest(&bytes));
            }
        }
        store.key(id).and_then(|key| key.hmac_sha256(&message)).map_err(SealError::Key)
    }
}

/// Whether the seal of a known text under a known key is the known one. With a `flawed` text, of which one bit is another
/// one, it must not be.
#[must_use]
pub fn seal_passes_self_test(flawed: bool) -> bool {
    known_answer(flawed).unwrap_or(false)
}

fn known_answer(flawed: bool) -> Result<bool, ConfigError> {
    let mut text = *b"[tokens]\nkey = \"tokens\"\n";
    text[0] ^= u8::from(flawed);
    let (mut store, id) = (MemoryStore::new(), KeyId::new("seal").map_err(|_| SealError::Demand)?);
    let key = KeyMaterial::new("hmac", &[0x2A; 32]).map_err(|_| SealError::Demand)?;
    store.import(&id, &key, Lifetime::Session)?;
    let (config, source) = (Config::parse("", Path::new(""))?, Source::new(Path::new(""), &text));
    let seal = *b"\x09\x07\x2C\x7C\x3A\x48\x97\xC9\xAC\xF3\x5F\x1E\xE5\x59\x8A\x01\
        \x87\x0D\x64\xDA\x1B\x54\xCB\x63\xB6\x4C\xC9\x0D\x80\x25\x45\xF6";
    match config.verify(&store, &source, &SealKey::of(&store, &id)?, &seal) {
        Err(SealError::Broken) => Ok(false),
        done => Ok(done.map(|()| true)?),
    }
}
