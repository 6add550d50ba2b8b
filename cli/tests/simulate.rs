//! `p2pe simulate`: what it sends, `p2pe decrypt` reads; where to it sends; what it refuses.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{BDK, Folder, PAN};

/// A folder whose settings have this profile for the virtual devices' usual KSNs.
fn gateway(profile: &str) -> Folder {
    let folder = Folder::memory();
    let settings = fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    folder.write("p2pe.toml", &settings.replace("idtech-tdes", profile));
    folder
}

fn devices() -> Vec<Value> {
    let listed = Folder::memory().run(&["--json", "simulate", "--list"]).done().json();
    listed["devices"].as_array().unwrap().clone()
}

/// What was sent in JSON: KSN, profile, and the payload as arguments of `p2pe decrypt`.
fn sent(json: &Value) -> (String, String, Vec<String>) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let payload = match &json["payload"] {
        Value::Array(runs) => runs.iter().map(text).collect(),
        one => vec![text(one)],
    };
    (text(&json["ksn"]), text(&json["profile"]), payload)
}

#[test]
fn every_device_decrypts() {
    for device in devices() {
        let name = device["device"].as_str().unwrap();
        let folder = Folder::memory();
        let json = folder.run(&["--json", "simulate", name, "--counter", "7"]).done().json();
        let (ksn, profile, payload) = sent(&json["payloads"][0]);
        assert_eq!(ksn, "FFFF9876543210E00007");
        let folder = gateway(&profile);
        let mut args = vec!["--json", "decrypt"];
        if json["payloads"][0]["payload"].is_array() {
            args.extend(["--ksn", &ksn]);
        }
        args.extend(payload.iter().map(String::as_str));
        let card = folder.run(&args).done().json();
        assert_eq!((&card["card"], &card["expiry"]), (&"476173******0010".into(), &"3012".into()), "{name}");
        // Bytes as they are, in a file.
        if args.len() == 3 {
            folder.run(&["simulate", name, "--counter", "7", "--raw", "--to", "payload"]).done();
            let again = folder.run(&["--json", "decrypt", "--file", "payload"]).done().json();
            assert_eq!(again["card"], card["card"], "{name}");
        }
    }
}

