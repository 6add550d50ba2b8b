//! From the command line and the settings file to an open store.

use std::{env, path::Path, sync::OnceLock};

use p2pe_config::{Access, Config, ConfigError, SealKey, Store, StoreSettings, TokenSettings, TokenSettingsError};

use crate::{
    args::{Global, StoreKind},
    failure::Failure,
};

const DEFAULT_CONFIG: &str = "p2pe.toml";
const CONFIG_VARIABLE: &str = "P2PE_CONFIG";
const SEALED_VARIABLE: &str = "P2PE_SEALED";

static LOCKED: OnceLock<Result<(), String>> = OnceLock::new();

/// Keeps this process's memory to itself, before there is a key in it.
pub(crate) fn memory(global: &Global) -> Result<(), Failure> {
    let no_core_dumps = |error| {
        let message = format!("core dumps cannot be switched off: {error}");
        Failure::new(1, "core_dumps", message, "run it where a process may set its own limits")
    };
    host_memory::no_core_dumps().map_err(no_core_dumps)?;
    let locked = host_memory::lock().map_err(|error| error.to_string());
    match LOCKED.get_or_init(|| locked) {
        Err(why) if global.locked_memory => Err(Failure::new(
            1,
            "memory_not_locked",
            why,
            "lift the limit (ulimit -l unlimited), or leave --locked-memory out",
        )),
        _ => Ok(()),
    }
}

/// Whether [`memory`] could lock it; if not, why.
pub(crate) fn locked_memory() -> Result<(), String> {
    LOCKED.get().cloned().unwrap_or(Ok(()))
}

/// The settings file, or empty settings if none is named and none is there. If they must be sealed, nothing of them is
/// used but the store, until the seal is found right.
pub(crate) fn config(global: &Global) -> Result<Config, Failure> {
    let config = unsealed_config(global)?;
    let of_environment = env::var(SEALED_VARIABLE).ok().filter(|text| !text.is_empty());
    if let Some(demand) = global.sealed.clone().or(of_environment) {
        let key: SealKey = demand.parse().map_err(ConfigError::Seal)?;
        // Closed again before the work begins, with whatever access that needs.
        let store = store(global, &config, Access::Use)?;
        config.verify_seal(&store, &key).map_err(ConfigError::Seal)?;
    }
    Ok(config)
}

/// The settings, whoever changed them.
pub(crate) fn unsealed_config(global: &Global) -> Result<Config, Failure> {
    // Set but empty is not set, as with other programs.
    let of_environment = env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    match global.config.as_deref().or(of_environment.as_deref().map(Path::new)) {
        Some(path) => Ok(Config::load(path)?),
        None if Path::new(DEFAULT_CONFIG).exists() => Ok(Config::load(Path::new(DEFAULT_CONFIG))?),
        None => Ok(Config::parse("", Path::new("."))?),
    }
}

/// Opens the store that the command line and the settings name.
pub(crate) fn store(global: &Global, config: &Config, access: Access) -> Result<Store, Failure> {
    Ok(Store::open(&settings(global, config)?, access)?)
}

/// The store that the command line and the settings name.
pub(crate) fn settings(global: &Global, config: &Config) -> Result<StoreSettings, Failure> {
    let of_file = config.store.as_ref();
    let kind = match (global.store, of_file) {
        (Some(kind), _) => kind,
        (None, _) if global.module.is_some() || global.token.is_some() => StoreKind::Pkcs11,
        (None, Some(StoreSettings::Memory(_))) => StoreKind::Memory,
        (None, Some(StoreSettings::Pkcs11(_))) => StoreKind::Pkcs11,
        (None, None) => {
            return Err(Failure::config(
                "no key store is named",
                "write p2pe.toml (p2pe --help shows one), or use --module and --token, or --store memory",
            ));
        }
    };
    if kind == StoreKind::Memory {
        let files = match of_file {
            Some(StoreSettings::Memory(files)) => files.clone(),
            _ => Vec::new(),
        };
        return Ok(StoreSettings::Memory(files));
    }
    let below = match of_file {
        Some(StoreSettings::Pkcs11(settings)) => Some(settings.as_ref()),
        _ => None,
    };
    let named = || {
        let (label, uri) = match global.token.as_deref() {
            Some(uri) if uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:")) => (None, Some(uri)),
            label => (label, None),
        };
        TokenSettings {
            module: global.module.clone(),
            token: TokenSettings::token(label, uri)?,
            pin: TokenSettings::pin(global.pin_file.as_deref(), global.pin_env.as_deref())?,
        }
        .settings(below)
    };
    Ok(StoreSettings::Pkcs11(Box::new(named().map_err(not_named)?)))
}

fn not_named(error: TokenSettingsError) -> Failure {
    match error {
        TokenSettingsError::NoModule => Failure::config(error, "use --module, or [store] module in the settings"),
        TokenSettingsError::NoToken => Failure::config(error, "use --token, or [store] token in the settings"),
        TokenSettingsError::Uri(_) => Failure::usage(error, "see RFC 7512; the PIN never stands in the URI"),
        error => Failure::usage(error, "name one of them"),
    }
}
