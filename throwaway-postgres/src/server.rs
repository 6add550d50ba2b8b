//! A server: a directory of its own, made by `initdb`, started and stopped by `pg_ctl`.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tempfile::Builder;

use crate::{Error, find_programs};

/// `nobody`, as which the server runs if this process is root's.
const NOBODY: u32 = 65534;

/// What a server is made with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether it listens on a port of 127.0.0.1 as well, where it asks for a password.
    pub loopback: bool,
    /// PEM texts of a certificate and its key: on loopback, it takes connections with TLS only.
    pub tls: Option<(String, String)>,
    /// Whether its files are on a disk, as in production, and not in memory if there is room: a commit then takes as long as a sync.
    pub on_disk: bool,
    /// More lines for `postgresql.conf`.
    pub config: String,
}

/// A running server. Its database user is `postgres`.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    dir: PathBuf,
    port: u16,
    owner: Option<u32>,
    databases: AtomicU32,
    /// Waits for the end of its input, then stops the server and removes the directory.
    keeper: Child,
}

impl Server {
    /// A server that the tests of a program share, each with a database of its own; it is stopped when the program ends.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for tests")]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&Settings::default()).expect("a PostgreSQL server"))
    }

    /// Makes a server and starts it.
    ///
    /// # Errors
    /// [`Error`]: PostgreSQL is missing, or does not start.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let server = Self::directory(settings.on_disk)?;
        let password = server.private("password", &random_hex(16)?)?;
        let mut initdb = server.program("initdb");
        initdb.args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]);
        initdb.args(["--encoding=UTF8", "--no-locale", "--pgdata"]).arg(server.data());
        server.run(initdb.arg("--pwfile").arg(&password))?;
        if let Some((certificate, key)) = &settings.tls {
            server.private("server.crt", certificate)?;
            server.private("server.key", key)?;
            let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
            server.write(&server.data().join("pg_hba.conf"), rules)?;
        }
        server.configure(settings)?;
        let secret = fs::read_to_string(&password).map_err(at(&password))?;
        server.private("passfile", &format!("*:*:*:postgres:{secret}\n"))?;
        server.start_again()?;
        Ok(server)
    }

    /// Makes a streaming standby of this server, named `standby`, and starts it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn standby(&self, settings: &Settings) -> Result<Self, Error> {
        let server = Self::directory(settings.on_disk)?;
        let mut copy = server.program("pg_basebackup");
        copy.args([
            "--username=postgres",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ]);
        copy.arg("--host").arg(&self.dir).arg(format!("--port={}", self.port));
        server.run(copy.arg("--pgdata").arg(server.data()))?;
        fs::copy(self.passfile(), server.dir.join("passfile")).map_err(at(&server.passfile()))?;
        // By this name the primary knows it.
        let config = format!("{}\ncluster_name = 'standby'\n", settings.config);
        server.configure(&Settings { config, ..settings.clone() })?;
        server.start_again()?;
        Ok(server)
    }

    /// A new database, as the URL of the socket.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new_database(&self) -> Result<String, Error> {
        let name = format!("db{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// The URL of a database through the socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}&port={}", self.dir.display(), self.port)
    }

    /// The URL of a database through loopback, with the file of the password.
    #[must_use]
    pub fn loopback_url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?passfile={}", self.port, self.passfile().display())
    }

    /// The port, on loopback and in the name of the socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file of the password, in the form of `.pgpass`.
    #[must_use]
    pub fn passfile(&self) -> PathBuf {
        self.dir.join("passfile")
    }

    /// The server's files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Runs one statement, or several, through `psql`, and returns what it prints: values bare, separated by `|`.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the server said.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String, Error> {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        self.run(psql.arg(database).args(["--command", statements]))
    }

    /// A client program, as `pg_dump`, that will find the server.
    #[must_use]
    pub fn client(&self, name: &str) -> Command {
        let mut command = self.program(name);
        command.env("PGHOST", &self.dir).env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        command
    }

    /// Starts the server after a stop.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn start_again(&self) -> Result<(), Error> {
        let log = self.dir.join("log");
        let mut start = self.control("start");
        self.run(start.arg("--log").arg(log)).map(|_| ())
    }

    /// Stops the server as a fault would: nothing is finished, nothing is written.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn crash(&self) -> Result<(), Error> {
        self.run(self.control("stop").arg("--mode=immediate")).map(|_| ())
    }

    /// Kills the server (SIGKILL).
    ///
    /// # Errors
    /// [`Error`].
    pub fn kill(&self) -> Result<(), Error> {
        let path = self.data().join("postmaster.pid");
        let pid = fs::read_to_string(&path).map_err(at(&path))?;
        self.run(Command::new("kill").arg("-9").arg(pid.lines().next().unwrap_or_default())).map(|_| ())
    }

    /// Makes a standby the primary.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn promote(&self) -> Result<(), Error> {
        self.run(&mut self.control("promote")).map(|_| ())
    }

    /// An empty directory with its keeper.
    fn directory(on_disk: bool) -> Result<Self, Error> {
        let programs = find_programs().ok_or(Error::NotInstalled)?;
        let private = Permissions::from_mode(0o700);
        let parent = if on_disk { None } else { memory() }.unwrap_or_else(std::env::temp_dir);
        let dir = Builder::new().prefix("throwaway-postgres-").permissions(private).tempdir_in(&parent);
        let dir = dir.map_err(at(&parent))?.keep();
        let root = fs::metadata(&dir).map_err(at(&dir))?.uid() == 0;
        let owner = root.then_some(NOBODY);
        chown(&dir, owner, owner).map_err(at(&dir))?;
        // The signals of a terminal reach the keeper too: it ends by its pipe only.
        let script = r#"trap '' INT TERM HUP; cat; "$1/pg_ctl" stop --mode=immediate --pgdata "$2/data"; rm -rf "$2""#;
        let mut keeper = as_owner("/bin/sh", owner);
        keeper.args(["-c", script, "keeper"]).args([&programs, &dir]).stdin(Stdio::piped());
        let keeper = keeper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(starting("sh"))?;
        Ok(Self { port: free_port()?, programs, dir, owner, databases: AtomicU32::new(0), keeper })
    }

    fn configure(&self, settings: &Settings) -> Result<(), Error> {
        let address = if settings.loopback || settings.tls.is_some() { "127.0.0.1" } else { "" };
        let mut lines = format!(
            "port = {}\nunix_socket_directories = '{dir}'\nlisten_addresses = '{address}'\nmax_connections = 100\n\
             shared_buffers = 32MB\n",
            self.port,
            dir = self.dir.display(),
        );
        if settings.tls.is_some() {
            lines += &format!(
                "ssl = on\nssl_cert_file = '{0}/server.crt'\nssl_key_file = '{0}/server.key'\n",
                self.dir.display()
            );
        }
        lines += &settings.config;
        lines += "\n";
        let path = self.data().join("postgresql.conf");
        let mut file = File::options().append(true).open(&path).map_err(at(&path))?;
        file.write_all(lines.as_bytes()).map_err(at(&path))
    }

    fn control(&self, what: &str) -> Command {
        let mut command = self.program("pg_ctl");
        command.args([what, "--wait", "--silent", "--pgdata"]).arg(self.data());
        command
    }

    fn program(&self, name: &str) -> Command {
        as_owner(self.programs.join(name), self.owner)
    }

    fn run(&self, command: &mut Command) -> Result<String, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        // The server keeps what it is given as output: a pipe would never end.
        // Several threads may ask at once.
        static RUN: AtomicU64 = AtomicU64::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["stdout", "stderr"].map(|name| self.dir.join(format!("{name}-{run}")));
        let file = |path: &Path| File::create(path).map_err(at(path));
        let status = command.stdin(Stdio::null()).stdout(file(&out)?).stderr(file(&err)?).current_dir("/").status();
        let status = status.map_err(starting(&program))?;
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let (printed, complaint) = (read(&out), read(&err));
        [out, err].iter().for_each(|path| drop(fs::remove_file(path)));
        if status.success() {
            return Ok(printed.trim_end().to_owned());
        }
        let log = read(&self.dir.join("log"));
        let log = log.get(log.len().saturating_sub(2000)..).unwrap_or_default();
        Err(Error::Failed { program, output: format!("{printed}{complaint}\n{log}") })
    }

    fn private(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.dir.join(name);
        self.write(&path, text)?;
        Ok(path)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(at(path))?;
        chown(path, self.owner, self.owner).map_err(at(path))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn as_owner(program: impl AsRef<OsStr>, owner: Option<u32>) -> Command {
    let mut command = Command::new(program);
    if let Some(owner) = owner {
        command.uid(owner).gid(owner);
    }
    command
}

/// A file system in memory with a gigabyte free.
fn memory() -> Option<PathBuf> {
    let dir = PathBuf::from("/dev/shm");
    let told = Command::new("df").arg("-Pk").arg(&dir).output().ok()?.stdout;
    let free: u64 = String::from_utf8(told).ok()?.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    (free > 1 << 20).then_some(dir)
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(starting("a listener"))
}

fn random_hex(bytes: usize) -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut random = vec![0; bytes];
    File::open(path).and_then(|mut file| file.read_exact(&mut random)).map_err(at(path))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { path: path.to_path_buf(), source }
}

fn starting(program: &str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Start { program: program.into(), source }
}
