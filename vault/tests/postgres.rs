//! PostgreSQL as a server far away is: TLS, passwords, settings, a backup.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

use p2pe_crypto::Purpose;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{keys, merchant, names, pan, policy};
use throwaway_postgres::{Server, Settings};
use vault::{Postgres, RateLimit, StoreError, Vault, VaultError, open_store};

fn refused(url: &str) -> StoreError {
    Postgres::open(url).unwrap_err()
}

/// What is wrong in a URL is told before anybody is called, and nothing of the URL is repeated.
#[test]
fn urls_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let (open, empty) = (file("open", "*:*:*:*:secret", 0o644), file("empty", "", 0o600));
    for (url, says) in [
        ("postgres://me@db.example/vault".to_owned(), "sslrootcert"),
        ("postgres://me@localhost,db.example/vault".to_owned(), "sslrootcert"),
        ("postgres://me@127.0.0.1/vault?hostaddr=192.0.2.1".to_owned(), "sslrootcert"),
        ("postgres://me@db.example/vault?sslmode=require".to_owned(), "verify-full"),
        ("postgres://me@db.example/vault?sslmode=prefer".to_owned(), "verify-full"),
        (format!("postgres://me@db.example/vault?sslrootcert={empty}"), "no certificate"),
        ("postgres://me@db.example/vault?sslrootcert=/nowhere".to_owned(), "PEM"),
        (format!("postgres://me@localhost/vault?passfile={open}"), "chmod"),
        ("postgres://me@localhost/vault?passfile=/nowhere".to_owned(), "password"),
        ("postgres://me@localhost/vault?surprise=1".to_owned(), "not known"),
        ("postgres://me@localhost/vault?connections=0".to_owned(), "connections"),
        ("postgres://me@localhost/vault?deadline=soon".to_owned(), "deadline"),
        ("postgres://me@localhost/vault?sslmode".to_owned(), "NAME=VALUE"),
        ("mysql://me:secret@localhost/vault".to_owned(), "sqlite"),
    ] {
        let error = open_store(&url).map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::Address(_)), "{url}: {error}");
        assert!(error.to_string().contains(says) && !error.to_string().contains("secret"), "{url}: {error}");
    }
}

struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
}

/// The server is who it says, or nothing is sent to it: not the password either.
#[test]
fn tls() {
    let (ours, others) = (Authority::new(), Authority::new());
    let server = Server::start(&Settings { tls: Some(ours.certify("localhost")), ..Settings::default() }).unwrap();
    server.new_database().unwrap();
    let url = |host: &str, ca: &Authority, rest: &str| {
        let (port, passfile) = (server.port(), server.passfile());
        format!("postgres://postgres@{host}:{port}/db0?passfile={}&sslrootcert={}{rest}", passfile.display(), ca.file())
    };
    let store = Postgres::open(&url("localhost", &ours, "&sslmode=verify-full")).unwrap();
    assert_eq!(server.sql("postgres", "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'p2pe vault'").unwrap(), "t");
    drop(store);
    let start = Instant::now();
    // Another authority, another name, no TLS at all, another password.
    for (url, says) in [
        (url("localhost", &others, "&sslmode=verify-full"), "certificate"),
        (url("127.0.0.1", &ours, "&sslmode=verify-full"), "certificate"),
        (url("localhost", &ours, "&sslmode=disable"), "28000"),
        (url("localhost", &ours, "&sslmode=verify-full").replace("postgres@", "postgres:wrong@"), "28P01"),
    ] {
        let error = refused(&url);
        assert!(matches!(&error, StoreError::Database(said) if said.to_string().contains(says)), "{error}");
    }
    assert!(start.elapsed().as_secs() < 20, "none of these is tried again");
}

/// A server that would lose what it confirmed is refused; a session that would, is set right.
#[test]
fn servers_that_forget() {
    let config = "fsync = off".to_owned();
    let server = Server::start(&Settings { config, ..Settings::default() }).unwrap();
    assert!(matches!(refused(&server.new_database().unwrap()), StoreError::NotDurable));
    let config = "synchronous_commit = off\nwal_writer_delay = 10s".to_owned();
    let server = Server::start(&Settings { config, ..Settings::default() }).unwrap();
    let vault = Vault::init(Arc::new(Postgres::open(&server.new_database().unwrap()).unwrap()), keys(1, 2), names());
    let vault = vault.unwrap();
    for i in 0..5 {
        vault.tokenize(&policy("shop"), &pan(i), None).unwrap();
        let flushed = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
        assert_eq!(server.sql("db0", flushed).unwrap(), "t");
    }
}

