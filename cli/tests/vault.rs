//! `p2pe vault` from end to end, with keys in memory and in a token.

mod support;

use support::{Folder, PAN};

const VAULT: [&str; 3] = ["vault", "--database", "vault.db"];

fn memory() -> Folder {
    let folder = Folder::memory();
    for (name, byte) in [("print.hex", "11"), ("wrap.hex", "22"), ("wrap2.hex", "33")] {
        folder.write(name, &byte.repeat(32));
    }
    folder.write(
        "p2pe.toml",
        "[store]\nkind = \"memory\"\n\
         [[store.key]]\nid = \"print\"\nkind = \"hmac\"\nfile = \"print.hex\"\n\
         [[store.key]]\nid = \"wrap\"\nkind = \"wrap\"\nfile = \"wrap.hex\"\n\
         [[store.key]]\nid = \"wrap2\"\nkind = \"wrap\"\nfile = \"wrap2.hex\"\n",
    );
    folder
}

fn token() -> Folder {
    let folder = Folder::token();
    folder.import("wrap", "wrap", &"22".repeat(32)).done();
    folder.import("wrap2", "wrap", &"33".repeat(32)).done();
    folder.run(&["keys", "generate", "--id", "print"]).done();
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
        let stats = vault(&folder, &["--json", "stats"], "").done().json();
        assert_eq!(stats["keys"][0]["data_key"], 2);
        assert_eq!((&stats["keys"][0]["wrapped_by"], &stats["keys"][0]["tokens"]), (&"wrap2".into(), &2.into()));
        assert_eq!(stats["audit_records"], 2);
        let verified = vault(&folder, &["--json", "verify"], "").done().json();
        assert_eq!((&verified["rows"], &verified["corrupted"]), (&2.into(), &serde_json::json!([])));
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
    vault(&folder, &once, "5413330089604111").refused(10, "another card number");
    vault(&folder, &once, "5413330089604111\n5413330089604111").refused(2, "--request");
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
