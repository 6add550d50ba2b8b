//! A file of test vectors: its types, and a loader that lets nothing unknown pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::{
    proof,
    token_cases::{Ff1Case, Ff1TokenCase, VaultTokenCase},
    working_types::{
        AesPinBlock, AesUpdateKey, AesWorkingKey, CheckValueCase, KeyBlockCase, MacCase, TdesChinese, TdesMac, TdesPin,
        TerminalCase,
    },
};

/// The largest file that is loaded, in bytes.
const LONGEST: u64 = 64 << 20;

/// One file of vectors, with the hash of its bytes for the report.
#[derive(Debug)]
pub struct VectorFile {
    /// The file's name.
    pub name: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// What the file is about.
    pub title: String,
    /// The keys that its tests name.
    pub keys: Vec<KeyEntry>,
    /// The tests.
    pub tests: Vec<Test>,
}

/// Why a file is not a vector file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Io(String, std::io::Error),
    /// Not JSON of this schema; the message has line and column.
    #[error("{0}: {1}")]
    Json(String, serde_json::Error),
    /// JSON of this schema that contradicts itself.
    #[error("{0}: {1}")]
    Inconsistent(String, String),
}

impl VectorFile {
    /// Loads a file, or every `.json` file of a folder in order of name.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(path: &Path) -> Result<Vec<Self>, LoadError> {
        let io = |error| LoadError::Io(path.display().to_string(), error);
        if !path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let metadata = fs::metadata(path).map_err(io)?;
            if !metadata.is_file() || metadata.len() > LONGEST {
                return Err(LoadError::Inconsistent(name.into(), "not a regular file of at most 64 MiB".into()));
            }
            return Ok(vec![Self::parse(&name, &fs::read(path).map_err(io)?)?]);
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            paths.push(entry.map_err(io)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        if paths.is_empty() {
            return Err(LoadError::Inconsistent(path.display().to_string(), "no .json file in this folder".into()));
        }
        Ok(paths.iter().map(|path| Self::load(path)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The vectors that come with the library.
    ///
    /// # Errors
    /// [`LoadError`], never for a released version.
    pub fn builtin() -> Result<Vec<Self>, LoadError> {
        [
            ("ksn.json", &include_bytes!("../data/ksn.json")[..]),
            ("tdes_dukpt_x9241.json", include_bytes!("../data/tdes_dukpt_x9241.json")),
            ("tdes_dukpt_devices.json", include_bytes!("../data/tdes_dukpt_devices.json")),
            ("aes_dukpt_x9243.json", include_bytes!("../data/aes_dukpt_x9243.json")),
            ("tdes_dukpt_pin_mac.json", include_bytes!("../data/tdes_dukpt_pin_mac.json")),
            ("tdes_dukpt_chinese.json", include_bytes!("../data/tdes_dukpt_chinese.json")),
            ("aes_dukpt_working_keys.json", include_bytes!("../data/aes_dukpt_working_keys.json")),
            ("aes_dukpt_update_key.json", include_bytes!("../data/aes_dukpt_update_key.json")),
            ("mac_check_value.json", include_bytes!("../data/mac_check_value.json")),
            ("key_block.json", include_bytes!("../data/key_block.json")),
            ("terminal.json", include_bytes!("../data/terminal.json")),
            ("idtech_enhanced.json", include_bytes!("../data/idtech_enhanced.json")),
            ("idtech_formats.json", include_bytes!("../data/idtech_formats.json")),
            ("idtech_chip.json", include_bytes!("../data/idtech_chip.json")),
            ("magtek.json", include_bytes!("../data/magtek.json")),
            ("verifone.json", include_bytes!("../data/verifone.json")),
            ("raw_tlv.json", include_bytes!("../data/raw_tlv.json")),
            ("raw_track.json", include_bytes!("../data/raw_track.json")),
            ("token.json", include_bytes!("../data/token.json")),
            ("token_policies.json", include_bytes!("../data/token_policies.json")),
        ]
        .into_iter()
        .map(|(name, bytes)| Self::parse(name, bytes))
        .collect()
    }

    /// Parses the bytes of one file.
    ///
    /// # Errors
    /// [`LoadError::Json`], [`LoadError::Inconsistent`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let document: Document = serde_json::from_slice(bytes).map_err(|e| LoadError::Json(name.into(), e))?;
        let inconsistent = |what: String| Err(LoadError::Inconsistent(name.into(), what));
        if document.schema_version != 1 {
            return inconsistent(format!("schema version {} is not 1", document.schema_version));
        }
        if document.tests.is_empty() {
            return inconsistent("it has no tests".into());
        }
        if let Some(key) = document.keys.iter().find(|key| key.kind != "hmac" && key.check_value.is_none()) {
            return inconsistent(format!("key {}: a base key has a check_value", key.id));
        }
        let mut ids = BTreeSet::new();
        for test in &document.tests {
            if !ids.insert(&test.id) {
                return inconsistent(format!("two tests have the id {}", test.id));
            }
            if let Some(flag) = test.flags.iter().find(|flag| !document.flags.contains_key(*flag)) {
                return inconsistent(format!("test {}: flag {flag} is not declared", test.id));
            }
            if let Err(what) = proof::check(test) {
                return inconsistent(format!("test {}: {what}", test.id));
            }
        }
        Ok(Self {
            name: name.into(),
            sha256: hex::encode(Sha256::digest(bytes)),
            title: document.title,
            keys: document.keys,
            tests: document.tests,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    schema_version: u32,
    title: String,
    #[serde(rename = "notes")]
    _notes: Option<String>,
    #[serde(default)]
    flags: BTreeMap<String, String>,
    #[serde(default)]
    keys: Vec<KeyEntry>,
    tests: Vec<Test>,
}

/// Bytes written as hex digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hex(pub Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        hex::decode(&digits).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A key that tests name. Test keys only: they stand here in clear.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "schema.json describes each field")]
pub struct KeyEntry {
    pub id: String,
    pub kind: String,
    pub value: Hex,
    pub check_value: Option<String>,
    pub comment: Option<String>,
}

/// What the outcome must be.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "schema.json describes each value")]
pub enum Verdict {
    Valid,
    Invalid,
}

/// One test.
#[derive(Deserialize, Debug)]
#[expect(missing_docs, reason = "schema.json describes each field")]
pub struct Test {
    pub id: String,
    pub source: String,
    pub comment: Option<String>,
    #[serde(default)]
    pub flags: Vec<String>,
    pub result: Verdict,
    pub error: Option<String>,
    #[serde(flatten)]
    pub case: Case,
}

/// What is tested, by `type`.
#[derive(Deserialize, Debug)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "schema.json describes each type")]
pub enum Case {
    Ksn(KsnCase),
    TdesInitialKey(TdesInitialKey),
    TdesDataKey(TdesDataKey),
    AesInitialKey(AesInitialKey),
    AesDataKey(AesDataKey),
    TdesPin(TdesPin),
    TdesMac(TdesMac),
    TdesChinese(TdesChinese),
    AesWorkingKey(Box<AesWorkingKey>),
    AesPinBlock(AesPinBlock),
    AesUpdateKey(AesUpdateKey),
    Mac(MacCase),
    CheckValue(CheckValueCase),
    KeyBlock(KeyBlockCase),
    TdesTerminal(TerminalCase),
    AesTerminal(TerminalCase),
    Hmac(HmacCase),
    Token(TokenCase),
    Ff1(Ff1Case),
    Ff1Token(Ff1TokenCase),
    VaultToken(VaultTokenCase),
    Payload(Box<PayloadCase>),
    Track(Box<TrackCase>),
}

impl Case {
    /// The key that the test uses, by its id in the file.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Ksn(_) | Self::TdesChinese(_) | Self::Mac(_) | Self::CheckValue(_) => None,
            Self::VaultToken(_) | Self::KeyBlock(_) => None,
            Self::TdesPin(case) => Some(&case.key),
            Self::TdesMac(case) => Some(&case.key),
            Self::AesWorkingKey(case) => Some(&case.key),
            Self::AesPinBlock(case) => Some(&case.key),
            Self::AesUpdateKey(case) => Some(&case.key),
            Self::TdesTerminal(case) => Some(&case.key),
            Self::AesTerminal(case) => Some(&case.key),
            Self::TdesInitialKey(case) => Some(&case.key),
            Self::TdesDataKey(case) => Some(&case.key),
            Self::AesInitialKey(case) => Some(&case.key),
            Self::AesDataKey(case) => Some(&case.key),
            Self::Hmac(case) => Some(&case.key),
            Self::Token(case) => Some(&case.key),
            Self::Ff1(case) => Some(&case.key),
            Self::Ff1Token(case) => Some(&case.key),
            Self::Payload(case) => case.device.as_ref().map(|device| device.base_key.as_str()),
            Self::Track(case) => case.device.as_ref().map(|device| device.base_key.as_str()),
        }
    }

    /// The `type` of the test.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ksn(_) => "ksn",
            Self::TdesInitialKey(_) => "tdes-initial-key",
            Self::TdesDataKey(_) => "tdes-data-key",
            Self::AesInitialKey(_) => "aes-initial-key",
            Self::AesDataKey(_) => "aes-data-key",
            Self::TdesPin(_) => "tdes-pin",
            Self::TdesMac(_) => "tdes-mac",
            Self::TdesChinese(_) => "tdes-chinese",
            Self::AesWorkingKey(_) => "aes-working-key",
            Self::AesPinBlock(_) => "aes-pin-block",
            Self::AesUpdateKey(_) => "aes-update-key",
            Self::Mac(_) => "mac",
            Self::CheckValue(_) => "check-value",
            Self::KeyBlock(_) => "key-block",
            Self::TdesTerminal(_) => "tdes-terminal",
            Self::AesTerminal(_) => "aes-terminal",
            Self::Hmac(_) => "hmac",
            Self::Token(_) => "token",
            Self::Ff1(_) => "ff1",
            Self::Ff1Token(_) => "ff1-token",
            Self::VaultToken(_) => "vault-token",
            Self::Payload(_) => "payload",
            Self::Track(_) => "track",
        }
    }
}

/// Declares plain data of the schema: public fields or values, nothing unknown accepted.
macro_rules! schema {
    ($(#[doc = $doc:literal] struct $name:ident { $($field:ident: $type:ty),* $(,)? })*) => { $(
        #[doc = $doc]
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "schema.json describes each field")]
        pub struct $name { $(pub $field: $type),* }
    )* };
    ($(#[doc = $doc:literal] enum $name:ident { $($(#[$attribute:meta])* $value:ident),* $(,)? })*) => { $(
        #[doc = $doc]
        #[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "schema.json describes each value")]
        pub enum $name { $($(#[$attribute])* $value),* }
    )* };
}

pub(crate) use schema;

schema! {
    /// Which DUKPT.
    enum KsnScheme { Tdes, Aes }
    /// Which working key of TDES DUKPT.
    enum TdesVariant { DataRequest, DataResponse, Pin }
    /// The cipher under a TDES DUKPT key.
    enum TdesCipher { TdesCbc, AesCbc }
    /// The size of an AES DUKPT data key.
    enum DataSize {
        #[serde(rename = "aes-128")] Aes128,
        #[serde(rename = "aes-192")] Aes192,
        #[serde(rename = "aes-256")] Aes256,
    }
    /// The usage of an AES DUKPT data key.
    enum DataUsage { Encrypt, Both }
    /// How a payload is written in the file.
    enum Encoding { Hex, Ascii }
    /// Where an invalid payload must be refused.
    enum Stage { Parse, Decrypt, Configuration }
}

schema! {
    /// A KSN as received with a transaction.
    struct KsnCase { scheme: KsnScheme, ksn: Hex, counter: Option<u32>, canonical: Option<Hex> }
    /// A TDES initial key, proved by a data key of it.
    struct TdesInitialKey { key: String, ksn: Hex, initial_key: Hex, probe: TdesProbe }
    /// A ciphertext that only the right key decrypts.
    struct TdesProbe {
        ksn: Hex, variant: TdesVariant, cipher: TdesCipher, data_key: Hex, ciphertext: Hex, plaintext: Hex,
    }
    /// A TDES DUKPT data key.
    struct TdesDataKey {
        key: String, ksn: Hex, variant: TdesVariant, cipher: TdesCipher, data_key: Hex, ciphertext: Hex,
        plaintext: Hex,
    }
    /// An AES initial key, proved by a data key of it.
    struct AesInitialKey { key: String, ksn: Hex, initial_key: Hex, probe: AesProbe }
    /// A ciphertext that only the right key decrypts.
    struct AesProbe {
        ksn: Hex, data: DataSize, usage: DataUsage, data_key: Hex, ciphertext: Hex, plaintext: Hex,
    }
    /// An AES DUKPT data key.
    struct AesDataKey {
        key: String, ksn: Hex, data: DataSize, usage: DataUsage, data_key: Option<Hex>, ciphertext: Option<Hex>,
        plaintext: Option<Hex>,
    }
    /// An HMAC-SHA-256.
    struct HmacCase { key: String, data: Hex, mac: Hex }
    /// A keyed token.
    struct TokenCase { key: String, merchant: String, pan: String, token: Option<String> }
    /// A device frame.
    struct PayloadCase {
        payload: String, encoding: Encoding, format: Option<String>, device: Option<DeviceEntry>,
        right_device: Option<DeviceEntry>, frame: Option<ExpectedFrame>, card: Option<ExpectedCard>,
        stage: Option<Stage>, offset: Option<usize>,
    }
    /// Raw track ciphertext with its KSN.
    struct TrackCase {
        ksn: Hex, tracks: Vec<Hex>, device: Option<DeviceEntry>, card: Option<ExpectedCard>, stage: Option<Stage>,
    }
    /// The device population that a payload is read with.
    struct DeviceEntry { base_key: String, ksn_prefix: Hex, profile: String }
    /// The fields of a frame before decryption.
    struct ExpectedFrame {
        format: Option<String>, entry: Option<String>, ksn: Hex, serial: Option<String>, lengths: Option<[usize; 3]>,
        masked: Option<[Option<String>; 3]>, ciphertext: Option<[Option<Hex>; 3]>, extra: Option<String>,
        fields: Option<Vec<Hex>>,
    }
    /// The card that must come out.
    struct ExpectedCard {
        pan: String, expiry: Option<String>, name: Option<String>, service_code: Option<String>,
        security_code: Option<String>, entry: String, luhn: bool, tracks: [Option<String>; 3],
        jis2: Option<String>, session_id: Option<Hex>, emv: Option<Hex>,
    }
}
