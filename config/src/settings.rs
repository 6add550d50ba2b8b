//! The file, understood: every name, prefix and profile checked before anything is opened.

use std::{
    fs,
    path::{Path, PathBuf},
};

use dukpt::{KeyId, Ksn, KsnPrefix, MaterialError, Scheme};
use p2pe_crypto::{Device, DeviceProfile, Devices};
use pkcs11_backend::{OpenError, PinSource, Settings, TokenSelector, UriError};

use crate::file::{DeviceTable, File, KeyTable, PinTable, StoreTable};

/// What a configuration file says.
#[derive(Debug)]
pub struct Config {
    /// Where the keys are, if the file says so.
    pub store: Option<StoreSettings>,
    /// The devices by KSN prefix.
    pub devices: Devices,
    /// The HMAC key for tokens.
    pub token_key: Option<KeyId>,
}

/// Where keys are.
#[derive(Debug)]
pub enum StoreSettings {
    /// In memory, read from files.
    Memory(Vec<KeyFile>),
    /// In a PKCS#11 token.
    Pkcs11(Box<Settings>),
}

/// A key for the memory store: a file of hex digits.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// Its name.
    pub id: KeyId,
    /// `tdes-base`, `aes-base` or `hmac`.
    pub kind: String,
    /// The file.
    pub path: PathBuf,
}

impl Config {
    /// Reads a file. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Read(path.into(), error))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
    }

    /// Reads the text of a file that lies in `folder`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)?;
        let mut devices = Devices::new();
        for table in &file.device {
            let named = || table.ksn_prefix.clone().or(table.ksn.clone()).unwrap_or_default();
            let (prefix, device) = device(table).map_err(|what| ConfigError::Device(named(), what))?;
            if devices.insert(prefix, device).is_some() {
                return Err(ConfigError::Device(named(), format!("the prefix {prefix} is there twice")));
            }
        }
        let token_key = file.tokens.map(|tokens| key_id(&tokens.key)).transpose()?;
        let store = file.store.map(|table| store(table, folder)).transpose()?;
        Ok(Self { store, devices, token_key })
    }
}

/// Why there is no configuration, or no store behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, std::io::Error),
    /// Not TOML, or not these names.
    #[error("{0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// A device table that cannot be.
    #[error("device {0:?}: {1}")]
    Device(String, String),
    /// A key name that cannot be.
    #[error("key {0:?}: a key name is 1 to 64 printable ASCII characters")]
    KeyName(String),
    /// Neither a token's label nor its URI, or both.
    #[error("[store] names the token by its label (token) or by its URI (uri), not by both")]
    WhichToken,
    /// Not a `pkcs11:` URI.
    #[error("[store] uri: {0}")]
    Uri(#[from] UriError),
    /// A key file that holds no key. What it holds is not shown.
    #[error("{}: not a key in hex digits", .0.display())]
    KeyFile(PathBuf),
    /// A key file whose bytes are no key of its kind.
    #[error("{}: {}", .0.display(), .1)]
    Material(PathBuf, MaterialError),
    /// The memory store got the same key twice.
    #[error(transparent)]
    Key(#[from] dukpt::KeyError),
    /// The token could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<toml::de::Error> for ConfigError {
    fn from(error: toml::de::Error) -> Self {
        Self::Toml(Box::new(error))
    }
}

fn key_id(name: &str) -> Result<KeyId, ConfigError> {
    KeyId::new(name).map_err(|_| ConfigError::KeyName(name.into()))
}

fn device(table: &DeviceTable) -> Result<(KsnPrefix, Device), String> {
    let profile: DeviceProfile = table.profile.parse().map_err(|_| format!("no profile {:?}", table.profile))?;
    let prefix = prefix(table, profile.scheme())?;
    let base_key = KeyId::new(&table.base_key).map_err(|error| error.to_string())?;
    Ok((prefix, Device { base_key, profile }))
}

fn prefix(table: &DeviceTable, scheme: Scheme) -> Result<KsnPrefix, String> {
    let bytes = |digits| hex::decode(digits).map_err(|_| "not whole hex bytes".to_string());
    match (&table.ksn_prefix, &table.ksn) {
        (Some(prefix), None) => KsnPrefix::new(scheme, &bytes(prefix)?).map_err(|error| error.to_string()),
        (None, Some(ksn)) => {
            let ksn = Ksn::of_transaction(&bytes(ksn)?).map_err(|error| error.to_string())?;
            if ksn.scheme() != scheme {
                return Err("the profile is for KSNs of the other scheme".into());
            }
            Ok(KsnPrefix::of(&ksn))
        }
        _ => Err("a device has either a ksn_prefix or the ksn of one of its payloads".into()),
    }
}

fn store(table: StoreTable, folder: &Path) -> Result<StoreSettings, ConfigError> {
    match table {
        StoreTable::Memory { key } => {
            let files = key.into_iter().map(|table| key_file(table, folder)).collect::<Result<_, _>>()?;
            Ok(StoreSettings::Memory(files))
        }
        StoreTable::Pkcs11 { module, token, uri, pin, init, allow_unsafe_keys } => {
            let token = match (token, uri) {
                (Some(label), None) => TokenSelector::label(&label),
                (None, Some(uri)) => uri.parse()?,
                _ => return Err(ConfigError::WhichToken),
            };
            let pin = match pin {
                Some(PinTable::File(path)) => PinSource::File(folder.join(path)),
                Some(PinTable::Env(name)) => PinSource::Env(name),
                Some(PinTable::Prompt) => PinSource::Prompt,
                None => token.pin_source().cloned().unwrap_or(PinSource::Prompt),
            };
            let mut settings = Settings::new(folder.join(module), token, pin);
            settings.init = init;
            settings.allow_unsafe_keys = allow_unsafe_keys;
            Ok(StoreSettings::Pkcs11(Box::new(settings)))
        }
    }
}

fn key_file(table: KeyTable, folder: &Path) -> Result<KeyFile, ConfigError> {
    Ok(KeyFile { id: key_id(&table.id)?, kind: table.kind, path: folder.join(table.file) })
}
