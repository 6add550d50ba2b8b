//! A server that crashes, and one that is replaced by its standby, under load: callers notice only that it takes longer.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use p2pe_crypto::Purpose;
use support::{keys, names, pan, policy};
use throwaway_postgres::{Server, Settings};
use vault::{Postgres, RateLimit, Vault, VaultStore};

/// Callers who tokenize over one store, the same cards again and again and new ones, until they are told to stop.
struct Load {
    store: Arc<dyn VaultStore>,
    stop: Arc<AtomicBool>,
    /// What was answered, by number of the card.
    said: Arc<Mutex<BTreeMap<u64, String>>>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(url: &str) -> Self {
        let store: Arc<dyn VaultStore> = Arc::new(Postgres::open(url).unwrap());
        drop(Vault::init(store.clone(), keys(1, 2), names()).unwrap());
        let (stop, said) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let workers = (0..4).map(|_| {
            let (store, stop, said) = (store.clone(), stop.clone(), said.clone());
            thread::spawn(move || {
                let vault = Vault::open(store, keys(1, 2)).unwrap();
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // All have the same cards.
                    let token = vault.tokenize(&policy("shop"), &pan(i), None).unwrap();
                    let mut said = said.lock().unwrap();
                    assert_eq!(*said.entry(i).or_insert_with(|| token.clone()), token, "{i}");
                }
            })
        });
        let workers = workers.collect();
        Self { store, stop, said, workers }
    }

    /// Waits until there are so many more answers.
    fn work(&self, more: usize) {
        let (start, before) = (Instant::now(), self.said.lock().unwrap().len());
        while self.said.lock().unwrap().len() < before + more {
            assert!(start.elapsed() < Duration::from_secs(50), "the callers stand still");
            assert!(!self.workers.iter().any(thread::JoinHandle::is_finished), "a caller was given up");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Each token that was said leads to its card, and no card has two.
    fn check(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.workers.into_iter().for_each(|worker| worker.join().unwrap());
        let vault = Vault::open(self.store, keys(1, 2)).unwrap().with_rate_limit(RateLimit(u32::MAX));
        let said = self.said.lock().unwrap();
        for (number, token) in said.iter() {
            let back = vault.detokenize("test", &policy("shop"), Purpose::Payment, token).unwrap();
            assert_eq!(back.pan.expose(), pan(*number).expose());
        }
        let found = vault.verify().unwrap();
        assert!(found.problems.is_empty() && found.orphans.is_empty(), "{found:?}");
        // Each caller may have stored one more than it could say; they had the same cards.
        let rows = usize::try_from(found.rows).unwrap();
        assert!((said.len()..=said.len() + 1).contains(&rows), "{rows} rows, {} said", said.len());
    }
}

#[test]
fn restarted_under_load() {
    let server = Server::start(&Settings::default()).unwrap();
    let load = Load::start(&server.new_database().unwrap());
    for _ in 0..3 {
        load.work(10);
        server.crash().unwrap();
        server.start_again().unwrap();
    }
    load.work(10);
    load.check();
}

/// What the primary confirmed, the synchronous standby has: the primary is killed and never comes back.
#[test]
fn replaced_under_load() {
    let primary = Server::start(&Settings::default()).unwrap();
    primary.new_database().unwrap();
    let standby = primary.standby(&Settings::default()).unwrap();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'").unwrap();
    primary.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let host = |server: &Server| {
        let folder = server.data().parent().unwrap().display().to_string();
        format!("{}:{}", folder.replace('/', "%2F"), server.port())
    };
    let load = Load::start(&format!("postgres://postgres@{},{}/db0", host(&primary), host(&standby)));
    load.work(20);
    let synchronous = "SELECT sync_state FROM pg_stat_replication";
    assert_eq!(primary.sql("postgres", synchronous).unwrap(), "sync");
    primary.kill().unwrap();
    standby.promote().unwrap();
    load.work(20);
    load.check();
}
