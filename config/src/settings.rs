//! The file, understood: every name, prefix and profile checked before anything is opened.

use std::{
    io,
    path::{Path, PathBuf},
    str,
    time::Duration,
};

use dukpt::{BdkName, KeyId, Ksn, KsnPrefix, Scheme, cache::Limits};
use p2pe_audit::{AuditError, Label, Log, Options};
use p2pe_crypto::{Device, DeviceProfile, Devices};
use pkcs11_backend::{PinSource, Settings};

use crate::{
    ConfigError, TokenSettings,
    file::{AuditTable, CacheTable, DeviceTable, File, KeyTable, Pkcs11Table, StoreTable},
    pool::PoolOptions,
    profiles::{self, profile},
    read_file_wiped,
    seal::Source,
    table::Problem,
};

/// No settings file is longer than this, in bytes.
const LONGEST: usize = 1 << 20;

/// What a configuration file says.
#[derive(Debug)]
pub struct Config {
    /// Where the keys are, if the file says so.
    pub store: Option<StoreSettings>,
    /// How much is remembered of devices; nothing, if the file does not say.
    pub cache: Option<Limits>,
    /// How many callers share the token, if the file has them do so.
    pub pool: Option<PoolOptions>,
    /// The profiles that the file adds to those that come with the library.
    pub profiles: Vec<DeviceProfile>,
    /// The devices by KSN prefix.
    pub devices: Devices,
    /// The HMAC key for tokens.
    pub token_key: Option<KeyId>,
    /// Where key use is recorded, if the file says so.
    pub audit: Option<AuditSettings>,
    /// The file, if it was one.
    pub(crate) source: Option<Source>,
}

/// An audit log.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// The folder of its files.
    pub folder: PathBuf,
    /// Which program records.
    pub actor: Label,
    /// How it is written.
    pub options: Options,
}

impl AuditSettings {
    /// Opens the log, before anything is done that it must tell of.
    ///
    /// # Errors
    /// As of [`Log::open`].
    pub fn open(&self) -> Result<Log, AuditError> {
        Log::open(&self.folder, self.actor.clone(), self.options)
    }
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
    /// `tdes-base`, `aes-base`, `hmac`, `ff1` or `wrap`.
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
        let unreadable = |error| ConfigError::Read(path.into(), error);
        let bytes = read_file_wiped(path, LONGEST).map_err(unreadable)?;
        let text = str::from_utf8(&bytes)
            .map_err(|_| unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text")))?;
        let config = Self::parse(text, path.parent().unwrap_or(Path::new(".")));
        let config = config.map_err(|error| ConfigError::InFile(path.into(), Box::new(error)))?;
        Ok(Self { source: Some(Source::new(path, &bytes)), ..config })
    }

    /// Reads the text of a file that lies in `folder`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file = File::read(text).map_err(|Problem { line, what }| ConfigError::Toml(line, what))?;
        let mut profiles = Vec::new();
        for table in &file.profiles {
            profiles.push(profile(table, &profiles)?);
        }
        let mut devices = Devices::new();
        for table in &file.devices {
            let DeviceTable { ksn_prefix, ksn, base_key, profile } = table;
            let (prefix, device) = device(ksn_prefix.as_deref(), ksn.as_deref(), base_key, profile, &profiles)?;
            if devices.insert(prefix, device).is_some() {
                return Err(ConfigError::Device(prefix.to_string(), "this prefix is there twice".into()));
            }
        }
        let token_key = file.token_key.map(|name| key_id(&name, "[tokens] key")).transpose()?;
        let cache = file.cache.map(|CacheTable { devices, seconds }| Limits {
            initial_keys: devices,
            paths: devices,
            time_to_live: Duration::from_secs(seconds),
        });
        let store = file.store.map(|table| store(table, folder)).transpose()?;
        let pool = match (file.pool, &store) {
            (Some(table), Some(StoreSettings::Pkcs11(token))) => Some(table.options(token)),
            _ => None,
        };
        let audit = file.audit.map(|table| audit(table, folder)).transpose()?;
        Ok(Self { audit, store, cache, pool, profiles, devices, token_key, source: None })
    }
}

