//! Columns of databases, in place: SQLite, PostgreSQL and MariaDB come to the same.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/server.rs"]
mod server;
mod support;

use std::collections::BTreeMap;

use mysql::prelude::Queryable;
use p2pe_migrate::{
    Decision, Error, Format, Options, Rejects, Tokens,
    table::{self, Column, Database, MySql, Postgres, Sqlite},
};
use support::{Folder, number, token, tokens};

/// A name that SQL would trip over.
const TABLE: &str = "cards \"of\" `all`; DROP";
const ROWS: usize = 57;

fn column(key: &str) -> Column {
    Column { table: TABLE.into(), column: "card no".into(), key: key.into() }
}

fn options() -> Options {
    Options { batch: 3, ..Options::new(Format::JsonLines) }
}

/// Rows of a table: a key that is a number, one that is a text of digits, and the cell.
fn rows() -> Vec<(i64, String, Option<String>)> {
    let cell = |i: usize| match i {
        5 => None,
        6 => Some(String::new()),
        7 => Some("4761739001010011".into()),
        8 => Some("n/a".into()),
        9 => Some("４７６１　７３９０　０１０１　００１０".into()),
        10 => Some("tok_e311329dbfcaf16719c8f49b17c2882a".into()),
        _ => Some(number(i as u64)),
    };
    // Keys that are not in order, and of which a float would lose the last digits.
    (0..ROWS).map(|i| (9_007_199_254_740_990 + (i as i64 * 37) % 101, format!("{}", (i * 37) % 101), cell(i))).collect()
}

fn after() -> BTreeMap<String, Option<String>> {
    let new = |cell: String| match &*cell {
        "" | "n/a" | "4761739001010011" => cell,
        text if text.starts_with("tok_") => cell,
        text if text.starts_with('４') => token("4761739001010010"),
        number => token(number),
    };
    rows().into_iter().map(|(_, key, cell)| (key, cell.map(new))).collect()
}

/// A database with the table, and what to read it with.
struct Place {
    database: Box<dyn Fn() -> Box<dyn Database>>,
    cells: Box<dyn Fn() -> BTreeMap<String, Option<String>>>,
    states: Box<dyn Fn() -> i64>,
    /// Lives as long as the test.
    _home: Box<dyn std::any::Any>,
}

fn sqlite() -> Place {
    let folder = Folder::new();
    let path = folder.path("shop.db");
    let name = format!("\"{}\"", TABLE.replace('"', "\"\""));
    let open = rusqlite::Connection::open(&path).unwrap();
    open.pragma_update(None, "journal_mode", "WAL").unwrap();
    open.execute_batch(&format!(
        "CREATE TABLE {name} (id INTEGER PRIMARY KEY, code TEXT UNIQUE NOT NULL, \"card no\" TEXT)"
    ))
    .unwrap();
    for (id, code, cell) in rows() {
        open.execute(&format!("INSERT INTO {name} VALUES (?1, ?2, ?3)"), rusqlite::params![id, code, cell]).unwrap();
    }
    let (reading, counting) = (path.clone(), path.clone());
    Place {
        database: Box::new(move || Box::new(Sqlite::open(&path).unwrap())),
        cells: Box::new(move || {
            let open = rusqlite::Connection::open(&reading).unwrap();
            let mut statement = open.prepare(&format!("SELECT code, \"card no\" FROM {name}")).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        }),
        states: Box::new(move || {
            let open = rusqlite::Connection::open(&counting).unwrap();
            open.query_row("SELECT count(*) FROM p2pe_migrate", [], |row| row.get(0)).unwrap()
        }),
        _home: Box::new(folder),
    }
}

fn postgres() -> Place {
    let server = throwaway_postgres::Server::start(&throwaway_postgres::Settings::default()).unwrap();
    let address = server.new_database().unwrap();
    let name = format!("\"{}\"", TABLE.replace('"', "\"\""));
    let client = || ::postgres::Client::connect(&address, ::postgres::NoTls).unwrap();
    let mut open = client();
    open.batch_execute(&format!(
        "CREATE TABLE {name} (id bigint PRIMARY KEY, code varchar(9) UNIQUE NOT NULL, \"card no\" text)"
    ))
    .unwrap();
    for (id, code, cell) in rows() {
        open.execute(&format!("INSERT INTO {name} VALUES ($1, $2, $3)"), &[&id, &code, &cell]).unwrap();
    }
    let (reading, counting, connecting) = (address.clone(), address.clone(), address.clone());
    Place {
        database: Box::new(move || Box::new(Postgres::connect(&connecting, None).unwrap())),
        cells: Box::new(move || {
            let mut client = ::postgres::Client::connect(&reading, ::postgres::NoTls).unwrap();
            let rows = client.query(&format!("SELECT code, \"card no\" FROM {name}"), &[]).unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        }),
        states: Box::new(move || {
            let mut client = ::postgres::Client::connect(&counting, ::postgres::NoTls).unwrap();
            client.query_one("SELECT count(*) FROM p2pe_migrate", &[]).unwrap().get(0)
        }),
        _home: Box::new(server),
    }
}

