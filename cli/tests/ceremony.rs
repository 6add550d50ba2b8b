//! Key ceremonies: components from files and typed in by custodians, and how they fail.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BDK, Folder, Ran};

/// What clears the screen of a terminal.
const CLEAR: &str = "\x1b[2J";

/// Three components of `BDK`, and their check values.
const PARTS: [&str; 3] =
    ["11111111111111112222222222222222", "3333333333333333ABABABABABABABAB", "23016745AB89EFCD77553311FFDDBB99"];

#[track_caller]
fn with_code(ran: &Ran, code: &str) {
    assert_eq!(ran.json()["error"]["code"], code, "{}{}", ran.out, ran.err);
}

fn import(folder: &Folder, kind: &str, files: &[&str], more: &[&str]) -> Ran {
    let files = files.iter().flat_map(|file| ["--component-file", file]);
    let args: Vec<&str> = ["--json", "keys", "import", "--id", "k", "--kind", kind].into_iter().chain(files).collect();
    folder.run(&[&args, more].concat())
}

#[test]
fn three_components_make_one_key() {
    let xor = |parts: &[&str]| -> String {
        (0..32)
            .step_by(2)
            .map(|i| parts.iter().fold(0, |x, part| x ^ u8::from_str_radix(&part[i..i + 2], 16).unwrap()))
            .map(|byte| format!("{byte:02X}"))
            .collect()
    };
    assert_eq!(xor(&PARTS), BDK);
    let folder = Folder::token();
    for (name, part) in ["one", "two", "three"].iter().zip(PARTS) {
        folder.write(name, part);
    }
    let ran = import(&folder, "tdes-base", &["one", "two", "three"], &["--check-value", "08D7B4"]).done();
    assert_eq!(ran.json()["components"].as_array().unwrap().len(), 3);
    assert_eq!(ran.json()["check_value_cmac"].as_str().unwrap().len(), 10);
    folder.run(&["keys", "check"]).done();
    // The keys of every length that there are.
    for (id, kind, length) in [
        ("t2", "tdes-kbpk", 16),
        ("t3", "tdes-kbpk", 24),
        ("a1", "aes-base", 16),
        ("a2", "aes-base", 24),
        ("a3", "aes-base", 32),
        ("p3", "aes-kbpk", 32),
    ] {
        let key: String = (1..=length).map(|byte| format!("{:02X}", byte * 5)).collect();
        let ran = folder.import(id, kind, &key).done();
        assert!(ran.out.contains("component 1 of 2: check value") && ran.out.contains(", CMAC "), "{}", ran.out);
    }
}

