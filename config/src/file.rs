//! The TOML file as it is written. Unknown names are refused: a misspelt setting must not be a silent default.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) store: Option<StoreTable>,
    #[serde(default)]
    pub(crate) device: Vec<DeviceTable>,
    pub(crate) tokens: Option<TokensTable>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum StoreTable {
    Memory {
        #[serde(default)]
        key: Vec<KeyTable>,
    },
    Pkcs11 {
        module: PathBuf,
        token: Option<String>,
        uri: Option<String>,
        pin: Option<PinTable>,
        init: Option<String>,
        #[serde(default)]
        allow_unsafe_keys: bool,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PinTable {
    File(PathBuf),
    Env(String),
    Prompt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyTable {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceTable {
    pub(crate) ksn_prefix: Option<String>,
    pub(crate) ksn: Option<String>,
    pub(crate) base_key: String,
    pub(crate) profile: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokensTable {
    pub(crate) key: String,
}
