//! Settings files: what is understood, and that nothing misspelt passes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path, time::Duration};

use dukpt::{KeyId, KeyStore, Ksn, cache::Limits};
use p2pe_audit::{Options, Sync};
use p2pe_config::{
    Access, Config, ConfigError, KeyFileError, PoolOptions, Store, StoreSettings, TokenPool, TokenSettings,
    TokenSettingsError, read_file_wiped, read_key_file,
};
use p2pe_crypto::{CATALOGUE, DeviceProfile, Format, Mode, Scope};
use pkcs11_backend::{OpenError, PinSource, Settings, TokenSelector};
use tempfile::NamedTempFile;

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
fn what_is_remembered_of_devices() {
    let cache = |line: &str| parse(&format!("[store]\nkind = \"memory\"\n{line}")).map(|config| config.cache);
    let limits =
        |devices, seconds| Limits { initial_keys: devices, paths: devices, time_to_live: Duration::from_secs(seconds) };
    assert_eq!(cache("").unwrap(), None);
    assert_eq!(cache("cache = { devices = 1000, seconds = 600 }").unwrap(), Some(limits(1000, 600)));
    assert_eq!(cache("cache = { devices = 1, seconds = 86_400 }").unwrap(), Some(limits(1, 86_400)));
    let of_token = "[store]\nkind = \"pkcs11\"\nmodule = \"m\"\ntoken = \"p\"\ncache = { devices = 5, seconds = 6 }";
    assert_eq!(parse(of_token).unwrap().cache, Some(limits(5, 6)));
    for wrong in [
        "cache = true",
        "cache = {}",
        "cache = { devices = 10 }",
        "cache = { seconds = 10 }",
        "cache = { devices = 0, seconds = 10 }",
        "cache = { devices = -1, seconds = 10 }",
        "cache = { devices = 100_001, seconds = 10 }",
        "cache = { devices = 10, seconds = 0 }",
        "cache = { devices = 10, seconds = 86_401 }",
        "cache = { devices = 10, seconds = 1.5 }",
        "cache = { devices = 10, seconds = \"10\" }",
        "cache = { devices = 10, seconds = 10, keys = 10 }",
    ] {
        assert!(matches!(cache(wrong), Err(ConfigError::Toml(3, _))), "{wrong}");
    }

    let store = Store::open(&StoreSettings::Memory(Vec::new()), Access::Use).unwrap();
    for limits in [None, Some(limits(5, 6))] {
        let id = KeyId::new("absent").unwrap();
        assert_eq!(store.cached(limits).key(&id).err(), Some(dukpt::KeyError::NotFound(id)));
    }
}

