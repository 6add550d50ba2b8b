//! A key from its components, under dual control: no custodian sees another's, and each confirms a check value.

use std::path::Path;

use dukpt::{CheckValue, KeyId, KeyMaterial, MaterialError};
use p2pe_audit::{Event, Label, Record};
use p2pe_config::{KeyFileError, key_from_hex, read_key_file};
use zeroize::Zeroizing;

use crate::{args::Components, audit::Journal, failure::Failure, output::Output, terminal::Terminal};

/// So often may a component be typed until it is right.
const TRIES: usize = 3;

/// A key put together from its components, with the check values that were shown.
pub(crate) struct Ceremony {
    pub(crate) key: KeyMaterial,
    pub(crate) components: Vec<CheckValue>,
}

/// What a ceremony is for.
pub(crate) struct Purpose<'p> {
    /// The kind of the key.
    pub(crate) kind: &'p str,
    /// The name that it will have, or that of the key that it protects.
    pub(crate) id: &'p KeyId,
    /// The check value that the key must have.
    pub(crate) expected: Option<CheckValue>,
}

/// One component, and how people recognise it.
struct Component {
    bytes: Zeroizing<Vec<u8>>,
    legacy: CheckValue,
    cmac: Option<CheckValue>,
    shown: String,
}

impl Ceremony {
    /// Takes one component after the other, from files or from the keyboard. Each is checked before the next is asked for.
    pub(crate) fn hold(
        purpose: &Purpose<'_>,
        from: &Components,
        journal: &Journal,
        output: &Output,
    ) -> Result<Self, Failure> {
        let values = from.component_check_value.iter().map(|value| check_value(value, "--component-check-value"));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let typed = from.component_file.is_empty();
        let count = if typed { usize::from(from.components) } else { from.component_file.len() };
        if !values.is_empty() && values.len() != count {
            return Err(Failure::usage(
                format!("{} check values for {count} components", values.len()),
                "give --component-check-value once for each component, in their order",
            ));
        }
        let mut terminal = if typed { Some(Terminal::open()?) } else { None };
        let mut components: Vec<Component> = Vec::with_capacity(count);
        for number in 1..=count {
            let which = format!("component {number} of {count}");
            let length = components.first().map(|first| first.bytes.len());
            let mut entered = || match (&mut terminal, from.component_file.get(number - 1)) {
                (None, Some(path)) => {
                    let component = Component::new(purpose.kind, component_from_file(path)?, length)?;
                    output.note(&format!("{which}: check value {}", component.shown))?;
                    component.confirmed(&which, values.get(number - 1))
                }
                (Some(terminal), _) => typed_in(terminal, purpose.kind, &which, length, values.get(number - 1)),
                _ => Err(not_hex()),
            };
            let component = entered();
            let value = component.as_ref().map(|component| format!(", check value {}", component.legacy));
            let subject = Label::of(&format!("{which}{}", value.unwrap_or_default()));
            let entry =
                |result| subject.iter().fold(Record::new(Event::Component, result).key(purpose.id), Record::subject);
            let component = journal.record(entry, component)?;
            components.push(component);
            if let (Some(terminal), true) = (&mut terminal, number < count) {
                terminal.clear()?;
                terminal
                    .wait(&format!("{which} is taken. The next custodian comes to the keyboard, and presses Enter."))?;
            }
        }
        let parts: Vec<&[u8]> = components.iter().map(|part| part.bytes.as_slice()).collect();
        let key = KeyMaterial::from_components(purpose.kind, &parts).map_err(malformed)?;
        confirm(
            &key,
            purpose.expected,
            "one component is wrong: compare the check values of the components with the custodians' forms",
        )?;
        if let (Some(mut terminal), None) = (terminal, purpose.expected) {
            terminal.clear()?;
            terminal.say(&format!("All {count} components are taken: check value of the key {}", shown(&key)))?;
            if !terminal.is_yes("Is that the check value on the custodians' forms?")? {
                return Err(Failure::new(
                    2,
                    "ceremony_stopped",
                    "the key is not the one that was meant: nothing was stored",
                    "begin again, each custodian with the component of this key",
                ));
            }
        }
        Ok(Self { key, components: components.iter().map(|component| component.legacy).collect() })
    }
}