fn mariadb() -> Place {
    let (server, address) = server::mariadb();
    let name = format!("`{}`", TABLE.replace('`', "``"));
    let connect = |address: &str| mysql::Conn::new(mysql::Opts::from_url(address).unwrap()).unwrap();
    let mut open = connect(&address);
    open.query_drop(format!(
        "CREATE TABLE {name} (id BIGINT PRIMARY KEY, code VARCHAR(9) UNIQUE NOT NULL, `card no` VARCHAR(60))"
    ))
    .unwrap();
    for row in rows() {
        open.exec_drop(format!("INSERT INTO {name} VALUES (?, ?, ?)"), row).unwrap();
    }
    let (reading, counting, connecting) = (address.clone(), address.clone(), address);
    Place {
        database: Box::new(move || Box::new(MySql::connect(&connecting, None).unwrap())),
        cells: Box::new(move || {
            let rows: Vec<(String, Option<String>)> =
                connect(&reading).query(format!("SELECT code, `card no` FROM {name}")).unwrap();
            rows.into_iter().collect()
        }),
        states: Box::new(move || connect(&counting).query_first("SELECT COUNT(*) FROM p2pe_migrate").unwrap().unwrap()),
        _home: Box::new(server),
    }
}

fn moved(
    place: &Place,
    key: &str,
    tokens: &dyn Tokens,
    options: &Options,
) -> Result<(p2pe_migrate::Report, Vec<String>), Error> {
    let mut rejects = Vec::new();
    let mut rejected = |key: &str, reason: &'static str| {
        rejects.push(format!("{key} {reason}"));
        Ok(())
    };
    let report = table::run(&mut *(place.database)(), &column(key), tokens, options, &mut rejected, &mut |_| ())?;
    Ok((report, rejects))
}

/// By a key that is a number, and by one that is a text: interrupted after each batch, then whole.
fn story(make: fn() -> Place) {
    for key in ["id", "code"] {
        let place = make();
        let before: BTreeMap<_, _> = rows().into_iter().map(|(_, key, cell)| (key, cell)).collect();
        let found = table::scan(&mut *(place.database)(), &column(key), &options(), &mut |_| ()).unwrap();
        assert_eq!((found.cells, found.plausible, found.tokens, found.other_numbers), (55, 52, 1, 1));
        assert_eq!(found.decision(options().thresholds), Decision::Tokenize { doubt_zeros: false });
        assert_eq!((place.cells)(), before);
        let stop = Options { rejects: Rejects::Stop, ..options() };
        assert!(matches!(moved(&place, key, &tokens(), &stop), Err(Error::Rejected { .. })));
        let tokens = tokens();
        for _ in 0..3 {
            // The memory of tokens does not last, so each time one batch is done.
            tokens.answers.set(1);
            assert!(matches!(moved(&place, key, &tokens, &options()), Err(Error::Token(_))));
        }
        assert_eq!((place.states)(), 1);
        let half = (place.cells)();
        assert!(half != before && half != after(), "half way");
        tokens.answers.set(usize::MAX);
        let other = Column { key: if key == "id" { "code" } else { "id" }.into(), ..column(key) };
        let run = table::run(&mut *(place.database)(), &other, &tokens, &options(), &mut |_, _| Ok(()), &mut |_| ());
        assert!(matches!(run, Err(Error::OtherRun { .. })));
        let (report, rejects) = moved(&place, key, &tokens, &options()).unwrap();
        assert_eq!((place.cells)(), after());
        assert_eq!((report.rows_in, report.rows_out), (ROWS as u64, ROWS as u64));
        let tally = report.columns[0].tally.unwrap();
        assert_eq!((tally.cells, tally.empty, tally.rejected), (ROWS as u64, 2, 2));
        let reasons: Vec<&str> = rejects.iter().map(|reject| reject.split_once(' ').unwrap().1).collect();
        assert!(reasons.contains(&"check_digit") && reasons.contains(&"not_a_card_number") && reasons.len() == 2);
        assert_eq!((place.states)(), 0);
        // Again: nothing is left to do but to say so.
        assert!(matches!(moved(&place, key, &tokens, &options()), Err(Error::NoColumn) | Ok(_)));
        assert_eq!((place.cells)(), after());
        let own = Column { key: "card no".into(), ..column(key) };
        let run = table::run(&mut *(place.database)(), &own, &tokens, &options(), &mut |_, _| Ok(()), &mut |_| ());
        assert!(matches!(run, Err(Error::Refused(_))));
        let none = Column { column: "no such".into(), ..column(key) };
        assert!(matches!(
            table::scan(&mut *(place.database)(), &none, &options(), &mut |_| ()),
            Err(Error::Database(_))
        ));
    }
}

