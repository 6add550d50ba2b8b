//! A MariaDB server of a test's own: in a temporary folder, on a socket, gone when the test ends.

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
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &str, folder: &Path) -> Command {
    let path = ["/usr/sbin", "/usr/bin"].iter().map(|place| Path::new(place).join(program)).find(|path| path.exists());
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
    let server = Server { child: serve.spawn().unwrap(), _folder: folder };
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
