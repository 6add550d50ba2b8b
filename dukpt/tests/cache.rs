//! A cached store gives the same keys for fewer derivations, keeps no more than it may, and no longer.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod counting;

use std::{cell::Cell, time::Duration};

use counting::{Counting, DEAD, count};
use dukpt::{
    CheckMethod, Custody, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MemoryStore,
    Scheme,
    aes::{self, DataUsage, KeyType, Suite, TransactionKey, Usage, WorkingKeyType},
    cache::{Cached, Limits},
    tdes,
};
use proptest::{collection::vec, prelude::*, sample::select};

fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

fn limits(initial_keys: usize, paths: usize) -> Limits {
    Limits { initial_keys, paths, time_to_live: Duration::from_secs(60) }
}

fn still() -> Duration {
    Duration::ZERO
}

fn suite() -> Suite {
    Suite::new(KeyType::Aes128, KeyType::Aes128, DataUsage::Encrypt).unwrap()
}

fn aes_ksn(device: u32, counter: u32) -> aes::Ksn {
    let mut bytes = [0x12; 12];
    bytes[4..8].copy_from_slice(&device.to_be_bytes());
    bytes[8..].copy_from_slice(&counter.to_be_bytes());
    aes::Ksn::try_from(&bytes[..]).unwrap()
}

fn tdes_ksn(device: u32, counter: u8) -> tdes::Ksn {
    let mut bytes = [0xFF; 10];
    bytes[3..7].copy_from_slice(&device.to_be_bytes());
    (bytes[7], bytes[8], bytes[9]) = (0, 0, counter);
    tdes::Ksn::try_from(&bytes[..]).unwrap()
}

/// A transaction as a decryptor runs it: what the data key makes of zeros.
fn transaction<S: KeyStore>(store: &S, ksn: aes::Ksn) -> Result<[u8; 16], KeyError> {
    transaction_of(store, "bdk", ksn)
}

fn transaction_of<S: KeyStore>(store: &S, base_key: &str, ksn: aes::Ksn) -> Result<[u8; 16], KeyError> {
    let mut block = [0; 16];
    aes::DataKey::derive(&store.key(&id(base_key))?, &ksn, suite())?.decrypt_cbc(&[0; 16], &mut block)?;
    Ok(block)
}

fn initial_key<S: KeyStore>(store: &S, ksn: tdes::Ksn) -> [u8; 16] {
    *store.key(&id("bdk")).unwrap().tdes_initial_key(&ksn).unwrap().expose()
}

/// The counters that a device uses, in order (X9.24-3:2017, 6.3.2).
fn counters(first: u32) -> impl Iterator<Item = u32> {
    (first..).filter(|counter| (1..=16).contains(&counter.count_ones()))
}

#[test]
fn a_run_of_counters_costs_two_derivations_a_transaction() {
    const RUN: usize = 1 << 12;
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(0, 1), still);
    for counter in counters(1).take(RUN) {
        assert_eq!(transaction(&cached, aes_ksn(7, counter)), transaction(&store.keys, aes_ksn(7, counter)));
    }
    assert_eq!(store.take_derivations(), 2 * RUN + 1, "two, and the initial key once");

    // From high up, over counters that a device skips: the way to the first one is paid for once.
    let first = 0x0003_FF8F;
    for (index, counter) in counters(first).take(RUN).enumerate() {
        transaction(&cached, aes_ksn(8, counter)).unwrap();
        let expected = if index == 0 { 1 + counter.count_ones() as usize + 1 } else { 2 };
        assert_eq!(store.take_derivations(), expected, "{counter:x}");
        assert!(store.alive.get() <= 16);
    }
    for counter in counters(1).take(RUN) {
        transaction(&store, aes_ksn(7, counter)).unwrap();
    }
    let bits: usize = counters(1).take(RUN).map(|counter| counter.count_ones() as usize).sum();
    assert_eq!(store.take_derivations(), 2 * RUN + bits, "without a cache");
}

