//! Interrupted or killed at any point, a run goes on, and the output is that of a run that was not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use dukpt::KeyId;
use p2pe_crypto::{Policy, TokenForm};
use p2pe_migrate::{Choice, Error, Options, Rejects, VaultTokens};
use support::{CSV, Folder, merchant, number, run, stands_in, store, tokens};
use vault::{KeyNames, Sqlite, Vault};

const FOLDER: &str = "MIGRATE_KILL_FOLDER";
const ROWS: u64 = 1500;

fn options() -> Options {
    Options { batch: 25, remembered: 100, ..Options::new(CSV) }
}

fn names() -> KeyNames {
    KeyNames { fingerprint: KeyId::new("fingerprints").unwrap(), wrapping: KeyId::new("wrapping").unwrap() }
}

fn move_with_vault(folder: &Path, output: &str) -> Result<p2pe_migrate::Report, Error> {
    let rows = std::sync::Arc::new(Sqlite::open(&folder.join("vault.db")).unwrap());
    let vault = Vault::open(rows, store()).unwrap();
    let policy = Policy::new(merchant("shop"), 1, TokenForm::Vault);
    run(&folder.join("in"), &folder.join(output), &VaultTokens::new(&vault, policy).unwrap(), &options())
}

fn input() -> String {
    let row = |i: u64| match i % 50 {
        7 => format!("{i},4761739001010011\n"),
        _ => format!("{i},\"{}\"\n", number(i % 1100)),
    };
    (0..ROWS).map(row).collect()
}

#[test]
fn killed_at_random_points() {
    // This program is also the one that is killed.
    if let Some(folder) = env::var_os(FOLDER) {
        move_with_vault(Path::new(&folder), "out").unwrap();
        return;
    }
    let kills: u64 = env::var("MIGRATE_KILLS").map_or(30, |kills| kills.parse().unwrap());
    let folder = Folder::new();
    let rows = std::sync::Arc::new(Sqlite::open(&folder.path("vault.db")).unwrap());
    Vault::init(rows, store(), names()).unwrap();
    folder.write("in", input());
    let report = move_with_vault(folder.0.path(), "whole").unwrap();
    assert_eq!((report.rows_out, report.rejected()), (ROWS, ROWS / 50));
    let (mut killed, mut finished, mut resumed, mut random) = (0, 0, 0, kills);
    while killed < kills || finished == 0 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed_at_random_points"])
            .env(FOLDER, folder.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if killed < kills {
            thread::sleep(Duration::from_micros(2_000 + (random >> 33) % 60_000));
        } else {
            child.wait().unwrap();
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            resumed += u64::from(fs::metadata(folder.path("out.partial")).is_ok_and(|about| about.len() > 0));
        } else {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(folder.read("out"), folder.read("whole"), "after {killed} kills");
            for end in [".rejects.csv", ".report.json"] {
                assert_eq!(folder.text(&format!("out{end}")), folder.text(&format!("whole{end}")));
            }
            finished += 1;
        }
        for i in (killed % 50..1100).step_by(50) {
            assert_eq!(folder.holds(number(i).as_bytes(), "in"), None);
        }
        // A run that was killed behind the renaming has its output.
        if !folder.path("out.journal").exists() && folder.path("out").exists() {
            for end in ["", ".rejects.csv", ".report.json"] {
                fs::remove_file(folder.path(&format!("out{end}"))).unwrap();
            }
        }
    }
    assert!(resumed * 4 > kills, "{resumed} of {kills} kills met a run half way");
    // No number twice in the vault: those of the input, once each.
    let rows = std::sync::Arc::new(Sqlite::open(&folder.path("vault.db")).unwrap());
    let found = Vault::open(rows, store()).unwrap().verify().unwrap();
    let numbers: std::collections::BTreeSet<u64> = (0..ROWS).filter(|i| i % 50 != 7).map(|i| i % 1100).collect();
    assert_eq!((found.rows, found.problems.len()), (numbers.len() as u64, 0));
}

/// Stopped by the store after each number of batches, it goes on.
#[test]
fn stopped_after_each_batch() {
    let folder = Folder::new();
    let text: String = (0..60).map(|i| format!("{i},{}\n", number(i))).collect();
    let input = folder.write("in", &text);
    let options = Options { batch: 5, ..options() };
    run(&input, &folder.path("whole"), &tokens(), &options).unwrap();
    for batches in 0..12 {
        let (tokens, output) = (tokens(), folder.path(&format!("out{batches}")));
        tokens.answers.set(batches);
        assert!(matches!(run(&input, &output, &tokens, &options), Err(Error::Token(_))));
        assert!(!output.exists());
        tokens.answers.set(usize::MAX);
        run(&input, &output, &tokens, &options).unwrap();
        assert_eq!(folder.read(&format!("out{batches}")), folder.read("whole"));
        assert_eq!(folder.read(&format!("out{batches}.report.json")), folder.read("whole.report.json"));
    }
}

#[test]
fn a_journal_goes_with_one_run_only() {
    let begun = || {
        let folder = Folder::new();
        let input = folder.write("in", (0..60).map(|i| format!("{i},{}\n", number(i))).collect::<String>());
        let tokens = tokens();
        tokens.answers.set(1);
        run(&input, &folder.path("out"), &tokens, &options()).unwrap_err();
        (folder, input)
    };
    let what = |result| match result {
        Err(Error::OtherRun { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let (folder, input) = begun();
    fs::write(&input, folder.text("in").replace("59,", "60,")).unwrap();
    assert_eq!(what(run(&input, &folder.path("out"), &tokens(), &options())), "input");
    let (folder, input) = begun();
    let other = Options { rejects: Rejects::Stop, ..options() };
    assert_eq!(what(run(&input, &folder.path("out"), &tokens(), &other)), "set of options");
    let choice = Choice { keep: vec!["1".into()], ..Choice::default() };
    assert_eq!(what(run(&input, &folder.path("out"), &tokens(), &Options { choice, ..options() })), "set of options");
    // Somebody cut the output.
    fs::write(folder.path("out.partial"), "x").unwrap();
    assert!(matches!(run(&input, &folder.path("out"), &tokens(), &options()), Err(Error::File(..))));
    // Bytes and lines behind the last point are of a batch that did not end.
    let (folder, input) = begun();
    for name in ["out.partial", "out.rejects.csv", "out.journal"] {
        let longer = [folder.read(name), b"{\"half".to_vec()].concat();
        folder.write(name, longer);
    }
    run(&input, &folder.path("out"), &tokens(), &options()).unwrap();
    run(&input, &folder.path("whole"), &tokens(), &options()).unwrap();
    assert_eq!(folder.read("out"), folder.read("whole"));
}

/// The journal lets nobody try out numbers: it is the same for other digits.
#[test]
fn the_journal_tells_no_number() {
    let journal = |i: u64| {
        let folder = Folder::new();
        let input = folder.write("in", format!("card\n{}\n", number(i)));
        let tokens = tokens();
        tokens.answers.set(0);
        run(&input, &folder.path("out"), &tokens, &options()).unwrap_err();
        assert!(!stands_in(number(i).as_bytes(), &folder.read("out.journal")));
        let plan: serde_json::Value = serde_json::from_str(folder.text("out.journal").lines().next().unwrap()).unwrap();
        plan["input"]["prefix"].clone()
    };
    assert_eq!(journal(1), journal(2));
}
