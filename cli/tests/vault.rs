//! `p2pe vault` from end to end, with keys in memory and in a token.

mod support;

use support::{Folder, PAN};
use throwaway_postgres::Server;

const VAULT: [&str; 3] = ["vault", "--database", "vault.db"];

fn memory() -> Folder {
    let folder = Folder::memory();
    for (name, byte) in [("print.hex", "11"), ("wrap.hex", "22"), ("wrap2.hex", "33"), ("print2.hex", "55")] {
        folder.write(name, &byte.repeat(32));
    }
    folder.write(
        "p2pe.toml",
        "[store]\nkind = \"memory\"\n\
         [[store.key]]\nid = \"print\"\nkind = \"hmac\"\nfile = \"print.hex\"\n\
         [[store.key]]\nid = \"wrap\"\nkind = \"wrap\"\nfile = \"wrap.hex\"\n\
         [[store.key]]\nid = \"wrap2\"\nkind = \"wrap\"\nfile = \"wrap2.hex\"\n\
         [[store.key]]\nid = \"print2\"\nkind = \"hmac\"\nfile = \"print2.hex\"\n",
    );
    folder
}

fn token() -> Folder {
    let folder = Folder::token();
    folder.import("wrap", "wrap", &"22".repeat(32)).done();
    folder.import("wrap2", "wrap", &"33".repeat(32)).done();
    folder.run(&["keys", "generate", "--id", "print"]).done();
    folder.run(&["keys", "generate", "--id", "print2"]).done();
    folder
}

fn vault(folder: &Folder, args: &[&str], input: &str) -> support::Ran {
    folder.run_with(&[&VAULT, args].concat(), input.as_bytes())
}

fn init(folder: &Folder) {
    vault(folder, &["init", "--fingerprint-key", "print", "--wrapping-key", "wrap"], "").done();
}

#[test]
fn there_and_back() {
    for folder in [memory(), token()] {
        init(&folder);
        let ran =
            vault(&folder, &["tokenize", "--merchant", "shop"], &format!("{PAN}\n5413330089604111\n{PAN}\n")).done();
        assert!(!ran.out.contains(PAN) && ran.out.contains("476173******0010"), "{}", ran.out);
        let tokens: Vec<&str> = ran.out.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!((tokens.len(), tokens[0]), (3, tokens[2]));
        let back = ["detokenize", "--merchant", "shop", "--caller", "me", "--purpose", "refund", tokens[0]];
        let masked = vault(&folder, &back, "").done();
        assert!(masked.out.contains("476173******0010") && !masked.out.contains(PAN), "{}", masked.out);
        assert!(vault(&folder, &[&back[..], &["--reveal"]].concat(), "").done().out.contains(PAN));
        vault(&folder, &["rotate", "data-key", "--merchant", "shop"], "").done();
        vault(&folder, &["rotate", "wrapping-key", "--to", "wrap2"], "").done();
        vault(&folder, &["rotate", "fingerprint-key", "--to", "print2"], "").done();
        assert_eq!(vault(&folder, &["find", "--merchant", "shop"], PAN).done().out.trim(), tokens[0]);
        let stats = vault(&folder, &["--json", "stats"], "").done().json();
        let prints = serde_json::json!([{ "key": "print2", "version": 2, "tokens": 2 }]);
        assert_eq!(stats["fingerprint_keys"], prints);
        assert_eq!(stats["keys"][0]["data_key"], 2);
        assert_eq!((&stats["keys"][0]["wrapped_by"], &stats["keys"][0]["tokens"]), (&"wrap2".into(), &2.into()));
        assert_eq!(stats["audit_records"], 2);
        let verified = vault(&folder, &["--json", "verify"], "").done().json();
        assert_eq!(verified, serde_json::json!({ "rows": 2, "corrupted": [], "orphans": [] }));
        vault(&folder, &["delete", "--merchant", "shop", tokens[1]], "").done();
        vault(&folder, &["shred", "--merchant", "shop"], "").refused(2, "--yes");
        vault(&folder, &["shred", "--merchant", "shop", "--yes"], "").done();
        vault(&folder, &back, "").refused(10, "unknown token");
    }
}

#[test]
fn forms() {
    let folder = memory();
    init(&folder);
    let shaped = ["tokenize", "--merchant", "shop", "--policy-version", "2", "--card-shaped", "--keep-last-four"];
    let plain = vault(&folder, &shaped, PAN).done();
    assert!(plain.out.starts_with("99") && plain.out[12..16] == PAN[12..], "{}", plain.out);
    let bin = [&shaped[..], &["--keep-bin", "6", "--policy-version", "3"]].concat();
    let bin: Vec<&str> =
        bin.into_iter().enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, arg)| arg).collect();
    assert!(vault(&folder, &bin, PAN).done().out.starts_with(&PAN[..6]));
    vault(&folder, &bin, "6200000000000005").refused(4, "BIN");
    vault(&folder, &bin, &plain.out[..16]).refused(4, "already");
    let once = ["tokenize", "--merchant", "shop", "--policy-version", "4", "--single-use", "--request", "order-1"];
    let first = vault(&folder, &once, PAN).done().out;
    assert_eq!(vault(&folder, &once, PAN).done().out, first);
    vault(&folder, &once, "5413330089604111").refused(10, "another card");
    vault(&folder, &once, "5413330089604111\n5413330089604111").refused(2, "--request");
}