#[test]
fn many_devices_in_turn_each_cost_two() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(0, 10), still);
    let round = |first| {
        for counter in counters(first).take(50) {
            (0..10).for_each(|device| {
                transaction(&cached, aes_ksn(device, counter + device)).unwrap();
            });
        }
    };
    (0..10).for_each(|device| {
        transaction(&cached, aes_ksn(device, 0x40)).unwrap();
    });
    store.take_derivations();
    round(0x41);
    // A device that starts further on passes over some steps of its path.
    assert!((2 * 500..2 * 500 + 40).contains(&store.take_derivations()));
    assert!(store.alive.get() <= 10 * 16);
    drop(cached);
    assert_eq!(store.alive.get(), 0);
}

/// Counters in any order cost what the paths do not have in common, and never more than without a cache.
#[test]
fn random_counters_cost_what_is_new_on_their_path() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(0, 1), still);
    let (mut state, mut kept, mut total, mut plain) = (0x9E37_79B9_u32, vec![0], 0, 0);
    for index in 0..1 << 12 {
        // xorshift, half of the bits
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let counter = next() & next() & 0x001F_FFFF;
        if !(1..=16).contains(&counter.count_ones()) {
            continue;
        }
        transaction(&cached, aes_ksn(7, counter)).unwrap();
        // The model: which of the counter's registers were kept; new even ones take the place of others.
        let registers = (0..32).rev().filter(|bit| counter >> bit & 1 == 1).map(|bit| counter & u32::MAX << bit);
        let mut expected = if index == 0 { 2 } else { 1 };
        for (depth, register) in (1..).zip(registers) {
            if kept.get(depth) != Some(&register) {
                expected += 1;
                if register & 1 == 0 && depth < 16 {
                    kept.truncate(depth);
                    kept.push(register);
                }
            }
        }
        assert_eq!(store.take_derivations(), expected, "{counter:x}");
        total += expected;
        plain += counter.count_ones() as usize + 2;
    }
    println!("random counters: {total} derivations, without a cache {plain}");
    assert!(total < plain);
}

#[test]
fn paths_are_bounded_and_the_least_recently_used_device_goes() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(0, 2), still);
    let cost = |device| {
        transaction(&cached, aes_ksn(device, 0x1010)).unwrap();
        store.take_derivations()
    };
    assert_eq!([cost(1), cost(2), cost(1), cost(3)], [4, 4, 1, 4]);
    assert_eq!(cost(1), 1, "kept: it was used later than device 2");
    assert_eq!(cost(2), 4, "gone");
    assert_eq!(cost(3), 4, "gone for device 2");
    assert_eq!(store.alive.get(), 2 * 3, "the initial key and two registers of two devices");
    cached.clear();
    assert_eq!(store.alive.get(), 0, "destroyed where they are");
    assert_eq!(cost(1), 4);
    let none = Cached::new(&store, limits(0, 0), still);
    transaction(&none, aes_ksn(1, 0x1010)).unwrap();
    assert_eq!((store.take_derivations(), store.alive.get()), (4, 3), "without room, nothing is kept");
}

#[test]
fn no_key_of_a_past_counter_is_kept() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(0, 9), still);
    // The initial key; then the registers of the last path that are even.
    for (counter, alive) in [(1, 1), (2, 2), (3, 2), (6, 3), (7, 3), (8, 2), (0xFFF0, 13), (0x1_0000, 2)] {
        transaction(&cached, aes_ksn(1, counter)).unwrap();
        assert_eq!(store.alive.get(), alive, "{counter:x}");
    }
}

#[test]
fn a_key_goes_at_its_age_used_or_not() {
    let (store, now) = (Counting::new("aes-base", &["bdk"]), Cell::new(Duration::ZERO));
    let cached = Cached::new(&store, limits(9, 9), || now.get());
    for (second, expected) in [(0, 4), (59, 1), (60, 4), (61, 1), (119, 1), (120, 4)] {
        now.set(Duration::from_secs(second));
        transaction(&cached, aes_ksn(1, 0x1010)).unwrap();
        assert_eq!(store.take_derivations(), expected, "second {second}");
    }
    now.set(Duration::from_secs(180));
    assert_eq!(store.alive.get(), 3);
    cached.expire();
    assert_eq!(store.alive.get(), 0, "an idle worker's keys too");
    // Any use of the store expires all.
    transaction(&cached, aes_ksn(1, 0x1010)).unwrap();
    now.set(Duration::from_secs(240));
    cached.key(&id("bdk")).map(drop).unwrap();
    assert_eq!(store.alive.get(), 0);
}

