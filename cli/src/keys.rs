//! `p2pe keys`: keys into the token, through their life, and out of it; and the inventory.

use dukpt::{BdkName, CheckValue, KeyError, KeyId, KeyImport, KeyKind, Lifetime, aes::KeyType};
use p2pe_audit::{Event, Record};
use p2pe_config::{Access, Config, Store, StoreSettings};
use pkcs11_backend::{Cryptoperiod, Date, KeyEntry, Start};
use serde_json::{Value, json};

use crate::{
    args::{Global, Keys, Period},
    audit::Journal,
    ceremony::{Ceremony, Purpose, check_value, shown},
    failure::Failure,
    key_block, key_check, open,
    output::Output,
};

pub(crate) fn run(global: &Global, args: &Keys, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let steps = match args {
        Keys::Import(args) => vec![(Event::ImportKey, Some(key_id(&args.id)?))],
        Keys::ImportBlock(args) => key_block::steps(args)?,
        Keys::Generate { id, .. } => vec![(Event::GenerateKey, Some(key_id(id)?))],
        Keys::Activate { id } | Keys::Retire { id } => vec![(Event::ChangeKey, Some(key_id(id)?))],
        Keys::Delete { id, .. } => vec![(Event::DeleteKey, Some(key_id(id)?))],
        Keys::Check { .. } | Keys::List => vec![(Event::InspectKey, None)],
    };
    let records =
        |result| steps.iter().map(|(event, id)| id.iter().fold(Record::new(*event, result), Record::key)).collect();
    journal.record_all(records, done(global, &config, args, &journal, output))
}

fn done(global: &Global, config: &Config, args: &Keys, journal: &Journal, output: &Output) -> Result<(), Failure> {
    match args {
        Keys::Import(args) => {
            let (id, period) = (key_id(&args.id)?, args.period.read()?);
            let expected = expected(args.check_value.as_deref())?;
            let purpose = Purpose { kind: &args.kind, id: &id, expected };
            // Custodians are asked for nothing that the token would refuse; a mistake in a file costs no session.
            let typed = args.components.component_file.is_empty();
            let open = || {
                let mut store = token(global, config)?;
                store.token().map_err(no_token)?.must_be_free(&id)?;
                Ok::<_, Failure>(store)
            };
            let early = typed.then(open).transpose()?;
            let ceremony = Ceremony::hold(&purpose, &args.components, journal, output)?;
            let mut store = early.map_or_else(open, Ok)?;
            store.token().map_err(no_token)?.import_for(&id, &ceremony.key, Lifetime::Permanent, &period)?;
            report(&ceremony, &id, output)
        }
        Keys::ImportBlock(args) => key_block::import(args, || token(global, config), journal, output),
        Keys::Generate { id, kind, bits, period } => {
            let (id, kind) = (key_id(id)?, generated(kind, bits));
            let mut store = token(global, config)?;
            let token = store.token().map_err(no_token)?;
            token.generate(&id, kind, &period.read()?)?;
            let check_value = token.check_value(&id)?.to_string();
            let value = json!({ "id": id.as_str(), "kind": kind_name(kind), "check_value": check_value });
            output.result(&value, || {
                format!("{id} made inside the token, {}, check value {check_value}\n", kind_name(kind))
            })
        }
        Keys::Activate { id } => {
            let id = key_id(id)?;
            let mut store = token(global, config)?;
            store.token().map_err(no_token)?.activate(&id)?;
            output.result(&json!({ "activated": id.as_str() }), || format!("{id} is active\n"))
        }
        Keys::Retire { id } => {
            let id = key_id(id)?;
            let mut store = token(global, config)?;
            store.token().map_err(no_token)?.retire(&id)?;
            output.result(&json!({ "retired": id.as_str() }), || format!("{id} is retired\n"))
        }
        Keys::Check { production } => {
            let mut store = token(global, config)?;
            let allows_unsafe_keys =
                matches!(&config.store, Some(StoreSettings::Pkcs11(token)) if token.allow_unsafe_keys);
            key_check::check(&mut store, allows_unsafe_keys, *production, output)
        }
        Keys::List => {
            let mut store = token(global, config)?;
            list(&mut store, output)
        }
        Keys::Delete { id, yes } => {
            let id = key_id(id)?;
            if !yes {
                return Err(Failure::usage(
                    format!("deleting {id} cannot be undone, and what was encrypted under it stays encrypted"),
                    "repeat the command with --yes",
                ));
            }
            let mut store = token(global, config)?;
            store.token().map_err(no_token)?.delete(&id).map_err(not_deleted)?;
            output.result(&json!({ "deleted": id.as_str() }), || format!("{id} deleted\n"))
        }
    }
}

fn token(global: &Global, config: &Config) -> Result<Store, Failure> {
    let mut store = open::store(global, config, Access::Admin)?;
    store.token().map_err(no_token)?;
    Ok(store)
}

pub(crate) fn no_token(error: p2pe_config::TokenError) -> Failure {
    Failure::usage(error, "keys are kept in a PKCS#11 token: use --store pkcs11 with --module and --token")
}

fn not_deleted(error: KeyError) -> Failure {
    match error {
        KeyError::NotFound(_) => Failure { hint: "p2pe keys list shows the names that are there", ..error.into() },
        error => error.into(),
    }
}

pub(crate) fn key_id(id: &str) -> Result<KeyId, Failure> {
    KeyId::new(id).map_err(|error| Failure::usage(error, "correct --id"))
}

