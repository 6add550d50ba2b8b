//! The conformance suite can fail: stores that are wrong in one way each never pass the tests that reach the fault.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use dukpt::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm,
    MemoryKey, MemoryStore, Scheme, Tag, aes, tdes,
};
use p2pe_vectors::{
    CaseResult, Outcome, Report, VectorFile, run,
    schema::{Case, Test, Verdict},
};

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// One bit of each clear text, in its first block.
    DecryptsWrongly,
    /// One bit of the key.
    InitialKeyWrong,
    MacWrong,
    /// Another key is imported than the one given.
    SwapsKeys,
    /// Finds a key under any name.
    AcceptsAnyName,
    /// Takes no key in and has none.
    RefusesImport,
    /// Takes no key in and has others under the names.
    HasOtherKeys,
    /// Takes no key in and has the right ones.
    HasTheKeys,
    /// As before, but cannot tell a check value.
    CannotTell,
    /// Every operation fails.
    Broken,
}

struct FaultyStore {
    fault: Fault,
    keys: MemoryStore,
}

struct FaultyKey<'s>(Fault, MemoryKey<'s>);

const DEVICE: KeyError = KeyError::Device { function: "C_Sign", code: 0x30 };

fn other(material: &KeyMaterial) -> KeyMaterial {
    let mut bytes = material.expose().to_vec();
    bytes[0] ^= 0x10;
    KeyMaterial::new(material.kind().name(), &bytes).unwrap()
}

impl FaultyStore {
    fn new(fault: Fault) -> Self {
        Self { fault, keys: MemoryStore::new() }
    }
}

impl KeyStore for FaultyStore {
    type Key<'s> = FaultyKey<'s>;

    fn key(&self, id: &KeyId) -> Result<FaultyKey<'_>, KeyError> {
        let key = match self.keys.key(id) {
            Err(KeyError::NotFound(_)) if self.fault == Fault::AcceptsAnyName => {
                self.keys.key(&KeyId::new("bdk-ansi").unwrap())
            }
            key => key,
        }?;
        if self.fault == Fault::Broken { Err(DEVICE) } else { Ok(FaultyKey(self.fault, key)) }
    }

    fn custody(&self, _: Scheme) -> Custody {
        Custody::Hybrid
    }
}

impl KeyImport for FaultyStore {
    fn import(&mut self, id: &KeyId, material: &KeyMaterial, lifetime: Lifetime) -> Result<(), KeyError> {
        let refused = Err(KeyError::Device { function: "C_CreateObject", code: 0x13 });
        match self.fault {
            Fault::SwapsKeys => self.keys.import(id, &other(material), lifetime),
            Fault::RefusesImport => refused,
            Fault::HasOtherKeys => self.keys.import(id, &other(material), lifetime).and(refused),
            Fault::HasTheKeys | Fault::CannotTell => self.keys.import(id, material, lifetime).and(refused),
            _ => self.keys.import(id, material, lifetime),
        }
    }

    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError> {
        match self.fault {
            Fault::CannotTell => Err(KeyError::Unsupported("CKA_CHECK_VALUE")),
            _ => self.keys.check_value(id),
        }
    }
}

impl Key for FaultyKey<'_> {
    fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError> {
        self.1.derive(step).map(|key| Self(self.0, key))
    }

    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        let key = self.1.tdes_initial_key(ksn)?;
        tdes::InitialKey::try_filled(|bytes| {
            *bytes = *key.expose();
            // Not the lowest bit: that one is a DES parity bit.
            bytes[5] ^= if self.0 == Fault::InitialKeyWrong { 0x10 } else { 0 };
            Ok(())
        })
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.1.decrypt_cbc(iv, data)?;
        data[3] ^= if self.0 == Fault::DecryptsWrongly { 1 } else { 0 };
        Ok(())
    }

    // What a store need not do.
    fn encrypt_cbc(&self, _: &[u8; 16], _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::Unsupported("encryption"))
    }

    fn encrypt_block(&self, _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::Unsupported("PIN keys"))
    }

    fn decrypt_block(&self, _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::Unsupported("PIN keys"))
    }

    fn mac(&self, _: MacAlgorithm, _: &[u8]) -> Result<Tag, KeyError> {
        Err(KeyError::Unsupported("MAC keys"))
    }

    fn check_value(&self, _: CheckMethod) -> Result<CheckValue, KeyError> {
        Err(KeyError::Unsupported("check values of derived keys"))
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        self.1.encrypt_blocks(blocks)
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        self.1.wrap(secret)
    }

    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        self.1.unwrap(wrapped, secret)
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        let mut mac = self.1.hmac_sha256(data)?;
        mac[7] ^= if self.0 == Fault::MacWrong { 0x80 } else { 0 };
        Ok(mac)
    }
}

