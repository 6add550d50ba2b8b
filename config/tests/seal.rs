//! The seal over the settings: every change is found, and nothing in the settings can switch it off.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::PathBuf};

use dukpt::{KeyError, KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_config::{Access, Config, ConfigError, SealError, SealKey, Store, seal_passes_self_test};
use tempfile::TempDir;

const SETTINGS: &str = "\
[store]
kind = \"memory\"
[[store.key]]
id = \"bdk\"
kind = \"tdes-base\"
file = \"bdk.hex\"
[[store.key]]
id = \"seal\"
kind = \"hmac\"
file = \"seal.hex\"
[[device]]
ksn_prefix = \"FFFF987654\"
base_key = \"bdk\"
profile = \"idtech-tdes\"
";

struct Sealed {
    folder: TempDir,
    path: PathBuf,
    key: SealKey,
}

fn sealed() -> Sealed {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("bdk.hex", "0123456789ABCDEFFEDCBA9876543210");
    write("seal.hex", &"2A".repeat(32));
    write("p2pe.toml", SETTINGS);
    let path = folder.path().join("p2pe.toml");
    let config = Config::load(&path).unwrap();
    let store = Store::open(config.store.as_ref().unwrap(), Access::Use).unwrap();
    let (file, key) = config.seal(&store, &KeyId::new("seal").unwrap()).unwrap();
    assert_eq!(file, folder.path().join("p2pe.toml.seal"));
    Sealed { folder, path, key }
}

impl Sealed {
    fn load(&self) -> Result<(), SealError> {
        match Config::load_sealed(&self.path, &self.key) {
            Ok(_) => Ok(()),
            Err(ConfigError::Seal(error)) => Err(error),
            Err(error) => unreachable!("{error}"),
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }
}

#[test]
fn what_was_sealed_is_accepted_and_its_demand_is_text() {
    let sealed = sealed();
    assert!(sealed.load().is_ok());
    assert_eq!(sealed.key.to_string().parse::<SealKey>().unwrap(), sealed.key);
    assert!(sealed.key.to_string().starts_with("seal:"));
    for wrong in
        ["", "seal", "seal:", "seal:00", ":00112233445566778899AABBCCDDEEFF", "seal:0011223344556677889900AABBCCDDGG"]
    {
        assert!(matches!(wrong.parse::<SealKey>(), Err(SealError::Demand)), "{wrong}");
    }
    // Settings that nobody demands a seal of are read as ever.
    fs::remove_file(sealed.folder.path().join("p2pe.toml.seal")).unwrap();
    assert!(Config::load(&sealed.path).is_ok());
}

#[test]
fn every_changed_byte_is_found() {
    let sealed = sealed();
    for at in 0..SETTINGS.len() {
        let mut changed = SETTINGS.as_bytes().to_vec();
        changed[at] ^= 1;
        fs::write(&sealed.path, &changed).unwrap();
        assert!(Config::load_sealed(&sealed.path, &sealed.key).is_err(), "byte {at}");
    }
    for changed in
        [format!("{SETTINGS}\n"), SETTINGS.replace("idtech-tdes", "idtech-aes"), format!("# a remark\n{SETTINGS}")]
    {
        fs::write(&sealed.path, changed).unwrap();
        assert!(matches!(sealed.load(), Err(SealError::Broken)));
    }
    sealed.write("p2pe.toml", SETTINGS);
    assert!(sealed.load().is_ok());
    // A key file is part of the settings, also when it holds the same key in other words.
    for key in ["1123456789ABCDEFFEDCBA9876543210", "01234567 89ABCDEF FEDCBA98 76543210"] {
        sealed.write("bdk.hex", key);
        assert!(matches!(sealed.load(), Err(SealError::Broken)), "{key}");
    }
}

#[test]
fn a_seal_that_is_missing_cut_or_another_ones() {
    let sealed = sealed();
    let seal = fs::read_to_string(sealed.folder.path().join("p2pe.toml.seal")).unwrap();
    for wrong in ["", "00", &seal[2..], &seal.replace(&seal[..1], if seal.starts_with('0') { "1" } else { "0" })] {
        sealed.write("p2pe.toml.seal", wrong);
        assert!(matches!(sealed.load(), Err(SealError::Broken)), "{wrong:?}");
    }
    fs::remove_file(sealed.folder.path().join("p2pe.toml.seal")).unwrap();
    assert!(matches!(sealed.load(), Err(SealError::Missing(_))));
}

/// Whoever writes the settings may also write a whole new seal, under a key of their own: it is not the one demanded.
#[test]
fn settings_sealed_again_under_another_key() {
    let sealed = sealed();
    sealed.write("p2pe.toml", &SETTINGS.replace("idtech-tdes", "idtech-aes"));
    sealed.write("seal.hex", &"2B".repeat(32));
    let config = Config::load(&sealed.path).unwrap();
    let store = Store::open(config.store.as_ref().unwrap(), Access::Use).unwrap();
    config.seal(&store, &KeyId::new("seal").unwrap()).unwrap();
    assert!(matches!(sealed.load(), Err(SealError::OtherKey(_))));
    // Or lead to a store without the key, or to none.
    sealed.write("p2pe.toml", "[store]\nkind = \"memory\"\n");
    assert!(matches!(sealed.load(), Err(SealError::Key(KeyError::NotFound(_)))));
    sealed.write("p2pe.toml", "");
    assert!(matches!(sealed.load(), Err(SealError::NoSettings)));
}

#[test]
fn the_self_test_can_fail() {
    assert!(seal_passes_self_test(false));
    assert!(!seal_passes_self_test(true));
    // A key of another kind makes no seal.
    let (mut store, id) = (MemoryStore::new(), KeyId::new("bdk").unwrap());
    store.import(&id, &KeyMaterial::new("tdes-base", &[7; 16]).unwrap(), Lifetime::Session).unwrap();
    assert!(matches!(SealKey::of(&store, &id), Err(SealError::Key(KeyError::NotPermitted))));
}
