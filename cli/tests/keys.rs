//! `p2pe keys` and the ways in which a token does not open.

mod support;

use support::{BDK, Folder, KEYPAD};

#[test]
fn the_life_of_a_key() {
    let folder = Folder::token();
    let ran = folder.import("bdk-1", "tdes-base", BDK).done();
    assert!(ran.out.contains("component 1 of 2: check value") && ran.out.contains("check value 08D7B4"), "{}", ran.out);
    assert!(!ran.out.contains(BDK));
    folder.import("bdk-1", "tdes-base", BDK).refused(7, "exists already");

    let aes = folder.import("bdk-aes", "aes-base", &"F1".repeat(32)).done();
    assert!(aes.out.contains("CMAC"), "{}", aes.out);
    folder.run(&["keys", "generate", "--id", "tokens"]).done();

    let keys = folder.run(&["--json", "keys", "list"]).done().json();
    let keys = keys["keys"].as_array().unwrap();
    let row = |id: &str| keys.iter().find(|key| key["id"] == id).unwrap();
    assert_eq!(keys.len(), 3, "the variant of a TDES key is no key of its own");
    assert_eq!((&row("bdk-1")["kind"], &row("bdk-1")["check_value"]), (&"tdes-base".into(), &"08D7B4".into()));
    assert_eq!((&row("bdk-aes")["kind"], &row("bdk-aes")["generated"]), (&"aes-base 256".into(), &false.into()));
    assert_eq!((&row("tokens")["kind"], &row("tokens")["generated"]), (&"hmac".into(), &true.into()));
    assert!(keys.iter().all(|key| key["problems"].as_array().unwrap().is_empty()));
    assert!(keys.iter().all(|key| key["bound_to_one_mechanism"] == true), "SoftHSM can");

    folder.run(&["keys", "delete", "--id", "bdk-1"]).refused(2, "--yes");
    folder.run(&["keys", "delete", "--id", "bdk-1", "--yes"]).done();
    let absent = folder.run(&["keys", "delete", "--id", "bdk-1", "--yes"]);
    absent.refused(7, "bdk-1");
    assert!(absent.err.contains("keys list") && !absent.err.contains("import"), "{}", absent.err);
    folder.run(&["decrypt", KEYPAD]).refused(7, "bdk-1");
}

#[test]
fn the_pin_of_the_settings_goes_to_no_other_token() {
    let folder = Folder::token();
    let token = folder.token.as_ref().unwrap();
    let (module, label) = (token.module().to_str().unwrap(), token.label());
    let pin = std::fs::read_to_string(token.pin_file()).unwrap();
    let uri = format!("pkcs11:token={label}?pin-source={}", token.pin_file().display());
    let list = ["keys", "list"];
    folder.run(&list).done();
    // Named on the command line it may be another one: its PIN is asked for.
    for other in [["--token", label], ["--module", module]] {
        let ran = folder.at_terminal(&[&other[..], &list].concat(), &pin).done();
        assert!(ran.out.contains("PIN of token"), "{}", ran.out);
    }
    // Or comes with it.
    folder.run(&[&["--token", label, "--pin-file", token.pin_file().to_str().unwrap()][..], &list].concat()).done();
    folder.run(&[&["--token", &uri][..], &list].concat()).done();
}

#[test]
fn a_module_that_does_not_start() {
    let folder = Folder::token();
    let conf = folder.token.as_ref().unwrap().conf();
    std::fs::write(conf, "directories.tokendir = /nowhere\nno such setting\n").unwrap();
    let ran = folder.run(&["keys", "list"]);
    ran.refused(8, "C_Initialize");
    assert!(ran.err.contains("SOFTHSM2_CONF"), "{}", ran.err);
}

#[test]
fn tokens_that_do_not_open() {
    let folder = Folder::token();
    folder.write("wrong-pin", "0000\n");
    let list = ["keys", "list"];
    let with = |args: &[&str]| folder.run(&[args, &list].concat());
    with(&["--pin-file", "wrong-pin"]).refused(8, "refuses the PIN");
    with(&["--pin-file", "nowhere"]).refused(8, "nowhere");
    with(&["--pin-env", "NO_SUCH_VARIABLE"]).refused(8, "NO_SUCH_VARIABLE");
    with(&["--token", "no-such-token"]).refused(8, "no-such-token");
    with(&["--module", "/no/such/module.so"]).refused(8, "/no/such/module.so");
    with(&["--module", "/bin/true"]).refused(8, "/bin/true");
    with(&["--token", "pkcs11:token=x?pin-value=1234"]).refused(2, "must not be in a URI");
    with(&["--store", "memory"]).refused(2, "keeps no keys");
    let pin_on_the_command_line = with(&["--pin", "1234"]);
    assert_eq!(pin_on_the_command_line.code, 2);
}