/// A key's name; `setting` is where it stands, for the error.
///
/// # Errors
/// [`ConfigError::KeyName`].
pub fn key_id(name: &str, setting: &'static str) -> Result<KeyId, ConfigError> {
    KeyId::new(name).map_err(|_| ConfigError::KeyName(setting))
}

/// A population of devices from its settings: `ksn_prefix` in hex, or in its place the `ksn` of any of its payloads,
/// whose first 5 bytes (TDES) or 4-byte BDK id (AES) count; the base key's name; the profile's name, of `own` or of the
/// profiles that come with the library. A base key whose name says for which KSNs it is ([`BdkName`]) must be for these.
///
/// # Errors
/// [`ConfigError::Device`].
pub fn device(
    ksn_prefix: Option<&str>,
    ksn: Option<&str>,
    base_key: &str,
    profile: &str,
    own: &[DeviceProfile],
) -> Result<(KsnPrefix, Device), ConfigError> {
    let refused = |what: String| ConfigError::Device(ksn_prefix.or(ksn).unwrap_or_default().into(), what);
    let profile = profiles::find(profile, own).ok_or_else(|| {
        let names: Vec<_> =
            DeviceProfile::builtin().chain(own.iter().copied()).map(|known| known.to_string()).collect();
        refused(format!("no profile {profile:?}; there are {}", names.join(", ")))
    })?;
    let prefix = prefix(ksn_prefix, ksn, profile.scheme()).map_err(refused)?;
    let base_key = KeyId::new(base_key).map_err(|error| refused(error.to_string()))?;
    if BdkName::read(&base_key).is_some_and(|name| !name.prefix().overlaps(&prefix)) {
        return Err(refused(format!("its base key {base_key} is for other KSNs")));
    }
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
        StoreTable::Memory(keys) => {
            let files = keys.into_iter().map(|table| key_file(table, folder)).collect::<Result<_, _>>()?;
            Ok(StoreSettings::Memory(files))
        }
        StoreTable::Pkcs11(table) => {
            let Pkcs11Table { module, token, uri, pin, init, allow_unsafe_keys, forbid_hybrid, still_decrypt } = table;
            let named = TokenSettings {
                module: module.map(|module| folder.join(module)),
                token: TokenSettings::token(token.as_deref(), uri.as_deref())?,
                pin: pin.map(|pin| match pin {
                    PinSource::File(path) => PinSource::File(folder.join(path)),
                    pin => pin,
                }),
            };
            let mut settings = named.settings(None)?;
            settings.init = init;
            settings.allow_unsafe_keys = allow_unsafe_keys;
            settings.forbid_hybrid = forbid_hybrid;
            let ids = still_decrypt.iter().map(|id| key_id(id, "[store] still_decrypt"));
            settings.still_decrypt = ids.collect::<Result<_, _>>()?;
            Ok(StoreSettings::Pkcs11(Box::new(settings)))
        }
    }
}

fn audit(table: AuditTable, folder: &Path) -> Result<AuditSettings, ConfigError> {
    let AuditTable { folder: name, actor, sync, file_size, required } = table;
    let default = Options::default();
    Ok(AuditSettings {
        folder: folder.join(name),
        actor: Label::new(actor.as_deref().unwrap_or("p2pe"))?,
        options: Options {
            sync: sync.unwrap_or(default.sync),
            file_size: file_size.unwrap_or(default.file_size),
            required: required.unwrap_or(default.required),
        },
    })
}

fn key_file(table: KeyTable, folder: &Path) -> Result<KeyFile, ConfigError> {
    Ok(KeyFile { id: key_id(&table.id, "[[store.key]] id")?, kind: table.kind, path: folder.join(table.file) })
}