#[test]
fn tdes_initial_keys_are_kept_for_a_time() {
    let (store, now) = (Counting::new("tdes-base", &["bdk"]), Cell::new(Duration::ZERO));
    let cached = Cached::new(&store, limits(2, 0), || now.get());
    let cost = |device, counter| {
        let ksn = tdes_ksn(device, counter);
        assert_eq!(initial_key(&cached, ksn), initial_key(&store.keys, ksn));
        store.initial_keys.take()
    };
    assert_eq!([cost(1, 1), cost(1, 2), cost(2, 1), cost(1, 3), cost(3, 1)], [1, 0, 1, 0, 1]);
    assert_eq!([cost(1, 9), cost(3, 9), cost(2, 9)], [0, 0, 1]);
    now.set(Duration::from_secs(60));
    assert_eq!([cost(2, 1), cost(2, 2)], [1, 0]);
    cached.clear();
    assert_eq!(cost(2, 1), 1);
}

#[test]
fn a_batch_of_tdes_initial_keys_asks_for_what_is_missing() {
    let store = Counting::new("tdes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(3, 0), still);
    let key = cached.key(&id("bdk")).unwrap();
    let batch = |devices: &[u32]| {
        let ksns: Vec<_> = devices.iter().map(|device| tdes_ksn(*device, 1)).collect();
        let keys = key.tdes_initial_keys(&ksns).unwrap();
        let expected = store.keys.key(&id("bdk")).unwrap().tdes_initial_keys(&ksns).unwrap();
        assert!(keys.iter().map(tdes::InitialKey::expose).eq(expected.iter().map(tdes::InitialKey::expose)));
        store.initial_keys.take()
    };
    assert_eq!(batch(&[1, 2]), 2);
    assert_eq!(batch(&[3, 1, 4, 2]), 2, "in their order");
    assert_eq!(batch(&[1, 2, 3, 4, 5, 6]), 3, "1 was used before 2, and had to go for 4");
    assert_eq!([batch(&[1, 5, 6]), batch(&[])], [0, 0]);
    assert_eq!(batch(&[7, 7, 5, 7]), 1, "one for a device that sent several messages");
}

#[test]
fn one_device_under_two_base_keys() {
    let store = Counting::new("aes-base", &["bdk", "other"]);
    let cached = Cached::new(&store, limits(9, 9), still);
    for name in ["bdk", "other", "bdk", "bdk"] {
        let expected = transaction_of(&store.keys, name, aes_ksn(1, 5));
        assert_eq!(transaction_of(&cached, name, aes_ksn(1, 5)), expected, "{name}");
    }
    let tdes = Counting::new("tdes-base", &["bdk", "other"]);
    let cached = Cached::new(&tdes, limits(9, 9), still);
    let of = |name| *cached.key(&id(name)).unwrap().tdes_initial_key(&tdes_ksn(1, 5)).unwrap().expose();
    let first = of("bdk");
    assert!(of("other") != first && of("bdk") == first);
}

#[test]
fn a_base_key_that_is_gone_takes_its_keys_along() {
    let store = Counting::new("aes-base", &["bdk", "other"]);
    let cached = Cached::new(&store, limits(9, 9), still);
    transaction(&cached, aes_ksn(1, 5)).unwrap();
    transaction_of(&cached, "other", aes_ksn(2, 5)).unwrap();
    assert_eq!(store.alive.get(), 4);
    store.removed.set(true);
    assert_eq!(transaction(&cached, aes_ksn(1, 5)), Err(KeyError::NotFound(id("bdk"))));
    assert_eq!(store.alive.get(), 2, "those of the other base key stay");
}

/// A session that is lost takes its keys along: nothing that was kept is of use, and no transaction is lost by it.
#[test]
fn keys_that_died_in_the_device_are_derived_again() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(9, 9), still);
    for counter in counters(1).take(200) {
        if counter % 3 == 0 {
            count(&store.epoch, 1);
        }
        for device in 0..3 {
            let ksn = aes_ksn(device, counter);
            assert_eq!(transaction(&cached, ksn), transaction(&store.keys, ksn), "{counter:x}");
        }
    }
    // In the middle of a path as well, and where the base key is gone too.
    let initial_key = cached.key(&id("bdk")).unwrap().derive(&aes_ksn(1, 5).initial_key(suite())).unwrap();
    count(&store.epoch, 1);
    for step in aes_ksn(1, 5).steps(suite()).unwrap().take(1) {
        assert!(initial_key.derive(&step).is_ok());
        assert_eq!(initial_key.derive(&step).err(), Some(DEAD), "not kept any more, so nothing says what it is of");
    }
    drop(initial_key);
    transaction(&cached, aes_ksn(1, 4)).unwrap();
    let initial_key = cached.key(&id("bdk")).unwrap().derive(&aes_ksn(1, 5).initial_key(suite())).unwrap();
    count(&store.epoch, 1);
    store.removed.set(true);
    let step = aes_ksn(1, 8).steps(suite()).unwrap().next().unwrap();
    assert_eq!(initial_key.derive(&step).err(), Some(KeyError::NotFound(id("bdk"))));
    drop(initial_key);
    assert_eq!(store.alive.get(), 0);
}

