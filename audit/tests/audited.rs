//! Every use of a key leaves a record, whatever store is below, and no result comes without one.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{cell::Cell, fs, path::Path, sync::Arc, thread, time::Duration};

use dukpt::{
    Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore, aes,
    cache::{Cached, Limits},
    tdes,
};
use p2pe_audit::{Audited, Event, Label, Log, Options, Record, Sync, verify};

fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

/// One key of each kind that the tests use.
fn keys() -> MemoryStore {
    let mut keys = MemoryStore::new();
    for (name, kind, length) in [("t", "tdes-base", 16), ("a", "aes-base", 16), ("h", "hmac", 32), ("w", "wrap", 32)] {
        let bytes: Vec<u8> = (0x51..).take(length).collect();
        keys.import(&id(name), &KeyMaterial::new(kind, &bytes).unwrap(), Lifetime::Session).unwrap();
    }
    keys
}

fn log(folder: &Path, options: Options) -> Arc<Log> {
    Arc::new(Log::open(folder, Label::new("gateway-1").unwrap(), options).unwrap())
}

const QUICK: Options = Options { sync: Sync::Never, file_size: 64 << 20, required: true };

/// Event, key, KSN, custody and result of each record.
fn records(folder: &Path) -> Vec<[String; 5]> {
    let record = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        ["event", "key", "ksn", "custody", "result"].map(|name| line[name].as_str().unwrap_or("-").to_string())
    };
    fs::read_to_string(folder.join("audit-00000001.jsonl")).unwrap().lines().map(record).collect()
}

fn tdes_ksn(counter: u8) -> tdes::Ksn {
    tdes::Ksn::try_from(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, counter][..]).unwrap()
}

fn aes_ksn(counter: u32) -> aes::Ksn {
    let mut bytes = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];
    bytes[8..].copy_from_slice(&counter.to_be_bytes());
    aes::Ksn::try_from(&bytes[..]).unwrap()
}

fn suite() -> aes::Suite {
    aes::Suite::new(aes::KeyType::Aes128, aes::KeyType::Aes128, aes::DataUsage::Both).unwrap()
}

#[test]
fn each_operation_of_a_stored_key_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = Audited::new(keys(), Some(log(folder.path(), QUICK)));
    let key = |name| store.key(&id(name)).unwrap();
    key("t").tdes_initial_key(&tdes_ksn(1)).unwrap();
    key("t").tdes_data_keys(&[tdes_ksn(2), tdes_ksn(3)], tdes::Variant::DataRequest).unwrap();
    let data_key = aes::DataKey::derive(&key("a"), &aes_ksn(3), suite()).unwrap();
    data_key.decrypt_cbc(&[0; 16], &mut [0; 32]).unwrap();
    key("h").hmac_sha256(b"x").unwrap();
    let wrapped = key("w").wrap(&[1; 32]).unwrap();
    Key::unwrap(&key("w"), &wrapped, &mut [0; 32]).unwrap();
    let row = |event, key, ksn, result| [event, key, ksn, "memory", result].map(String::from);
    let expected = [
        row("derive-key", "t", "FFFF9876543210E00001", "ok"),
        row("derive-key", "t", "FFFF9876543210E00002", "ok"),
        row("derive-key", "t", "FFFF9876543210E00003", "ok"),
        row("derive-key", "a", "123456789012345600000003", "ok"),
        row("authenticate", "h", "-", "ok"),
        row("wrap-key", "w", "-", "ok"),
        row("unwrap-key", "w", "-", "ok"),
    ];
    assert_eq!(records(folder.path()), expected);
}

#[test]
fn what_fails_is_recorded_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = Audited::new(keys(), Some(log(folder.path(), QUICK)));
    assert!(matches!(store.key(&id("x")), Err(KeyError::NotFound(_))));
    assert!(store.key(&id("h")).unwrap().tdes_initial_key(&tdes_ksn(1)).is_err());
    assert!(Key::unwrap(&store.key(&id("w")).unwrap(), &[0; 40], &mut [0; 32]).is_err());
    let data_key = aes::DataKey::derive(&store.key(&id("a")).unwrap(), &aes_ksn(1), suite()).unwrap();
    assert!(data_key.decrypt_cbc(&[0; 16], &mut [0; 15]).is_err());
    let row = |event, key, ksn, custody, result| [event, key, ksn, custody, result].map(String::from);
    let expected = [
        row("find-key", "x", "-", "-", "key_not_found"),
        row("derive-key", "h", "FFFF9876543210E00001", "memory", "key_not_permitted"),
        row("unwrap-key", "w", "-", "memory", "key_not_wrapped"),
        row("derive-key", "a", "123456789012345600000001", "memory", "ok"),
        row("decrypt-data", "a", "123456789012345600000001", "memory", "key_bad_length"),
    ];
    assert_eq!(records(folder.path()), expected);
}

