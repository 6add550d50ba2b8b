//! The pool under each fault that a token has: every request is right or reported, and the pool comes back.

use std::{
    panic,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    expected, fault_environment, faulty_settings, filled, id, mixed, open, other_session, plan, session_keys, settings,
};
use dukpt::{Key, KeyError, KeyStore, Lifetime};
use pkcs11_backend::{HealthState, OpenError, PinSource, Pool, PoolError, PoolSettings};
use throwaway_token::{Error, ThrowawayToken, isolated, isolated_with};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Runs the body with a pool of two workers over the faulty module, whose keys are in the token.
fn pooled(name: &str, body: impl FnOnce(&ThrowawayToken, &Pool)) -> Result<(), Error> {
    pooled_with(name, |_| (), body)
}

fn pooled_with(
    name: &str,
    change: impl FnOnce(&mut PoolSettings),
    body: impl FnOnce(&ThrowawayToken, &Pool),
) -> Result<(), Error> {
    isolated_with(name, fault_environment, |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        plan(token, "");
        let mut settings = PoolSettings::new(faulty_settings(token));
        settings.first_wait = Duration::from_millis(20);
        settings.longest_wait = Duration::from_millis(100);
        change(&mut settings);
        let pool = Pool::open(settings).unwrap();
        body(token, &pool);
        // No key stays, whatever happened. Another program of this process would see it, also one whose handle was lost.
        plan(token, "");
        assert!(eventually(|| pool.run(LONG, |store| mixed(store, 0)) == Ok(Ok(expected(0)))));
        assert!(eventually(|| pool.health().overdue == 0 && session_keys(&other_session(token)) == 0));
    })
}

pub(crate) fn ask(pool: &Pool, number: u32) -> Result<Result<Vec<u8>, KeyError>, PoolError> {
    pool.run(LONG, move |store| mixed(store, number))
}

pub(crate) fn right(pool: &Pool, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(ask(pool, number), Ok(Ok(expected(number))), "{number}: {:?}", pool.health());
    }
}

pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

/// A device error that holds until the module is initialised again, or a token that was never there, looks the same.
#[test]
fn one_fault_and_every_request_is_right() -> Result<(), Error> {
    pooled("pool::one_fault_and_every_request_is_right", |token, pool| {
        right(pool, 0..8);
        let mut epoch = pool.health().shards[0].epoch;
        assert_eq!(epoch, 1);
        // What happens once, and whether it takes a new epoch.
        for (fault, reopens) in [
            ("C_DeriveKey b3 at=2", false),
            ("C_DeriveKey close at=2", false),
            ("C_DeriveKey 82 at=3", false),
            ("C_EncryptInit 60 at=1", false),
            ("C_Decrypt 5 at=1", false),
            ("C_DeriveKey 80000001 at=1", false),
            ("C_DecryptInit 90 at=1", false),
            // The session keeps an operation that nobody ends.
            ("C_DecryptInit lost:5 at=1", false),
            ("C_SignInit lost:6 at=1", false),
            ("C_DeriveKey lost:6 at=3", false),
            ("C_SignInit 31 at=1", false),
            ("C_DeriveKey lost:30 at=3", true),
            ("C_DeriveKey broken at=2", true),
            ("C_DecryptInit logout at=1", true),
            ("C_DeriveKey logout at=1", true),
            ("C_SignInit 101 at=1", true),
            ("C_DeriveKey close-all at=2", true),
            ("C_Encrypt close-all at=1", true),
            ("C_DeriveKey finalize at=2", true),
            ("C_EncryptInit initialize at=1", true),
            ("C_DeriveKey initialize at=2", true),
            ("C_SignInit e0 at=1", true),
            ("C_DeriveKey 32 at=1", true),
            ("C_DeriveKey e1 at=4", true),
            ("C_DeriveKey 3 at=4", true),
        ] {
            plan(token, fault);
            right(pool, 0..8);
            let health = pool.health();
            assert_eq!(health.shards[0].epoch > epoch, reopens, "{fault}: {health:?}");
            assert_eq!((health.state, health.overdue), (HealthState::Serving, 0), "{fault}");
            assert!(health.shards[0].last_fault.is_some(), "{fault}");
            epoch = health.shards[0].epoch;
        }
    })
}

