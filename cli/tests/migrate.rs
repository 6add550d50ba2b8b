//! `p2pe migrate` from end to end, with keys in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{Folder, PAN, Ran};

const MASTERCARD: &str = "5413330089604111";

fn folder() -> Folder {
    let folder = Folder::memory();
    for (name, byte) in [("print.hex", "11"), ("wrap.hex", "22"), ("ff1.hex", "33")] {
        folder.write(name, &byte.repeat(32));
    }
    folder.write(
        "p2pe.toml",
        "[store]\nkind = \"memory\"\n\
         [[store.key]]\nid = \"print\"\nkind = \"hmac\"\nfile = \"print.hex\"\n\
         [[store.key]]\nid = \"wrap\"\nkind = \"wrap\"\nfile = \"wrap.hex\"\n\
         [[store.key]]\nid = \"ff1\"\nkind = \"ff1\"\nfile = \"ff1.hex\"\n\
         [[store.key]]\nid = \"tokens\"\nkind = \"hmac\"\nfile = \"tokens.hex\"\n\
         [tokens]\nkey = \"tokens\"\n",
    );
    let vault = ["vault", "--database", "vault.db", "init", "--fingerprint-key", "print", "--wrapping-key", "wrap"];
    folder.run(&vault).done();
    folder.write("in.csv", &format!("id,card,note\n1,{PAN},a\n2,{MASTERCARD},b\n3,{PAN},c\n4,4761739001010011,d\n"));
    folder
}

fn migrate(folder: &Folder, args: &[&str]) -> Ran {
    let ran = folder.run(&[&["migrate"], args].concat());
    assert!(!ran.out.contains(PAN) && !ran.err.contains(PAN), "{}{}", ran.out, ran.err);
    ran
}

fn out(folder: &Folder, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.dir.path().join(name)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn looked_at_and_moved() {
    let folder = folder();
    let scan = migrate(&folder, &["scan", "in.csv"]).done();
    assert!(scan.out.contains("476173******0010") && scan.out.contains("card numbers"), "{}", scan.out);
    let scan = migrate(&folder, &["--json", "scan", "in.csv", "--rows", "3"]).done().json();
    assert_eq!((&scan["rows"], &scan["columns"][1]["plausible"]), (&3.into(), &2.into()));
    assert!(!folder.dir.path().join("in.csv.journal").exists());

    let vault = ["run", "in.csv", "out.csv", "--merchant", "shop", "--database", "vault.db"];
    let ran = migrate(&folder, &vault).done();
    for part in ["5 rows in, 5 rows out", "3 tokenized", "1 rejected", "out.csv.rejects.csv"] {
        assert!(ran.out.contains(part), "{part} is missing in {}", ran.out);
    }
    let tokens = out(&folder, "out.csv");
    assert!(tokens[0].starts_with("vtok_") && tokens[0] == tokens[2] && tokens[0] != tokens[1]);
    assert_eq!(tokens[3], "476173******0011");
    // The vault leads it back.
    let back = ["vault", "--database", "vault.db", "detokenize", "--merchant", "shop", "--caller", "me"];
    let back = folder.run(&[&back[..], &["--purpose", "migration", "--reveal", &tokens[0]]].concat()).done();
    assert!(back.out.contains(PAN));
    migrate(&folder, &vault).refused(2, "already");

    let run = |name: &str, more: &[&str]| {
        migrate(&folder, &[&["--json", "run", "in.csv", name, "--merchant", "shop"], more].concat()).done();
        out(&folder, name)
    };
    assert!(run("keyed.csv", &[])[0].starts_with("tok_"));
    let shaped =
        run("shaped.csv", &["--database", "vault.db", "--policy-version", "2", "--card-shaped", "--keep-last-four"]);
    assert!(shaped[0].starts_with("99") && shaped[0].ends_with("0010"), "{shaped:?}");
    let ff1 = run("ff1.csv", &["--ff1", "ff1", "--keep-bin", "6", "--keep-last-four"]);
    assert!(ff1[0].len() == 16 && ff1[0] != PAN && ff1[0].starts_with(&PAN[..6]), "{ff1:?}");
}

#[test]
fn a_column_of_sqlite() {
    let folder = folder();
    let open = rusqlite::Connection::open(folder.dir.path().join("shop.db")).unwrap();
    open.execute_batch(&format!(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, card TEXT); INSERT INTO orders VALUES (1, '{PAN}'), (2, '{MASTERCARD}'), (3, 'n/a')"
    ))
    .unwrap();
    let column = ["column", "shop.db", "--table", "orders", "--column", "card", "--key", "id", "--merchant", "shop"];
    let scan = migrate(&folder, &[&column[..], &["--scan"]].concat()).done();
    assert!(scan.out.contains("2 card numbers"), "{}", scan.out);
    let moved = migrate(&folder, &[&column[..], &["--list", "list.csv"]].concat()).done();
    assert!(moved.out.contains("2 tokenized") && moved.out.contains("1 rejected"), "{}", moved.out);
    let card: String = open.query_row("SELECT card FROM orders WHERE id = 1", [], |row| row.get(0)).unwrap();
    assert!(card.starts_with("tok_"));
    let list = std::fs::read_to_string(folder.dir.path().join("list.csv")).unwrap();
    assert_eq!(list, "\"i3\",not_a_card_number\n");
    migrate(&folder, &[&["column", "postgresql://u:secret@localhost/d"], &column[2..]].concat()).refused(4, "password");
}

#[test]
fn refusals() {
    let folder = folder();
    let run = ["run", "in.csv", "out.csv", "--merchant", "shop"];
    let with = |more: &[&str]| migrate(&folder, &[&run[..], more].concat());
    with(&["--rejects", "stop"]).refused(4, "row 5, column card: check_digit");
    with(&["--column", "nothing"]).refused(2, "no column");
    with(&["--keep", "card"]).refused(2, "no column holds card numbers");
    with(&["--database", "none.db"]).refused(3, "no vault");
    with(&["--keep-last-four"]).refused(2, "--card-shaped");
    with(&["--delimiter", "\""]).refused(2, "delimiter");
    // The run can go on once the key is right.
    migrate(&folder, &["run", "in.csv", "later.csv", "--merchant", "shop", "--ff1", "print"]).refused(7, "");
    assert!(folder.dir.path().join("later.csv.journal").exists());
    migrate(&folder, &["scan", "p2pe.toml"]).refused(4, "format");
    migrate(&folder, &["scan", "none.csv"]).refused(1, "none.csv");
    folder.write("unsure.csv", &format!("card,memo\n{PAN},a\n{PAN},b\n{PAN},my {PAN}\n"));
    migrate(&folder, &["run", "unsure.csv", "out.csv", "--merchant", "shop"]).refused(2, "memo");
    assert!(!folder.dir.path().join("out.csv").exists() && !folder.dir.path().join("out.csv.journal").exists());
}
