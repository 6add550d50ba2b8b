//! Runs `p2pe` in an empty folder, with a throwaway token that only this test uses.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(dead_code, clippy::allow_attributes, reason = "not every test file uses every helper")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use throwaway_token::ThrowawayToken;

pub(crate) const KEYPAD: &str = "02C100C037001C078692;4761********0010=2212:***?*098745=ACF828DC27C1BB4E1DAA43F06A25BDD1B661394C0BFA22248608AE55765ECA2D000000000000000000000000000000000000000037343254303930303934FFFF987654004300025A453D03";
pub(crate) const PAN: &str = "4761739001010010";
pub(crate) const BDK: &str = "0123456789ABCDEFFEDCBA9876543210";

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {:?} {:?}", self.out, self.err))
    }

    /// Failed as documented: exit code, stable code in JSON or text, and what to do next.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, says: &str) {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, code, "{all}");
        assert!(all.contains(says), "{says:?} is missing in {all}");
        assert!(self.err.starts_with("error: ") && self.err.contains("\n next: "), "{}", self.err);
        assert!(!all.contains(PAN) && !all.contains(BDK), "{all}");
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

fn settings(token: &ThrowawayToken) -> String {
    format!(
        "[store]\nkind = \"pkcs11\"\nmodule = {:?}\ntoken = {:?}\npin = {{ file = {:?} }}\n\
         [[device]]\nksn_prefix = \"FFFF987654\"\nbase_key = \"bdk-1\"\nprofile = \"idtech-tdes\"\n\
         [tokens]\nkey = \"tokens\"\n",
        token.module(),
        token.label(),
        token.pin_file(),
    )
}

pub(crate) struct Folder {
    pub(crate) dir: TempDir,
    pub(crate) token: Option<ThrowawayToken>,
}

impl Folder {
    /// With `p2pe.toml` for keys in memory: the public base key as `bdk-1`, an HMAC key as `tokens`.
    pub(crate) fn memory() -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap(), token: None };
        folder.write("bdk.hex", BDK);
        folder.write("tokens.hex", &"2A".repeat(32));
        folder.write(
            "p2pe.toml",
            "[store]\nkind = \"memory\"\n\
             [[store.key]]\nid = \"bdk-1\"\nkind = \"tdes-base\"\nfile = \"bdk.hex\"\n\
             [[store.key]]\nid = \"tokens\"\nkind = \"hmac\"\nfile = \"tokens.hex\"\n\
             [[device]]\nksn_prefix = \"FFFF987654\"\nbase_key = \"bdk-1\"\nprofile = \"idtech-tdes\"\n\
             [tokens]\nkey = \"tokens\"\n",
        );
        folder
    }

    /// With `p2pe.toml` for a token of its own, still empty.
    pub(crate) fn token() -> Self {
        let token = ThrowawayToken::create().unwrap();
        Self { token: Some(token), ..Self::empty() }.with_settings()
    }

    /// With `p2pe.toml` for this token, which the environment names already.
    pub(crate) fn of(token: &ThrowawayToken) -> Self {
        let folder = Self::empty();
        folder.write("p2pe.toml", &settings(token));
        folder
    }

    fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), token: None }
    }

    fn with_settings(self) -> Self {
        self.write("p2pe.toml", &settings(self.token.as_ref().unwrap()));
        self
    }

    /// The same, with the public base key imported as `bdk-1` and `tokens` generated.
    pub(crate) fn token_with_keys() -> Self {
        let folder = Self::token();
        folder.import("bdk-1", "tdes-base", BDK).done();
        folder.run(&["keys", "generate", "--id", "tokens"]).done();
        folder
    }

    pub(crate) fn import(&self, id: &str, kind: &str, key: &str) -> Ran {
        let one = self.write("one", &"5A".repeat(key.len() / 2));
        let two = (0..key.len()).step_by(2).map(|i| u8::from_str_radix(&key[i..i + 2], 16).unwrap() ^ 0x5A);
        let two = self.write("two", &two.map(|byte| format!("{byte:02X}")).collect::<String>());
        let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
        self.run(&["keys", "import", "--id", id, "--kind", kind, "--component-file", one, "--component-file", two])
    }

    /// Every object of the token as it stands on the disk, by name: what must not change when something is refused.
    pub(crate) fn objects(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut objects = BTreeMap::new();
        for token in fs::read_dir(self.token.as_ref().unwrap().dir().join("tokens")).unwrap() {
            for file in fs::read_dir(token.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                // SoftHSM describes the token itself in a file of this name.
                let of_token = path.file_name().is_some_and(|name| name == "token.object");
                if !of_token && path.extension().is_some_and(|extension| extension == "object") {
                    objects.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        objects
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p2pe"));
        command.args(args);
        self.finish(command, input)
    }

    /// Runs `p2pe` at a terminal of its own and types `typed`.
    pub(crate) fn at_terminal(&self, args: &[&str], typed: &str) -> Ran {
        let line = [&[env!("CARGO_BIN_EXE_p2pe")], args].concat().join(" ");
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--echo", "never", "--command", &line, "/dev/null"]);
        self.finish(command, typed.as_bytes())
    }

    fn finish(&self, mut command: Command, input: &[u8]) -> Ran {
        command
            .current_dir(self.dir.path())
            .env_remove("P2PE_CONFIG")
            .env_remove("P2PE_SEALED")
            .env_remove("P2PE_DATABASE");
        if let Some(token) = &self.token {
            command.envs(token.command_env());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that does not read its input closes it.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
