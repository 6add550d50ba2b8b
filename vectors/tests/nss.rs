//! Every vector on a second vendor's token, NSS softokn.

use std::{fs, process::Command};

use dukpt::Lifetime;
use p2pe_vectors::{Outcome, VectorFile, run};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::{Error, find_library, skipped};

#[test]
fn no_vector_fails_on_nss() -> Result<(), Error> {
    let Some(module) = find_library("libsoftokn3.so") else {
        return skipped("libsoftokn3.so (package libnss3)");
    };
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    let pin = directory.path().join("pin");
    fs::write(&pin, "nss test pin\n").unwrap();
    let made = Command::new("certutil").args(["-N", "-d", &format!("sql:{dir}"), "-f"]).arg(&pin).status();
    if made.is_err() {
        return skipped("certutil (package libnss3-tools)");
    }
    assert!(made.unwrap().success());
    let mut settings = Settings::new(module, TokenSelector::label("NSS Certificate DB"), PinSource::File(pin));
    settings.init = Some(format!("configdir='sql:{dir}' certPrefix='' keyPrefix='' secmod='' flags="));

    let files = VectorFile::builtin().unwrap();
    let results = run(&mut Token::open(&settings).unwrap().store().unwrap(), &files, Lifetime::Session);
    let tests: Vec<_> = files.iter().flat_map(|file| &file.tests).collect();
    assert_eq!(results.len(), tests.len());
    for (case, test) in results.iter().zip(tests) {
        let unsupported = test.flags.iter().any(|flag| flag == "token-unsupported");
        let as_it_must = match &case.outcome {
            Outcome::Passed => true,
            Outcome::Skipped(reason) => unsupported && reason.starts_with("the store does not support"),
            Outcome::Failed(_) => false,
        };
        assert!(as_it_must, "{} {} {:?}", case.file, case.id, case.outcome);
    }
    let aes = results.iter().filter(|case| case.file.starts_with("aes") && case.outcome == Outcome::Passed);
    assert!(aes.count() > 100);
    Ok(())
}
