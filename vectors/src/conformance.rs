//! The one suite: runs vectors over any key store that takes keys in, or has them under the names in the file.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dukpt::{CheckValue, Key, KeyId, KeyImport, KeyMaterial, Lifetime};
use p2pe_crypto::Encryption;

use crate::{
    VectorFile, dukpt_cases, example,
    file::{Case, DeviceEntry, KeyEntry, Test, Verdict},
    key_block_cases, payload_cases, terminal_cases, token_cases, working_cases,
};

/// How one test went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As the file says.
    Passed,
    /// Not as the file says; the text names the difference and never shows card data.
    Failed(String),
    /// Not run, and why. A skipped test proves nothing.
    Skipped(String),
}

/// One test's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseResult {
    /// The file's name.
    pub file: String,
    /// The test's id.
    pub id: String,
    /// The test's type.
    pub kind: &'static str,
    /// The route the keys took: `token`, `hybrid` or `memory`; empty where no key of the store was used.
    pub custody: String,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
}

/// Runs every test of the files over `store`.
///
/// Keys are imported with the given lifetime. Where the store refuses a clear import, or has a key of that name, the
/// stored key is used if its check value confirms it; otherwise every test of that key is skipped.
pub fn run<S: KeyImport>(store: &mut S, files: &[VectorFile], lifetime: Lifetime) -> Vec<CaseResult> {
    let mut keys: BTreeMap<&str, (&KeyEntry, Result<(), String>)> = BTreeMap::new();
    let mut results = Vec::new();
    for file in files {
        for key in &file.keys {
            let known = keys.get(key.id.as_str()).is_some_and(|(other, _)| other.value == key.value);
            if !known {
                keys.insert(&key.id, (key, provide(store, key, lifetime)));
            }
        }
        for test in &file.tests {
            let started = Instant::now();
            let unusable = test.case.key().and_then(|id| match keys.get(id) {
                Some((_, Err(reason))) => Some(format!("key {id}: {reason}")),
                _ => None,
            });
            // What is refused at the door, and what is not run, uses no key.
            let (verdict, used_key) = match unusable {
                Some(reason) => (Outcome::Skipped(reason), false),
                None => {
                    let came_to = attempt(store, &keys, &test.case);
                    let used_key = !matches!(came_to, Attempt::Error { at_parse: true, .. } | Attempt::Broken(_));
                    (judge(test, came_to), used_key)
                }
            };
            results.push(CaseResult {
                file: file.name.clone(),
                id: test.id.clone(),
                kind: test.case.name(),
                custody: if used_key { custody(store, &test.case) } else { String::new() },
                outcome: verdict,
                duration: started.elapsed(),
            });
        }
    }
    results
}

