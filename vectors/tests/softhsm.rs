//! Every vector on a real token: nothing fails, nothing is left behind, and what the token cannot do is skipped, by name.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{KeyImport, Lifetime};
use p2pe_vectors::{Outcome, VectorFile, run};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::{ThrowawayToken, isolated};

mod through_cache;

use through_cache::ThroughCache;

fn token(token: &ThrowawayToken) -> Token {
    let pin = PinSource::File(token.pin_file());
    Token::open(&Settings::new(token.module(), TokenSelector::label(token.label()), pin)).unwrap()
}

/// What did not pass, but for the tests that no token runs: those must be skipped, each for one of the reasons below.
fn not_passed(store: &mut impl KeyImport, lifetime: Lifetime) -> Vec<String> {
    let files = VectorFile::builtin().unwrap();
    let results = run(store, &files, lifetime);
    let tests: Vec<_> = files.iter().flat_map(|file| &file.tests).collect();
    assert_eq!(results.len(), tests.len());
    let mut bad = Vec::new();
    for (case, test) in results.iter().zip(tests) {
        assert_eq!(case.id, test.id);
        let unsupported = test.flags.iter().any(|flag| flag == "token-unsupported");
        let as_it_must = match &case.outcome {
            Outcome::Passed => !unsupported,
            Outcome::Skipped(reason) => unsupported && REASONS.contains(&reason.as_str()),
            Outcome::Failed(_) => false,
        };
        if !as_it_must {
            bad.push(format!("{} {} {:?}", case.file, case.id, case.outcome));
        }
    }
    bad
}

/// Tokens adjust the parity of DES keys; SoftHSM takes no HMAC key under 32 bytes; a key that may not sign has no CMAC.
const REASONS: [&str; 3] = [
    "the store does not support TDES keys derived from AES keys",
    "the store does not support CKM_SHA256_HMAC",
    "the store does not support CMAC check values",
];

#[test]
fn every_vector_passes_on_softhsm_with_session_objects_only() {
    let name = "every_vector_passes_on_softhsm_with_session_objects_only";
    isolated(name, |throwaway| {
        let token = token(throwaway);
        let mut store = token.store().unwrap();
        assert_eq!(not_passed(&mut store, Lifetime::Session), Vec::<String>::new());
        // And with what a cache keeps: twice, so that the second run finds what the first one left.
        let mut cached = ThroughCache::new(&store);
        (0..2).for_each(|_| assert_eq!(not_passed(&mut cached, Lifetime::Session), Vec::<String>::new()));
        drop(cached);
        drop(store);
        // Session objects went with their session: the token is as empty as before.
        assert!(token.store().unwrap().list().unwrap().is_empty());
    })
    .unwrap();
}

/// An HSM that refuses clear imports, as the suite sees it: the keys are there under their names already.
#[test]
fn keys_in_the_token_are_used_by_label_if_their_check_value_confirms_them() {
    let name = "keys_in_the_token_are_used_by_label_if_their_check_value_confirms_them";
    isolated(name, |throwaway| {
        let token = token(throwaway);
        assert_eq!(not_passed(&mut token.admin().unwrap(), Lifetime::Permanent), Vec::<String>::new());

        // Now every import is refused because the name is taken; the stored keys serve.
        let mut store = token.store().unwrap();
        assert_eq!(not_passed(&mut store, Lifetime::Session), Vec::<String>::new());

        // Another key under the name: its check value tells, and its tests are skipped, never passed.
        let mut admin = token.admin().unwrap();
        let id = dukpt::KeyId::new("bdk-2026-osaka").unwrap();
        admin.delete(&id).unwrap();
        let other = dukpt::KeyMaterial::new("tdes-base", b"another base key").unwrap();
        admin.import(&id, &other, Lifetime::Permanent).unwrap();
        let bad = not_passed(&mut token.store().unwrap(), Lifetime::Session);
        assert!(!bad.is_empty() && bad.iter().all(|case| case.contains("Skipped")), "{bad:#?}");
        assert!(bad.iter().all(|case| case.contains("another check value")), "{bad:#?}");
    })
    .unwrap();
}
