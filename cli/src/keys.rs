//! `p2pe keys`: the key ceremony and the inventory.

use std::path::Path;

use dukpt::{CheckValue, KeyError, KeyId, KeyImport, KeyKind, KeyMaterial, Lifetime, MaterialError, aes::KeyType};
use p2pe_audit::{Event, Label, Record};
use p2pe_config::{Access, Config, KeyFileError, Store, StoreSettings, key_from_hex, read_key_file};
use pkcs11_backend::{Cryptoperiod, Date};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    args::{Global, Import, Keys, Period},
    audit::Journal,
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
        Keys::Retire { id } => vec![(Event::ChangeKey, Some(key_id(id)?))],
        Keys::Delete { id, .. } => vec![(Event::DeleteKey, Some(key_id(id)?))],
        Keys::Check { .. } | Keys::List => vec![(Event::InspectKey, None)],
    };
    let records =
        |result| steps.iter().map(|(event, id)| id.iter().fold(Record::new(*event, result), Record::key)).collect();
    journal.record_all(records, done(global, &config, args, &journal, output))
}

fn done(global: &Global, config: &Config, args: &Keys, journal: &Journal, output: &Output) -> Result<(), Failure> {
    match args {
        // The components are put together before the token is opened: a typing mistake costs no session.
        Keys::Import(args) => {
            let id = key_id(&args.id)?;
            let ceremony = Ceremony::hold(&id, args, journal, output)?;
            let period = args.period.read()?;
            let mut store = token(global, config)?;
            store.token().map_err(no_token)?.import_for(&id, &ceremony.key, Lifetime::Permanent, &period)?;
            ceremony.report(&id, output)
        }
        Keys::ImportBlock(args) => key_block::import(args, || token(global, config), output),
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
    let value = value.map(str::parse::<CheckValue>).transpose();
    value.map_err(|error| Failure::usage(error, "correct --check-value"))
}

/// Compares a key's check values, of either method, with the expected one.
pub(crate) fn confirm(key: &KeyMaterial, expected: Option<CheckValue>, hint: &'static str) -> Result<(), Failure> {
    let Some(expected) = expected else { return Ok(()) };
    let cmac = key.cmac_check_value().is_some_and(|value| value.agrees(&expected));
    if cmac || key.check_value().agrees(&expected) {
        return Ok(());
    }
    let found = key.check_value();
    Err(Failure::usage(format!("the key's check value is {found}, not {expected}: nothing was stored"), hint))
}

/// A key put together from its components, with the check values that were shown.
struct Ceremony {
    key: KeyMaterial,
    components: Vec<CheckValue>,
}

impl Ceremony {
    fn hold(id: &KeyId, args: &Import, journal: &Journal, output: &Output) -> Result<Self, Failure> {
        let expected = expected(args.check_value.as_deref())?;
        let count =
            if args.component_file.is_empty() { usize::from(args.components) } else { args.component_file.len() };
        let mut bytes = Vec::with_capacity(count);
        let mut components = Vec::with_capacity(count);
        for number in 1..=count {
            let entered = || {
                let component = match args.component_file.get(number - 1) {
                    Some(path) => component_from_file(path)?,
                    None => component_typed_in(number, count)?,
                };
                let check_value = KeyMaterial::new(&args.kind, &component).map_err(malformed)?.check_value();
                Ok((component, check_value))
            };
            let which = Label::of(&format!("component {number} of {count}"));
            let entry = |result| which.iter().fold(Record::new(Event::Component, result).key(id), Record::subject);
            let (component, check_value) = journal.record(entry, entered())?;
            output.note(&format!("component {number} of {count}: check value {check_value}"))?;
            bytes.push(component);
            components.push(check_value);
        }
        let parts: Vec<&[u8]> = bytes.iter().map(|part| part.as_slice()).collect();
        let key = KeyMaterial::from_components(&args.kind, &parts).map_err(malformed)?;
        confirm(
            &key,
            expected,
            "one component is wrong: compare the check values of the components with the custodians' forms",
        )?;
        Ok(Self { key, components })
    }

    fn report(&self, id: &KeyId, output: &Output) -> Result<(), Failure> {
        let kind = self.key.kind().name();
        let check_value = self.key.check_value().to_string();
        let cmac = self.key.cmac_check_value().map(|value| value.to_string());
        let components: Vec<Value> = self.components.iter().map(|value| json!(value.to_string())).collect();
        let value = json!({
            "id": id.as_str(), "kind": kind, "check_value": check_value, "check_value_cmac": cmac, "components": components,
        });
        output.result(&value, || {
            let cmac = cmac.map(|value| format!(", CMAC {value}")).unwrap_or_default();
            format!("{id} stored in the token, {kind}, check value {check_value}{cmac}\n")
        })
    }
}

pub(crate) fn malformed(error: MaterialError) -> Failure {
    let hint = match error {
        MaterialError::Weak => "these components are not what the custodians were given, or the key must be made anew",
        MaterialError::SameComponent => "each component is another one: correct --component-file",
        _ => "a component is as long as the key, in hex digits",
    };
    Failure::usage(error, hint)
}

pub(crate) fn component_from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_key_file(path).map_err(|error| match error {
        KeyFileError::InPlaceOfPath => Failure::usage(
            "--component-file names a file, and here stands what looks like the component itself",
            "it may be in the shell's history now: have a new one made, and put it into a file",
        ),
        KeyFileError::NotHex(_) => not_hex(),
        error => Failure::usage(error, "correct --component-file"),
    })
}