/// The check value that a key must have.
pub(crate) fn expected(value: Option<&str>) -> Result<Option<CheckValue>, Failure> {
    value.map(|value| check_value(value, "--check-value")).transpose()
}

fn report(ceremony: &Ceremony, id: &KeyId, output: &Output) -> Result<(), Failure> {
    let Ceremony { key, components } = ceremony;
    let components: Vec<Value> = components.iter().map(|value| json!(value.to_string())).collect();
    let kind = key.kind().name();
    let value = json!({
        "id": id.as_str(), "kind": kind, "check_value": key.check_value().to_string(),
        "check_value_cmac": key.cmac_check_value().map(|value| value.to_string()), "components": components,
    });
    output.result(&value, || format!("{id} stored in the token, {kind}, check value {}\n", shown(key)))
}

fn list(store: &mut Store, output: &Output) -> Result<(), Failure> {
    let entries = store.token().map_err(no_token)?.list()?;
    let rows: Vec<Value> = entries.iter().map(row).collect();
    output.result(&json!({ "keys": rows }), || {
        let mut text = format!(
            "{:<24} {:<13} {:<10} {:<9} {:<7} {:<21} {:<5} problems\n",
            "id", "kind", "check", "origin", "state", "from/to", "bound"
        );
        for entry in &entries {
            let kind = entry.kind.map(kind_name).unwrap_or_else(|| "unknown".into());
            let check = entry.check_value.map(|value| value.to_string()).unwrap_or_else(|| "-".into());
            let origin = if entry.generated { "generated" } else { "imported" };
            let bound = if entry.bound { "yes" } else { "no" };
            text += &format!(
                "{:<24} {kind:<13} {check:<10} {origin:<9} {:<7} {:<21} {bound:<5} {}\n",
                entry.id.to_string(),
                entry.state,
                days(entry),
                entry.problems.join(", ")
            );
        }
        text
    })
}

/// From when to when a key is used, as far as that is known.
fn days(entry: &KeyEntry) -> String {
    let start = match (entry.activated, entry.period.start) {
        (Some(date), _) | (None, Start::On(date)) => date.to_string(),
        (None, Start::Activation) => "?".into(),
        (None, Start::Open) => String::new(),
    };
    let end = entry.retired.or(entry.period.end).map(|date| date.to_string()).unwrap_or_default();
    if start.is_empty() && end.is_empty() { "-".into() } else { format!("{start}/{end}") }
}

fn row(entry: &KeyEntry) -> Value {
    let day = |date: Option<Date>| date.map(|date| date.to_string());
    let start = match entry.period.start {
        Start::On(date) => Some(date),
        Start::Open | Start::Activation => None,
    };
    let name = BdkName::read(&entry.id);
    json!({
        "id": entry.id.to_string(),
        "ksn_prefix": name.map(|name| name.prefix().to_string()),
        "version": name.and_then(|name| name.version()),
        "kind": entry.kind.map(kind_name),
        "permanent": entry.permanent,
        "generated": entry.generated,
        "check_value": entry.check_value.map(|value| value.to_string()),
        "state": entry.state.to_string(),
        "valid_from": day(start),
        "valid_to": day(entry.period.end),
        "activated": day(entry.activated),
        "retired": day(entry.retired),
        "bound_to_one_mechanism": entry.bound,
        "problems": entry.problems,
        "not_for_production": entry.doubts,
    })
}

pub(crate) fn kind_name(kind: KeyKind) -> String {
    match kind {
        KeyKind::AesBase(size) | KeyKind::Ff1(size) | KeyKind::Wrap(size) => {
            format!("{} {}", kind.name(), size.length() * 8)
        }
        KeyKind::BlockProtection(key_type) => format!("{} {}", kind.name(), key_type.length() * 8),
        kind => kind.name().into(),
    }
}

/// The kind of a key that the token makes; the parser let no other name or size pass.
fn generated(kind: &str, bits: &str) -> KeyKind {
    let size = match bits {
        "128" => KeyType::Aes128,
        "192" => KeyType::Aes192,
        _ => KeyType::Aes256,
    };
    match kind {
        "aes-base" => KeyKind::AesBase(size),
        "aes-kbpk" => KeyKind::BlockProtection(size.into()),
        "ff1" => KeyKind::Ff1(size),
        "wrap" => KeyKind::Wrap(size),
        _ => KeyKind::Hmac,
    }
}

impl Period {
    /// The cryptoperiod of a new key. One that is over already is a mistake.
    pub(crate) fn read(&self) -> Result<Cryptoperiod, Failure> {
        let date = |text: &Option<String>| {
            let date = text.as_deref().map(str::parse::<Date>).transpose();
            date.map_err(|error| Failure::usage(error, "correct --valid-from or --valid-to"))
        };
        let start = match date(&self.valid_from)? {
            _ if self.pending => Start::Activation,
            Some(date) => Start::On(date),
            None => Start::Open,
        };
        let period = Cryptoperiod { start, end: date(&self.valid_to)? };
        let is_over =
            period.end.is_some_and(|end| end < Date::today() || matches!(start, Start::On(start) if end < start));
        if is_over {
            return Err(Failure::usage(
                "the cryptoperiod is over before it begins",
                "correct --valid-from or --valid-to",
            ));
        }
        Ok(period)
    }
}