impl Component {
    /// `length` is that of the components before.
    fn new(kind: &str, bytes: Zeroizing<Vec<u8>>, length: Option<usize>) -> Result<Self, Failure> {
        let as_key = KeyMaterial::new(kind, &bytes).map_err(malformed)?;
        if length.is_some_and(|length| length != bytes.len()) {
            return Err(malformed(MaterialError::Components));
        }
        let (legacy, cmac, shown) = (as_key.check_value(), as_key.cmac_check_value(), shown(&as_key));
        Ok(Self { bytes, legacy, cmac, shown })
    }

    fn confirmed(self, which: &str, expected: Option<&CheckValue>) -> Result<Self, Failure> {
        let has =
            |expected: &CheckValue| self.legacy.agrees(expected) || self.cmac.is_some_and(|cmac| cmac.agrees(expected));
        match expected {
            Some(expected) if !has(expected) => Err(Failure::new(
                2,
                "component_check_value",
                format!("{which} has the check value {}, not {expected}: nothing was stored", self.shown),
                "compare the component with the custodian's form",
            )),
            _ => Ok(self),
        }
    }
}

/// Asks until a component is one, and its custodian says that it is the right one.
fn typed_in(
    terminal: &mut Terminal,
    kind: &str,
    which: &str,
    length: Option<usize>,
    expected: Option<&CheckValue>,
) -> Result<Component, Failure> {
    let mut last = not_hex();
    for _ in 0..TRIES {
        let typed = terminal.secret(&format!("{which} (hex, not shown): "))?;
        let component = key_from_hex(typed.as_bytes()).ok_or_else(not_hex);
        match component.and_then(|bytes| Component::new(kind, bytes, length)?.confirmed(which, expected)) {
            Ok(component) => {
                terminal.say(&format!("{which}: check value {}", component.shown))?;
                if expected.is_some() || terminal.is_yes("Is that the check value on the form?")? {
                    return Ok(component);
                }
                last = Failure::new(
                    2,
                    "component_check_value",
                    format!("{which} is not the one that was meant: nothing was stored"),
                    "compare the component with the custodian's form",
                );
            }
            Err(failure) => {
                terminal.say(&format!("{}: type it again.", failure.message))?;
                last = failure;
            }
        }
    }
    Err(last)
}

/// Both check values of a key, as people compare them.
pub(crate) fn shown(key: &KeyMaterial) -> String {
    let cmac = key.cmac_check_value().map(|value| format!(", CMAC {value}")).unwrap_or_default();
    format!("{}{cmac}", key.check_value())
}

/// A check value as it is written; `setting` is where it stands.
pub(crate) fn check_value(value: &str, setting: &'static str) -> Result<CheckValue, Failure> {
    value.parse().map_err(|error| Failure::usage(format!("{setting}: {error}"), "correct it"))
}

/// Compares a key's check values, of either method, with the expected one.
pub(crate) fn confirm(key: &KeyMaterial, expected: Option<CheckValue>, hint: &'static str) -> Result<(), Failure> {
    let Some(expected) = expected else { return Ok(()) };
    let cmac = key.cmac_check_value().is_some_and(|value| value.agrees(&expected));
    if cmac || key.check_value().agrees(&expected) {
        return Ok(());
    }
    let message = format!("the key's check value is {}, not {expected}: nothing was stored", shown(key));
    Err(Failure::new(2, "check_value_mismatch", message, hint))
}

pub(crate) fn malformed(error: MaterialError) -> Failure {
    let hint = match error {
        MaterialError::Weak => "these components are not what the custodians were given, or the key must be made anew",
        MaterialError::SameComponent => "each component is another one: correct --component-file",
        _ => "a component is as long as the key, in hex digits",
    };
    Failure::new(2, error.code(), error, hint)
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

fn not_hex() -> Failure {
    Failure::new(2, "component_not_hex", "a component is not hex digits", "correct it; it is not shown here")
}
