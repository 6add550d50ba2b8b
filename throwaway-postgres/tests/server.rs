//! A server comes, works, survives a crash, and leaves nothing.

use std::{env, process::Command, thread, time::Duration};

use throwaway_postgres::{Server, Settings};

#[test]
fn comes_and_goes() {
    let server = Server::start(&Settings { loopback: true, ..Settings::default() }).unwrap();
    let dir = server.data();
    assert!(server.new_database().unwrap().contains("/db0?"));
    server.sql("db0", "CREATE TABLE t (i int); INSERT INTO t VALUES (7)").unwrap();
    server.crash().unwrap();
    assert!(server.sql("db0", "SELECT 1").is_err());
    server.start_again().unwrap();
    assert_eq!(server.sql("db0", "SELECT i, i + 1 FROM t").unwrap(), "7|8");
    server.kill().unwrap();
    drop(server);
    assert!(!dir.exists());
}

/// A process that is killed takes its server with it.
#[test]
fn killed() {
    if env::var_os("THROWAWAY_POSTGRES_CHILD").is_some() {
        let server = Server::start(&Settings::default()).unwrap();
        std::fs::write(env::var_os("THROWAWAY_POSTGRES_CHILD").unwrap(), server.data().to_str().unwrap()).unwrap();
        loop {
            thread::park();
        }
    }
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed"])
        .env("THROWAWAY_POSTGRES_CHILD", said.path())
        .spawn()
        .unwrap();
    let dir = loop {
        let dir = std::fs::read_to_string(said.path()).unwrap();
        if !dir.is_empty() {
            break std::path::PathBuf::from(dir);
        }
        assert!(child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
    };
    assert!(dir.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..500 {
        if !dir.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{} is still there", dir.display());
}
