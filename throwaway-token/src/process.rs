//! The same program once more, in an environment where SoftHSM sees the token.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    process::{Command, ExitCode},
};

use crate::{Error, ThrowawayToken, token::at};

/// Says to the child what it is for: the name of the test, or [`MAIN`].
const ROLE: &str = "THROWAWAY_TOKEN_ROLE";
const MAIN: &str = "::main";
/// The child leaves this file in the token's directory: only a body that ran can do so.
const RAN: &str = "ran";

/// Runs `body` with a token of its own: in a child process, because SoftHSM reads its configuration from the
/// environment. `test_name` is the test's path inside its binary (`name`, or `module::name`).
///
/// # Errors
/// [`Error::Child`] with the child's output when the body panicked, [`Error::NotRun`] when the name is wrong, and
/// whatever keeps a token from being made.
pub fn isolated(test_name: &str, body: impl FnOnce(&ThrowawayToken)) -> Result<(), Error> {
    isolated_with(test_name, |_| Vec::new(), body)
}

/// Like [`isolated`], with more environment variables for the child, which may depend on the token.
///
/// # Errors
/// As [`isolated`].
pub fn isolated_with(
    test_name: &str,
    environment: impl FnOnce(&ThrowawayToken) -> Vec<(&'static str, OsString)>,
    body: impl FnOnce(&ThrowawayToken),
) -> Result<(), Error> {
    if let Some(token) = given(test_name) {
        let ran = token.dir().join(RAN);
        fs::write(&ran, test_name).map_err(at(&ran))?;
        body(&token);
        return Ok(());
    }
    let token = ThrowawayToken::create()?;
    let mut child = again(&token, test_name)?;
    // The child's harness runs this test and no other, whatever the parent was asked for.
    child.args(["--exact", test_name, "--nocapture", "--test-threads=1", "--include-ignored"]);
    let output = child
        .envs(environment(&token))
        .output()
        .map_err(|source| Error::Start { program: "the test binary".into(), source })?;
    let text = [output.stdout, output.stderr].map(|stream| String::from_utf8_lossy(&stream).into_owned()).concat();
    if !output.status.success() {
        return Err(Error::Child { name: test_name.into(), output: text });
    }
    if !token.dir().join(RAN).exists() {
        return Err(Error::NotRun(test_name.into()));
    }
    // A test may say something, as in "skipped": the harness shows it with --nocapture.
    print!("{text}");
    Ok(())
}

/// Which of the two processes of [`reexec_with_token`] this is.
#[derive(Debug)]
pub enum Process {
    /// The child: SoftHSM sees this token; do the work.
    Inside(ThrowawayToken),
    /// The parent: the child has ended and the token is gone; return this from `main`.
    Outside(ExitCode),
}

/// Starts this program once more, with the same arguments and a token, and waits for it.
///
/// ```no_run
/// use std::process::ExitCode;
/// use throwaway_token::{Process, reexec_with_token};
///
/// fn main() -> Result<ExitCode, throwaway_token::Error> {
///     let token = match reexec_with_token()? {
///         Process::Inside(token) => token,
///         Process::Outside(code) => return Ok(code),
///     };
///     println!("{}", token.label());
///     Ok(ExitCode::SUCCESS)
/// }
/// ```
///
/// # Errors
/// [`Error`]: no token can be made, or the program cannot be started.
pub fn reexec_with_token() -> Result<Process, Error> {
    if let Some(token) = given(MAIN) {
        return Ok(Process::Inside(token));
    }
    let token = ThrowawayToken::create()?;
    let status = again(&token, MAIN)?
        .args(env::args_os().skip(1))
        .status()
        .map_err(|source| Error::Start { program: "this program".into(), source })?;
    // A child that died of a signal has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from);
    Ok(Process::Outside(code))
}

fn given(role: &str) -> Option<ThrowawayToken> {
    (env::var_os(ROLE).as_deref() == Some(OsStr::new(role))).then(ThrowawayToken::from_env)?
}

fn again(token: &ThrowawayToken, role: &str) -> Result<Command, Error> {
    let program = env::current_exe().map_err(|source| Error::Start { program: "this program".into(), source })?;
    let mut command = Command::new(program);
    command.envs(token.command_env()).env(ROLE, role);
    Ok(command)
}
