//! Database servers of a test's own: in a temporary folder, on a socket, gone when the test ends.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// As which a server runs if this process is root's: `nobody`.
const NOBODY: u32 = 65534;

pub(crate) struct Server {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both servers stop at once and in order, as far as a test needs it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &str, folder: &Path) -> Command {
    let places = [
        "/usr/sbin",
        "/usr/bin",
        "/usr/lib/postgresql/15/bin",
        "/usr/lib/postgresql/16/bin",
        "/usr/lib/postgresql/17/bin",
    ];
    let path = places.iter().map(|place| Path::new(place).join(program)).find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| program.into()));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if fs::metadata("/proc/self").is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0) {
        command.uid(NOBODY).gid(NOBODY);
        command.env("HOME", folder).env("USER", "nobody");
    }
    command
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // No harm where this is not root, who alone may give a folder away.
    let _ = chown(folder.path(), Some(NOBODY), Some(NOBODY));
    folder
}

/// A PostgreSQL server, and the address of its database.
pub(crate) fn postgres() -> (Server, String) {
    let folder = folder();
    let data = folder.path().join("data");
    let mut make = command("initdb", folder.path());
    make.args(["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale", "--pgdata"])
        .arg(&data);
    assert!(make.status().unwrap().success(), "initdb: is PostgreSQL installed?");
    let mut serve = command("postgres", folder.path());
    serve.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    let server = Server { child: serve.spawn().unwrap(), folder };
    let address = format!("postgresql://postgres@/postgres?host={}", server.folder.path().display());
    wait(|| postgres::Client::connect(&address, postgres::NoTls).is_ok());
    (server, address)
}

/// A MariaDB server, and the address of its database.
pub(crate) fn mariadb() -> (Server, String) {
    let folder = folder();
    let (data, socket) = (folder.path().join("data"), folder.path().join("s"));
    let mut make = command("mariadb-install-db", folder.path());
    make.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    make.arg(format!("--datadir={}", data.display()));
    assert!(make.status().unwrap().success(), "mariadb-install-db: is MariaDB installed?");
    let mut serve = command("mariadbd", folder.path());
    serve.args(["--no-defaults", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"]);
    serve.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
    serve.arg(format!("--pid-file={}", folder.path().join("pid").display()));
    let server = Server { child: serve.spawn().unwrap(), folder };
    let address = |database: &str| format!("mysql://root@localhost/{database}?socket={}", socket.display());
    wait(|| mysql::Conn::new(mysql::Opts::from_url(&address("mysql")).unwrap()).is_ok());
    let mut root = mysql::Conn::new(mysql::Opts::from_url(&address("mysql")).unwrap()).unwrap();
    mysql::prelude::Queryable::query_drop(&mut root, "CREATE DATABASE shop CHARACTER SET utf8mb4").unwrap();
    (server, address("shop"))
}

fn wait(mut up: impl FnMut() -> bool) {
    let mut tries = 600;
    while !up() {
        tries -= 1;
        assert!(tries > 0, "the server does not start");
        thread::sleep(Duration::from_millis(100));
    }
}