fn component_typed_in(number: usize, count: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let typed = rpassword::prompt_password(format!("component {number} of {count} (hex, not shown): "));
    let typed = typed.map_err(|error| {
        Failure::usage(
            format!("cannot ask for a component: {error}"),
            "run this at a terminal, or use --component-file",
        )
    })?;
    key_from_hex(Zeroizing::new(typed).as_bytes()).ok_or_else(not_hex)
}

fn not_hex() -> Failure {
    Failure::usage("a component is not hex digits", "correct it; it is not shown here")
}

fn list(store: &mut Store, output: &Output) -> Result<(), Failure> {
    let entries = store.token().map_err(no_token)?.list()?;
    let rows: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "id": entry.id.to_string(),
                "kind": entry.kind.map(kind_name),
                "permanent": entry.permanent,
                "generated": entry.generated,
                "check_value": entry.check_value.map(|value| value.to_string()),
                "state": entry.state.to_string(),
                "valid_from": entry.period.start.map(|date| date.to_string()),
                "valid_to": entry.period.end.map(|date| date.to_string()),
                "bound_to_one_mechanism": entry.bound,
                "problems": entry.problems,
            })
        })
        .collect();
    output.result(&json!({ "keys": rows }), || {
        let mut text = format!(
            "{:<24} {:<13} {:<10} {:<9} {:<7} {:<5} problems\n",
            "id", "kind", "check", "origin", "state", "bound"
        );
        for entry in &entries {
            let kind = entry.kind.map(kind_name).unwrap_or_else(|| "unknown".into());
            let check = entry.check_value.map(|value| value.to_string()).unwrap_or_else(|| "-".into());
            let origin = if entry.generated { "generated" } else { "imported" };
            let bound = if entry.bound { "yes" } else { "no" };
            text += &format!(
                "{:<24} {kind:<13} {check:<10} {origin:<9} {:<7} {bound:<5} {}\n",
                entry.id.to_string(),
                entry.state,
                entry.problems.join(", ")
            );
        }
        text
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
        let period = Cryptoperiod { start: date(&self.valid_from)?, end: date(&self.valid_to)? };
        let is_over =
            period.end.is_some_and(|end| end < Date::today() || period.start.is_some_and(|start| end < start));
        if is_over {
            return Err(Failure::usage(
                "the cryptoperiod is over before it begins",
                "correct --valid-from or --valid-to",
            ));
        }
        Ok(period)
    }
}