/// What a test came to: everything as expected, a difference, or a typed error (by its stable code).
pub(crate) enum Attempt {
    AsExpected,
    Differs(String),
    Error {
        code: &'static str,
        /// Refused at the door: no key was asked for.
        at_parse: bool,
        /// The byte of the input that a parser names.
        offset: Option<usize>,
    },
    /// The store has no such operation, and says which.
    Unsupported(&'static str),
    /// The file itself cannot be run, as with a profile name that does not exist.
    Broken(String),
}

impl Attempt {
    pub(crate) fn error(code: &'static str) -> Self {
        Self::Error { code, at_parse: false, offset: None }
    }
}

fn attempt<S: KeyImport>(store: &S, keys: &BTreeMap<&str, (&KeyEntry, Result<(), String>)>, case: &Case) -> Attempt {
    let base_length = |id: &str| keys.get(id).map(|(key, _)| key.value.0.len());
    match case {
        Case::Ksn(case) => dukpt_cases::ksn(case),
        Case::TdesInitialKey(case) => dukpt_cases::tdes_initial_key(store, case),
        Case::TdesDataKey(case) => dukpt_cases::tdes_data_key(store, case),
        Case::AesInitialKey(case) => dukpt_cases::aes_initial_key(store, case, base_length(&case.key)),
        Case::AesDataKey(case) => dukpt_cases::aes_data_key(store, case, base_length(&case.key)),
        Case::TdesPin(case) => working_cases::tdes_pin(store, case),
        Case::TdesMac(case) => working_cases::tdes_mac(store, case),
        Case::TdesChinese(case) => working_cases::tdes_chinese(case),
        Case::AesWorkingKey(case) => working_cases::aes_working_key(store, case, base_length(&case.key)),
        Case::AesPinBlock(case) => working_cases::aes_pin_block(store, case, base_length(&case.key)),
        Case::AesUpdateKey(case) => working_cases::aes_update_key(store, case, base_length(&case.key)),
        Case::Mac(case) => working_cases::mac(case),
        Case::CheckValue(case) => working_cases::check_value(case),
        Case::KeyBlock(case) => key_block_cases::key_block(case),
        Case::TdesTerminal(case) => terminal_cases::tdes(store, case),
        Case::AesTerminal(case) => terminal_cases::aes(store, case, base_length(&case.key)),
        Case::Hmac(case) => dukpt_cases::hmac(store, case),
        Case::Token(case) => payload_cases::token(store, case),
        Case::Ff1(case) => token_cases::ff1(store, case),
        Case::Ff1Token(case) => token_cases::ff1_token(store, case),
        Case::VaultToken(case) => token_cases::vault_token(case),
        Case::Payload(case) => payload_cases::payload(store, case),
        Case::Track(case) => payload_cases::track(store, case),
    }
}

fn judge(test: &Test, attempt: Attempt) -> Outcome {
    let stage = match &test.case {
        Case::Payload(case) => case.stage,
        Case::Track(case) => case.stage,
        _ => None,
    };
    match (test.result, attempt) {
        (_, Attempt::Broken(what)) => Outcome::Failed(format!("the test cannot be run: {what}")),
        (_, Attempt::Unsupported(what)) => Outcome::Skipped(format!("the store does not support {what}")),
        (Verdict::Valid, Attempt::AsExpected) => Outcome::Passed,
        (Verdict::Valid, Attempt::Error { code, .. }) => Outcome::Failed(format!("refused with {code}")),
        (_, Attempt::Differs(what)) => Outcome::Failed(what),
        (Verdict::Invalid, Attempt::AsExpected) => Outcome::Failed("accepted, but it is invalid".into()),
        (Verdict::Invalid, Attempt::Error { code, at_parse, offset }) => {
            let place = match &test.case {
                Case::Payload(case) => case.offset,
                _ => None,
            };
            let expected = test.error.as_deref().unwrap_or_default();
            let in_stage = stage.is_none_or(|stage| (stage == crate::file::Stage::Parse) == at_parse);
            if code != expected {
                Outcome::Failed(format!("refused with {code}, not with {expected}"))
            } else if !in_stage {
                Outcome::Failed(format!("refused with {code} at the wrong stage"))
            } else if offset != place {
                Outcome::Failed(format!("refused with {code} at byte {offset:?}, not at {place:?}"))
            } else {
                Outcome::Passed
            }
        }
    }
}

/// Gets a key into the store, or confirms the one that is there.
fn provide<S: KeyImport>(store: &mut S, key: &KeyEntry, lifetime: Lifetime) -> Result<(), String> {
    let id = KeyId::new(&key.id).map_err(|error| error.to_string())?;
    let material = KeyMaterial::new(&key.kind, &key.value.0).map_err(|error| error.to_string())?;
    let computed = material.check_value();
    if let Some(printed) = &key.check_value {
        let printed: CheckValue =
            printed.parse().map_err(|_| "its check value in the file is malformed".to_string())?;
        let cmac = material.cmac_check_value();
        if !printed.agrees(&computed) && !cmac.is_some_and(|cmac| printed.agrees(&cmac)) {
            return Err("its check value in the file is not that of its value".into());
        }
    }
    let Err(refused) = store.import(&id, &material, lifetime) else { return Ok(()) };
    match store.check_value(&id) {
        Ok(stored) if stored.agrees(&computed) => Ok(()),
        Ok(_) => Err(format!("not imported ({refused}), and the stored key of that name has another check value")),
        Err(error) => Err(format!("not imported ({refused}), and no stored key confirmed ({error})")),
    }
}

/// Whether the store derives the data keys of this TDES device by itself.
fn derives_inside<S: KeyImport>(store: &S, device: &DeviceEntry) -> bool {
    let Ok((_, device)) = example::population(device) else { return false };
    let Encryption::Tdes(variant, cipher) = device.profile.encryption() else { return false };
    store.key(&device.base_key).is_ok_and(|key| key.derives_tdes_inside(variant, cipher))
}

fn custody<S: KeyImport>(store: &S, case: &Case) -> String {
    use dukpt::{Custody, Scheme};
    let device = match case {
        Case::Payload(case) => case.device.as_ref(),
        Case::Track(case) => case.device.as_ref(),
        _ => None,
    };
    if device.is_some_and(|device| derives_inside(store, device)) {
        return Custody::Token.to_string();
    }
    let scheme = match case {
        Case::TdesInitialKey(_)
        | Case::TdesDataKey(_)
        | Case::TdesPin(_)
        | Case::TdesMac(_)
        | Case::TdesTerminal(_) => Scheme::Tdes,
        Case::AesInitialKey(_)
        | Case::AesDataKey(_)
        | Case::AesWorkingKey(_)
        | Case::AesPinBlock(_)
        | Case::AesUpdateKey(_)
        | Case::AesTerminal(_) => Scheme::Aes,
        Case::Payload(case) if case.device.is_some() => Scheme::Tdes,
        Case::Track(case) if case.device.is_some() => match case.ksn.0.len() {
            12 => Scheme::Aes,
            _ => Scheme::Tdes,
        },
        // HMAC and FF1 keys never leave a token, whatever the scheme's custody.
        Case::Hmac(_) | Case::Token(_) | Case::Ff1(_) | Case::Ff1Token(_) => {
            return match store.custody(Scheme::Aes) {
                Custody::Memory => Custody::Memory,
                _ => Custody::Token,
            }
            .to_string();
        }
        // Clear keys out of the file: tests of the ciphers, not of the store.
        Case::TdesChinese(_) | Case::Mac(_) | Case::CheckValue(_) | Case::KeyBlock(_) => return String::new(),
        Case::Ksn(_) | Case::VaultToken(_) | Case::Payload(_) | Case::Track(_) => return String::new(),
    };
    store.custody(scheme).to_string()
}
