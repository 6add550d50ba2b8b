//! The TOML file as it is written, table by table. Unknown names are refused: a misspelt setting must not be a silent
//! default.

use std::{path::PathBuf, time::Duration};

use p2pe_audit::Sync;
use pkcs11_backend::PinSource;

use crate::table::{Problem, Table, parse};

pub(crate) struct File {
    pub(crate) store: Option<StoreTable>,
    pub(crate) cache: Option<CacheTable>,
    pub(crate) pool: Option<PoolTable>,
    pub(crate) profiles: Vec<ProfileTable>,
    pub(crate) devices: Vec<DeviceTable>,
    pub(crate) token_key: Option<String>,
    pub(crate) audit: Option<AuditTable>,
}

pub(crate) struct AuditTable {
    pub(crate) folder: PathBuf,
    pub(crate) actor: Option<String>,
    pub(crate) sync: Option<Sync>,
    pub(crate) file_size: Option<u64>,
    pub(crate) required: Option<bool>,
}

pub(crate) enum StoreTable {
    Memory(Vec<KeyTable>),
    Pkcs11(Pkcs11Table),
}

pub(crate) struct Pkcs11Table {
    pub(crate) module: Option<PathBuf>,
    pub(crate) token: Option<String>,
    pub(crate) uri: Option<String>,
    pub(crate) pin: Option<PinSource>,
    pub(crate) init: Option<String>,
    pub(crate) allow_unsafe_keys: bool,
    pub(crate) forbid_hybrid: bool,
    pub(crate) still_decrypt: Vec<String>,
}

pub(crate) struct CacheTable {
    pub(crate) devices: usize,
    pub(crate) seconds: u64,
}

/// What is left out is as [`pkcs11_backend::PoolSettings::new`] has it. Times are in milliseconds.
pub(crate) struct PoolTable {
    pub(crate) deadline: Option<u64>,
    pub(crate) workers: Option<usize>,
    pub(crate) shards: Option<usize>,
    pub(crate) queue: Option<usize>,
    pub(crate) recycle_after: Option<u64>,
    pub(crate) first_wait: Option<u64>,
    pub(crate) longest_wait: Option<u64>,
    pub(crate) patience: Option<u32>,
}

pub(crate) struct KeyTable {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) file: PathBuf,
}

pub(crate) struct DeviceTable {
    pub(crate) ksn_prefix: Option<String>,
    pub(crate) ksn: Option<String>,
    pub(crate) base_key: String,
    pub(crate) profile: String,
}

pub(crate) struct ProfileTable {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) encryption: String,
    pub(crate) mode: Option<String>,
    pub(crate) iv: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) inner_tlv: Option<bool>,
    pub(crate) mask: Option<String>,
    pub(crate) mac: bool,
}

impl File {
    /// Reads the text of a file.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let root = parse(text)?;
        let root = Table { text, name: "the file", at: 0, fields: root.get_ref() };
        root.only(&["store", "profile", "device", "tokens", "audit"])?;
        let tokens = root.table("tokens", "[tokens]")?;
        let of_store = root.table("store", "[store]")?;
        let cached = of_store.as_ref().map(|table| table.table("cache", "cache = { … }")).transpose()?.flatten();
        let pooled = of_store.as_ref().map(|table| table.table("pool", "pool = { … }")).transpose()?.flatten();
        Ok(Self {
            store: of_store.map(store).transpose()?,
            cache: cached.as_ref().map(cache).transpose()?,
            pool: pooled.as_ref().map(pool).transpose()?,
            profiles: root.tables("profile", "[[profile]]")?.iter().map(profile).collect::<Result<_, _>>()?,
            devices: root.tables("device", "[[device]]")?.iter().map(device).collect::<Result<_, _>>()?,
            audit: root.table("audit", "[audit]")?.as_ref().map(audit).transpose()?,
            token_key: tokens.map(|tokens| tokens.only(&["key"]).and_then(|()| tokens.needed("key"))).transpose()?,
        })
    }
}

fn store(mut table: Table<'_, '_>) -> Result<StoreTable, Problem> {
    match table.needed("kind")?.as_str() {
        "memory" => {
            table.name = "[store] of kind memory";
            table.only(&["kind", "key", "cache"])?;
            Ok(StoreTable::Memory(table.tables("key", "[[store.key]]")?.iter().map(key).collect::<Result<_, _>>()?))
        }
        "pkcs11" => {
            table.name = "[store] of kind pkcs11";
            table.only(&[
                "kind",
                "module",
                "token",
                "uri",
                "pin",
                "init",
                "allow_unsafe_keys",
                "cache",
                "pool",
                "forbid_hybrid",
                "still_decrypt",
            ])?;
            Ok(StoreTable::Pkcs11(Pkcs11Table {
                module: table.text("module")?.map(Into::into),
                token: table.text("token")?,
                uri: table.text("uri")?,
                pin: pin(&table)?,
                init: table.text("init")?,
                allow_unsafe_keys: table.flag("allow_unsafe_keys")?,
                forbid_hybrid: table.flag("forbid_hybrid")?,
                still_decrypt: table.texts("still_decrypt")?,
            }))
        }
        _ => Err(table.must_be("kind", "\"memory\" or \"pkcs11\"")),
    }
}