/// Keys in use stay good when the cache lets go of them.
#[test]
fn a_key_in_use_outlives_its_eviction() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(0, 1), still);
    let base_key = cached.key(&id("bdk")).unwrap();
    let held = TransactionKey::derive(&base_key, &aes_ksn(1, 6), KeyType::Aes128).unwrap();
    transaction(&cached, aes_ksn(2, 0x1234)).unwrap();
    transaction(&cached, aes_ksn(1, 8)).unwrap();
    let mut block = [0; 16];
    held.data_key(KeyType::Aes128.into(), Usage::DataEncrypt).unwrap().decrypt_cbc(&[0; 16], &mut block).unwrap();
    assert_eq!(Ok(block), transaction(&store.keys, aes_ksn(1, 6)));
}

#[test]
fn every_operation_is_that_of_the_store_below() {
    let store = Counting::new("aes-base", &["bdk"]);
    let cached = Cached::new(&store, limits(9, 9), still);
    let (kept, plain) = (cached.key(&id("bdk")).unwrap(), store.keys.key(&id("bdk")).unwrap());
    for _ in 0..2 {
        let kept = TransactionKey::derive(&kept, &aes_ksn(1, 6), KeyType::Aes128).unwrap();
        let plain = TransactionKey::derive(&plain, &aes_ksn(1, 6), KeyType::Aes128).unwrap();
        let key_type = WorkingKeyType::from(KeyType::Aes128);
        let (mut one, mut other) = ([7; 32], [7; 32]);
        let encrypt = Usage::DataDecrypt;
        kept.response_data_key(key_type, encrypt).unwrap().encrypt_cbc(&[1; 16], &mut one).unwrap();
        plain.response_data_key(key_type, encrypt).unwrap().encrypt_cbc(&[1; 16], &mut other).unwrap();
        assert_eq!(one, other);
        let (one, other) = (&mut one[..16], &mut other[..16]);
        kept.pin_key(key_type).unwrap().encrypt_block(one).unwrap();
        plain.pin_key(key_type).unwrap().encrypt_block(other).unwrap();
        assert_eq!(one, other);
        kept.pin_key(key_type).unwrap().decrypt_block(one).unwrap();
        plain.pin_key(key_type).unwrap().decrypt_block(other).unwrap();
        assert_eq!(one, other);
        let format = dukpt::MacFormat::new(MacAlgorithm::Cmac, 16).unwrap();
        let mac = plain.response_mac_key(key_type, Usage::MacBoth).unwrap().generate(format, b"data").unwrap();
        kept.mac_key(key_type, Usage::MacBoth).unwrap().verify(format, b"data", mac.as_bytes()).unwrap();
        for method in [CheckMethod::Legacy, CheckMethod::Cmac] {
            let value = kept.key_encryption_key(key_type).unwrap().check_value(method).unwrap();
            assert!(value.agrees(&plain.key_encryption_key(key_type).unwrap().check_value(method).unwrap()));
        }
    }
    let update = |key| aes::update_key(&key, [0x12; 8], KeyType::Aes128, KeyType::Aes128.into());
    let value = update(cached.key(&id("bdk")).unwrap()).unwrap().check_value(CheckMethod::Cmac).unwrap();
    let plain_update = aes::update_key(&plain, [0x12; 8], KeyType::Aes128, KeyType::Aes128.into()).unwrap();
    assert!(value.agrees(&plain_update.check_value(CheckMethod::Cmac).unwrap()));
    assert!(store.alive.get() <= 2 * 16, "the chain of 32 steps is not kept whole");

    // Its refusals too.
    let transaction_key = kept.derive(&aes_ksn(1, 6).initial_key(suite())).unwrap();
    assert_eq!(transaction_key.tdes_initial_key(&tdes_ksn(1, 1)).err(), Some(KeyError::NotPermitted));
    assert_eq!(transaction_key.tdes_initial_keys(&[tdes_ksn(1, 1)]).err(), Some(KeyError::NotPermitted));
    assert_eq!(kept.tdes_initial_keys(&[tdes_ksn(1, 1)]).err(), Some(KeyError::NotPermitted));
    assert_eq!(transaction_key.decrypt_cbc(&[0; 16], &mut [0; 16]), Err(KeyError::NotPermitted));
    assert_eq!(kept.hmac_sha256(b""), Err(KeyError::NotPermitted));
    let other_size = Suite::new(KeyType::Aes256, KeyType::Aes128, DataUsage::Encrypt).unwrap();
    assert_eq!(kept.derive(&aes_ksn(1, 6).initial_key(other_size)).err(), Some(KeyError::NotPermitted));
    assert_eq!((cached.custody(Scheme::Aes), cached.custody(Scheme::Tdes)), (Custody::Token, Custody::Hybrid));

    let mut hmac = MemoryStore::new();
    hmac.import(&id("mac"), &KeyMaterial::new("hmac", &[9; 32]).unwrap(), Lifetime::Session).unwrap();
    let cached = Cached::new(&hmac, limits(9, 9), still);
    let mac = |data| cached.key(&id("mac")).unwrap().hmac_sha256(data);
    assert_eq!(mac(b"data"), hmac.key(&id("mac")).unwrap().hmac_sha256(b"data"));
}

