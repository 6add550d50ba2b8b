//! `p2pe selftest`: one executed known answer for each mechanism in use. A mechanism list is no proof.

use dukpt::Lifetime;
use p2pe_audit::{Event, Record};
use p2pe_config::{Access, Store};
use p2pe_vectors::VectorFile;
use serde_json::json;

use crate::{args::Global, audit::Journal, conformance, failure::Failure, open, output::Output};

/// What each known answer executes, and by which mechanisms of a token.
const KNOWN_ANSWERS: [(&str, &str, &str); 12] = [
    ("x9241-initial-key", "TDES initial key", "CKM_DES3_ECB"),
    ("x9241-eff801-data-request", "TDES DUKPT data key, TDES-CBC", ""),
    ("x9243-128-00000001-aes128", "AES DUKPT, 128-bit base key", "CKM_AES_ECB_ENCRYPT_DATA, CKM_AES_CBC"),
    ("made-192-00000002-aes192", "AES DUKPT, 192-bit base key", ""),
    ("x9243-256-00000002-aes256", "AES DUKPT, 256-bit base key", ""),
    ("x9241-e00001-mac-request", "TDES DUKPT, retail MAC", ""),
    ("x9241-e00001-cmac-request", "TDES DUKPT, CMAC", ""),
    ("x9243-128-00000001-mac-generate-aes128", "AES DUKPT, CMAC", "CKM_AES_CMAC"),
    ("made-256-00000003-mac-both-hmac-256", "AES DUKPT, HMAC-SHA-256", "CKM_SHA256_HMAC"),
    ("hmac-rfc4231-6", "HMAC-SHA-256", "CKM_SHA256_HMAC"),
    ("idtech-keyed-kb-cvv-zip-tdes", "a keypad's frame to card data", ""),
    ("aes-dukpt-track2-128", "an AES DUKPT track to card data", ""),
];

pub(crate) fn run(global: &Global, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let mut store = open::store(global, &config, Access::Use)?;
    let mut files = VectorFile::builtin().map_err(|error| Failure::config(error, "reinstall p2pe"))?;
    for file in &mut files {
        file.tests.retain(|test| KNOWN_ANSWERS.iter().any(|(id, ..)| *id == test.id));
        let needed = |id: &str| file.tests.iter().any(|test| test.case.key() == Some(id));
        file.keys.retain(|key| needed(&key.id));
    }
    let report = conformance::report(&mut store, &files, Lifetime::Session);
    let of_token = matches!(store, Store::Pkcs11(..));
    let text = || {
        let line = |(id, what, mechanisms): &(&str, &str, &str)| {
            let case = report.cases.iter().find(|case| case.id == *id);
            let outcome = case.map_or("missing", |case| case.outcome);
            let reason = case.and_then(|case| case.reason.clone()).unwrap_or_default();
            let run =
                if of_token && !mechanisms.is_empty() { format!("{what} ({mechanisms})") } else { (*what).into() };
            format!("{outcome:<8} {run} {reason}").trim_end().to_string() + "\n"
        };
        KNOWN_ANSWERS.iter().map(line).collect()
    };
    output.result(&json!(report), text)?;
    journal.record(|result| Record::new(Event::SelfTest, result), conformance::verdict(&report))
}
