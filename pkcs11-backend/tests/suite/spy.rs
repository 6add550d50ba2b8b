//! What really crosses the PKCS#11 interface, as `pkcs11-spy` of OpenSC logs it.

use std::{
    cell::OnceCell,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    common::{AES_KEYS, aes_ksn, fault_environment, filled, id, open, plan, settings, suite},
    pool::right,
};
use cryptoki::object::{Attribute, AttributeType};
use dukpt::{KeyStore, Lifetime, aes};
use pkcs11_backend::{OpenError, PinSource, Pool, PoolSettings, Settings, Token};
use throwaway_token::{Error, ThrowawayToken, find_library, isolated_with, skipped};

fn log_of(token: &ThrowawayToken) -> PathBuf {
    token.dir().join("spy.log")
}

/// Runs the body where the spy stands before SoftHSM, and logs.
fn spied(name: &str, body: impl FnOnce(&ThrowawayToken, &Path)) -> Result<(), Error> {
    spied_before(name, |token| token.module().into(), body)
}

/// Runs the body where the spy stands before this module, and logs.
fn spied_before(
    name: &str,
    module: impl FnOnce(&ThrowawayToken) -> OsString,
    body: impl FnOnce(&ThrowawayToken, &Path),
) -> Result<(), Error> {
    let Some(spy) = find_library("pkcs11-spy.so") else {
        return skipped("pkcs11-spy.so (package opensc-pkcs11)");
    };
    let environment = |token: &ThrowawayToken| -> Vec<(&'static str, OsString)> {
        let spied = [("PKCS11SPY", module(token)), ("PKCS11SPY_OUTPUT", log_of(token).into())];
        spied.into_iter().chain(fault_environment(token)).collect()
    };
    isolated_with(name, environment, |token| body(token, &spy))
}

/// The calls in a log: the function's name and what the spy says of it.
fn calls(log: &str) -> Vec<(&str, &str)> {
    // Each call is headed by a line as in "12: C_DeriveKey".
    let mut heads = Vec::new();
    let mut at = 0;
    for line in log.split_inclusive('\n') {
        if let Some((number, name)) = line.trim_end().split_once(": C_")
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            heads.push((at, name));
        }
        at += line.len();
    }
    let ends = heads.iter().skip(1).map(|(at, _)| *at).chain([log.len()]);
    heads.iter().zip(ends).map(|((at, name), end)| (*name, &log[*at..end])).collect()
}

/// What one AES decryption must look like: this many derivations, one decryption, no key value on the way.
fn judge(log: &str, derivations: usize) -> Result<(), String> {
    let calls = calls(log);
    let all = |name: &str| calls.iter().filter(|call| call.0 == name).map(|call| call.1).collect::<Vec<_>>();
    let (derived, decrypted, destroyed) = (all("DeriveKey"), all("Decrypt"), all("DestroyObject"));
    if derived.len() != derivations || destroyed.len() != derivations || decrypted.len() != 1 {
        let counts = (derived.len(), destroyed.len(), decrypted.len());
        return Err(format!("{counts:?} keys derived and destroyed, and decryptions; {derivations} wanted"));
    }
    for child in derived {
        // CKA_VALUE_LEN is no value.
        let says = |attribute: &str, value: &str| {
            child.lines().any(|line| {
                let line = line.trim();
                line.starts_with(&format!("{attribute} ")) && line.ends_with(value)
            })
        };
        for (attribute, value) in [
            ("CKA_SENSITIVE", "True"),
            ("CKA_EXTRACTABLE", "False"),
            ("CKA_TOKEN", "False"),
            ("CKA_PRIVATE", "True"),
            ("CKA_ENCRYPT", "False"),
            ("CKA_WRAP", "False"),
        ] {
            if !says(attribute, value) {
                return Err(format!("a derived key is not {attribute} {value}:\n{child}"));
            }
        }
    }
    let names_value = |text: &str| text.lines().any(|line| line.trim().starts_with("CKA_VALUE "));
    match calls.iter().find(|(_, text)| names_value(text)) {
        Some((name, _)) => Err(format!("CKA_VALUE in C_{name}")),
        None => Ok(()),
    }
}

#[test]
fn an_aes_decryption_is_derivations_and_one_decryption() -> Result<(), Error> {
    spied("spy::an_aes_decryption_is_derivations_and_one_decryption", |throwaway, spy| {
        // The keys go in without the spy: an import has CKA_VALUE in its template, of course.
        drop(filled(&open(throwaway), Lifetime::Permanent));
        let mut settings = settings(throwaway);
        settings.module = spy.to_path_buf();
        let token = Token::open(&settings).unwrap();
        let store = token.store().unwrap();
        let log_file = log_of(throwaway);
        let mut last = String::new();
        for (name, base, _) in AES_KEYS {
            let key = store.key(&id(name)).unwrap();
            for counter in [1, 3, 0xFFFF, 0x8000_0001] {
                let before = fs::read_to_string(&log_file).unwrap().len();
                let suite = suite(base, aes::KeyType::Aes128);
                let data_key = aes::DataKey::derive(&key, &aes_ksn(counter), suite).unwrap();
                data_key.decrypt_cbc(&[0; 16], &mut [0; 48]).unwrap();
                drop(data_key);
                last = fs::read_to_string(&log_file).unwrap().split_off(before);
                let steps = 2 + counter.count_ones() as usize;
                assert_eq!(judge(&last, steps), Ok(()), "{name} {counter:#x}");
            }
        }

        // The judge sees what it is there for. Doctored logs:
        assert_eq!(judge(&last, 4), Ok(()));
        assert!(judge(&last, 5).is_err());
        for (honest, doctored) in [
            ("CKA_SENSITIVE         True", "CKA_SENSITIVE         False"),
            ("CKA_EXTRACTABLE       False", "CKA_EXTRACTABLE       True"),
            ("CKA_VALUE_LEN ", "CKA_VALUE "),
            (": C_Decrypt\n", ": C_DecryptUpdate\n"),
            (": C_DestroyObject\n", ": C_CopyObject\n"),
        ] {
            assert!(last.contains(honest), "{honest} is not in\n{last}");
            assert!(judge(&last.replacen(honest, doctored, 1), 4).is_err(), "{honest}");
        }
        // And a planted read of a key's value, by someone who goes through the same spy.
        let before = fs::read_to_string(&log_file).unwrap().len();
        let key = store.key(&id("aes-128")).unwrap();
        let suite = suite(aes::KeyType::Aes128, aes::KeyType::Aes128);
        let data_key = aes::DataKey::derive(&key, &aes_ksn(3), suite).unwrap();
        data_key.decrypt_cbc(&[0; 16], &mut [0; 16]).unwrap();
        let thief = thief(spy, throwaway);
        for object in thief.find_objects(&[Attribute::Token(false)]).unwrap() {
            thief.get_attributes(object, &[AttributeType::Value]).unwrap();
        }
        drop(data_key);
        let log = fs::read_to_string(&log_file).unwrap().split_off(before);
        assert_eq!(judge(&log, 4), Err("CKA_VALUE in C_GetAttributeValue".into()));
    })
}