proptest! {
    /// Whatever the order of devices, counters and passing time: the same keys, and never more kept than allowed.
    #[test]
    fn the_same_as_without(
        paths in 0..4_usize,
        calls in vec((0..5_u32, select(vec![1_u32, 2, 3, 4, 5, 6, 7, 8, 0xC0, 0xC1, 0xFF00, 0x0FFF_F000, 0x8000_0001]), 0..40_u64), 1..60),
    ) {
        let (aes, tdes) = (Counting::new("aes-base", &["bdk"]), Counting::new("tdes-base", &["bdk"]));
        let now = Cell::new(Duration::ZERO);
        let cached = Cached::new(&aes, limits(0, paths), || now.get());
        let initial_keys = Cached::new(&tdes, limits(paths, 0), || now.get());
        for (device, counter, seconds) in calls {
            now.set(now.get() + Duration::from_secs(seconds));
            let ksn = aes_ksn(device, counter);
            prop_assert_eq!(transaction(&cached, ksn), transaction(&aes.keys, ksn));
            prop_assert!(aes.alive.get() <= paths * 16);
            let ksn = tdes_ksn(device, 1);
            prop_assert_eq!(initial_key(&initial_keys, ksn), initial_key(&tdes.keys, ksn));
        }
        drop(cached);
        prop_assert_eq!(aes.alive.get(), 0);
    }
}
