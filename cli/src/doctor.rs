//! `p2pe doctor`: why a payload does not decrypt.

use std::process::ExitCode;

use dukpt::KeyId;
use p2pe_audit::{Event, Record};
use p2pe_config::{Access, Config, Store, StoreSettings};
use p2pe_crypto::Decryptor;
use p2pe_doctor::{Case, Diagnosis, Finding};
use serde_json::{Value, json};

use crate::{
    args::{Doctor, Global},
    audit::Journal,
    ceremony::{component_from_file, malformed},
    failure::Failure,
    gateway_json::Message,
    input, open,
    output::Output,
};

pub(crate) fn run(global: &Global, args: &Doctor, output: &Output) -> Result<ExitCode, Failure> {
    let inputs = input::inputs(args.file.as_deref(), &args.payload)?;
    let components = args.component_file.iter().map(|path| component_from_file(path)).collect::<Result<Vec<_>, _>>()?;
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let mut store = open::store(global, &config, Access::Use)?;
    let keys = key_ids(&config, &mut store);
    let decryptor = Decryptor::new(journal.over(store), config.devices);
    let mut doctor = p2pe_doctor::Doctor::new(&decryptor).with_keys(keys);
    if !components.is_empty() {
        let components: Vec<&[u8]> = components.iter().map(|component| component.as_slice()).collect();
        doctor = doctor.with_components(&args.kind, &components).map_err(malformed)?;
    }
    let message = match &inputs[..] {
        [input] => Message::read(input).transpose()?,
        _ => None,
    };
    let diagnosis = match (&message, &args.ksn[..], &inputs[..]) {
        (Some(message), ksns, _) => match &message.payloads[..] {
            [payload] => doctor.examine(&Case::Payload(payload.as_bytes())),
            _ => {
                let ksns: Vec<&str> = ksns.iter().chain(&message.ksns).map(String::as_str).collect();
                let ciphertexts: Vec<&str> = message.ciphertexts.iter().map(|text| text.as_str()).collect();
                doctor.examine(&Case::Raw { ksns: &ksns, ciphertexts: &ciphertexts })
            }
        },
        (None, [], [payload]) => doctor.examine(&Case::Payload(payload)),
        (None, [], _) => {
            return Err(Failure::usage("more than one payload", "pass one payload; several ciphertexts need --ksn"));
        }
        (None, ksns, _) => {
            // One ciphertext an argument or a line; what is no text is found to be no hex digits.
            let lines = inputs.iter().flat_map(|input| input.split(|byte| *byte == b'\n'));
            let lines = lines.map(|line| core::str::from_utf8(line.trim_ascii()).unwrap_or("?"));
            let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            let ksns: Vec<&str> = ksns.iter().map(String::as_str).collect();
            doctor.examine(&Case::Raw { ksns: &ksns, ciphertexts: &lines })
        }
    };
    let found = if diagnosis.healthy { "ok" } else { "not_healthy" };
    journal.record(|_| Record::new(Event::Diagnose, found), output.result(&object(&diagnosis), || text(&diagnosis)))?;
    Ok(ExitCode::from(diagnosis.exit()))
}

/// The keys beside those that devices name: of the settings' key files, or of the token, as far as it lists them.
fn key_ids(config: &Config, store: &mut Store) -> Vec<KeyId> {
    match &config.store {
        Some(StoreSettings::Memory(files)) => files.iter().map(|file| file.id.clone()).collect(),
        _ => {
            let entries = store.token().ok().and_then(|token| token.list().ok()).unwrap_or_default();
            entries.into_iter().map(|entry| entry.id).collect()
        }
    }
}

fn object(diagnosis: &Diagnosis) -> Value {
    let strings = |finding: &Finding| finding.evidence.iter().map(|fact| json!(fact.to_string())).collect::<Vec<_>>();
    let findings: Vec<Value> = diagnosis
        .findings
        .iter()
        .map(|finding| {
            let causes = finding
                .causes
                .iter()
                .map(|cause| json!({ "code": cause.code.as_str(), "sentence": cause.sentence, "fix": cause.fix }));
            json!({ "causes": causes.collect::<Vec<_>>(), "evidence": strings(finding) })
        })
        .collect();
    let keys =
        diagnosis.keys.iter().map(|(id, value)| json!({ "id": id, "check_value": value.map(|v| v.to_string()) }));
    json!({
        "healthy": diagnosis.healthy,
        "findings": findings,
        "keys": keys.collect::<Vec<_>>(),
        "tried": diagnosis.tried,
        "not_tried": diagnosis.not_tried,
        "exit": diagnosis.exit(),
    })
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    if diagnosis.healthy {
        return "nothing is wrong: the payload decrypts under the settings as they are\n".into();
    }
    match diagnosis.findings.len() {
        0 => text += "no cause was found; these were tried:\n",
        1 => {}
        count => text += &format!("{count} causes fit, the most probable first:\n"),
    }
    for finding in &diagnosis.findings {
        if finding.causes.len() > 1 {
            text += &format!("{} things are wrong together:\n", finding.causes.len());
        }
        for cause in &finding.causes {
            text += &format!("{:<14} {}\n{:<14} {}\n", cause.code, cause.sentence, "  to do", cause.fix);
        }
        for fact in &finding.evidence {
            text += &format!("{:<14} {fact}\n", "  evidence");
        }
    }
    if diagnosis.findings.is_empty() {
        diagnosis.tried.iter().for_each(|line| text += &format!("{:<14} {line}\n", "  tried"));
    }
    for line in &diagnosis.not_tried {
        text += &format!("{:<14} {line}\n", "  not tried");
    }
    for (id, value) in &diagnosis.keys {
        let value = value.map_or_else(|| "not told by the store".into(), |value| value.to_string());
        text += &format!("{:<14} {id}: {value}\n", "  check value");
    }
    text
}
