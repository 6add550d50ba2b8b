//! Settings files: what is understood, and that nothing misspelt passes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use dukpt::{KeyId, KeyStore, Ksn};
use p2pe_config::{Access, Config, ConfigError, Store, StoreSettings};
use pkcs11_backend::PinSource;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/p2pe"))
}

fn ksn(bytes: &[u8]) -> Ksn {
    Ksn::of_transaction(bytes).unwrap()
}

const DEVICES: &str = r#"
    [[device]]
    ksn_prefix = "FFFF987654"
    base_key = "bdk-2025"
    profile = "idtech-tdes"
    [[device]]
    ksn_prefix = "FFFF98765432"
    base_key = "bdk-2026"
    profile = "idtech-tdes"
    [[device]]
    ksn = "123456789012345600000001"
    base_key = "bdk-aes"
    profile = "track-aes-dukpt-256"
    [[device]]
    ksn = "62994901190000000003"
    base_key = "bdk-stripes"
    profile = "track-tdes-pin"
"#;

#[test]
fn the_longest_prefix_and_the_default_prefixes() {
    let devices = parse(DEVICES).unwrap().devices;
    let key = |bytes: &[u8]| devices.get(&ksn(bytes)).map(|device| device.base_key.as_str());
    assert_eq!(key(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x31, 0x10, 0xE0, 0, 1]), Some("bdk-2025"));
    assert_eq!(key(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 1]), Some("bdk-2026"));
    // AES: all devices of the BDK id. TDES: the first five bytes.
    assert_eq!(key(&[0x12, 0x34, 0x56, 0x78, 9, 9, 9, 9, 0, 0, 0, 5]), Some("bdk-aes"));
    assert_eq!(key(&[0x62, 0x99, 0x49, 0x01, 0x19, 9, 9, 0x20, 0, 5]), Some("bdk-stripes"));
    assert_eq!(key(&[0x62, 0x99, 0x49, 0x01, 0x18, 9, 9, 0x20, 0, 5]), None);
}

#[test]
fn a_token_and_its_pin() {
    let pkcs11 = |lines: &str| parse(&format!("[store]\nkind = \"pkcs11\"\nmodule = \"m.so\"\n{lines}"));
    let settings = |lines: &str| match pkcs11(lines).unwrap().store {
        Some(StoreSettings::Pkcs11(settings)) => settings,
        _ => unreachable!(),
    };
    let given = settings("token = \"p2pe\"\npin = { file = \"pin\" }\ninit = \"configdir='x'\"");
    assert_eq!(given.module, Path::new("/etc/p2pe/m.so"));
    assert_eq!(given.pin, PinSource::File("/etc/p2pe/pin".into()));
    assert_eq!((given.init.as_deref(), given.allow_unsafe_keys), (Some("configdir='x'"), false));
    assert_eq!(settings("token = \"p2pe\"\npin = { env = \"P\" }").pin, PinSource::Env("P".into()));
    assert_eq!(settings("token = \"p2pe\"\npin = \"prompt\"").pin, PinSource::Prompt);
    assert_eq!(settings("token = \"p2pe\"").pin, PinSource::Prompt);
    assert_eq!(settings("uri = \"pkcs11:token=a?pin-source=/run/pin\"").pin, PinSource::File("/run/pin".into()));

    assert!(matches!(pkcs11(""), Err(ConfigError::WhichToken)));
    assert!(matches!(pkcs11("token = \"a\"\nuri = \"pkcs11:token=a\""), Err(ConfigError::WhichToken)));
    assert!(matches!(pkcs11("uri = \"pkcs11:token=a?pin-value=1\""), Err(ConfigError::Uri(_))));
    // The PIN itself has no place in the file.
    assert!(matches!(pkcs11("token = \"a\"\npin = \"1234\""), Err(ConfigError::Toml(..))));
    for pin in
        ["\"735146\"", "735146", "{ file = 735146 }", "{ value = \"735146\" }", "[\"735146\"]", "\"735146", "735146x"]
    {
        let error = pkcs11(&format!("token = \"a\"\npin = {pin}")).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("735146"), "{pin}: {error}");
    }
}

#[test]
fn what_is_refused() {
    let device = |line: &str, by: &str| parse(&DEVICES.replacen(line, by, 1));
    assert!(device("", "").is_ok());
    for (line, by) in [
        ("\"FFFF98765432\"", "\"FFFF987654\""),
        ("\"FFFF987654\"", "\"FFFF98765\""),
        ("\"FFFF987654\"", "\"FFFF987654321060\""),
        ("\"FFFF987654\"", "\"\""),
        ("idtech-tdes", "idtech-3des"),
        ("idtech-tdes", "idtech-aes-dukpt-128"),
        ("track-aes-dukpt-256", "track-aes-dukpt-128-256"),
        ("track-aes-dukpt-256", "track-tdes"),
        ("\"bdk-2025\"", "\"\""),
        ("ksn_prefix = \"FFFF987654\"", ""),
        ("ksn = \"1234", "ksn_prefix = \"12\"\nksn = \"1234"),
        ("00000001\"", "00000000\""),
    ] {
        assert!(matches!(device(line, by), Err(ConfigError::Device(..))), "{line} -> {by}");
    }
    for text in
        ["[stores]\n", "[store]\nkind = \"file\"\n", "[[device]]\nprefix = \"FF\"\n", "[tokens]\nid = \"a\"\n", "x"]
    {
        assert!(matches!(parse(text), Err(ConfigError::Toml(..))), "{text}");
    }
    assert!(matches!(parse("[tokens]\nkey = \"\"\n"), Err(ConfigError::KeyName(_))));
    assert!(matches!(Config::load(Path::new("/nowhere/p2pe.toml")), Err(ConfigError::Read(..))));
}

#[test]
fn memory_keys_come_from_files_and_never_show_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[store]\nkind = \"memory\"\n[[store.key]]\nid = \"k\"\nkind = \"tdes-base\"\nfile = \"k.hex\"\n";
    fs::write(folder.path().join("p2pe.toml"), text).unwrap();
    let open = |key: &str| {
        fs::write(folder.path().join("k.hex"), key).unwrap();
        let config = Config::load(&folder.path().join("p2pe.toml")).unwrap();
        Store::open(&config.store.unwrap(), Access::Use)
    };
    let store = open(" 01234567 89ABCDEF\nFEDCBA98 76543210\n").unwrap();
    assert!(store.key(&KeyId::new("k").unwrap()).is_ok());
    assert_eq!(store.describe()["kind"], "memory");
    // The key where the name of its file should be.
    let digits = "0123456789ABCDEFFEDCBA9876543210";
    let config = parse(&text.replace("k.hex", digits)).unwrap();
    let error = Store::open(&config.store.unwrap(), Access::Use).err().unwrap();
    assert!(matches!(error, ConfigError::KeyInPlaceOfPath(_)) && !format!("{error} {error:?}").contains(digits));
    for wrong in ["0123456789ABCDEFFEDCBA987654321", "0123456789ABCDEFFEDCBA98765432", "secret!", ""] {
        let error = open(wrong).err().unwrap();
        assert!(matches!(error, ConfigError::KeyFile(_) | ConfigError::Material(..)), "{wrong}");
        assert!(wrong.is_empty() || !format!("{error} {error:?}").contains(wrong));
    }
}