#[test]
fn in_sqlite() {
    story(sqlite);
}

#[test]
fn in_postgres() {
    story(postgres);
}

#[test]
fn in_mariadb() {
    story(mariadb);
}

/// A trigger that quotes the card number: the error does not.
#[test]
fn what_a_trigger_says_is_not_told() {
    let column = Column { table: "t".into(), column: "card".into(), key: "id".into() };
    let refused = |database: &mut dyn Database, code: &str| {
        let run = table::run(database, &column, &tokens(), &options(), &mut |_, _| Ok(()), &mut |_| ());
        let told = run.map(|_| ()).unwrap_err().to_string();
        assert!(told.contains(code) && !told.contains(&number(7)) && !told.contains("was"), "{told}");
    };
    let rows = || (7..60).map(number).enumerate();

    let folder = Folder::new();
    let path = folder.path("shop.db");
    let open = rusqlite::Connection::open(&path).unwrap();
    open.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, card TEXT)").unwrap();
    for (id, card) in rows() {
        open.execute("INSERT INTO t VALUES (?1, ?2)", rusqlite::params![id as i64, card]).unwrap();
    }
    let trigger = "CREATE TRIGGER no BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'was ' || OLD.card); END";
    open.execute_batch(trigger).unwrap();
    refused(&mut Sqlite::open(&path).unwrap(), "1811");

    let server = throwaway_postgres::Server::start(&throwaway_postgres::Settings::default()).unwrap();
    let address = server.new_database().unwrap();
    let mut open = ::postgres::Client::connect(&address, ::postgres::NoTls).unwrap();
    open.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, card text)").unwrap();
    for (id, card) in rows() {
        open.execute("INSERT INTO t VALUES ($1, $2)", &[&(id as i64), &card]).unwrap();
    }
    open.batch_execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''was %'', OLD.card; END';
         CREATE TRIGGER no BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()",
    )
    .unwrap();
    refused(&mut Postgres::connect(&address, None).unwrap(), "P0001");
}

/// After VACUUM, what was there before is in no page and no log.
#[test]
fn sqlite_keeps_no_old_value() {
    let folder = Folder::new();
    let path = folder.path("shop.db");
    let open = rusqlite::Connection::open(&path).unwrap();
    open.pragma_update(None, "journal_mode", "WAL").unwrap();
    open.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, card TEXT)").unwrap();
    for i in 0..200 {
        open.execute("INSERT INTO t VALUES (?1, ?2)", rusqlite::params![i, number(i)]).unwrap();
    }
    assert!(folder.holds(number(7).as_bytes(), "").is_some());
    let column = Column { table: "t".into(), column: "card".into(), key: "id".into() };
    let mut database = Sqlite::open(&path).unwrap();
    table::run(&mut database, &column, &tokens(), &options(), &mut |_, _| Ok(()), &mut |_| ()).unwrap();
    open.execute_batch("VACUUM").unwrap();
    open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    (0..200).for_each(|i| assert_eq!(folder.holds(number(i).as_bytes(), ""), None));
}

#[test]
fn addresses() {
    for address in ["postgresql://u:secret@localhost/d", "postgresql://u@db.example/d", "postgresql://u@/d", "nothing"]
    {
        assert!(matches!(Postgres::connect(address, None), Err(Error::Refused(_))), "{address}");
    }
    for address in ["mysql://u:secret@localhost/d", "mysql://u@db.example/d", "nothing"] {
        assert!(matches!(MySql::connect(address, None), Err(Error::Refused(_))), "{address}");
    }
    assert!(matches!(Sqlite::open(&Folder::new().path("none.db")), Err(Error::Database(_))));
}
