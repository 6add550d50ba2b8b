//! From the command line and the settings file to an open store.

use std::path::Path;

use p2pe_config::{Access, Config, Store, StoreSettings};
use pkcs11_backend::{PinSource, Settings, TokenSelector};

use crate::{
    args::{Global, StoreKind},
    failure::Failure,
};

const DEFAULT_CONFIG: &str = "p2pe.toml";

/// The settings file, or empty settings if none is named and none is there.
pub(crate) fn config(global: &Global) -> Result<Config, Failure> {
    match &global.config {
        Some(path) => Ok(Config::load(path)?),
        None if Path::new(DEFAULT_CONFIG).exists() => Ok(Config::load(Path::new(DEFAULT_CONFIG))?),
        None => Ok(Config::parse("", Path::new("."))?),
    }
}

/// Opens the store that the command line and the settings name.
pub(crate) fn store(global: &Global, config: &Config, access: Access) -> Result<Store, Failure> {
    Ok(Store::open(&settings(global, config)?, access)?)
}

fn settings(global: &Global, config: &Config) -> Result<StoreSettings, Failure> {
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
    let of_file = match of_file {
        Some(StoreSettings::Pkcs11(settings)) => Some(settings.as_ref().clone()),
        _ => None,
    };
    let token = match &global.token {
        Some(uri) if uri.starts_with("pkcs11:") => Some(
            uri.parse::<TokenSelector>()
                .map_err(|error| Failure::usage(error, "see RFC 7512; the PIN never stands in the URI"))?,
        ),
        Some(label) => Some(TokenSelector::label(label)),
        None => None,
    };
    let pin = match (&global.pin_file, &global.pin_env) {
        (Some(path), _) => Some(PinSource::File(path.clone())),
        (None, Some(name)) => Some(PinSource::Env(name.clone())),
        (None, None) => token.as_ref().and_then(|token| token.pin_source().cloned()),
    };
    let module_of_uri = token.as_ref().and_then(|token| token.module_path().map(Path::to_path_buf));
    let Some(module) = global.module.clone().or(module_of_uri).or(of_file.as_ref().map(|file| file.module.clone()))
    else {
        return Err(Failure::config("no PKCS#11 module is named", "use --module, or [store] module in the settings"));
    };
    let Some(token) = token.or(of_file.as_ref().map(|file| file.token.clone())) else {
        return Err(Failure::config("no token is named", "use --token, or [store] token in the settings"));
    };
    let pin = pin.or(of_file.as_ref().map(|file| file.pin.clone())).unwrap_or(PinSource::Prompt);
    let mut settings = Settings::new(module, token, pin);
    if let Some(file) = of_file {
        settings.init = file.init;
        settings.allow_unsafe_keys = file.allow_unsafe_keys;
    }
    Ok(StoreSettings::Pkcs11(Box::new(settings)))
}