/// What a test needs of a key store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Needs {
    Nothing,
    Tdes,
    Aes,
    Mac,
}

fn needs(case: &Case) -> Needs {
    match case {
        Case::Ksn(_) => Needs::Nothing,
        Case::TdesInitialKey(_) | Case::TdesDataKey(_) => Needs::Tdes,
        Case::AesInitialKey(_) | Case::AesDataKey(_) => Needs::Aes,
        Case::Hmac(_) | Case::Token(_) => Needs::Mac,
        Case::Payload(case) if case.device.is_some() => Needs::Tdes,
        Case::Track(case) if case.device.is_some() && case.ksn.0.len() == 12 => Needs::Aes,
        Case::Track(case) if case.device.is_some() => Needs::Tdes,
        Case::Payload(_) | Case::Track(_) => Needs::Nothing,
        // The faulty store has these operations of no key: see [`data_files`].
        _ => Needs::Nothing,
    }
}

/// The built-in tests that the faults of this file can reach: those of data keys, MACs of tokens, and payloads.
fn data_files() -> Vec<VectorFile> {
    let mut files = VectorFile::builtin().unwrap();
    for file in &mut files {
        file.tests.retain(|test| {
            let name = test.case.name();
            name.ends_with("initial-key")
                || name.ends_with("data-key")
                || ["ksn", "hmac", "token", "payload", "track"].contains(&name)
        });
    }
    files.retain(|file| !file.tests.is_empty());
    files
}

/// The result of each test beside the test.
fn results(fault: Fault, files: &[VectorFile]) -> Vec<(&Test, CaseResult)> {
    let results = run(&mut FaultyStore::new(fault), files, Lifetime::Session);
    let tests: Vec<&Test> = files.iter().flat_map(|file| &file.tests).collect();
    assert_eq!(tests.len(), results.len(), "every test has its result");
    let pairs: Vec<_> = tests.into_iter().zip(results).collect();
    assert!(pairs.iter().all(|(test, result)| test.id == result.id && test.case.name() == result.kind));
    pairs
}

fn failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_))
}

#[test]
fn a_right_store_passes_all() {
    let files = data_files();
    for fault in [Fault::None, Fault::HasTheKeys] {
        for (test, result) in results(fault, &files) {
            assert_eq!(result.outcome, Outcome::Passed, "{fault:?} {}", test.id);
        }
    }
}

#[test]
fn a_wrong_store_fails_every_valid_test_that_reaches_its_fault() {
    let files = data_files();
    for (fault, reached) in [
        (Fault::DecryptsWrongly, &[Needs::Aes][..]),
        (Fault::InitialKeyWrong, &[Needs::Tdes]),
        (Fault::MacWrong, &[Needs::Mac]),
        (Fault::SwapsKeys, &[Needs::Aes, Needs::Tdes, Needs::Mac]),
        (Fault::Broken, &[Needs::Aes, Needs::Tdes, Needs::Mac]),
    ] {
        let mut failures = 0;
        for (test, result) in results(fault, &files) {
            let reaches = test.result == Verdict::Valid && reached.contains(&needs(&test.case));
            if reaches {
                assert!(failed(&result.outcome), "{fault:?} {}: {:?}", test.id, result.outcome);
                failures += 1;
            } else if test.result == Verdict::Valid {
                assert_eq!(result.outcome, Outcome::Passed, "{fault:?} {}", test.id);
            }
        }
        assert!(failures >= 30, "{fault:?}: {failures}");
    }
}