#[test]
fn a_pool_over_the_token() {
    let of_token = |line: &str| parse(&format!("[store]\nkind = \"pkcs11\"\n{line}\nmodule = \"m\"\ntoken = \"p\"\n"));
    assert!(of_token("").unwrap().pool.is_none());
    // What is left out is as the pool has it.
    let usual = of_token("pool = {}").unwrap().pool.unwrap();
    let as_ever = PoolOptions::new(usual.settings.token.clone());
    assert_eq!(format!("{usual:?}"), format!("{as_ever:?}"));
    assert_eq!(
        (usual.deadline, usual.settings.token.module.as_path()),
        (Duration::from_secs(1), Path::new("/etc/p2pe/m"))
    );
    let all = "pool = { workers = 4, shards = 2, queue = 99, deadline_ms = 250, recycle_after = 5_000, \
               first_wait_ms = 20, longest_wait_ms = 4_000, patience = 7 }";
    let PoolOptions { settings, deadline } = of_token(all).unwrap().pool.unwrap();
    assert_eq!((settings.workers, settings.shards, settings.queue, settings.recycle_after), (4, 2, 99, 5_000));
    assert_eq!([deadline, settings.first_wait, settings.longest_wait].map(|time| time.as_millis()), [250, 20, 4_000]);
    assert_eq!(settings.patience, 7);
    for wrong in [
        "pool = 4",
        "pool = { worker = 4 }",
        "pool = { workers = 0 }",
        "pool = { workers = 1_001 }",
        "pool = { workers = -1 }",
        "pool = { workers = \"4\" }",
        "pool = { shards = 0 }",
        "pool = { shards = 101 }",
        "pool = { queue = 0 }",
        "pool = { queue = 1_000_001 }",
        "pool = { deadline_ms = 0 }",
        "pool = { deadline_ms = 600_001 }",
        "pool = { deadline = 1.5 }",
        "pool = { recycle_after = 999 }",
        "pool = { recycle_after = 1_000_000_001 }",
        "pool = { first_wait_ms = 0 }",
        "pool = { longest_wait_ms = 0 }",
        "pool = { first_wait_ms = 20, longest_wait_ms = 19 }",
        "pool = { patience = 0 }",
    ] {
        assert!(matches!(of_token(wrong), Err(ConfigError::Toml(3, _))), "{wrong}");
    }
    // Keys in memory have no sessions.
    let of_memory = parse("[store]\nkind = \"memory\"\npool = { workers = 4 }");
    assert!(matches!(of_memory, Err(ConfigError::Toml(3, _))));
    // Nobody is at the terminal when the pool logs in again.
    let module = NamedTempFile::new().unwrap();
    let prompt = PoolOptions::new(Settings::new(module.path(), TokenSelector::label("p"), PinSource::Prompt));
    assert!(matches!(TokenPool::open(prompt, None), Err(OpenError::PinPrompt(_))));
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
    assert!(!given.forbid_hybrid && settings("token = \"p2pe\"\nforbid_hybrid = true").forbid_hybrid);
    let past = settings("token = \"p2pe\"\nstill_decrypt = [\"bdk-2025\", \"aes-dukpt:12345678:v1\"]").still_decrypt;
    assert_eq!(past, ["bdk-2025", "aes-dukpt:12345678:v1"].map(|id| KeyId::new(id).unwrap()));
    assert!(given.still_decrypt.is_empty());
    assert_eq!(settings("token = \"p2pe\"\npin = { env = \"P\" }").pin, PinSource::Env("P".into()));
    assert_eq!(settings("token = \"p2pe\"\npin = \"prompt\"").pin, PinSource::Prompt);
    assert_eq!(settings("token = \"p2pe\"").pin, PinSource::Prompt);
    assert_eq!(settings("uri = \"pkcs11:token=a?pin-source=/run/pin\"").pin, PinSource::File("/run/pin".into()));

    let why = |lines: &str| match pkcs11(lines) {
        Err(ConfigError::Token(error)) => error,
        _ => unreachable!(),
    };
    assert_eq!(why(""), TokenSettingsError::NoToken);
    assert_eq!(why("token = \"a\"\nuri = \"pkcs11:token=a\""), TokenSettingsError::TwoTokens);
    assert!(matches!(why("uri = \"pkcs11:token=a?pin-value=1\""), TokenSettingsError::Uri(_)));
    // The URI may name the module.
    let of_uri = parse("[store]\nkind = \"pkcs11\"\nuri = \"pkcs11:token=a?module-path=/m.so\"").unwrap().store;
    assert!(matches!(of_uri, Some(StoreSettings::Pkcs11(settings)) if settings.module == Path::new("/m.so")));
    let none = parse("[store]\nkind = \"pkcs11\"\ntoken = \"a\"");
    assert!(matches!(none, Err(ConfigError::Token(TokenSettingsError::NoModule))));
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
    // A base key's name may say for which KSNs it is, more or less closely.
    for name in ["tdes-dukpt:FFFF987654", "tdes-dukpt:FFFF987654:v2", "tdes-dukpt:FFFF98:v2"] {
        assert!(device("\"bdk-2025\"", &format!("{name:?}")).is_ok(), "{name}");
        assert!(device("\"bdk-2026\"", &format!("{name:?}")).is_ok(), "{name}");
    }
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
        ("\"bdk-2025\"", "\"tdes-dukpt:FFFF987655:v1\""),
        ("\"bdk-2025\"", "\"aes-dukpt:FFFF9876\""),
        ("\"bdk-aes\"", "\"aes-dukpt:12345679:v1\""),
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
    assert!(matches!(error, ConfigError::KeyFile(_, KeyFileError::InPlaceOfPath)));
    assert!(!format!("{error} {error:?}").contains(digits));
    for wrong in ["0123456789ABCDEFFEDCBA987654321", "0123456789ABCDEFFEDCBA98765432", "secret!", ""] {
        let error = open(wrong).err().unwrap();
        assert!(matches!(error, ConfigError::KeyFile(..) | ConfigError::Material(..)), "{wrong}");
        assert!(wrong.is_empty() || !format!("{error} {error:?}").contains(wrong));
    }
}

