//! Many callers, mixed operations, faults at random: each request is right or reported, none is lost, no key stays.

use std::{
    env, fs,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        expected, fault_environment, faulty_settings, filled, mixed, open, other_session, plan, session_keys, settings,
    },
    pool::{LONG, eventually, right},
};
use dukpt::{KeyError, Lifetime};
use pkcs11_backend::{HealthState, Pool, PoolError, PoolSettings};
use throwaway_token::{Error, isolated, isolated_with};

/// Different requests of a long run.
const NUMBERS: u32 = 240;

/// How many requests: `P2PE_SOAK_REQUESTS`, else what a test has time for.
fn requests(few: u32) -> u32 {
    env::var("P2PE_SOAK_REQUESTS").ok().and_then(|number| number.parse().ok()).unwrap_or(few)
}

/// Each fault of a session, a login or a token, rarely.
const FAULTS: &str = "\
C_DeriveKey close odds=700
C_DeriveKey lost:30 odds=900
C_DeriveKey 82 odds=500
C_DeriveKey lost:b3 odds=700
C_DeriveKey close-all odds=2000
C_DeriveKey logout odds=2000
C_DeriveKey finalize odds=3000
C_DeriveKey initialize odds=3000
C_DeriveKey broken odds=3000
C_DeriveKey delay:5 odds=500
C_Decrypt 5 odds=300
C_Decrypt lost:5 odds=300
C_Decrypt cut odds=500
C_Decrypt room odds=100
C_DecryptInit lost:e0 odds=900
C_EncryptInit 101 odds=500
C_Encrypt lost:30 odds=500
C_Encrypt logout odds=1500
C_SignInit 60 odds=500
C_Sign lost:32 odds=900
C_DestroyObject 6 odds=300
C_DestroyObject lost:30 odds=300
C_OpenSession b1 odds=60
C_OpenSession lost:30 odds=60
C_CloseSession 6 odds=60
C_CloseSession lost:30 odds=60
C_FindObjectsInit 30 odds=50
C_FindObjects 5 odds=50
C_FindObjectsFinal 5 odds=50
C_GetAttributeValue 6 odds=300
C_GetSessionInfo 30 odds=30
C_GetSlotList 30 odds=60
C_GetTokenInfo 32 odds=60
C_Login 30 odds=60
C_Login lost:6 odds=60
C_Initialize 5 odds=60
C_Finalize lost:5 odds=60
C_Finalize 6 odds=20
";

#[test]
fn random_faults() -> Result<(), Error> {
    isolated_with("soak::random_faults", fault_environment, |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        plan(token, "");
        let mut settings = PoolSettings::new(faulty_settings(token));
        (settings.workers, settings.queue, settings.recycle_after) = (4, 16, 5_000);
        (settings.first_wait, settings.longest_wait) = (Duration::from_millis(2), Duration::from_millis(10));
        let pool = Pool::open(settings).unwrap();
        right(&pool, 0..24);
        plan(token, FAULTS);

        let (total, next) = (requests(4_000), AtomicU32::new(0));
        let counts = [const { AtomicUsize::new(0) }; 3];
        let [good, reported, refused] = &counts;
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= total {
                            return;
                        }
                        // A refused one is asked again: how often that is, is a matter of the machine's load.
                        let answer = loop {
                            match pool.run(LONG, move |store| mixed(store, number)) {
                                Err(PoolError::Unavailable | PoolError::Overloaded) => {
                                    refused.fetch_add(1, Ordering::Relaxed);
                                    thread::sleep(Duration::from_millis(4));
                                }
                                answer => break answer,
                            }
                        };
                        match answer {
                            Ok(Ok(result)) => {
                                assert_eq!(result, expected(number), "{number}");
                                good.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(Err(KeyError::Device { .. })) => {
                                reported.fetch_add(1, Ordering::Relaxed);
                            }
                            other => panic!("{number}: {other:?}"),
                        }
                    }
                });
            }
        });
        let [good, reported, refused] = counts.map(AtomicUsize::into_inner);
        let health = pool.health();
        println!("{good} right, {reported} reported, {refused} refused; {:?}", health.shards[0]);
        assert_eq!(good + reported, usize::try_from(total).unwrap());
        // Faults hit the token all the time, and a request is reported only if the third run of it fails too.
        assert!(good > 10 * reported, "{good} {reported} {refused}");
        assert!(health.shards[0].faults > u64::from(total) / 200, "{health:?}");
        assert!(health.shards[0].epoch > 5, "{health:?}");

        plan(token, "");
        assert!(eventually(|| pool.health().state == HealthState::Serving));
        right(&pool, 0..24);
        assert!(eventually(|| session_keys(&other_session(token)) == 0));
        assert_eq!((pool.health().queued, pool.health().overdue), (0, 0));
    })
}