/// A store that fails at everything does not pass the tests that want a refusal after the key was used.
#[test]
fn refusing_everything_is_no_virtue() {
    let files = data_files();
    let mut wanted = 0;
    for (test, result) in results(Fault::Broken, &files) {
        if test.error.as_deref() == Some("decrypt_failed") {
            assert!(failed(&result.outcome), "{}", test.id);
            wanted += 1;
        }
    }
    assert!(wanted > 20, "{wanted}");
}

#[test]
fn a_key_under_any_name_fails_the_test_of_an_absent_key() {
    let files = data_files();
    let mut wanted = 0;
    for (test, result) in results(Fault::AcceptsAnyName, &files) {
        if test.error.as_deref() == Some("key_not_found") {
            assert!(failed(&result.outcome), "{}: {:?}", test.id, result.outcome);
            wanted += 1;
        }
    }
    assert!(wanted >= 2, "{wanted}");
}

/// A key that cannot be confirmed is no key: its tests are skipped, and the reason names key and cause.
#[test]
fn tests_of_unconfirmed_keys_are_skipped() {
    let files = data_files();
    for (fault, cause) in [
        (Fault::RefusesImport, "no stored key confirmed (no key named"),
        (Fault::HasOtherKeys, "has another check value"),
        (Fault::CannotTell, "does not support CKA_CHECK_VALUE"),
    ] {
        for (test, result) in results(fault, &files) {
            if needs(&test.case) == Needs::Nothing || test.error.as_deref() == Some("key_not_found") {
                assert_eq!(result.outcome, Outcome::Passed, "{fault:?} {}", test.id);
                continue;
            }
            let Outcome::Skipped(reason) = &result.outcome else {
                panic!("{fault:?} {} {:?}", test.id, result.outcome)
            };
            assert!(reason.starts_with("key ") && reason.contains(cause), "{reason}");
            assert!(reason.contains("C_CreateObject"), "the refusal is told: {reason}");
        }
    }
}

/// A file whose check value is not its key's is not trusted, whatever the store says.
#[test]
fn a_wrong_check_value_in_the_file_skips_its_tests() {
    let mut files = VectorFile::builtin().unwrap();
    files.retain(|file| file.name == "tdes_dukpt_x9241.json");
    files[0].keys[0].check_value = Some("000000".into());
    for (test, result) in results(Fault::None, &files) {
        assert!(matches!(&result.outcome, Outcome::Skipped(reason) if reason.contains("check value")), "{}", test.id);
    }
}

/// A test with a wrong answer fails; none of its answers is in the text.
#[test]
fn failure_texts_show_no_card() {
    let files = data_files();
    let mut secrets = Vec::new();
    for test in files.iter().flat_map(|file| &file.tests) {
        let card = match &test.case {
            Case::Payload(case) => case.card.as_ref(),
            Case::Track(case) => case.card.as_ref(),
            Case::Token(case) => {
                secrets.push(case.pan.clone());
                None
            }
            _ => None,
        };
        secrets
            .extend(card.into_iter().flat_map(|card| card.tracks.iter().flatten().cloned().chain([card.pan.clone()])));
    }
    secrets.retain(|secret| secret.len() >= 5);
    assert!(secrets.len() > 100);
    let mut texts = 0;
    for fault in
        [Fault::DecryptsWrongly, Fault::InitialKeyWrong, Fault::MacWrong, Fault::SwapsKeys, Fault::HasOtherKeys]
    {
        for (test, result) in results(fault, &files) {
            let (Outcome::Failed(text) | Outcome::Skipped(text)) = &result.outcome else { continue };
            texts += 1;
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{}: {text}", test.id);
            let longest = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            assert!(longest.unwrap_or_default() < 5, "{}: digits in {text}", test.id);
        }
    }
    assert!(texts > 500, "{texts}");
}

