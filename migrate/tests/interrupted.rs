//! Interrupted or killed at any point, a run goes on, and the output is that of a run that was not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/parquet.rs"]
mod file;
mod support;

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dukpt::{KeyId, MemoryStore};
use file::Values;
use p2pe_crypto::{Pan, Policy, TokenForm};
use p2pe_migrate::{
    Choice, Error, Format, Options, Rejects, Tokens, VaultTokens,
    table::{self, Column},
};
use parquet::{basic::Compression, file::properties::WriterProperties};
use rusqlite::Connection;
use support::{CSV, Folder, merchant, number, run, stands_in, store, tokens};
use vault::{KeyNames, Sqlite, Vault};
use zip::{ZipWriter, write::SimpleFileOptions};

const FOLDER: &str = "MIGRATE_KILL_FOLDER";
const ROWS: u64 = 1500;
/// Of these, so many have a number, and each number comes more than once.
const NUMBERS: u64 = 1100;

fn options() -> Options {
    of(CSV)
}

fn of(format: Format) -> Options {
    Options { batch: 25, remembered: 100, ..Options::new(format) }
}

fn names() -> KeyNames {
    KeyNames { fingerprint: KeyId::new("fingerprints").unwrap(), wrapping: KeyId::new("wrapping").unwrap() }
}

fn vault(folder: &Path) -> Vault<MemoryStore> {
    Vault::open(std::sync::Arc::new(Sqlite::open(&folder.join("vault.db")).unwrap()), store()).unwrap()
}

fn with_vault_tokens<T>(folder: &Path, work: impl FnOnce(&dyn Tokens) -> T) -> T {
    let policy = Policy::new(merchant("shop"), 1, TokenForm::Vault);
    work(&VaultTokens::new(&vault(folder), policy).unwrap())
}

fn move_with_vault(folder: &Path, output: &str, format: Format) -> Result<p2pe_migrate::Report, Error> {
    with_vault_tokens(folder, |tokens| run(&folder.join("in"), &folder.join(output), tokens, &of(format)))
}

/// Number and card of each row; each fiftieth card is mistyped.
fn cards() -> impl Iterator<Item = (u64, String)> {
    (0..ROWS).map(|i| (i, if i % 50 == 7 { "4761739001010011".into() } else { number(i % NUMBERS) }))
}

/// A vault in a new folder.
fn folder() -> Folder {
    let folder = Folder::new();
    let rows = std::sync::Arc::new(Sqlite::open(&folder.path("vault.db")).unwrap());
    Vault::init(rows, store(), names()).unwrap();
    folder
}

/// So many of `few` as `tools/soak migrate` asks for.
fn kills(few: u64) -> u64 {
    env::var("MIGRATE_KILLS").map_or(few, |kills| kills.parse().unwrap())
}

/// A test of this program, in a process of its own that is killed.
struct Victim<'f> {
    test: &'static str,
    folder: &'f Folder,
    random: u64,
    /// How long it takes where nobody kills it.
    takes: Duration,
}

impl<'f> Victim<'f> {
    /// Lets it end once.
    fn new(test: &'static str, folder: &'f Folder) -> Self {
        let mut victim = Self { test, folder, random: 1, takes: Duration::ZERO };
        let start = Instant::now();
        assert!(victim.ends(false));
        victim.takes = start.elapsed();
        victim
    }