/// Each of these is refused by its own name, and the token is what it was, byte for byte.
#[test]
fn bad_components_change_nothing() {
    let folder = Folder::token();
    folder.import("there", "aes-base", &BDK.repeat(2)).done();
    for (name, text) in [
        ("good", BDK),
        ("other", PARTS[0]),
        ("short", &BDK[..30]),
        ("long", &BDK.repeat(2)),
        ("odd", &BDK[..31]),
        ("text", "not hex"),
        ("empty", ""),
        ("zeros", &"00".repeat(16)),
        ("half", "0123456789ABCDEF0123456789ABCDEF"),
    ] {
        folder.write(name, text);
    }
    let before = folder.objects();
    assert_eq!(before.len(), 1);
    for (kind, files, more, code) in [
        ("tdes-base", &["good", "short"][..], &[][..], "component_length"),
        ("tdes-base", &["good", "long"], &[], "component_length"),
        ("tdes-base", &["empty", "good"], &[], "component_length"),
        ("aes-base", &["good", "long"], &[], "components"),
        ("tdes-base", &["good", "odd"], &[], "component_not_hex"),
        ("tdes-base", &["good", "text"], &[], "component_not_hex"),
        ("tdes-base", &["good", "good"], &[], "component_twice"),
        ("tdes-base", &["other", "good", "other"], &[], "component_twice"),
        ("tdes-base", &["half", "zeros"], &[], "key_weak"),
        ("tdes-base", &["good"], &[], "components"),
        ("tdes-base", &["good", "nowhere"], &[], "usage"),
        ("tdes-base", &["good", "/dev/zero"], &[], "usage"),
        ("tdes-base", &["good", "zeros"], &["--check-value", "08D7B5"], "check_value_mismatch"),
        ("tdes-base", &["good", "zeros"], &["--check-value", "8D7"], "usage"),
        ("tdes-base", &["good", "zeros"], &["--component-check-value", "08D7B4"], "usage"),
        (
            "tdes-base",
            &["good", "zeros"],
            &["--component-check-value", "08D7B4", "--component-check-value", "08D7B4"],
            "component_check_value",
        ),
        ("tdes-base", &["good", "zeros"], &["--valid-to", "2020-01-01"], "usage"),
    ] {
        let ran = import(&folder, kind, files, more);
        assert_ne!(ran.code, 0);
        with_code(&ran, code);
        assert_eq!(folder.objects(), before, "{files:?} {more:?}");
        assert!(!format!("{}{}", ran.out, ran.err).contains(&BDK[..30]));
    }
    let named = |id: &str, kind: &str| {
        let files = ["--component-file", "good", "--component-file", "zeros"];
        let ran = folder.run(&[&["--json", "keys", "import", "--id", id, "--kind", kind][..], &files].concat());
        assert_eq!(folder.objects(), before, "{id}");
        ran
    };
    with_code(&named("there", "tdes-base"), "key_already_exists");
    with_code(&named("aes-dukpt:12345678:v1", "tdes-base"), "key_name_mismatch");
    with_code(&named("tdes-dukpt:FFFF987654", "tdes-base"), "key_name_mismatch");
    // Not a byte of it is wrong: the right ones are stored.
    let right = ["--component-check-value", "08D7B4", "--component-check-value", "8CA64D", "--check-value", "08D7B4"];
    import(&folder, "tdes-base", &["good", "zeros"], &right).done();
    assert_eq!(folder.objects().len(), 3);
}

/// The component in place of its file's path, as custodians' forms print it.
#[test]
fn a_component_on_the_command_line_is_not_repeated() {
    let folder = Folder::token();
    folder.write("good", BDK);
    for digits in [BDK.into(), format!("{} {}", &BDK[..16], &BDK[16..]), format!("{}-{}", &BDK[..4], &BDK[4..])] {
        let ran = import(&folder, "tdes-base", &["good", &digits], &[]);
        ran.refused(2, "what looks like the component itself");
        assert!(!format!("{}{}", ran.out, ran.err).contains(&digits));
    }
}

fn prompting() -> (Folder, String) {
    let folder = Folder::token();
    let pin = std::fs::read_to_string(folder.token.as_ref().unwrap().pin_file()).unwrap();
    let text = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    let without_pin: String =
        text.lines().filter(|line| !line.starts_with("pin")).map(|line| format!("{line}\n")).collect();
    folder.write("p2pe.toml", &without_pin);
    (folder, pin)
}

