//! Records are whole or not there, whatever happens to the program that writes them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    env, fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use p2pe_audit::{AuditError, Event, Label, Log, Options, Record, Sync, verify};
use proptest::prelude::*;
use support::{append, files, filled, open};

#[test]
fn one_program_writes() {
    let folder = filled(1);
    let log = open(folder.path());
    let second = Log::open(folder.path(), Label::new("other").unwrap(), Options::default());
    assert!(matches!(second, Err(AuditError::Busy(_))));
    drop(log);
    append(&open(folder.path()), 1);
}

#[test]
fn threads_share_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| append(&log, 50)))));
    drop(log);
    assert_eq!(verify(folder.path(), None).unwrap().records, 400);
}

#[test]
fn each_policy_writes_the_same() {
    let every = |time, records| Sync::Every { time, records };
    let hour = Duration::from_secs(3600);
    for sync in [Sync::EachRecord, every(Duration::ZERO, u64::MAX), every(hour, 1), every(hour, 3), Sync::Never] {
        let folder = tempfile::tempdir().unwrap();
        let log =
            Log::open(folder.path(), Label::new("x").unwrap(), Options { sync, file_size: 900, ..Options::default() })
                .unwrap();
        append(&log, 7);
        drop(log);
        assert_eq!(verify(folder.path(), None).unwrap().records, 7);
    }
}

#[test]
fn a_line_cut_at_any_byte_is_recovered() {
    let whole = filled(3);
    let path = &files(whole.path())[0];
    let text = fs::read(path).unwrap();
    let last = text[..text.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    // The head as it was before the last record.
    let head = {
        let two = text[..last].strip_suffix(b"\"}\n").unwrap();
        format!("{:020} {}\n", 2, str::from_utf8(&two[two.len() - 64..]).unwrap())
    };
    for length in (last + 1..text.len()).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(path.file_name().unwrap()), &text[..length]).unwrap();
        fs::write(folder.path().join("head"), &head).unwrap();
        assert_eq!(verify(folder.path(), None).unwrap().unfinished, (length - last) as u64);
        append(&open(folder.path()), 1);
        let found = verify(folder.path(), None).unwrap();
        assert_eq!((found.records, found.unfinished), (4, 0));
        let text = fs::read_to_string(&files(folder.path())[0]).unwrap();
        assert!(text.contains(&format!("\"event\":\"recovered\",\"dropped\":{}", length - last)), "{text}");
    }
}

/// What the child processes of the next tests do: add records until something stops them.
#[test]
fn child() {
    let Some(folder) = env::var_os("AUDIT_CHILD") else { return };
    let log = open(Path::new(&folder));
    println!("ready");
    let key = dukpt::KeyId::new("bdk-1").unwrap();
    loop {
        if let Err(error) = log.append(&Record::new(Event::Decrypt, "ok").key(&key)) {
            println!("{} stopped", error.code());
            append_fails_cleanly(&log);
            return;
        }
    }
}

fn append_fails_cleanly(log: &Log) {
    let error = log.append(&Record::new(Event::Decrypt, "ok")).unwrap_err();
    assert!(matches!(error, AuditError::File(..)), "{error}");
}

fn child_command(folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("AUDIT_CHILD", folder).stdout(Stdio::piped());
    command
}

#[test]
fn a_killed_program_loses_no_record_that_it_had_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..20 {
        let mut child = child_command(folder.path()).spawn().unwrap();
        let mut seen = String::new();
        let mut out = child.stdout.take().unwrap();
        while !seen.contains("ready") {
            let mut byte = [0];
            out.read_exact(&mut byte).unwrap();
            seen.push(char::from(byte[0]));
        }
        thread::sleep(Duration::from_micros(500 + 700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = verify(folder.path(), None).unwrap();
        assert!(found.records >= before);
        before = found.records;
    }
    append(&open(folder.path()), 1);
    assert!(verify(folder.path(), None).unwrap().records > 20);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_record() {
    // A limit on the size of files stands for the full disk: the write fails with an error in both cases.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("log")).unwrap();
    let program = env::current_exe().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f 1; exec {:?} --exact child --nocapture", program);
    let log = folder.path().join("log");
    // One block is less than a file of the log, so a write is cut in its midst.
    let output = Command::new("bash").args(["-c", &script]).env("AUDIT_CHILD", &log).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("audit_file stopped"), "{text}");
    let found = verify(&log, None).unwrap();
    assert!(found.records > 0 && found.unfinished == 0, "{found:?}");
    append(&open(&log), 1);
    assert_eq!(verify(&log, None).unwrap().records, found.records + 1);
}

#[cfg(unix)]
#[test]
fn others_cannot_read_a_log() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("log");
    append(&open(&folder), 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

proptest! {
    #[test]
    fn no_label_holds_a_card_number(head in "[ -~]{0,20}", digits in "[0-9]{12,19}", every in 1usize..6, dash in "[ -]") {
        let number: String = digits.chars().enumerate().fold(String::new(), |mut text, (i, digit)| {
            if i % every == 0 { text.push_str(&dash) }
            text.push(digit);
            text
        });
        let text = [head, number].concat();
        prop_assert!(Label::new(&text).is_err());
    }

    #[test]
    fn a_name_becomes_a_label(name in "\\PC{0,70}", number in "[0-9 -]{12,40}") {
        prop_assert_eq!(Label::of(&name).is_some(), !name.is_empty());
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let shown: String = Label::of(&number).unwrap().as_str().chars().filter(char::is_ascii_digit).collect();
        prop_assert!(shown.len() <= 11, "{digits} {shown}");
    }

    #[test]
    fn a_label_is_short_printable_text(text in "\\PC{0,70}") {
        let printable = (1..=64).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7F).contains(&b));
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if Label::new(&text).is_ok() { prop_assert!(printable) } else { prop_assert!(!printable || digits >= 12) }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..6000), head in prop::collection::vec(any::<u8>(), 0..100)) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("audit-00000001.jsonl"), &bytes).unwrap();
        fs::write(folder.path().join("head"), &head).unwrap();
        let _ = verify(folder.path(), None);
    }
}