/// Two shards with eight callers: no error, and the memory that destroyed keys leave behind is bounded.
#[test]
fn memory_is_bounded() -> Result<(), Error> {
    isolated("soak::memory_is_bounded", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let mut settings = PoolSettings::new(settings(token));
        (settings.shards, settings.workers, settings.recycle_after) = (2, 2, 2_000);
        let pool = Pool::open(settings).unwrap();
        let (total, start) = (requests(24_000), Instant::now());
        let work = |total: u32| {
            thread::scope(|scope| {
                for caller in 0..8 {
                    let pool = &pool;
                    scope.spawn(move || right(pool, caller * total / 8..(caller + 1) * total / 8));
                }
            });
        };
        work(total / 3);
        let before = resident();
        work(total - total / 3);
        let grown = resident().saturating_sub(before);
        let health = pool.health();
        println!("{total} requests in {:?}, {before} KiB and {grown} more; {health:?}", start.elapsed());
        assert!(health.shards.iter().all(|shard| shard.faults == 0 && shard.epoch > 1), "{health:?}");
        // Never initialised again, it were some 17 MiB; threads take some of their own.
        assert!(grown < 8 * 1024, "{grown} KiB");
    })
}

/// Eight threads on one token, for `P2PE_SOAK_SECONDS`: no error, and neither objects nor memory grow with time. Once a
/// shard has been initialised again twice, its heap has seen all that it will see.
#[test]
fn eight_threads_on_one_token() -> Result<(), Error> {
    isolated("soak::eight_threads_on_one_token", |token| {
        drop(filled(&open(token), Lifetime::Permanent));
        let seconds = env::var("P2PE_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
        let recycle_after = if seconds < 60 { 1_000 } else { 100_000 };
        let pool =
            Pool::open(PoolSettings { workers: 4, recycle_after, ..PoolSettings::new(settings(token)) }).unwrap();
        let answers: Vec<_> = (0..NUMBERS).map(expected).collect();
        let (done, start) = (AtomicU64::new(0), Instant::now());
        let mut sizes = Vec::new();
        thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|caller| {
                    let (pool, answers, done) = (&pool, &answers, &done);
                    scope.spawn(move || {
                        for number in (0..NUMBERS).cycle().skip(caller * 37) {
                            if start.elapsed() > Duration::from_secs(seconds) {
                                return;
                            }
                            let result = pool.run(LONG, move |store| mixed(store, number));
                            assert_eq!(result.as_ref(), Ok(&Ok(answers[number as usize].clone())), "{number}");
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            while callers.iter().any(|caller| !caller.is_finished()) {
                thread::sleep(Duration::from_millis(100));
                if pool.health().shards[0].epoch > 2 {
                    sizes.push(resident());
                }
            }
        });
        let (done, shard) = (done.into_inner(), &pool.health().shards[0]);
        let third = sizes.len() / 3;
        let most = |sizes: &[u64]| sizes.iter().copied().max();
        let (first, last) = (most(&sizes[..third]), most(&sizes[sizes.len() - third..]));
        println!(
            "{done} requests in {:?}, {} epochs, {} faults; at most {first:?} KiB at first and {last:?} KiB at last",
            start.elapsed(),
            shard.epoch,
            shard.faults
        );
        assert_eq!(shard.faults, 0, "{shard:?}");
        assert!(third > 1 && last < first.map(|first| first + 8 * 1024), "{sizes:?}");
        // No key was left behind: those of this epoch would show.
        assert!(eventually(|| session_keys(&other_session(token)) == 0));
    })
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
