//! The TOML file as it is written, read by hand: an error tells line and field and never a value, because somebody may
//! have put a PIN or a key there. Unknown names are refused: a misspelt setting must not be a silent default.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use p2pe_audit::Sync;
use pkcs11_backend::PinSource;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub(crate) struct File {
    pub(crate) store: Option<StoreTable>,
    pub(crate) cache: Option<CacheTable>,
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
}

pub(crate) struct CacheTable {
    pub(crate) devices: usize,
    pub(crate) seconds: u64,
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
    pub(crate) scope: Option<String>,
    pub(crate) mask: Option<String>,
    pub(crate) mac: bool,
}

/// What is wrong in a file, and the line on which it is.
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl File {
    /// Reads the text of a file.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        // What the TOML parser says is of syntax only.
        let problem = |error: toml::de::Error| Problem {
            line: line(text, error.span().map_or(0, |span| span.start)),
            what: error.message().lines().next().unwrap_or_default().into(),
        };
        let root = DeTable::parse(text).map_err(problem)?;
        let root = Table { text, name: "the file", at: 0, fields: root.get_ref() };
        root.only(&["store", "profile", "device", "tokens", "audit"])?;
        let tokens = root.table("tokens", "[tokens]")?;
        let of_store = root.table("store", "[store]")?;
        let cached = of_store.as_ref().map(|table| table.table("cache", "cache = { … }")).transpose()?.flatten();
        Ok(Self {
            store: of_store.map(store).transpose()?,
            cache: cached.as_ref().map(cache).transpose()?,
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
                "forbid_hybrid",
            ])?;
            Ok(StoreTable::Pkcs11(Pkcs11Table {
                module: table.text("module")?.map(Into::into),
                token: table.text("token")?,
                uri: table.text("uri")?,
                pin: pin(&table)?,
                init: table.text("init")?,
                allow_unsafe_keys: table.flag("allow_unsafe_keys")?,
                forbid_hybrid: table.flag("forbid_hybrid")?,
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

fn audit(table: &Table<'_, '_>) -> Result<AuditTable, Problem> {
    table.only(&["folder", "actor", "sync", "file_size", "required"])?;
    Ok(AuditTable {
        folder: table.needed("folder")?.into(),
        actor: table.text("actor")?,
        sync: sync(table)?,
        file_size: table.get("file_size").map(|_| table.number("file_size", 4096..=1 << 40)).transpose()?,
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
    table.only(&["name", "format", "encryption", "scope", "mask", "mac"])?;
    Ok(ProfileTable {
        name: table.needed("name")?,
        format: table.needed("format")?,
        encryption: table.needed("encryption")?,
        scope: table.text("scope")?,
        mask: table.text("mask")?,
        mac: table.flag("mac")?,
    })
}

/// A table of the file, what it is called in errors, and the byte at which it begins.
struct Table<'t, 'i> {
    text: &'t str,
    name: &'static str,
    at: usize,
    fields: &'t DeTable<'i>,
}

impl<'t, 'i> Table<'t, 'i> {
    fn get(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.fields.iter().find(|(field, _)| field.get_ref() == name).map(|(_, value)| value)
    }

    /// Refuses fields of other names.
    fn only(&self, names: &[&str]) -> Result<(), Problem> {
        match self.fields.keys().find(|field| !names.contains(&field.get_ref().as_ref())) {
            Some(field) => {
                let what = format!("{} has no {:?}; it has {}", self.name, field.get_ref(), names.join(", "));
                Err(Problem { line: line(self.text, field.span().start), what })
            }
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.must_be(name, "text in quotes"))?;
        Ok(Some(text.into()))
    }

    fn needed(&self, name: &str) -> Result<String, Problem> {
        let lacks = || Problem { line: line(self.text, self.at), what: format!("{} lacks {name}", self.name) };
        self.text(name)?.ok_or_else(lacks)
    }

    fn number(&self, name: &str, within: RangeInclusive<u64>) -> Result<u64, Problem> {
        let wrong = || self.must_be(name, &format!("a number from {} to {}", within.start(), within.end()));
        let value = self.get(name).ok_or_else(wrong)?;
        let number = value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        number.filter(|number| within.contains(number)).ok_or_else(wrong)
    }

    fn flag(&self, name: &str) -> Result<bool, Problem> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.get_ref().as_bool().ok_or_else(|| self.must_be(name, "true or false"))
    }

    fn table(&self, name: &str, shown: &'static str) -> Result<Option<Self>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        Ok(Some(self.inner(value, shown).ok_or_else(|| self.must_be(name, &format!("a table, {shown}")))?))
    }

    fn tables(&self, name: &str, shown: &'static str) -> Result<Vec<Self>, Problem> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let wrong = || self.must_be(name, &format!("tables, {shown}"));
        let tables = value.get_ref().as_array().ok_or_else(wrong)?;
        tables.iter().map(|value| self.inner(value, shown).ok_or_else(wrong)).collect()
    }

    fn inner(&self, value: &'t Spanned<DeValue<'i>>, name: &'static str) -> Option<Self> {
        Some(Self { text: self.text, name, at: value.span().start, fields: value.get_ref().as_table()? })
    }

    fn must_be(&self, name: &str, wanted: &str) -> Problem {
        let at = self.get(name).map_or(self.at, |value| value.span().start);
        Problem { line: line(self.text, at), what: format!("{} {name} must be {wanted}", self.name) }
    }
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