    /// Whether it ended, or was killed at some point before.
    fn ends(&mut self, kill: bool) -> bool {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", self.test])
            .env(FOLDER, self.folder.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if kill {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let takes = u64::try_from(self.takes.as_micros()).unwrap();
            thread::sleep(Duration::from_micros((self.random >> 33) % takes.max(1)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                return false;
            }
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        true
    }
}

/// No number twice in the vault: those of the input, once each.
fn each_number_once(folder: &Folder) {
    let found = vault(folder.0.path()).verify().unwrap();
    let numbers: BTreeSet<u64> = (0..ROWS).filter(|i| i % 50 != 7).map(|i| i % NUMBERS).collect();
    assert_eq!((found.rows, found.problems.len()), (numbers.len() as u64, 0));
}

/// Moves the file that is written to a path, killed so often.
fn killed(test: &'static str, format: Format, kills: u64, write: impl FnOnce(&Path)) {
    // This program is also the one that is killed.
    if let Some(folder) = env::var_os(FOLDER) {
        move_with_vault(Path::new(&folder), "out", format).unwrap();
        return;
    }
    let folder = folder();
    write(&folder.path("in"));
    let report = move_with_vault(folder.0.path(), "whole", format).unwrap();
    assert_eq!((report.rows_out, report.rejected()), (ROWS, ROWS / 50));
    let end = || {
        for end in ["", ".rejects.csv", ".report.json"] {
            assert_eq!(folder.read(&format!("out{end}")), folder.read(&format!("whole{end}")), "{end}");
            fs::remove_file(folder.path(&format!("out{end}"))).unwrap();
        }
    };
    let mut victim = Victim::new(test, &folder);
    end();
    let (mut killed, mut halfway, mut ended) = (0, 0, false);
    while killed < kills || !ended {
        ended = victim.ends(killed < kills);
        killed += u64::from(!ended);
        halfway += u64::from(folder.path("out.partial").exists());
        for i in (killed % 50..NUMBERS).step_by(50) {
            assert_eq!(folder.holds(number(i).as_bytes(), "in"), None);
        }
        // A run that was killed behind the renaming has its output.
        if ended || !folder.path("out.journal").exists() && folder.path("out").exists() {
            end();
        }
    }
    assert!(halfway * 4 > kills, "{halfway} of {kills} kills met a run half way");
    each_number_once(&folder);
}

#[test]
fn csv_killed() {
    killed("csv_killed", CSV, kills(12), |path| {
        fs::write(path, cards().map(|(i, card)| format!("{i},\"{card}\"\n")).collect::<String>()).unwrap();
    });
}

#[test]
fn json_lines_killed() {
    killed("json_lines_killed", Format::JsonLines, kills(4), |path| {
        let lines = cards().map(|(i, card)| format!("{{\"order\":{i},\"cards\":[{{\"number\":\"{card}\"}}]}}\n"));
        fs::write(path, lines.collect::<String>()).unwrap();
    });
}

#[test]
fn workbook_killed() {
    killed("workbook_killed", Format::Xlsx, kills(4), |path| {
        let row = |(i, card)| format!("<row><c><v>{i}</v></c><c t=\"inlineStr\"><is><t>{card}</t></is></c></row>");
        let cells = cards().map(row).collect::<String>();
        let mut zip = ZipWriter::new(File::create_new(path).unwrap());
        for (name, text) in [
            ("xl/workbook.xml", "<workbook xmlns:r=\"r\"><sheets><sheet name=\"a\" r:id=\"i\"/></sheets></workbook>"),
            (
                "xl/_rels/workbook.xml.rels",
                "<Relationships><Relationship Id=\"i\" Type=\"http://s/worksheet\" Target=\"a.xml\"/></Relationships>",
            ),
            ("xl/a.xml", &format!("<worksheet><sheetData>{cells}</sheetData></worksheet>")),
        ] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    });
}

#[test]
fn parquet_killed() {
    killed("parquet_killed", Format::Parquet, kills(4), |path| {
        let cards: Vec<_> = cards().collect();
        // Packed, numbers would not be seen by whoever looks for them.
        let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build();
        let group = |cards: &[(u64, String)]| {
            vec![
                Values::Ints(cards.iter().map(|(i, _)| Some(i.cast_signed())).collect()),
                Values::Texts(cards.iter().map(|(_, card)| Some(card.clone())).collect()),
            ]
        };
        let schema = "message m { optional int64 id; optional binary card (STRING); }";
        file::write(path, schema, properties, cards.chunks(400).map(group).collect());
    });
}

/// A column in place: at each point a row has its number or its token, those that are done are the first ones, and a run goes on.
#[test]
fn column_killed() {
    let column = Column { table: "orders".into(), column: "card".into(), key: "id".into() };
    if let Some(folder) = env::var_os(FOLDER) {
        let folder = Path::new(&folder);
        let mut shop = table::Sqlite::open(&folder.join("shop.db")).unwrap();
        let (mut rejected, mut progress) = (|_: &str, _| Ok(()), |_| ());
        with_vault_tokens(folder, |tokens| {
            table::run(&mut shop, &column, tokens, &options(), &mut rejected, &mut progress).unwrap();
        });
        return;
    }
    let (folder, kills) = (folder(), kills(4));
    let filled = || {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(folder.path(&format!("shop.db{end}")));
        }
        let mut shop = Connection::open(folder.path("shop.db")).unwrap();
        shop.pragma_update(None, "journal_mode", "WAL").unwrap();
        shop.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, card TEXT)").unwrap();
        let all = shop.transaction().unwrap();
        for row in cards() {
            all.execute("INSERT INTO orders VALUES (?1, ?2)", row).unwrap();
        }
        all.commit().unwrap();
    };
    filled();
    let mut victim = Victim::new("column_killed", &folder);
    let (mut killed, mut halfway, mut ended) = (0, 0, true);
    while killed < kills || !ended {
        if ended {
            filled();
        }
        ended = victim.ends(killed < kills);
        killed += u64::from(!ended);
        let shop = Connection::open(folder.path("shop.db")).unwrap();
        let mut statement = shop.prepare("SELECT card FROM orders ORDER BY id").unwrap();
        let now: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let done = now.iter().rposition(|card| card.starts_with("vtok_")).map_or(0, |last| last + 1);
        halfway += u64::from((1..now.len()).contains(&done));
        assert!(!ended || done == now.len(), "{done} of {} rows", now.len());
        let tokens = |numbers: &[String]| {
            with_vault_tokens(folder.0.path(), |tokens| {
                let pans: Vec<_> = numbers.iter().map(|number| Pan::new(number.as_bytes()).unwrap()).collect();
                tokens.tokens(&pans.iter().collect::<Vec<_>>()).unwrap()
            })
        };
        let cards: Vec<String> = cards().map(|(_, card)| card).collect();
        assert_eq!(now.len(), cards.len());
        for ((now, card), token) in now.iter().zip(&cards).zip(tokens(&cards[..done])) {
            assert!(now == card && card.ends_with("10011") || *now == token.unwrap(), "{now}");
        }
        assert!(now[done..] == cards[done..], "rows behind {done} are changed");
        drop(statement);
        if ended {
            // Until then pieces of old values are left in pages.
            shop.execute_batch("VACUUM").unwrap();
        }
        drop(shop);
        for i in (killed % 50..NUMBERS).step_by(50) {
            let held = folder.names().into_iter().find(|name| {
                (ended || !name.starts_with("shop.db")) && stands_in(number(i).as_bytes(), &folder.read(name))
            });
            assert_eq!(held, None);
        }
    }
    assert!(halfway * 4 > kills, "{halfway} of {kills} kills met a run half way");
    each_number_once(&folder);
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
