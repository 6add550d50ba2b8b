//! TDES payloads on a token that runs TDES DUKPT by itself, played by the faulty module: same cards, other custody.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsString;

use dukpt::{Custody, KeyImport, Lifetime, MemoryStore, Scheme};
use p2pe_crypto::{Decryptor, Devices};
use p2pe_vectors::{Example, Outcome, VectorFile, run};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::{ThrowawayToken, isolated_with};

const EXAMPLES: [&str; 4] =
    ["idtech-keyed-kb-cvv-zip-tdes", "track-made-10-bits", "aes-dukpt-track2-128", "aes-dukpt-16-bits-high-128"];

fn environment(token: &ThrowawayToken) -> Vec<(&'static str, OsString)> {
    let script = token.dir().join("script");
    std::fs::write(&script, "C_GetMechanismList dukpt\nC_DeriveKey dukpt\n").unwrap();
    vec![(fault_module::BEHIND, token.module().into()), (fault_module::SCRIPT, script.into())]
}

fn token(throwaway: &ThrowawayToken, forbid_hybrid: bool) -> Token {
    let pin = PinSource::File(throwaway.pin_file());
    let settings = Settings::new(fault_module::path().unwrap(), TokenSelector::label(throwaway.label()), pin);
    Token::open(&Settings { forbid_hybrid, ..settings }).unwrap()
}

#[test]
fn cards_from_keys_that_never_left_the_token() {
    isolated_with("cards_from_keys_that_never_left_the_token", environment, |throwaway| {
        let files = VectorFile::builtin().unwrap();
        let (mut store, mut memory) = (token(throwaway, true).store().unwrap(), MemoryStore::new());
        let mut tdes = 0;
        for name in EXAMPLES {
            let Example { payload, prefix, device, key } = Example::find(&files, name).unwrap();
            if memory.check_value(&device.base_key).is_err() {
                store.import(&device.base_key, &key, Lifetime::Session).unwrap();
                memory.import(&device.base_key, &key, Lifetime::Session).unwrap();
            }
            let mut devices = Devices::new();
            devices.insert(prefix, device);
            let (inside, software) = (Decryptor::new(&store, &devices), Decryptor::new(&memory, &devices));
            let (card, same) = (inside.decrypt(&payload).unwrap(), software.decrypt(&payload).unwrap());
            assert_eq!(card.pan().expose(), same.pan().expose());
            assert_eq!((inside.custody(&payload), software.custody(&payload)), (Custody::Token, Custody::Memory));
            tdes += usize::from(payload.ksn().scheme() == Scheme::Tdes);
            let batch = inside.decrypt_batch(&[payload.clone(), payload]);
            assert!(batch.iter().all(|card| card.as_ref().unwrap().pan().expose() == same.pan().expose()));
        }
        assert_eq!(tdes, 2);
    })
    .unwrap();
}

/// The whole suite: what passes on another token passes here or is skipped, because no initial key comes out.
#[test]
fn no_vector_fails_where_the_token_derives_by_itself() {
    isolated_with("no_vector_fails_where_the_token_derives_by_itself", environment, |throwaway| {
        let files = VectorFile::builtin().unwrap();
        let results = run(&mut token(throwaway, false).store().unwrap(), &files, Lifetime::Session);
        let failed: Vec<_> = results.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(results.iter().filter(|case| case.outcome == Outcome::Passed).count() > 500);
        let inside = |case: &&p2pe_vectors::CaseResult| case.kind == "payload" && case.custody == "token";
        assert!(results.iter().filter(inside).any(|case| case.outcome == Outcome::Passed));
    })
    .unwrap();
}
