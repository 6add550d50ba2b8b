//! Known answers before anything is served: a token that computes wrongly is refused, when it is opened and ever after.

use std::{
    env,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    common::{
        TDES_KEY, fault_environment, faulty_settings, filled, hex, id, material, open, other_session, plan,
        session_keys,
    },
    disasters::{ROLE, beside},
    pool::eventually,
};
use dukpt::{Key, KeyError, KeyImport, KeyStore, Lifetime, self_test::OF_STORE, tdes};
use pkcs11_backend::{HealthState, OpenError, Pkcs11Store, Pool, PoolError, PoolSettings, Token};
use throwaway_token::{Error, ThrowawayToken, isolated, isolated_with};

/// A call that is wrong once, and the first self-test that executes it.
const WRONG: [(&str, &str); 7] = [
    ("C_Encrypt wrong at=1", "tdes-dukpt"),
    ("C_Encrypt wrong at=2", "tdes-dukpt"),
    ("C_DeriveKey wrong at=1", "aes-dukpt-128"),
    ("C_Decrypt wrong at=2", "aes-dukpt-192"),
    ("C_Sign wrong at=1", "aes-dukpt-mac"),
    ("C_Sign wrong at=2", "hmac-sha256"),
    ("C_WrapKey wrong at=1", "aes-wrap"),
];

const SOON: Duration = Duration::from_secs(10);

fn faulty(name: &str, body: impl FnOnce(&ThrowawayToken)) -> Result<(), Error> {
    isolated_with(name, fault_environment, body)
}

fn hmac(pool: &Pool) -> Result<Result<[u8; 32], KeyError>, PoolError> {
    pool.run(SOON, |store| store.key(&id("hmac"))?.hmac_sha256(b"data"))
}

#[test]
fn every_known_answer_is_given_and_each_fails_under_a_flawed_key() -> Result<(), Error> {
    isolated("self_test::every_known_answer_is_given_and_each_fails_under_a_flawed_key", |throwaway| {
        let token = open(throwaway);
        let watcher = other_session(throwaway);
        let mut store = token.store().unwrap();
        for test in &OF_STORE {
            assert_eq!(store.known_answer(test, false), Ok(true), "{}", test.name);
            assert_eq!(store.known_answer(test, true), Ok(false), "{}", test.name);
        }
        let started = Instant::now();
        assert_eq!(store.self_test(), Ok(()));
        println!("self-test: {:?}", started.elapsed());
        // No object stays, and a flawed key is no failure of the token.
        assert_eq!(session_keys(&watcher), 0);
        drop(store);
        assert!(filled(&token, Lifetime::Session).key(&id("hmac")).is_ok());
    })
}

#[test]
fn a_token_that_computes_wrongly_is_not_opened() -> Result<(), Error> {
    faulty("self_test::a_token_that_computes_wrongly_is_not_opened", |throwaway| {
        for (fault, test) in WRONG {
            plan(throwaway, fault);
            match Token::open(&faulty_settings(throwaway)).map(drop) {
                Err(OpenError::SelfTest(failed)) => assert_eq!(failed, test, "{fault}"),
                other => panic!("{fault}: {other:?}"),
            }
            plan(throwaway, "");
            let token = Token::open(&faulty_settings(throwaway)).unwrap();
            assert_eq!(session_keys(&other_session(throwaway)), 0, "{fault}");
            drop(token);
        }
    })
}

/// What a token does not do, or a fault, is no wrong answer; and a fault is not taken for something that it does not do.
#[test]
fn a_missing_mechanism_is_no_failure_and_a_fault_no_missing_mechanism() -> Result<(), Error> {
    faulty("self_test::a_missing_mechanism_is_no_failure_and_a_fault_no_missing_mechanism", |throwaway| {
        for missing in ["C_WrapKey 70", "C_SignInit 70", "C_DeriveKey 54", "C_CreateObject d1", "C_CreateObject 5"] {
            plan(throwaway, missing);
            assert!(Token::open(&faulty_settings(throwaway)).is_ok(), "{missing}");
        }
        // Once in a while a module has a trouble that it does not name.
        plan(throwaway, "C_Decrypt 5 at=1");
        assert!(Token::open(&faulty_settings(throwaway)).is_ok());
        for fault in ["C_DeriveKey 30", "C_Sign 32", "C_Encrypt b3", "C_DecryptInit 90", "C_DeriveKey close"] {
            plan(throwaway, fault);
            let opened = Token::open(&faulty_settings(throwaway)).map(drop);
            assert!(matches!(opened, Err(OpenError::Device { .. })), "{fault}: {opened:?}");
        }
    })
}