#[test]
fn expiry_dates() {
    let folder = memory();
    init(&folder);
    let dated = ["tokenize", "--merchant", "shop", "--with-expiry"];
    let ran = vault(&folder, &dated, &format!("{PAN} 3012\n{PAN} 3101\n{PAN}  3012\n")).done();
    let tokens: Vec<&str> = ran.out.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(tokens.len() == 3 && tokens[0] == tokens[2] && tokens[0] != tokens[1]);
    let back = ["detokenize", "--merchant", "shop", "--caller", "me", "--purpose", "refund", tokens[1]];
    assert!(vault(&folder, &back, "").done().out.contains("expiry         3101"));
    assert_eq!(vault(&folder, &["find", "--merchant", "shop"], PAN).done().out.lines().count(), 2);
    for wrong in [PAN.to_owned(), format!("{PAN} 3013"), format!("{PAN} 123"), format!("{PAN} 3o12")] {
        vault(&folder, &dated, &wrong).refused(4, "YYMM");
    }
    vault(&folder, &dated[..3], &format!("{PAN} 3012")).refused(4, "number 1");
}

#[test]
fn a_policy_and_its_successor() {
    let folder = memory();
    init(&folder);
    let old = ["tokenize", "--merchant", "shop"];
    let ran = vault(&folder, &old, &format!("{PAN}\n6200000000000005\n")).done().out;
    let tokens: Vec<&str> = ran.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let rotate = |version: &str, ends: &str| {
        let args = [
            &["--json", "rotate", "policy", "--merchant", "shop", "--from", "1", "--ends", ends][..],
            &["--policy-version", version, "--card-shaped", "--keep-bin", "6", "--keep-last-four"],
        ];
        vault(&folder, &args.concat(), "")
    };
    rotate("1", "4000000000").refused(10, "another version");
    let done = rotate("2", "4000000000").done().json();
    assert_eq!((&done["moved"], &done["refused"][0]["code"]), (&1.into(), &"bin_not_kept".into()));
    assert_eq!(done["refused"][0]["token"], tokens[1]);
    rotate("2", "4000000001").refused(10, "once");
    let pairs = vault(&folder, &["successors", "--merchant", "shop", "--policy-version", "1"], "").done().out;
    let words: Vec<&str> = pairs.split_whitespace().collect();
    assert!(words.len() == 2 && words[0] == tokens[0] && words[1].starts_with(&PAN[..6]), "{pairs}");
    vault(&folder, &old, "5413330089604111").refused(10, "replaced");
    let stats = vault(&folder, &["--json", "stats"], "").done().json();
    assert_eq!((&stats["policies"][0]["replaced_by"], &stats["policies"][1]["tokens"]), (&2.into(), &1.into()));
    assert!(vault(&folder, &["stats"], "").done().out.contains("2, ends at 4000000000"));
}

#[test]
fn refusals() {
    let folder = memory();
    let tokenize = ["tokenize", "--merchant", "shop"];
    vault(&folder, &tokenize, PAN).refused(3, "no vault");
    init(&folder);
    vault(&folder, &["init", "--fingerprint-key", "print", "--wrapping-key", "wrap"], "").refused(3, "already");
    vault(&folder, &tokenize, "4761739001010010x").refused(4, "number 1");
    vault(&folder, &tokenize, "5413330089604111\n47617390").refused(4, "number 2");
    vault(&folder, &["tokenize", "--merchant", ""], PAN).refused(2, "merchant");
    let back = ["detokenize", "--merchant", "shop", "--caller", "me", "--purpose"];
    vault(&folder, &[&back[..], &["fun", "vtok_x"]].concat(), "").refused(2, "purpose");
    vault(&folder, &[&back[..], &["refund", "vtok_x"]].concat(), "").refused(10, "unknown token");
    folder.write("print.hex", &"44".repeat(32));
    vault(&folder, &tokenize, PAN).refused(7, "print");
    folder.write("print.hex", &"11".repeat(32));
    folder.write("wrap.hex", &"44".repeat(32));
    vault(&folder, &tokenize, PAN).refused(7, "wrap");
    folder.write("text.db", &"no database ".repeat(50));
    folder.run(&["vault", "--database", "text.db", "stats"]).refused(1, "database");
}

