//! `p2pe keys check`: every key of the token, and for production the token too.

use p2pe_config::Store;
use pkcs11_backend::{KeyEntry, KeyState, TokenInfo};
use serde_json::json;

use crate::{failure::Failure, keys::no_token, output::Output};

/// Parts of the names by which software tokens call themselves, in lower case.
const SOFTWARE: [&str; 6] = ["softhsm", "softoken", "nss ", "kryoptic", "soft token", "mozilla"];

pub(crate) fn check(
    store: &mut Store,
    allows_unsafe_keys: bool,
    production: bool,
    output: &Output,
) -> Result<(), Failure> {
    let mut problems: Vec<(String, String)> = Vec::new();
    if let (true, Store::Pkcs11(_, info)) = (production, &*store)
        && is_software(info)
    {
        problems.push(("the token".into(), "a software token".into()));
    }
    if production && allows_unsafe_keys {
        problems.push(("the settings".into(), "allow_unsafe_keys = true".into()));
    }
    let entries = store.token().map_err(no_token)?.list()?;
    for entry in &entries {
        let of_key = of(entry, production).into_iter().map(|problem| (entry.id.to_string(), problem));
        problems.extend(of_key);
    }
    let rows: Vec<_> = problems.iter().map(|(of, problem)| json!({ "of": of, "problem": problem })).collect();
    let value = json!({ "keys": entries.len(), "production": production, "problems": rows });
    output.result(&value, || {
        let lines: String = problems.iter().map(|(of, problem)| format!("{of}: {problem}\n")).collect();
        format!("{lines}{} keys, {} problems\n", entries.len(), problems.len())
    })?;
    match problems.len() {
        0 => Ok(()),
        count => Err(Failure::new(
            7,
            "keys_unsafe",
            format!("{count} problems with the keys of this token"),
            "import such keys again with p2pe keys import, or delete them",
        )),
    }
}

fn of(entry: &KeyEntry, production: bool) -> Vec<String> {
    let mut problems: Vec<String> = entry.problems.iter().map(|problem| problem.to_string()).collect();
    if entry.kind.is_none() {
        problems.push("no kind of key that is used here".into());
    }
    if entry.state == KeyState::Expired {
        problems.push("its cryptoperiod is over".into());
    }
    if production {
        problems.extend(entry.doubts.iter().map(|doubt| doubt.to_string()));
    }
    if production && !entry.permanent {
        problems.push("CKA_TOKEN=false".into());
    }
    problems
}

fn is_software(info: &TokenInfo) -> bool {
    [&info.manufacturer, &info.model, &info.library].into_iter().any(|name| {
        let name = format!("{} ", name.to_lowercase());
        SOFTWARE.iter().any(|software| name.contains(software))
    })
}

#[cfg(test)]
mod tests {
    use dukpt::{KeyId, KeyKind};
    use pkcs11_backend::Cryptoperiod;

    use super::*;

    fn entry() -> KeyEntry {
        KeyEntry {
            id: KeyId::new("bdk").unwrap(),
            kind: Some(KeyKind::TdesBase),
            permanent: true,
            generated: false,
            problems: Vec::new(),
            doubts: Vec::new(),
            period: Cryptoperiod::default(),
            activated: None,
            retired: None,
            state: KeyState::Active,
            bound: true,
            check_value: None,
        }
    }

    #[test]
    fn each_problem_is_told() {
        assert_eq!(of(&entry(), true), Vec::<String>::new());
        let unsafe_key = KeyEntry { problems: vec!["CKA_EXTRACTABLE=true", "CKA_MODIFIABLE=true"], ..entry() };
        assert_eq!(of(&unsafe_key, false), ["CKA_EXTRACTABLE=true", "CKA_MODIFIABLE=true"]);
        assert_eq!(of(&KeyEntry { state: KeyState::Expired, ..entry() }, false), ["its cryptoperiod is over"]);
        assert_eq!(of(&KeyEntry { kind: None, bound: false, ..entry() }, false).len(), 1);
        let doubtful = KeyEntry { doubts: vec!["CKA_MODIFIABLE unknown"], ..entry() };
        for strict in [doubtful, KeyEntry { permanent: false, ..entry() }] {
            assert_eq!((of(&strict, false).len(), of(&strict, true).len()), (0, 1));
        }
    }

    #[test]
    fn software_tokens_by_their_names() {
        let named = |manufacturer: &str, model: &str, library: &str| TokenInfo {
            module: "m.so".into(),
            manufacturer: manufacturer.into(),
            model: model.into(),
            serial: "1".into(),
            label: "p2pe".into(),
            firmware: "1.0".into(),
            hardware: "1.0".into(),
            library: library.into(),
            library_version: "1.0".into(),
        };
        for token in [
            named("SoftHSM project", "SoftHSM v2", "Implementation of PKCS11"),
            named("Mozilla Foundation", "NSS 3", "NSS Internal Crypto Services"),
            named("Kryoptic", "v1", "Kryoptic PKCS11 Module"),
            named("IBM", "Soft", "openCryptoki Soft token"),
        ] {
            assert!(is_software(&token), "{}", token.manufacturer);
        }
        assert!(!is_software(&named("Vendor", "Model 7", "Vendor PKCS11")));
    }
}