/// Faults while the pool mends a fault: no session, no login, no slots.
#[test]
fn faults_of_the_recovery_itself() -> Result<(), Error> {
    pooled("pool::faults_of_the_recovery_itself", |token, pool| {
        for fault in [
            "C_OpenSession 30 at=1",
            "C_OpenSession b1 at=1",
            "C_OpenSession e0 at=2",
            "C_Initialize 5 at=1",
            "C_Initialize 30 at=1",
            "C_GetSlotList 30 at=1",
            "C_GetTokenInfo e0 at=1",
            "C_Login 30 at=1",
            "C_Login lost:30 at=1",
            "C_Login 6 at=1",
            "C_Finalize 5 at=1",
            "C_Finalize lost:5 at=1",
            "C_FindObjectsInit 30 at=1",
            "C_FindObjects 5 at=1",
            "C_GetSessionInfo 30 at=1",
            "C_GetAttributeValue e0 at=3",
        ] {
            plan(token, &format!("{fault}\nC_DeriveKey logout at=1"));
            right(pool, 0..8);
            assert_eq!(pool.health().state, HealthState::Serving, "{fault}");
        }
        // A module that could not be finalised is still the pool's to finalise: only that mends what comes then.
        let epoch = pool.health().shards[0].epoch;
        plan(token, "C_Finalize 5 at=1\nC_Finalize 6 at=2\nC_DeriveKey logout at=1");
        right(pool, 0..8);
        plan(token, "C_DeriveKey broken at=1");
        right(pool, 0..8);
        assert!(pool.health().shards[0].epoch > epoch + 1);
        // A session that cannot be closed, with a lost key in it: the module is initialised again for that alone.
        let epoch = pool.health().shards[0].epoch;
        plan(token, "C_DeriveKey lost:5 at=3\nC_CloseSession 6 from=1");
        right(pool, 0..4);
        plan(token, "");
        right(pool, 0..4);
        assert!(pool.health().shards[0].epoch > epoch);
    })
}

#[test]
fn an_answer_is_no_fault() -> Result<(), Error> {
    pooled("pool::an_answer_is_no_fault", |token, pool| {
        let none = pool.run(LONG, |store| store.key(&id("none")).map(|_| ()));
        assert_eq!(none, Ok(Err(KeyError::NotFound(id("none")))));
        plan(token, "C_DeriveKey 70");
        assert_eq!(ask(pool, 0), Ok(Err(KeyError::Unsupported("CKM_AES_ECB_ENCRYPT_DATA"))));
        // A module that calls bad data a general error: the request fails, and the token is left alone.
        plan(token, "C_Decrypt lost:5");
        for _ in 0..5 {
            assert_eq!(ask(pool, 0), Ok(Err(KeyError::Device { function: "C_Decrypt", code: 5 })));
        }
        let health = pool.health();
        assert_eq!(
            (health.state, health.shards[0].epoch, health.shards[0].failures_in_a_row),
            (HealthState::Serving, 1, 0)
        );

        // A key that is gone is looked for once on a token that was opened again, and then it is gone.
        plan(token, "");
        right(pool, 0..4);
        open(token).admin().unwrap().delete(&id("hmac")).unwrap();
        for _ in 0..3 {
            let gone = pool.run(LONG, |store| store.key(&id("hmac"))?.hmac_sha256(b"x").map(|_| ()));
            assert_eq!(gone, Ok(Err(KeyError::NotFound(id("hmac")))));
        }
        assert_eq!(pool.health().shards[0].epoch, 2);
    })
}

#[test]
fn a_token_that_is_gone_and_comes_back() -> Result<(), Error> {
    pooled("pool::a_token_that_is_gone_and_comes_back", |token, pool| {
        for gone in ["* e0", "* 32", "* 30", "C_GetSlotList 30\nC_DeriveKey broken"] {
            right(pool, 0..4);
            plan(token, gone);
            let start = Instant::now();
            let first = ask(pool, 0);
            assert!(
                matches!(first, Ok(Err(KeyError::Device { .. })) | Err(PoolError::Unavailable)),
                "{gone}: {first:?}"
            );
            // The circuit opens: requests are refused without being tried, and health says so.
            assert!(eventually(|| pool.health().state == HealthState::Down), "{gone}");
            let asked = Instant::now();
            assert_eq!(ask(pool, 1), Err(PoolError::Unavailable), "{gone}");
            assert!(asked.elapsed() < Duration::from_millis(50));
            assert!(start.elapsed() < Duration::from_secs(5));
            plan(token, "");
            assert!(eventually(|| pool.health().state == HealthState::Serving), "{gone}: {:?}", pool.health());
            right(pool, 0..8);
            assert_eq!(pool.health().shards[0].failures_in_a_row, 0);
        }
    })
}