#[test]
fn a_batch_is_recorded_each_and_every() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, store) = (keys(), Audited::new(keys(), Some(log(folder.path(), QUICK))));
    // Counter zero has no key: a path that fails in the midst of the others.
    let ksns: Vec<_> = (0..150).map(aes_ksn).collect();
    let decrypted = |key: Result<aes::DataKey<_>, KeyError>| {
        let mut data = [7; 16];
        key.and_then(|key: aes::DataKey<dukpt::MemoryKey<'_>>| key.decrypt_cbc(&[0; 16], &mut data)).map(|()| data)
    };
    let mut expected = vec![Err(KeyError::NotRecorded); 150];
    aes::DataKey::derive_each(&plain.key(&id("a")).unwrap(), &ksns, suite(), |number, key| {
        expected[number] = decrypted(key);
        None
    });
    let mut found = vec![Err(KeyError::NotRecorded); 150];
    let written = Cell::new(0);
    aes::DataKey::derive_each(&store.key(&id("a")).unwrap(), &ksns, suite(), |number, key| {
        // The record stands there before the key is given out.
        written.set(written.get() + 1);
        assert!(records(folder.path()).len() >= written.get());
        let mut data = [7; 16];
        found[number] = key.and_then(|key| key.decrypt_cbc(&[0; 16], &mut data)).map(|()| data);
        None
    });
    assert_eq!(found, expected);
    assert!(found[0].is_err() && found[1..].iter().all(Result::is_ok));
    let mut recorded: Vec<_> = records(folder.path()).into_iter().map(|[_, _, ksn, _, result]| (ksn, result)).collect();
    recorded.sort();
    let row = |ksn: &aes::Ksn| (ksn.to_string(), "ok".to_string());
    let mut rows: Vec<_> = ksns[1..].iter().map(row).collect();
    rows.insert(0, ("-".into(), "counter_zero".into()));
    assert_eq!(recorded, rows);
}

#[test]
fn what_a_cache_remembers_is_recorded_too() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys();
    let limits = Limits { initial_keys: 10, paths: 10, time_to_live: Duration::from_secs(60) };
    let cached = Cached::new(&keys, limits, || Duration::ZERO);
    let store = Audited::new(&cached, Some(log(folder.path(), QUICK)));
    for counter in [1, 1, 2] {
        store.key(&id("t")).unwrap().tdes_initial_key(&tdes_ksn(counter)).unwrap();
        aes::DataKey::derive(&store.key(&id("a")).unwrap(), &aes_ksn(counter.into()), suite()).unwrap();
    }
    assert_eq!(records(folder.path()).len(), 6);
    assert!(records(folder.path()).iter().all(|[event, ..]| event == "derive-key"));
}

/// A log whose second file cannot be made, filled until the first one is full.
fn full(folder: &Path, required: bool) -> Arc<Log> {
    let log = log(folder, Options { sync: Sync::EachRecord, file_size: 600, required });
    fs::create_dir(folder.join("audit-00000002.jsonl")).unwrap();
    while log.append(&Record::new(Event::Start, "ok")).is_ok() {}
    log
}

#[test]
fn without_a_record_nothing_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Audited::new(keys(), Some(full(folder.path(), true)));
    let key = |name| store.key(&id(name)).unwrap();
    assert_eq!(key("h").hmac_sha256(b"x").err(), Some(KeyError::NotRecorded));
    assert_eq!(key("t").tdes_initial_key(&tdes_ksn(1)).err(), Some(KeyError::NotRecorded));
    let keys = key("t").tdes_data_keys(&[tdes_ksn(1)], tdes::Variant::DataRequest);
    assert_eq!(keys.err(), Some(KeyError::NotRecorded));
    aes::DataKey::derive_each(&key("a"), &[aes_ksn(1), aes_ksn(2)], suite(), |_, key| {
        assert_eq!(key.err(), Some(KeyError::NotRecorded));
        None
    });
    let wrapped = self::keys().key(&id("w")).unwrap().wrap(&[1; 32]).unwrap();
    let mut secret = [0; 32];
    assert_eq!(Key::unwrap(&key("w"), &wrapped, &mut secret).err(), Some(KeyError::NotRecorded));
    assert_eq!(secret, [0; 32]);
    // Once there is room again, it serves.
    fs::remove_dir(folder.path().join("audit-00000002.jsonl")).unwrap();
    key("h").hmac_sha256(b"x").unwrap();
    verify(folder.path(), None).unwrap();
}

#[test]
fn whoever_prefers_service_to_records_can_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Audited::new(keys(), Some(full(folder.path(), false)));
    assert_eq!(
        store.key(&id("h")).unwrap().hmac_sha256(b"x").unwrap(),
        keys().key(&id("h")).unwrap().hmac_sha256(b"x").unwrap()
    );
}

#[test]
fn threads_with_a_store_each_share_the_log_and_its_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), Options { file_size: 20_000, ..Options::default() });
    thread::scope(|scope| {
        for _ in 0..8 {
            let log = Arc::clone(&log);
            scope.spawn(move || {
                let store = Audited::new(keys(), Some(log));
                (0..25).for_each(|_| assert!(store.key(&id("h")).unwrap().hmac_sha256(b"x").is_ok()));
            });
        }
    });
    // No one waits for the closing: what is given out is recorded already.
    let found = verify(folder.path(), None).unwrap();
    assert_eq!((found.records, found.unfinished), (200, 0));
}

#[test]
fn without_a_log_nothing_changes() {
    let store = Audited::new(keys(), None);
    store.key(&id("h")).unwrap().hmac_sha256(b"x").unwrap();
    aes::DataKey::derive_each(&store.key(&id("a")).unwrap(), &[aes_ksn(1)], suite(), |_, key| {
        key.unwrap().decrypt_cbc(&[0; 16], &mut [0; 16]).unwrap();
        None
    });
}