/// The same on PostgreSQL, by another URL; its password never stands on a command line.
#[test]
fn on_postgres() {
    let folder = memory();
    let url = Server::shared().new_database().unwrap();
    let run = |args: &[&str], input: &str| {
        folder.run_with(&[&["vault", "--database", &url][..], args].concat(), input.as_bytes())
    };
    run(&["tokenize", "--merchant", "shop"], PAN).refused(3, "no vault");
    run(&["init", "--fingerprint-key", "print", "--wrapping-key", "wrap"], "").done();
    let ran = run(&["tokenize", "--merchant", "shop"], &format!("{PAN}\n{PAN}\n")).done();
    let token = ran.out.split(' ').next().unwrap();
    assert_eq!(ran.out.matches(token).count(), 2, "{}", ran.out);
    let back = ["detokenize", "--merchant", "shop", "--caller", "me", "--purpose", "refund", "--reveal", token];
    assert!(run(&back, "").done().out.contains(PAN));
    run(&["rotate", "data-key", "--merchant", "shop"], "").done();
    assert_eq!(run(&["--json", "verify"], "").done().json()["rows"], 1);
    for (url, code, says) in [
        ("postgres://me:pass-word@db.example/vault", 2, "passfile"),
        ("postgres://me@db.example/vault?password=pass-word", 2, "passfile"),
        ("postgres://me@db.example/vault", 3, "sslrootcert"),
        ("postgres://me@127.0.0.1:1/vault?deadline=1", 1, "server"),
        ("mysql://db.example/vault", 3, "sqlite"),
    ] {
        let ran = folder.run_with(&["vault", "--database", url, "stats"], b"");
        assert!(!format!("{}{}", ran.out, ran.err).contains("pass-word"));
        ran.refused(code, says);
    }
    folder.run(&["vault", "stats"]).refused(2, "P2PE_DATABASE");
}

/// Three databases, two of them on a server: one vault, opened whole or not at all.
#[test]
fn over_several_databases() {
    let folder = memory();
    folder.write("routing.hex", &"66".repeat(32));
    let routing = "[[store.key]]\nid = \"routing\"\nkind = \"hmac\"\nfile = \"routing.hex\"\n";
    let settings = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    folder.write("p2pe.toml", &(settings + routing));
    let urls =
        ["set.db".to_owned(), Server::shared().new_database().unwrap(), Server::shared().new_database().unwrap()];
    let run = |order: &[usize], args: &[&str], input: &str| {
        let named = order.iter().flat_map(|at| ["--database", &urls[*at]]);
        let args: Vec<&str> = std::iter::once("vault").chain(named).chain(args.iter().copied()).collect();
        folder.run_with(&args, input.as_bytes())
    };
    let init = ["init", "--fingerprint-key", "print", "--wrapping-key", "wrap", "--routing-key", "routing"];
    run(&[0, 1, 2], &init[..5], "").refused(2, "--routing-key");
    run(&[0], &init, "").refused(2, "several");
    run(&[0, 1, 2], &init, "").done();
    run(&[0, 1, 2], &init, "").refused(3, "already");
    let cards = format!("{PAN}\n5413330089604111\n6200000000000005\n4111111111111111\n");
    let tokens = run(&[0, 1, 2], &["tokenize", "--merchant", "shop"], &cards).done().out;
    assert_eq!(run(&[2, 0, 1], &["tokenize", "--merchant", "shop"], &cards).done().out, tokens);
    let token = tokens.split(' ').next().unwrap();
    let back = ["detokenize", "--merchant", "shop", "--caller", "me", "--purpose", "refund", "--reveal", token];
    assert!(run(&[1, 2, 0], &back, "").done().out.contains(PAN));
    assert_eq!(run(&[1, 2, 0], &["find", "--merchant", "shop"], PAN).done().out.trim(), token);
    run(&[0, 1, 2], &["rotate", "data-key", "--merchant", "shop"], "").done();
    run(&[0, 1, 2], &["rotate", "fingerprint-key", "--to", "print2"], "").done();
    assert_eq!(run(&[0, 1, 2], &["--json", "verify"], "").done().json()["rows"], 4);
    let stats = run(&[0, 1, 2], &["--json", "stats"], "").done().json();
    let rows = |shard: usize| stats["shards"][shard]["fingerprint_keys"][0]["tokens"].as_u64().unwrap();
    assert_eq!((0..3).map(rows).sum::<u64>(), 4);
    assert!(run(&[0, 1, 2], &["stats"], "").done().out.contains("shard 3 of 3"));
    // An old file of cards gets the same tokens.
    folder.write("cards.csv", &format!("card\n{PAN}\n5413330089604111\n"));
    let migrate = ["migrate", "run", "cards.csv", "tokens.csv", "--merchant", "shop"];
    let named = urls.iter().flat_map(|url| ["--database", url]);
    folder.run(&migrate.into_iter().chain(named).collect::<Vec<_>>()).done();
    assert!(std::fs::read_to_string(folder.dir.path().join("tokens.csv")).unwrap().contains(token));
    // Not whole, one twice, one alone.
    run(&[0, 1], &["stats"], "").refused(3, "missing");
    run(&[0, 1, 1], &["stats"], "").refused(3, "twice");
    run(&[0], &["stats"], "").refused(3, "missing");
    folder.write("routing.hex", &"77".repeat(32));
    run(&[0, 1, 2], &["stats"], "").refused(7, "routing");
}