#[test]
fn a_key_in_place_of_its_path_is_not_shown_however_it_is_grouped() {
    for key in [
        "0123456789abcdeffedcba9876543210",
        "01234567 89ABCDEF FEDCBA98 76543210",
        "0123-4567-89AB-CDEF-FEDC-BA98-7654-3210",
        "01:23:45:67:89:AB:CD:EF:FE:DC:BA:98:76:54:32:10",
        " 0123456789ABCDEF\tFEDCBA9876543210\n",
    ] {
        let error = read_key_file(Path::new(key)).err().unwrap();
        assert!(matches!(error, KeyFileError::InPlaceOfPath), "{key}");
        assert!(!format!("{error} {error:?}").contains("01"), "{key}");
    }
    // The name of a file that is there is a name, and so is what is no whole key.
    let folder = tempfile::tempdir().unwrap();
    let uuid = folder.path().join("550e8400-e29b-41d4-a716-446655440000");
    fs::write(&uuid, "0123456789ABCDEF").unwrap();
    assert_eq!(read_key_file(&uuid).unwrap().len(), 8);
    assert!(matches!(read_key_file(Path::new("0123456789ABCDEF")), Err(KeyFileError::Read(..))));
}

#[test]
fn errors_name_file_line_and_field_and_no_value() {
    const STORE: &str = "\n[store]\nkind = \"pkcs11\"\nmodule = \"m\"\n";
    let memory = "[store]\nkind = \"memory\"\n";
    for (text, line, told) in [
        (format!("{STORE}token = 735146\n"), 5, "[store] of kind pkcs11 token must be text"),
        (format!("{STORE}token = \"a\"\npin = 735146\n"), 6, "pin must be"),
        (format!("{STORE}pin = {{ file = \"735146\", env = \"735146\" }}\n"), 5, "pin must be"),
        (format!("{STORE}init = [\"735146\"]\n"), 5, "init"),
        (format!("{STORE}allow_unsafe_keys = \"735146\"\n"), 5, "allow_unsafe_keys must be true or false"),
        (format!("{STORE}still_decrypt = \"735146\"\n"), 5, "still_decrypt must be a list of texts in quotes"),
        (format!("{STORE}still_decrypt = [735146]\n"), 5, "still_decrypt must be a list of texts in quotes"),
        (format!("{STORE}user_pin = \"735146\"\n"), 5, "has no \"user_pin\"; it has kind, module, token"),
        (format!("{STORE}[[store.key]]\nid = \"735146\"\n"), 5, "has no \"key\""),
        (format!("{memory}token = \"735146\"\n"), 3, "[store] of kind memory has no \"token\"; it has kind, key"),
        (format!("{memory}[[store.key]]\nid = \"735146\"\nkind = \"hmac\"\n"), 3, "[[store.key]] lacks file"),
        (format!("{memory}[store.key]\nid = \"735146\"\n"), 3, "key must be tables, [[store.key]]"),
        ("[store]\nkind = \"735146\"\n".into(), 2, "[store] kind must be \"memory\" or \"pkcs11\""),
        ("\n[store]\nmodule = \"735146\"\n".into(), 2, "[store] lacks kind"),
        ("store = 735146\n".into(), 1, "store must be a table, [store]"),
        ("device = [735146]\n".into(), 1, "device must be tables, [[device]]"),
        ("[[device]]\nksn_prefix = 735146\n".into(), 2, "[[device]]"),
        ("[tokens]\n\nkey = 735146\n".into(), 3, "[tokens] key must be text"),
        (format!("{STORE}token = 735146x\n"), 5, "line 5"),
        (format!("{STORE}token = \"735146\n"), 5, "line 5"),
        (format!("{STORE}token = \"a\"\ntoken = \"735146\"\n"), 6, "line 6"),
    ] {
        let error = parse(&text).err().unwrap();
        assert!(matches!(error, ConfigError::Toml(at, _) if at == line), "{text}: {error}");
        assert!(error.to_string().contains(told), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains("735146"), "{text}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p2pe.toml");
    let device = "[[device]]\nksn_prefix = \"FF\"\nbase_key = \"b\"\nprofile = \"x\"\n";
    for text in ["[tokens]\nkey = 1\n", device, "[tokens]\nkey = \"\"\n", STORE] {
        fs::write(&path, text).unwrap();
        let error = Config::load(&path).err().unwrap();
        assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
    }
}

#[test]
fn reading_ends() {
    let endless = Path::new("/dev/zero");
    assert!(matches!(Config::load(endless), Err(ConfigError::Read(..))));
    assert!(matches!(read_key_file(endless), Err(KeyFileError::Read(..))));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (length, fits) in [(0, true), (8, true), (9, false)] {
        fs::write(&path, vec![b'x'; length]).unwrap();
        assert_eq!(read_file_wiped(&path, 8).ok().map(|bytes| bytes.len()), fits.then_some(length));
    }
}

#[test]
fn one_decision_on_module_token_and_pin() {
    let file = |path: &str| PinSource::File(path.into());
    let below = Settings {
        init: Some("i".into()),
        forbid_hybrid: true,
        still_decrypt: vec![KeyId::new("bdk-2025").unwrap()],
        ..Settings::new("/below.so", TokenSelector::label("below"), file("b"))
    };
    let uri = |text: &str| TokenSettings::token(None, Some(text)).unwrap();
    let full = || uri("pkcs11:token=u?module-path=/u.so&pin-source=/u");
    for (module, token, pin, expected) in [
        (None, None, None, ("/below.so", "pkcs11:token=below", file("b"))),
        (None, None, Some(file("p")), ("/below.so", "pkcs11:token=below", file("p"))),
        // The PIN of the settings below goes to no other module and no other token.
        (Some("/m.so"), None, None, ("/m.so", "pkcs11:token=below", PinSource::Prompt)),
        (None, uri("pkcs11:token=u"), None, ("/below.so", "pkcs11:token=u", PinSource::Prompt)),
        (None, full(), None, ("/u.so", "pkcs11:token=u", file("/u"))),
        (Some("/m.so"), full(), Some(file("p")), ("/m.so", "pkcs11:token=u", file("p"))),
    ] {
        let named = TokenSettings { module: module.map(Into::into), token, pin };
        let settings = named.settings(Some(&below)).unwrap();
        let (module, token, pin) = expected;
        assert_eq!(
            (settings.module.as_path(), settings.token.to_string(), settings.pin),
            (Path::new(module), token.into(), pin)
        );
        // What is forbidden stays forbidden.
        assert_eq!((settings.init.as_deref(), settings.forbid_hybrid), (Some("i"), true));
        assert_eq!(settings.still_decrypt, below.still_decrypt);
    }
    let alone = TokenSettings { token: full(), ..TokenSettings::default() }.settings(None).unwrap();
    assert_eq!((alone.module.as_path(), alone.pin), (Path::new("/u.so"), file("/u")));
    assert!(matches!(TokenSettings::default().settings(None), Err(TokenSettingsError::NoModule)));
    assert_eq!(TokenSettings::pin(Some(Path::new("p")), Some("P")), Err(TokenSettingsError::TwoPins));
    assert_eq!(TokenSettings::token(Some("a"), Some("pkcs11:token=a")), Err(TokenSettingsError::TwoTokens));
}

#[test]
fn every_profile_has_a_name_and_errors_list_them() {
    let names: std::collections::BTreeSet<String> =
        DeviceProfile::builtin().map(|profile| profile.to_string()).collect();
    assert!(names.len() > 24 && names.len() == DeviceProfile::builtin().count());
    for profile in DeviceProfile::builtin() {
        assert_eq!(profile.to_string().parse(), Ok(profile));
    }
    let error = p2pe_config::device(Some("FFFF987654"), None, "bdk", "idtech", &[]).err().unwrap().to_string();
    assert!(names.iter().all(|name| error.contains(name)), "{error}");
}

/// The file that ships is TOML, and its tables are those of a settings file; each can be copied there under a name of one's own.
#[test]
fn the_catalogue_is_settings() {
    let renamed = CATALOGUE.replace("name = \"", "name = \"x");
    let own: Vec<String> =
        parse(&renamed).unwrap().profiles.iter().map(|profile| profile.to_toml().to_string()).collect();
    let builtin: Vec<String> = DeviceProfile::builtin()
        .map(|profile| profile.to_toml().to_string().replacen("name = \"", "name = \"x", 1))
        .collect();
    assert!(own.len() > 100 && own == builtin);
    // Under its own name each is there already.
    assert!(matches!(parse(CATALOGUE), Err(ConfigError::Profile(..))));
    // Any profile, written and read again.
    for mask in [b'"', b'\\', b'#', b' '] {
        let profile = DeviceProfile::new("own", Format::IdTechEnhanced, "tdes".parse().unwrap(), Scope::Payload);
        let profile = profile.unwrap().masked_by(mask).unwrap().with_mac();
        assert_eq!(parse(&profile.to_toml().to_string()).unwrap().profiles, [profile]);
    }
}

const PROFILE: &str = "[[profile]]\nname = \"front-desk\"\nformat = \"idtech\"\nencryption = \"tdes-pin\"\n";

#[test]
fn profiles_of_ones_own() {
    let device = "[[device]]\nksn_prefix = \"FFFF987654\"\nbase_key = \"bdk\"\nprofile = \"front-desk\"\n";
    let read = |lines: &str| parse(&format!("{PROFILE}{lines}{device}")).unwrap();
    let config = read("");
    let [profile] = config.profiles[..] else { unreachable!() };
    assert_eq!(
        (profile.name(), profile.format(), profile.scope()),
        ("front-desk", Format::IdTechEnhanced, Scope::Field)
    );
    assert_eq!((profile.encryption().to_string().as_str(), profile.mask(), profile.mac()), ("tdes-pin", b'*', false));
    let of_device = |config: &Config| config.devices.iter().next().map(|(_, device)| device.profile);
    assert_eq!(of_device(&config), Some(profile));
    let config = read("scope = \"joined\"\nmask = \"~\"\nmac = true\n");
    let profile = of_device(&config).unwrap();
    assert_eq!((profile.scope(), profile.mask(), profile.mac()), (Scope::Joined, b'~', true));
    let config =
        parse(&format!("{}mode = \"ecb\"\ninner_tlv = false\n", PROFILE.replace("\"idtech\"", "\"neo\""))).unwrap();
    assert_eq!((config.profiles[0].mode(), config.profiles[0].inner_tlv()), (Mode::Ecb, Some(false)));
    // Where the format has one scope only, it need not be named.
    let original = PROFILE.replace("idtech", "idtech-original");
    assert_eq!(parse(&original).unwrap().profiles[0].scope(), Scope::Joined);
}

#[test]
fn profiles_that_cannot_be() {
    for (what, text) in [
        ("a name that the library has", PROFILE.replace("front-desk", "idtech-tdes")),
        ("a name twice", PROFILE.repeat(2)),
        ("an empty name", PROFILE.replace("front-desk", "")),
        ("capitals", PROFILE.replace("front-desk", "Front-Desk")),
        ("a long name", PROFILE.replace("front-desk", &"x".repeat(41))),
        ("no format", PROFILE.replace("\"idtech\"", "\"id-tech\"")),
        ("no encryption", PROFILE.replace("tdes-pin", "tdes-mac")),
        ("no room for the KSN", PROFILE.replace("tdes-pin", "aes-dukpt-128")),
        ("joined AES", format!("{}scope = \"joined\"\n", PROFILE.replace("tdes-pin", "aes"))),
        ("an unknown scope", format!("{PROFILE}scope = \"track\"\n")),
        ("two mask characters", format!("{PROFILE}mask = \"**\"\n")),
        ("a mask that cannot be seen", format!("{PROFILE}mask = \"\\t\"\n")),
        ("an unknown mode", format!("{PROFILE}mode = \"ctr\"\n")),
        ("an unknown iv", format!("{PROFILE}iv = \"random\"\n")),
        ("an iv that nobody sends", format!("{PROFILE}iv = \"sent\"\n")),
        ("an iv where nothing is chained", format!("{PROFILE}mode = \"ecb\"\niv = \"zero\"\n")),
        ("objects in a track", format!("{PROFILE}inner_tlv = true\n")),
        ("a mask of what is not masked", format!("{}mask = \"*\"\n", PROFILE.replace("\"idtech\"", "\"track\""))),
    ] {
        assert!(matches!(parse(&text), Err(ConfigError::Profile(..))), "{what}");
    }
    for line in ["mac = 1", "padding = \"zero\"", "mask = 0", "inner_tlv = \"yes\"", "mode = true"] {
        assert!(matches!(parse(&format!("{PROFILE}{line}\n")), Err(ConfigError::Toml(5, _))), "{line}");
    }
}

#[test]
fn the_audit_log_is_as_the_settings_say() {
    let audit = |text: &str| Config::parse(&format!("[audit]\nfolder = \"log\"\n{text}"), Path::new("/srv"));
    let read = |text: &str| audit(text).unwrap().audit.unwrap();
    let plain = read("");
    assert_eq!((plain.folder.as_path(), plain.actor.as_str()), (Path::new("/srv/log"), "p2pe"));
    assert_eq!(plain.options, Options::default());
    assert_eq!(plain.options, Options { sync: Sync::EachRecord, file_size: 64 << 20, required: true });
    let time = Duration::from_millis(100);
    let every = read("sync = { milliseconds = 100, records = 50 }\nfile_size = 4096\nrequired = false\nactor = \"a\"");
    assert_eq!(every.options, Options { sync: Sync::Every { time, records: 50 }, file_size: 4096, required: false });
    assert_eq!(read("sync = \"none\"").options.sync, Sync::Never);
    assert_eq!(read("sync = \"each\"").options.sync, Sync::EachRecord);
    for wrong in [
        "sync = \"sometimes\"",
        "sync = 5",
        "sync = { milliseconds = 0, records = 5 }",
        "sync = { milliseconds = 5 }",
        "sync = { milliseconds = 5, records = 5, kind = 1 }",
        "file_size = 10",
        "required = \"no\"",
        "actor = \"4761739001010010\"",
        "actor = \"\"",
        "keep = 3",
    ] {
        let error = audit(wrong).unwrap_err().to_string();
        assert!(error.contains("audit") && !error.contains("4761739001010010"), "{wrong}: {error}");
    }
}
