//! The token: a directory of its own, initialised by `softhsm2-util`.

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::{Builder, TempDir};

use crate::{Error, installed::find_module};

pub(crate) const CONF: &str = "SOFTHSM2_CONF";
const DIR: &str = "THROWAWAY_TOKEN_DIR";
const LABEL: &str = "THROWAWAY_TOKEN_LABEL";
const MODULE: &str = "THROWAWAY_TOKEN_MODULE";

/// An initialised SoftHSM token with a random label and a random PIN. The one who made it removes its directory on
/// drop; a child process that was given it does not.
#[derive(Debug)]
pub struct ThrowawayToken {
    dir: PathBuf,
    label: String,
    module: PathBuf,
    _owned: Option<TempDir>,
}

impl ThrowawayToken {
    /// Makes and initialises a token. SoftHSM will see it in processes started with [`ThrowawayToken::command_env`].
    ///
    /// `softhsm2-util` takes PINs from its arguments or from a terminal, so here, and nowhere else, a PIN is an
    /// argument, for some milliseconds. That is harmless: it is random, it opens only this token, and the token lies
    /// in a directory that only this user can enter (mode 0700), where the PIN lies as well.
    ///
    /// # Errors
    /// [`Error`]: SoftHSM is missing, or the directory cannot be written.
    pub fn create() -> Result<Self, Error> {
        let module = find_module().ok_or(Error::NoModule)?;
        let private = fs::Permissions::from_mode(0o700);
        let owned = Builder::new().prefix("throwaway-token-").permissions(private).tempdir();
        let owned = owned.map_err(at(&env::temp_dir()))?;
        let dir = owned.path().to_path_buf();
        let token = Self { dir, label: format!("throwaway-{}", random_hex(4)?), module, _owned: Some(owned) };

        let store = token.dir.join("tokens");
        fs::create_dir(&store).map_err(at(&store))?;
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            store.display()
        );
        write_private(&token.conf(), &settings)?;
        let pin = random_hex(8)?;
        write_private(&token.pin_file(), &format!("{pin}\n"))?;

        let output = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", &token.label, "--pin", &pin, "--so-pin", &random_hex(8)?])
            .arg("--module")
            .arg(&token.module)
            .envs(token.command_env())
            .output()
            .map_err(|source| Error::Start { program: "softhsm2-util".into(), source })?;
        if !output.status.success() {
            return Err(Error::Initialise(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(token)
    }

    /// The token whose coordinates the parent process left in the environment.
    pub(crate) fn from_env() -> Option<Self> {
        let (dir, module) = (env::var_os(DIR)?.into(), env::var_os(MODULE)?.into());
        Some(Self { dir, label: env::var(LABEL).ok()?, module, _owned: None })
    }

    /// The token's directory, mode 0700; a test may put files of its own there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The `softhsm2.conf`.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.dir.join("softhsm2.conf")
    }

    /// The token's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The file with the user PIN and a newline, mode 0600.
    #[must_use]
    pub fn pin_file(&self) -> PathBuf {
        self.dir.join("pin")
    }

    /// The SoftHSM module.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// The environment with which SoftHSM sees this token, for [`Command::envs`]: `SOFTHSM2_CONF`, and
    /// `THROWAWAY_TOKEN_DIR`, `THROWAWAY_TOKEN_LABEL` and `THROWAWAY_TOKEN_MODULE` for programs that look for them.
    #[must_use]
    pub fn command_env(&self) -> [(&'static str, OsString); 4] {
        [
            (CONF, self.conf().into()),
            (DIR, self.dir.clone().into()),
            (LABEL, self.label.clone().into()),
            (MODULE, self.module.clone().into()),
        ]
    }
}

fn random_hex(bytes: usize) -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut random = vec![0; bytes];
    File::open(path).and_then(|mut file| file.read_exact(&mut random)).map_err(at(path))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(at(path))
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { path: path.to_path_buf(), source }
}
