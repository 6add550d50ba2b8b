//! A process beside this one is told to keep its memory to itself; what the system then says of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{self, Child, Command, Stdio},
};

use host_memory::LockError;

/// Says to a second process what it is to do.
const ROLE: &str = "HOST_MEMORY_ROLE";
const NOBODY: u32 = 65_534;

/// The second process: does its part, says so, and waits for its end.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let locked = match role.as_str() {
        "plain" => Ok(()),
        "quiet" => host_memory::no_core_dumps().map_err(LockError::Refused),
        "locked" => host_memory::lock(),
        other => panic!("{other}"),
    };
    // Touched after the lock, and more than any limit that is usual.
    let memory = vec![0xA5_u8; 64 << 20];
    match locked {
        Ok(()) => println!("\nready"),
        Err(LockError::Limit(bytes)) => println!("\nlimit {bytes}"),
        Err(error) => println!("\nerror {error}"),
    }
    let _ = std::io::stdout().flush();
    let _ = std::io::stdin().read(&mut [0]);
    assert_eq!(memory.iter().find(|byte| **byte != 0xA5), None);
    process::abort();
}

/// Runs the child in this folder; what it said.
fn start(role: &str, folder: &Path, set: impl FnOnce(&mut Command)) -> (Child, String) {
    let mut command = Command::new("bash");
    // Nothing but the child itself forbids the core dump.
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" --exact child --nocapture"]).arg(env::current_exe().unwrap());
    command.env(ROLE, role).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    set(&mut command);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said =
        lines.find_map(|line| line.ok().filter(|line| ["ready", "limit", "error"].iter().any(|w| line.starts_with(w))));
    (child, said.unwrap())
}

/// Lets the child abort; whether the system dumped its core.
fn dumped(mut child: Child, folder: &Path) -> bool {
    drop(child.stdin.take());
    let status = child.wait().unwrap();
    assert!(status.signal().is_some(), "{status}");
    let files = fs::read_dir(folder).unwrap().count();
    assert!(status.core_dumped() || files == 0);
    status.core_dumped()
}

fn of_status(child: &Child, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_crash_leaves_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let (child, said) = start("quiet", folder.path(), |_| {});
    assert_eq!(said, "ready");
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core: Vec<_> = limits.lines().find(|line| line.starts_with("Max core")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    assert!(!dumped(child, folder.path()));
    // The same without it, where this machine dumps cores at all.
    let other = tempfile::tempdir().unwrap();
    let (child, _) = start("plain", other.path(), |_| {});
    println!("without it a core is dumped: {}", dumped(child, other.path()));
}

/// Another program of the same user, which is not the superuser.
#[test]
fn no_other_program_reads_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let superuser = fs::metadata("/proc/self").is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0);
    let as_user = |command: &mut Command| {
        if superuser {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    // Its programs must be open to all, which a checkout in a private folder is not.
    let program = env::current_exe().unwrap();
    if superuser && !Command::new("test").arg("-x").arg(&program).uid(NOBODY).gid(NOBODY).status().unwrap().success() {
        assert!(env::var_os("P2PE_ALL_TESTS").is_none(), "no other user may run {}", program.display());
        return;
    }
    for (role, readable) in [("plain", true), ("quiet", false)] {
        let (child, _) = start(role, if superuser { Path::new("/") } else { folder.path() }, as_user);
        let mut read = Command::new("head");
        read.args(["-c", "1"]).arg(format!("/proc/{}/environ", child.id())).stdout(Stdio::null()).stderr(Stdio::null());
        as_user(&mut read);
        assert_eq!(read.status().unwrap().success(), readable, "{role}");
        // No abort in somebody else's folder.
        let mut child = child;
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn every_page_is_locked_or_it_is_said_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, said) = start("locked", folder.path(), |_| {});
    let locked = of_status(&child, "VmLck:");
    child.kill().unwrap();
    child.wait().unwrap();
    match said.split_once(' ') {
        None => assert!(locked > 64 << 10, "{locked} KiB"),
        Some((_, limit)) => assert!(locked == 0 && limit.parse::<u64>().is_ok(), "{said}: {locked}"),
    }
}

/// Nobody's limit cannot be lifted: nothing is locked, and the program goes on with all the memory that it wants.
#[test]
fn under_a_limit_nothing_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, said) = start("locked", folder.path(), |command| {
        let program = command.get_args().last().unwrap().to_owned();
        // Without the capabilities that the superuser has.
        let inner = "ulimit -l 64; exec \"$0\" --exact child --nocapture";
        *command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "bash", "-c", inner]).arg(program);
        command.env(ROLE, "locked").current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    });
    assert_eq!(said, "limit 65536");
    assert_eq!(of_status(&child, "VmLck:"), 0);
    child.kill().unwrap();
    child.wait().unwrap();
}
