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
        let file: File = toml::from_str(text).map_err(|error| toml_error(text, &error))?;
        let mut devices = Devices::new();
        for table in &file.device {
            let DeviceTable { ksn_prefix, ksn, base_key, profile } = table;
            let (prefix, device) = device(ksn_prefix.as_deref(), ksn.as_deref(), base_key, profile)?;
            if devices.insert(prefix, device).is_some() {
                return Err(ConfigError::Device(prefix.to_string(), "this prefix is there twice".into()));
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
    /// Not TOML, or not these names: the line, and what is wrong there. The line itself is not shown.
    #[error("line {0}: {1}")]
    Toml(usize, String),
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
    /// The path of a key file looks like the key itself. It is not shown.
    #[error("key {0}: where the path of its file should be stands what looks like the key itself")]
    KeyInPlaceOfPath(KeyId),
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

/// A line of the file may hold a PIN that someone put there by mistake, so only its number is told.
fn toml_error(text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    ConfigError::Toml(before.matches('\n').count() + 1, error.message().into())
}

fn key_id(name: &str) -> Result<KeyId, ConfigError> {
    KeyId::new(name).map_err(|_| ConfigError::KeyName(name.into()))
}

/// A population of devices from its settings: `ksn_prefix` in hex, or in its place the `ksn` of any of its payloads,
/// whose first 5 bytes (TDES) or 4-byte BDK id (AES) count; the base key's name; the profile's name.
///
/// # Errors
/// [`ConfigError::Device`].
pub fn device(
    ksn_prefix: Option<&str>,
    ksn: Option<&str>,
    base_key: &str,
    profile: &str,
) -> Result<(KsnPrefix, Device), ConfigError> {
    let refused = |what: String| ConfigError::Device(ksn_prefix.or(ksn).unwrap_or_default().into(), what);
    let profile: DeviceProfile = profile.parse().map_err(|_| refused(format!("no profile {profile:?}")))?;
    let prefix = prefix(ksn_prefix, ksn, profile.scheme()).map_err(refused)?;
    let base_key = KeyId::new(base_key).map_err(|error| refused(error.to_string()))?;
    Ok((prefix, Device { base_key, profile }))
}

fn prefix(ksn_prefix: Option<&str>, ksn: Option<&str>, scheme: Scheme) -> Result<KsnPrefix, String> {
    let bytes = |digits| hex::decode(digits).map_err(|_| "not whole hex bytes".to_string());
    match (ksn_prefix, ksn) {
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