/// A session of another user of the spy in this process.
fn thief(spy: &Path, token: &ThrowawayToken) -> cryptoki::session::Session {
    let module = cryptoki::context::Pkcs11::new(spy).unwrap();
    let slots = module.get_slots_with_token().unwrap();
    let slot = slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == token.label());
    module.open_ro_session(slot.unwrap()).unwrap()
}

#[test]
fn a_wrong_pin_is_tried_once() -> Result<(), Error> {
    spied("spy::a_wrong_pin_is_tried_once", |throwaway, spy| {
        let wrong = throwaway.dir().join("wrong-pin");
        fs::write(&wrong, "00000000\n").unwrap();
        let mut settings = settings(throwaway);
        settings.module = spy.to_path_buf();
        settings.pin = PinSource::File(wrong);
        let refused = Token::open(&settings).err().unwrap();
        assert!(matches!(refused, OpenError::WrongPin), "{refused}");
        let log = fs::read_to_string(log_of(throwaway)).unwrap();
        assert_eq!(calls(&log).iter().filter(|(name, _)| *name == "Login").count(), 1);
        // The module was released in good order.
        assert_eq!(calls(&log).last().unwrap().0, "Finalize");
    })
}

/// What the self-test makes when a token is opened it destroys, and it is short: on a slow network each call counts.
#[test]
fn a_self_test_destroys_what_it_makes() -> Result<(), Error> {
    spied("spy::a_self_test_destroys_what_it_makes", |token, spy| {
        drop(Token::open(&Settings { module: spy.into(), ..settings(token) }).unwrap());
        let log = fs::read_to_string(log_of(token)).unwrap();
        let calls = calls(&log);
        let count = |name: &str| calls.iter().filter(|call| call.0 == name).count();
        let made = count("CreateObject") + count("DeriveKey") + count("UnwrapKey");
        println!("{} calls, {made} objects", calls.len());
        assert!(made > 20 && calls.len() < 140, "{made} of {}", calls.len());
        assert_eq!(count("DestroyObject"), made);
        assert_eq!(count("OpenSession"), count("CloseSession"));
    })
}

/// A pool opens, logs in and finds its keys once an epoch. After that a request is its own operations and nothing else.
#[test]
fn a_request_opens_and_finds_nothing() -> Result<(), Error> {
    const EPOCH: [&str; 8] = [
        "Initialize",
        "Finalize",
        "OpenSession",
        "CloseSession",
        "Login",
        "FindObjectsInit",
        "GetAttributeValue",
        "GetSlotList",
    ];
    let fault_module = |_: &ThrowawayToken| fault_module::path().unwrap().into();
    spied_before("spy::a_request_opens_and_finds_nothing", fault_module, |throwaway, spy| {
        drop(filled(&open(throwaway), Lifetime::Permanent));
        plan(throwaway, "");
        let mut settings = settings(throwaway);
        settings.module = spy.to_path_buf();
        let counts = |run: &dyn Fn()| {
            let log = || fs::read_to_string(log_of(throwaway)).unwrap_or_default();
            let before = log().len();
            run();
            let log = log().split_off(before);
            let calls = calls(&log);
            EPOCH.map(|name| calls.iter().filter(|call| call.0 == name).count())
        };
        let pool = OnceCell::new();
        let settings = PoolSettings { workers: 1, ..PoolSettings::new(settings) };
        let first = counts(&|| right(pool.get_or_init(|| Pool::open(settings.clone()).unwrap()), 0..12));
        let pool = pool.into_inner().unwrap();
        // The anchor, the self-test, and the worker.
        assert_eq!(first[..5], [1, 0, 3, 1, 1], "{first:?}");
        assert!(first[5..].iter().all(|count| *count > 0), "{first:?}");
        assert_eq!(counts(&|| right(&pool, 12..112)), [0; 8]);

        // The next epoch does the same once more.
        plan(throwaway, "C_DeriveKey logout at=1");
        let again = counts(&|| right(&pool, 0..12));
        assert_eq!((again[0], again[1], again[4]), (1, 1, 1), "{again:?}");
        assert!(again[5] >= first[5], "{again:?} {first:?}");
        assert_eq!(counts(&|| right(&pool, 12..112)), [0; 8]);
    })
}