#[test]
fn three_custodians_at_one_terminal() {
    let (folder, pin) = prompting();
    // The second one mistypes: too short, not hex, another component than the form's; and only then the right one.
    let [one, two, three] = PARTS;
    let typed = format!(
        "{pin}\n{one}\nyes\n\n{short}\nnot hex\n{three}\nno\n{two}\nyes\n\n{three}\nperhaps\nyes\nyes\n",
        short = &two[..30],
        pin = pin.trim(),
    );
    // Two tries are used up by the short one and by what is no hex, so this custodian gets no fourth one.
    let ran = folder.at_terminal(&["keys", "import", "--id", "k", "--kind", "tdes-base", "--components", "3"], &typed);
    ran_without_components(&ran, pin.trim());
    assert_eq!((ran.code, folder.objects().len()), (2, 0), "{}", ran.out);
    assert!(ran.out.contains("component 2 of 3 is not the one that was meant: nothing was stored"), "{}", ran.out);

    let typed = format!(
        "{pin}\n{one}\nyes\n\n{short}\n{two}\nyes\n\n{three}\nperhaps\nyes\nyes\n",
        short = &two[..30],
        pin = pin.trim(),
    );
    let ran = folder.at_terminal(&["keys", "import", "--id", "k", "--kind", "tdes-base", "--components", "3"], &typed);
    let ran = ran.done();
    ran_without_components(&ran, pin.trim());
    for says in [
        "15 bytes",
        "type it again",
        "component 3 of 3: check value",
        "Answer yes or no.",
        "component 1 of 3: check value D2B91C, CMAC 908511D06A",
        "check value of the key 08D7B4, CMAC 0A82458664",
        "stored in the token",
    ] {
        assert!(ran.out.contains(says), "{says:?} is missing in {}", ran.out);
    }
    // Cleared before each of the other two custodians, after an answer that was none, and before the end.
    assert_eq!(ran.out.matches(CLEAR).count(), 4, "{}", ran.out);
    let (of_first, rest) = ran.out.split_once(CLEAR).unwrap();
    assert!(of_first.contains("component 1 of 3: check value") && !rest.contains("component 1 of 3: check value"));
}

#[track_caller]
fn ran_without_components(ran: &Ran, pin: &str) {
    for secret in PARTS.iter().chain([&BDK, &pin]) {
        assert!(!ran.out.contains(secret), "{}", ran.out);
    }
}

#[test]
fn custodians_stop_a_ceremony() {
    let (folder, pin) = prompting();
    let pin = pin.trim();
    let args = ["keys", "import", "--id", "k", "--kind", "tdes-base", "--components", "3"];
    let [one, two, three] = PARTS;
    // The last question is for all of them.
    let ran = folder.at_terminal(&args, &format!("{pin}\n{one}\nyes\n\n{two}\nyes\n\n{three}\nyes\nno\n"));
    assert!(ran.code == 2 && ran.out.contains("not the one that was meant: nothing was stored"), "{}", ran.out);
    // With the check values of the forms nobody is asked, and a wrong component is found by them.
    let values = ["--component-check-value", "FFFFFF"].repeat(3);
    let ran = folder.at_terminal(&[&args[..], &values].concat(), &format!("{pin}\n{one}\n{one}\n{one}\n"));
    assert!(ran.code == 2 && ran.out.contains("not FFFFFF: nothing was stored"), "{}", ran.out);
    // They leave, and the line ends.
    let ran = folder.at_terminal(&args, &format!("{pin}\n{one}\nyes\n\n\x04"));
    assert!(ran.code == 2 && ran.out.contains("cannot ask at the terminal"), "{}", ran.out);
    assert!(folder.objects().is_empty());
    // A name that is taken costs no custodian a word.
    folder.write("pin", pin);
    let generate = ["--pin-file", "pin", "keys", "generate", "--id", "k"];
    folder.run(&generate).done();
    let ran = folder.at_terminal(&args, &format!("{pin}\n"));
    assert!(ran.code == 7 && ran.out.contains("exists already") && !ran.out.contains("component"), "{}", ran.out);
}

#[test]
fn each_component_is_recorded() {
    let folder = Folder::token();
    let settings = std::fs::read_to_string(folder.dir.path().join("p2pe.toml")).unwrap();
    folder.write("p2pe.toml", &format!("{settings}[audit]\nfolder = \"audit\"\n"));
    folder.import("bdk-1", "tdes-base", BDK).done();
    folder.run(&["keys", "retire", "--id", "bdk-1"]).done();
    let log = std::fs::read_to_string(folder.dir.path().join("audit/audit-00000001.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["component", "component", "import-key", "change-key"]);
    assert!(lines.iter().all(|line| line["key"] == "bdk-1"));
    let subject = lines[1]["subject"].as_str().unwrap();
    assert!(subject.starts_with("component 2 of 2, check value ") && subject.len() == 36, "{subject}");
    assert!(!log.contains(BDK) && !log.contains(&"5A".repeat(16)));
    folder.run(&["audit", "verify"]).done();
}