/// Waits grow: a token that is away for long is not hammered.
#[test]
fn the_waits_grow() -> Result<(), Error> {
    let settings = |settings: &mut PoolSettings| {
        (settings.first_wait, settings.longest_wait) = (Duration::from_millis(40), Duration::from_millis(160));
    };
    pooled_with("pool::the_waits_grow", settings, |token, pool| {
        plan(token, "* e0");
        let _ = ask(pool, 0);
        thread::sleep(Duration::from_millis(1200));
        // 0, 40, 80, 160, 160 …, or half of it: some ten to twenty attempts in this time, not hundreds.
        let tried = pool.health().shards[0].faults;
        assert!((5..20).contains(&tried), "{tried}");
    })
}

#[test]
fn a_refused_pin_is_never_tried_again() -> Result<(), Error> {
    pooled_with(
        "pool::a_refused_pin_is_never_tried_again",
        |_| (),
        |token, _| {
            for refusal in ["a0", "a1", "a2", "a3", "a4", "102"] {
                plan(token, "");
                let pool = Pool::open(PoolSettings::new(faulty_settings(token))).unwrap();
                right(&pool, 0..4);
                // The second login would be taken.
                plan(token, &format!("C_Login {refusal} at=1\nC_DeriveKey logout at=1"));
                let first = ask(&pool, 0);
                assert!(matches!(first, Err(PoolError::Stopped)), "{refusal}: {first:?}");
                thread::sleep(Duration::from_millis(200));
                assert_eq!(ask(&pool, 0), Err(PoolError::Stopped));
                assert_eq!(pool.health().state, HealthState::Stopped);
            }
            plan(token, "C_Login a0 at=1");
            let refused = Pool::open(PoolSettings::new(faulty_settings(token)));
            assert!(matches!(refused.err(), Some(OpenError::WrongPin)));
            plan(token, "");
            let mut prompt = faulty_settings(token);
            prompt.pin = PinSource::Prompt;
            assert!(matches!(Pool::open(PoolSettings::new(prompt)).err(), Some(OpenError::PinPrompt(_))));
        },
    )
}

#[test]
fn calls_that_hang() -> Result<(), Error> {
    pooled_with(
        "pool::calls_that_hang",
        |settings| settings.queue = 2,
        |token, pool| {
            right(pool, 0..4);
            plan(token, "C_DeriveKey hang at=1");
            let start = Instant::now();
            let late = pool.run(Duration::from_millis(100), |store| mixed(store, 0));
            assert_eq!(late, Err(PoolError::DeadlineExceeded));
            assert!((100..1000).contains(&start.elapsed().as_millis()));
            // The other worker goes on, and health tells of the first.
            right(pool, 0..8);
            assert_eq!(pool.health().overdue, 1);
            // With both of them stuck, a few wait, and the next is refused at once.
            plan(token, "C_DeriveKey hang at=1\nC_SignInit hang");
            let short = Duration::from_millis(300);
            thread::scope(|scope| {
                let stuck = scope.spawn(|| pool.run(short, |store| mixed(store, 2)));
                assert!(eventually(|| pool.health().queued == 0));
                thread::sleep(Duration::from_millis(50));
                let waiting =
                    [0, 1].map(|number| scope.spawn(move || pool.run(short, move |store| mixed(store, number))));
                assert!(eventually(|| pool.health().queued == 2));
                assert_eq!(pool.run(short, |store| mixed(store, 3)), Err(PoolError::Overloaded));
                assert_eq!(stuck.join().unwrap(), Err(PoolError::DeadlineExceeded));
                for caller in waiting {
                    assert_eq!(caller.join().unwrap(), Err(PoolError::DeadlineExceeded));
                }
            });
            // Those whose callers went away make room, and are never run.
            let (ran, runs) = mpsc::channel();
            let caller = pool.run(Duration::from_millis(20), move |_| ran.send(()).unwrap());
            assert_eq!(caller, Err(PoolError::DeadlineExceeded));
            plan(token, "");
            right(pool, 0..8);
            assert!(runs.try_recv().is_err());
            assert!(eventually(|| pool.health().overdue == 0));
        },
    )
}