/// On demand, as once a day. From a failure on no store of the token serves, until it is opened again.
#[test]
fn a_failure_stays_until_the_token_is_opened_again() -> Result<(), Error> {
    faulty("self_test::a_failure_stays_until_the_token_is_opened_again", |throwaway| {
        let settings = faulty_settings(throwaway);
        let token = Token::open(&settings).unwrap();
        drop(filled(&token, Lifetime::Permanent));
        let (mut tested, other) = (token.store().unwrap(), token.store().unwrap());
        assert_eq!(tested.self_test(), Ok(()));
        assert!(other.key(&id("hmac")).unwrap().hmac_sha256(b"data").is_ok());

        plan(throwaway, "C_Sign wrong at=1");
        let failed = KeyError::SelfTest("aes-dukpt-mac");
        assert_eq!(tested.self_test(), Err(failed.clone()));
        plan(throwaway, "");
        for store in [&tested, &other, &token.store().unwrap()] {
            for name in ["hmac", "tdes", "aes-128", "absent"] {
                assert_eq!(store.key(&id(name)).err(), Some(failed.clone()), "{name}");
                assert_eq!(store.check_value(&id(name)).err(), Some(failed.clone()), "{name}");
            }
        }
        // Not even a test that goes well makes it serve again.
        assert_eq!(tested.self_test(), Ok(()));
        assert_eq!(tested.key(&id("hmac")).err(), Some(failed));
        drop((tested, other, token));
        assert!(Token::open(&settings).unwrap().store().unwrap().key(&id("hmac")).is_ok());
    })
}

#[test]
fn a_pool_tests_the_token_that_it_opens_again() -> Result<(), Error> {
    faulty("self_test::a_pool_tests_the_token_that_it_opens_again", |throwaway| {
        let token = faulty_settings(throwaway);
        drop(filled(&Token::open(&token).unwrap(), Lifetime::Permanent));
        plan(throwaway, "C_Sign wrong at=1");
        let settings = || PoolSettings { first_wait: Duration::from_millis(1), ..PoolSettings::new(token.clone()) };
        assert!(matches!(Pool::open(settings()).map(drop), Err(OpenError::SelfTest("aes-dukpt-mac"))));

        plan(throwaway, "");
        let pool = Pool::open(settings()).unwrap();
        let right = hmac(&pool).unwrap().unwrap();
        // The token goes, and comes back as one that encrypts wrongly.
        plan(throwaway, "C_Sign 30 at=1\nC_Encrypt wrong");
        assert_eq!(hmac(&pool), Err(PoolError::SelfTest));
        plan(throwaway, "");
        for _ in 0..3 {
            assert_eq!(hmac(&pool), Err(PoolError::SelfTest));
            sleep(Duration::from_millis(20));
        }
        let health = pool.health();
        assert_eq!(health.state, HealthState::Stopped);
        let what = health.shards[0].last_fault.clone().unwrap().what;
        assert_eq!(what, "self-test tdes-dukpt failed: nothing is served");
        drop(pool);
        assert_eq!(hmac(&Pool::open(settings()).unwrap()), Ok(Ok(right)));
    })
}

/// The token comes back under its own name, with another key under the name of one that was used.
#[test]
fn a_pool_compares_the_keys_of_a_token_that_it_opens_again() -> Result<(), Error> {
    const NAME: &str = "self_test::a_pool_compares_the_keys_of_a_token_that_it_opens_again";
    faulty(NAME, |throwaway| {
        if let Ok(key) = env::var(ROLE) {
            let mut admin = open(throwaway).admin().unwrap();
            admin.delete(&id("tdes")).unwrap();
            admin.import(&id("tdes"), &material("tdes-base", &key), Lifetime::Permanent).unwrap();
            return;
        }
        let token = faulty_settings(throwaway);
        drop(filled(&Token::open(&token).unwrap(), Lifetime::Permanent));
        let longest_wait = Duration::from_millis(20);
        let pool = Pool::open(PoolSettings { longest_wait, ..PoolSettings::new(token) }).unwrap();
        let ask = || {
            let ksn = tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap();
            let job = move |store: &mut &Pkcs11Store| store.key(&id("tdes"))?.tdes_initial_key(&ksn);
            pool.run(SOON, job).map(|key: Result<_, KeyError>| key.unwrap().expose().to_vec())
        };
        let right = ask().unwrap();
        let exchange = |key: &str| assert!(beside(NAME, key).wait().unwrap().success());

        exchange(&TDES_KEY.replace("0123", "3B5D"));
        plan(throwaway, "C_EncryptInit 30 at=1");
        assert_eq!(ask(), Err(PoolError::Unavailable));
        let what = pool.health().shards[0].last_fault.clone().unwrap().what;
        assert_eq!(what, "key tdes is another one than before");
        // The right one again: the pool finds out by itself.
        exchange(TDES_KEY);
        assert!(eventually(|| pool.health().state == HealthState::Serving));
        assert_eq!(ask(), Ok(right));
    })
}