#[test]
fn a_pipe_to_decrypt() {
    let folder = gateway("idtech-aes-pin");
    let typed = folder.run(&["simulate", "sredkey", "--with", "security-code,zip", "--encryption", "aes-pin"]).done();
    let card = folder.run_with(&["--json", "decrypt", "--reveal"], typed.out.as_bytes()).done().json();
    assert_eq!((&card["card"], &card["security_code"]), (&PAN.into(), &"123".into()));
    assert!(typed.out.ends_with("03\n") && typed.out.lines().count() == 1, "{}", typed.out);
    let lines = folder.run(&["simulate", "sredkey", "--count", "3"]).done().out;
    assert_eq!(lines.lines().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn the_same_seed_sends_the_same() {
    let folder = Folder::memory();
    let out = |seed: &str| folder.run(&["simulate", "neo", "--seed", seed, "--count", "2"]).done().out;
    assert_eq!(out("5"), out("5"));
    assert_ne!(out("5"), out("6"));
}

#[test]
fn the_counter_goes_on_and_comes_to_its_end() {
    let folder = Folder::memory();
    let counter = (0x1F_F000).to_string();
    let json = folder.run(&["--json", "simulate", "sredkey", "--count", "2", "--counter", &counter]).done().json();
    let ksns: Vec<_> = json["payloads"].as_array().unwrap().iter().map(|one| sent(one).0).collect();
    assert_eq!(ksns, ["FFFF9876543210FFF000", "FFFF9876543210FFF001"]);
    let last = (0x1F_F800).to_string();
    folder.run(&["simulate", "sredkey", "--count", "2", "--counter", &last]).refused(7, "lower counter");
    folder.run(&["simulate", "sredkey", "--counter", "2097151"]).refused(2, "counter");
    folder.run(&["simulate", "sredkey", "--counter", "2097152"]).refused(2, "counter");
}

#[test]
fn a_card_of_ones_own_comes_from_a_file() {
    let folder = gateway("idtech-tdes");
    let card =
        "card 4000056655665556\nexpiry 2904\nname  ROE/RICHARD\nservice_code 101\nsecurity_code 777\nzip 10001\n";
    folder.write("card", card);
    for (args, input) in [(["--card-file", "card"], ""), (["--card-file", "-"], card)] {
        let args = [&["simulate", "idtech-swipe"], &args[..]].concat();
        let frame = folder.run_with(&args, input.as_bytes()).done().out;
        let card = folder.run_with(&["--json", "decrypt", "--reveal"], frame.as_bytes()).done().json();
        for (field, value) in
            [("card", "4000056655665556"), ("expiry", "2904"), ("name", "ROE/RICHARD"), ("service_code", "101")]
        {
            assert_eq!(card[field], value);
        }
    }
    folder.run(&["simulate", "sredkey", "--card", "378282246310005", "--expiry", "2701"]).done();
    let ran = folder.run(&["simulate", "sredkey", "--card", "4000056655665556"]);
    assert!(!ran.err.contains("4000056655665556"), "{}", ran.err);
    ran.refused(2, "test numbers");
    for (text, says) in [
        ("", "12 to 19 digits"),
        ("card 4000056655665556", "YYMM"),
        ("card 4000056655665556\nexpiry 2913", "YYMM"),
        ("card 4000056655665556\nexpiry 2912\ncard 4000056655665556", "lines of a name and a value"),
        ("card 4000056655665556\nexpiry 2912\npin 1234", "lines of a name and a value"),
        ("card 4000056655665556\nexpiry 2912\nname roe", "capital letters"),
        ("card 4000056655665556\nexpiry 2912\nsecurity_code 12", "three or four"),
        ("\u{FF}", "lines of a name and a value"),
    ] {
        folder.write("card", text);
        let ran = folder.run(&["simulate", "sredkey", "--card-file", "card"]);
        assert!(!ran.err.contains("4000056655665556"), "{}", ran.err);
        ran.refused(2, says);
    }
    folder.run(&["simulate", "sredkey", "--card-file", "nowhere"]).refused(2, "nowhere");
}

#[test]
fn keys_come_from_files() {
    let folder = gateway("idtech-tdes");
    let decrypt = |args: &[&str]| {
        let frame = folder.run(&[&["simulate", "sredkey"], args].concat()).done().out;
        folder.run_with(&["decrypt"], frame.as_bytes())
    };
    decrypt(&["--base-key-file", "bdk.hex"]).done();
    folder.write("other.hex", "00112233445566778899AABBCCDDEEFF");
    decrypt(&["--base-key-file", "other.hex"]).refused(6, "could not be decrypted");
    // The initial key of FFFF9876543210E under the ANSI key (X9.24-1:2009, A.4).
    folder.write("initial.hex", "6AC292FAA1315B4D858AB3A3D7D5933A");
    decrypt(&["--initial-key-file", "initial.hex"]).done();
    folder.run(&["simulate", "sredkey", "--base-key-file", "nowhere"]).refused(2, "nowhere");
    folder.run(&["simulate", "sredkey", "--base-key-file", BDK]).refused(2, "key itself");
    folder.run(&["simulate", "track", "--encryption", "aes-dukpt-256", "--base-key-file", "bdk.hex"]).refused(7, "");
    folder.write("short.hex", "0011");
    folder.run(&["simulate", "sredkey", "--base-key-file", "short.hex"]).refused(2, "bytes");
}

#[test]
fn refused_command_lines() {
    let folder = Folder::memory();
    folder.run(&["simulate", "toaster"]).refused(2, "no such virtual device");
    folder.run(&["simulate", "sredkey", "--with", "loud"]).refused(2, "no setting \"loud\"");
    folder.run(&["simulate", "sredkey", "--with", "mac"]).refused(2, "sredkey has no setting mac");
    folder.run(&["simulate", "sredkey", "--with", "hex,binary"]).refused(2, "exclude each other");
    folder.run(&["simulate", "idtech-swipe", "--with", "transarmor", "--encryption", "aes"]).refused(2, "aes");
    folder.run(&["simulate", "sredkey", "--encryption", "rot13"]).refused(2, "no encryption");
    folder.run(&["simulate", "sredkey", "--ksn", "FFFF"]).refused(2, "--ksn");
    folder.run(&["simulate", "sredkey", "--ksn", "keypad"]).refused(2, "not hex");
    folder.run(&["simulate", "sredkey", "--to", "nowhere/at/all"]).refused(1, "nowhere/at/all");
    folder.run(&["simulate", "sredkey", "--to", "tcp:127.0.0.1:1"]).refused(1, "tcp:127.0.0.1:1");
    folder.write("there", "");
    folder.run(&["simulate", "sredkey", "--to", "pty:there"]).refused(1, "pty:there");
}

#[test]
fn over_tcp() {
    let folder = gateway("neo-tdes");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp:{}", listener.local_addr().unwrap());
    let received = thread::spawn(move || {
        let mut bytes = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        bytes
    });
    folder.run(&["simulate", "neo", "--raw", "--to", &place]).done();
    let bytes = received.join().unwrap();
    assert!(bytes.starts_with(b"ViVOpayV3\0"));
    assert!(folder.run_with(&["decrypt"], &bytes).done().out.contains("476173******0010"));
}

#[test]
fn typed_at_a_pseudo_terminal() {
    let folder = gateway("idtech-tdes");
    let link = folder.dir.path().join("keypad");
    let mut typing = Command::new(env!("CARGO_BIN_EXE_p2pe"));
    typing.args(["simulate", "sredkey", "--count", "3", "--interval", "50", "--to", "pty:keypad"]);
    let mut typing = typing.current_dir(folder.dir.path()).stdout(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !link.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "there is no terminal");
        thread::sleep(Duration::from_millis(10));
    }
    let lines: Vec<_> = BufReader::new(File::open(&link).unwrap()).lines().take(3).map(Result::unwrap).collect();
    assert_eq!(lines.join("\n") + "\n", folder.run(&["simulate", "sredkey", "--count", "3"]).done().out);
    for line in lines {
        assert!(folder.run_with(&["decrypt"], line.as_bytes()).done().out.contains("476173******0010"));
    }
    assert!(typing.wait().unwrap().success());
    assert!(fs::symlink_metadata(&link).is_err(), "the link is left behind");
}

#[test]
fn a_reader_that_has_seen_enough() {
    let folder = Folder::memory();
    let mut typing = Command::new(env!("CARGO_BIN_EXE_p2pe"));
    typing.args(["simulate", "sredkey", "--count", "1000000", "--interval", "1"]).current_dir(folder.dir.path());
    let mut typing = typing.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(typing.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("02"));
    assert!(typing.wait().unwrap().success());
}