/// A call that hangs keeps its shard from being opened again: nothing is finalised under it.
#[test]
fn a_hanging_call_is_waited_for_before_the_module_is_finalised() -> Result<(), Error> {
    pooled("pool::a_hanging_call_is_waited_for_before_the_module_is_finalised", |token, pool| {
        right(pool, 0..4);
        plan(token, "C_DeriveKey hang at=1\nC_SignInit 30 at=1");
        thread::scope(|scope| {
            let hanging = scope.spawn(|| ask(pool, 0));
            thread::sleep(Duration::from_millis(50));
            let waiting = scope.spawn(|| ask(pool, 2));
            assert!(eventually(|| pool.health().state == HealthState::Recovering));
            thread::sleep(Duration::from_millis(200));
            assert_eq!((pool.health().state, pool.health().shards[0].epoch), (HealthState::Recovering, 1));
            plan(token, "");
            assert_eq!(hanging.join().unwrap(), Ok(Ok(expected(0))));
            assert_eq!(waiting.join().unwrap(), Ok(Ok(expected(2))));
        });
        assert_eq!(pool.health().shards[0].epoch, 2);
    })
}

#[test]
fn a_slow_token() -> Result<(), Error> {
    pooled("pool::a_slow_token", |token, pool| {
        plan(token, "* delay:5");
        right(pool, 0..4);
        plan(token, "C_DeriveKey delay:50");
        assert_eq!(pool.run(Duration::from_millis(60), |store| mixed(store, 0)), Err(PoolError::DeadlineExceeded));
    })
}

#[test]
fn jobs_that_panic() -> Result<(), Error> {
    pooled("pool::jobs_that_panic", |_, pool| {
        panic::set_hook(Box::new(|_| ()));
        for number in 0..6 {
            let panicked = pool.run(LONG, move |store| {
                let _half_done = mixed(store, number);
                assert!(store.key(&id("none")).is_ok(), "a job may panic");
            });
            assert_eq!(panicked, Err(PoolError::Panicked));
        }
        let _ = panic::take_hook();
        right(pool, 0..8);
        assert_eq!(pool.health().shards[0].epoch, 1);
    })
}

#[test]
fn a_pool_that_is_dropped_tells_those_who_wait() -> Result<(), Error> {
    isolated("pool::a_pool_that_is_dropped_tells_those_who_wait", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let pool = Pool::open(PoolSettings { workers: 1, ..PoolSettings::new(settings(token)) }).unwrap();
        let (started, start) = mpsc::channel();
        let done = thread::scope(|scope| {
            let pool = std::sync::Arc::new(pool);
            let first = std::sync::Arc::clone(&pool);
            let running = scope.spawn(move || {
                first.run(LONG, move |store| {
                    started.send(()).unwrap();
                    thread::sleep(Duration::from_millis(100));
                    mixed(store, 1)
                })
            });
            start.recv().unwrap();
            assert_eq!(pool.health().shards[0].epoch, 1);
            drop(pool);
            running.join().unwrap()
        });
        assert_eq!(done, Ok(Ok(expected(1))));
        // And the module was released with it: it can be opened anew, by one who logs in.
        assert!(open(token).store().unwrap().key(&id("hmac")).is_ok());
    })
}

#[test]
fn shards_are_modules_of_their_own() -> Result<(), Error> {
    isolated("pool::shards_are_modules_of_their_own", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let mut settings = PoolSettings::new(settings(token));
        (settings.shards, settings.workers, settings.recycle_after) = (3, 2, 60);
        let pool = Pool::open(settings).unwrap();
        thread::scope(|scope| {
            for caller in 0..6 {
                let pool = &pool;
                scope.spawn(move || right(pool, caller * 100..caller * 100 + 100));
            }
        });
        // Each is initialised again and again, for its memory; none because of a fault. Which one serves is not to be foreseen.
        assert!(eventually(|| {
            right(&pool, 0..50);
            pool.health().shards.iter().all(|shard| shard.epoch > 2)
        }));
        assert!(pool.health().shards.iter().all(|shard| shard.faults == 0), "{:?}", pool.health());
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut modules: Vec<&str> = maps
            .lines()
            .filter(|line| line.ends_with("libsofthsm2.so"))
            .filter_map(|line| line.split(' ').next_back())
            .collect();
        modules.sort_unstable();
        modules.dedup();
        assert_eq!(modules.len(), 3, "{modules:?}");
        drop(pool);
        let gone = modules.iter().filter(|module| !std::path::Path::new(module).exists()).count();
        assert_eq!(gone, 2);
    })
}