/// Bounds that no gateway needs to pass: 16 keys a device, and a day.
fn cache(table: &Table<'_, '_>) -> Result<CacheTable, Problem> {
    table.only(&["devices", "seconds"])?;
    let devices = table.number("devices", 1..=100_000)?;
    let seconds = table.number("seconds", 1..=86_400)?;
    Ok(CacheTable { devices: usize::try_from(devices).unwrap_or(1), seconds })
}

/// Bounds that no gateway needs to pass.
fn pool(table: &Table<'_, '_>) -> Result<PoolTable, Problem> {
    table.only(&[
        "deadline_ms",
        "workers",
        "shards",
        "queue",
        "recycle_after",
        "first_wait_ms",
        "longest_wait_ms",
        "patience",
    ])?;
    let (first_wait, longest_wait) =
        (table.bounded("first_wait_ms", 1..=60_000)?, table.bounded("longest_wait_ms", 1..=600_000)?);
    if let (Some(first), Some(longest)) = (first_wait, longest_wait)
        && first > longest
    {
        return Err(table.must_be("longest_wait_ms", "first_wait_ms or more"));
    }
    Ok(PoolTable {
        first_wait,
        longest_wait,
        deadline: table.bounded("deadline_ms", 1..=600_000)?,
        workers: table.bounded("workers", 1..=1_000)?,
        shards: table.bounded("shards", 1..=100)?,
        queue: table.bounded("queue", 1..=1_000_000)?,
        recycle_after: table.bounded("recycle_after", 1_000..=1_000_000_000)?,
        patience: table.bounded("patience", 1..=1_000)?,
    })
}

fn audit(table: &Table<'_, '_>) -> Result<AuditTable, Problem> {
    table.only(&["folder", "actor", "sync", "file_size", "required"])?;
    Ok(AuditTable {
        folder: table.needed("folder")?.into(),
        actor: table.text("actor")?,
        sync: sync(table)?,
        file_size: table.bounded("file_size", 4096..=1 << 40)?,
        required: table.get("required").map(|_| table.flag("required")).transpose()?,
    })
}

/// `"each"`, `"none"` or `{ milliseconds = …, records = … }`.
fn sync(table: &Table<'_, '_>) -> Result<Option<Sync>, Problem> {
    let Some(value) = table.get("sync") else { return Ok(None) };
    match value.get_ref().as_str() {
        Some("each") => Ok(Some(Sync::EachRecord)),
        Some("none") => Ok(Some(Sync::Never)),
        Some(_) => Err(table.must_be("sync", SYNC)),
        None => {
            let every = table.inner(value, "[audit] sync").ok_or_else(|| table.must_be("sync", SYNC))?;
            every.only(&["milliseconds", "records"])?;
            let time = Duration::from_millis(every.number("milliseconds", 1..=60_000)?);
            Ok(Some(Sync::Every { time, records: every.number("records", 1..=1_000_000)? }))
        }
    }
}

const SYNC: &str = "\"each\", \"none\" or { milliseconds = …, records = … }";

/// `{ file = "…" }`, `{ env = "…" }` or `"prompt"`.
fn pin(table: &Table<'_, '_>) -> Result<Option<PinSource>, Problem> {
    const FORMS: &str = "{ file = \"…\" }, { env = \"…\" } or \"prompt\"; the PIN itself never stands here";
    let Some(value) = table.get("pin") else { return Ok(None) };
    let wrong = || table.must_be("pin", FORMS);
    if value.get_ref().as_str() == Some("prompt") {
        return Ok(Some(PinSource::Prompt));
    }
    let fields = value.get_ref().as_table().filter(|fields| fields.len() == 1).ok_or_else(wrong)?;
    let (name, value) = fields.iter().next().ok_or_else(wrong)?;
    match (name.get_ref().as_ref(), value.get_ref().as_str()) {
        ("file", Some(path)) => Ok(Some(PinSource::File(path.into()))),
        ("env", Some(name)) => Ok(Some(PinSource::Env(name.into()))),
        _ => Err(wrong()),
    }
}

fn key(table: &Table<'_, '_>) -> Result<KeyTable, Problem> {
    table.only(&["id", "kind", "file"])?;
    Ok(KeyTable { id: table.needed("id")?, kind: table.needed("kind")?, file: table.needed("file")?.into() })
}

fn device(table: &Table<'_, '_>) -> Result<DeviceTable, Problem> {
    table.only(&["ksn_prefix", "ksn", "base_key", "profile"])?;
    Ok(DeviceTable {
        ksn_prefix: table.text("ksn_prefix")?,
        ksn: table.text("ksn")?,
        base_key: table.needed("base_key")?,
        profile: table.needed("profile")?,
    })
}

fn profile(table: &Table<'_, '_>) -> Result<ProfileTable, Problem> {
    table.only(&["name", "format", "encryption", "mode", "iv", "scope", "inner_tlv", "mask", "mac"])?;
    Ok(ProfileTable {
        name: table.needed("name")?,
        format: table.needed("format")?,
        encryption: table.needed("encryption")?,
        mode: table.text("mode")?,
        iv: table.text("iv")?,
        scope: table.text("scope")?,
        inner_tlv: table.choice("inner_tlv")?,
        mask: table.text("mask")?,
        mac: table.flag("mac")?,
    })
}
