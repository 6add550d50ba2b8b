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

/// `{ file = "…" }`, `{ env = "…" }` or `"prompt"`.
#[derive(Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) enum PinTable {
    File(PathBuf),
    Env(String),
    Prompt,
}

impl TryFrom<toml::Value> for PinTable {
    type Error = &'static str;

    /// By hand, because the derived error shows the value: somebody may have put the PIN itself there.
    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        const FORMS: &str = "pin is { file = \"…\" }, { env = \"…\" } or \"prompt\"; the PIN itself never stands here";
        if value.as_str() == Some("prompt") {
            return Ok(Self::Prompt);
        }
        let table = value.as_table().filter(|table| table.len() == 1).ok_or(FORMS)?;
        let named = |name: &str| table.get(name).and_then(toml::Value::as_str);
        match (named("file"), named("env")) {
            (Some(path), None) => Ok(Self::File(path.into())),
            (None, Some(name)) => Ok(Self::Env(name.into())),
            _ => Err(FORMS),
        }
    }
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