#[test]
fn schemas() {
    let server = Server::shared();
    let url = server.new_database().unwrap();
    // Many open an empty database at once.
    let openers: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            thread::spawn(move || Postgres::open(&url).map(|_| ()))
        })
        .collect();
    openers.into_iter().for_each(|opener| opener.join().unwrap().unwrap());
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
    server.sql(name, "UPDATE vault_schema SET version = 99").unwrap();
    assert!(matches!(refused(&url), StoreError::NewerSchema(99)));
}

/// No more connections than agreed, and nobody waits longer than agreed.
#[test]
fn bounds() {
    let server = Server::start(&Settings::default()).unwrap();
    let url = server.new_database().unwrap();
    let store = Arc::new(Postgres::open(&format!("{url}&connections=2&deadline=5")).unwrap());
    drop(Vault::init(store.clone(), keys(1, 2), names()).unwrap());
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let store = store.clone();
            thread::spawn(move || {
                let vault = Vault::open(store, keys(1, 2)).unwrap();
                (0..10).for_each(|i| drop(vault.tokenize(&policy("shop"), &pan(worker * 100 + i), None).unwrap()));
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'p2pe vault'";
    assert_eq!(server.sql("db0", count).unwrap(), "2");
    let vault = Vault::open(store, keys(1, 2)).unwrap();
    server.crash().unwrap();
    let start = Instant::now();
    let error = vault.tokenize(&policy("shop"), &pan(1), None).unwrap_err();
    assert_eq!(error.code(), "database_unavailable", "{error}");
    assert!((2..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    server.start_again().unwrap();
    vault.tokenize(&policy("shop"), &pan(1), None).unwrap();
}

/// A call reads the rows of its card and not the tenant's, on a server that has no statistics, with plans made for empty tables.
#[test]
fn rows_read_by_a_call() {
    let config = "autovacuum = off".to_owned();
    let server = Server::start(&Settings { config, ..Settings::default() }).unwrap();
    let url = format!("{}&connections=1", server.new_database().unwrap());
    let vault = Vault::init(Arc::new(Postgres::open(&url).unwrap()), keys(1, 2), names()).unwrap();
    let shop = policy("shop");
    let calls = |from: u64, count: u64| {
        for i in from..from + count {
            let token = vault.tokenize(&shop, &pan(i), None).unwrap();
            assert_eq!(vault.tokenize(&shop, &pan(i), Some(&i.to_string())).unwrap(), token);
            vault.detokenize("till", &shop, Purpose::Payment, &token).unwrap();
            assert_eq!(vault.tokens_of(&merchant("shop"), &pan(i)).unwrap().as_slice(), std::slice::from_ref(&token));
            vault.delete(&merchant("shop"), &token).unwrap();
        }
    };
    calls(0, 3);
    let many: Vec<_> = (10_000..14_000).map(pan).collect();
    many.chunks(1000).for_each(|pans| drop(vault.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()).unwrap()));
    calls(100, 40);
    drop(vault);
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'p2pe vault'";
    while server.sql("db0", connected).unwrap() != "0" {
        thread::sleep(std::time::Duration::from_millis(20));
    }
    let read = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname ~ '^(tokens|requests)'";
    let read: u64 = server.sql("db0", read).unwrap().parse().unwrap();
    // Some plans are for the empty table until the statement is used a fourth time. In 40 calls of one that stayed so: 160,000.
    assert!((43..100_000).contains(&read), "{read}");
}

/// Another client holds up a token between its look at the keys and its end; meanwhile its data key is replaced and removed.
#[test]
fn a_key_is_removed_while_a_token_is_stored() {
    let server = Server::shared();
    let url = server.new_database().unwrap();
    let (_, database) = url.split_once('?').unwrap().0.rsplit_once('/').unwrap();
    let open = || Vault::open(open_store(&url).unwrap(), keys(1, 2)).unwrap();
    let vault = Vault::init(open_store(&url).unwrap(), keys(1, 2), names()).unwrap();
    let shop = policy("shop");
    let wait_for = |what: &str| {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {what}");
        let start = Instant::now();
        while server.sql(database, &sql).unwrap() != "1" {
            assert!(start.elapsed().as_secs() < 30, "{what}");
            thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    thread::scope(|scope| {
        let late = scope.spawn(|| {
            let vault = open();
            vault.tokenize(&shop, &pan(1), None).unwrap();
            // The same nonce is taken, by a row that never comes to be.
            let taken = "BEGIN; INSERT INTO tokens SELECT substring(sha256(id) for 16), tenant, policy, token || 'x', print_version, \
                         sha256(fingerprint), pan_fingerprint, key_version, nonce + 1, sealed, ends, single_use FROM tokens; \
                         SELECT pg_sleep(60); ROLLBACK";
            scope.spawn(|| server.sql(database, taken));
            wait_for("wait_event = 'PgSleep'");
            vault.tokenize(&shop, &pan(2), None).unwrap()
        });
        wait_for("wait_event_type = 'Lock'");
        assert_eq!(vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap().moved, 1);
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event = 'PgSleep'";
        server.sql(database, end).unwrap();
        let token = late.join().unwrap();
        assert_eq!(vault.detokenize("till", &shop, Purpose::Payment, &token).unwrap().pan.expose(), pan(2).expose());
    });
    let found = vault.verify().unwrap();
    assert_eq!((found.rows, found.problems.len(), found.orphans.len()), (2, 0, 0));
}

/// A caller's limit holds over all connections, however many ask at the same moment.
#[test]
fn rate_limit() {
    const CALLERS: u64 = 20;
    let url = Server::shared().new_database().unwrap();
    let open = |url: &str| {
        let vault = Vault::open(open_store(url).unwrap(), keys(1, 2)).unwrap();
        vault.with_clock(|| 1_000_000).with_rate_limit(RateLimit(3))
    };
    drop(Vault::init(open_store(&url).unwrap(), keys(1, 2), names()).unwrap());
    let token = open(&url).tokenize(&policy("shop"), &pan(1), None).unwrap();
    let start = Arc::new(Barrier::new(8));
    let askers: Vec<_> = (0..8)
        .map(|_| {
            let (url, token, start) = (url.clone(), token.clone(), start.clone());
            thread::spawn(move || {
                let (vault, shop) = (open(&url), policy("shop"));
                let ask = |caller| {
                    start.wait();
                    match vault.detokenize(&format!("till {caller}"), &shop, Purpose::Payment, &token) {
                        Ok(_) => 1,
                        Err(error) => u64::from(!matches!(error, VaultError::RateLimited)) * 1000,
                    }
                };
                (0..CALLERS).map(ask).collect::<Vec<_>>()
            })
        })
        .collect();
    let granted: Vec<Vec<u64>> = askers.into_iter().map(|asker| asker.join().unwrap()).collect();
    for caller in 0..20 {
        assert_eq!(granted.iter().map(|asker| asker[caller]).sum::<u64>(), 3, "till {caller}");
    }
    assert_eq!(open(&url).stats().unwrap().audit, 3 * CALLERS);
}

/// A dump made while the vault serves; restored, it gets new data keys before it takes a token.
#[test]
fn backup_and_restore() {
    let server = Server::shared();
    let (url, other) = (server.new_database().unwrap(), server.new_database().unwrap());
    let name = |url: &str| url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let vault = Vault::init(Arc::new(Postgres::open(&url).unwrap()), keys(1, 2), names()).unwrap();
    let shop = policy("shop");
    let token = vault.tokenize(&shop, &pan(1), Some("order 1")).unwrap();
    let dump = server.client("pg_dump").args(["--format=custom", &name(&url)]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    vault.tokenize(&shop, &pan(2), None).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &dump.stdout).unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
    restore(server, &name(&other), file.path());
    let vault = Vault::open(Arc::new(Postgres::open(&other).unwrap()), keys(1, 2)).unwrap();
    vault.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    assert_eq!(vault.tokenize(&shop, &pan(1), Some("order 1")).unwrap(), token);
    vault.tokenize(&shop, &pan(3), None).unwrap();
    let found = vault.verify().unwrap();
    assert_eq!((found.rows, found.problems.len(), found.orphans.len()), (2, 0, 0));
}

fn restore(server: &Server, database: &str, file: &Path) {
    let restored =
        server.client("pg_restore").args(["--exit-on-error", "--dbname", database]).arg(file).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
}