/// Every field of an expected card and frame is compared: changing one makes the test fail.
#[test]
fn every_expected_field_is_compared() {
    type Change = fn(&mut p2pe_vectors::schema::PayloadCase);
    let changes: [(&str, Change); 16] = [
        ("pan", |c| c.card.as_mut().unwrap().pan.replace_range(0..1, "4")),
        ("expiry", |c| c.card.as_mut().unwrap().expiry = None),
        ("name", |c| c.card.as_mut().unwrap().name = Some("X".into())),
        ("service code", |c| c.card.as_mut().unwrap().service_code = Some("999".into())),
        ("security code", |c| c.card.as_mut().unwrap().security_code = Some("999".into())),
        ("entry", |c| c.card.as_mut().unwrap().entry = "keyed".into()),
        ("luhn", |c| c.card.as_mut().unwrap().luhn ^= true),
        ("track 1", |c| c.card.as_mut().unwrap().tracks[0] = None),
        ("track 2", |c| c.card.as_mut().unwrap().tracks[1] = None),
        ("track 3", |c| c.card.as_mut().unwrap().tracks[2] = Some(";3?".into())),
        ("frame entry", |c| c.frame.as_mut().unwrap().entry = Some("keyed".into())),
        ("frame KSN", |c| c.frame.as_mut().unwrap().ksn.0[0] ^= 1),
        ("frame serial", |c| c.frame.as_mut().unwrap().serial = None),
        ("frame lengths", |c| c.frame.as_mut().unwrap().lengths.as_mut().unwrap()[2] = 1),
        ("frame masked", |c| c.frame.as_mut().unwrap().masked.as_mut().unwrap()[0] = None),
        ("frame ciphertext", |c| c.frame.as_mut().unwrap().ciphertext.as_mut().unwrap()[1] = None),
    ];
    for (what, change) in changes {
        let mut files = VectorFile::builtin().unwrap();
        files.retain(|file| file.name == "idtech_enhanced.json");
        files[0].tests.truncate(1);
        let Case::Payload(case) = &mut files[0].tests[0].case else { panic!("another type") };
        change(case);
        assert!(failed(&results(Fault::None, &files)[0].1.outcome), "{what}");
    }
}

#[test]
fn the_report_adds_up() {
    let files = data_files();
    for fault in [Fault::None, Fault::SwapsKeys, Fault::HasOtherKeys] {
        let results = run(&mut FaultyStore::new(fault), &files, Lifetime::Session);
        let count = |wanted: fn(&Outcome) -> bool| results.iter().filter(|case| wanted(&case.outcome)).count();
        let counts = (count(|o| *o == Outcome::Passed), count(failed), count(|o| matches!(o, Outcome::Skipped(_))));
        let total = results.len();
        let store = BTreeMap::from([("module".to_owned(), "none".to_owned())]);
        let report = Report::new("tool 1".into(), "2026-01-01T00:00:00Z".into(), store, &files, results);
        assert_eq!((report.summary.passed, report.summary.failed, report.summary.skipped), counts, "{fault:?}");
        assert_eq!(counts.0 + counts.1 + counts.2, total);

        let json = serde_json::to_value(&report).unwrap();
        let fields =
            |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(fields(&json), ["cases", "store", "summary", "time", "tool", "vectors"]);
        assert_eq!(fields(&json["summary"]), ["failed", "passed", "skipped"]);
        assert_eq!(json["vectors"].as_object().unwrap().len(), files.len());
        let cases = json["cases"].as_array().unwrap();
        assert_eq!(cases.len(), total);
        for case in cases {
            let passed = case["outcome"] == "passed";
            assert!(passed || ["failed", "skipped"].contains(&case["outcome"].as_str().unwrap()), "{case}");
            assert_eq!(case.get("reason").is_none(), passed, "{case}");
            let mut expected = vec!["custody", "file", "id", "microseconds", "outcome", "reason", "type"];
            expected.retain(|field| !passed || *field != "reason");
            assert_eq!(fields(case), expected);
            assert!(case["microseconds"].is_u64());
            assert!(["token", "hybrid", "memory", ""].contains(&case["custody"].as_str().unwrap()), "{case}");
        }
    }
}

/// A test that uses no key tells no custody of one.
#[test]
fn no_key_no_custody() {
    let files = data_files();
    let mut told = Vec::new();
    for (test, result) in results(Fault::None, &files) {
        let at_parse = match &test.case {
            Case::Payload(case) => case.stage == Some(p2pe_vectors::schema::Stage::Parse),
            Case::Track(case) => case.stage == Some(p2pe_vectors::schema::Stage::Parse),
            case => matches!(case, Case::Ksn(_)),
        };
        if at_parse && !result.custody.is_empty() {
            told.push(test.id.clone());
        }
    }
    assert!(told.is_empty(), "{} tests, as {:?}", told.len(), told.first());
}
