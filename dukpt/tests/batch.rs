//! Many keys at once give what one at a time gives, and what must fail fails alone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "not all of it is used here")]
mod naive;

use dukpt::{Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, KsnError, Lifetime, MemoryStore, aes, tdes};
use naive::{encrypt_cbc, naive_aes, naive_tdes};
use proptest::{collection::vec, prelude::*, sample::select};

const SIZES: [aes::KeyType; 3] = [aes::KeyType::Aes128, aes::KeyType::Aes192, aes::KeyType::Aes256];

fn store(kind: &str, key: &[u8]) -> (MemoryStore, KeyId) {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key").unwrap());
    store.import(&id, &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    (store, id)
}

/// A counter of at most `most` set bits, and not zero.
fn few_bits(mut counter: u32, most: u32) -> u32 {
    while counter.count_ones() > most {
        counter &= counter - 1;
    }
    counter.max(1)
}

fn aes_ksn(id: [u8; 8], counter: u32) -> [u8; 12] {
    let mut ksn = [0; 12];
    ksn[..8].copy_from_slice(&id);
    ksn[8..].copy_from_slice(&counter.to_be_bytes());
    ksn
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Each key in the place of the one before, whatever its size was; in between some that cannot be derived.
    #[test]
    fn aes_keys_one_after_the_other(
        base_key: [u8; 32], base in 0usize..3,
        items in vec((any::<[u8; 8]>(), any::<u32>(), 0usize..3, any::<[u8; 32]>()), 1..20),
    ) {
        let base_key = &base_key[..SIZES[base].length()];
        let (store, name) = store("aes-base", base_key);
        let key = store.key(&name).unwrap();
        let mut spent = None;
        for (id, counter, size, clear) in items {
            let bytes = aes_ksn(id, few_bits(counter, 16));
            let ksn = aes::Ksn::try_from(&bytes[..]).unwrap();
            if size > base {
                let suite = aes::Suite::new(SIZES[size], SIZES[size], aes::DataUsage::Both).unwrap();
                let refused = aes::DataKey::derive_after(spent.take(), &key, &ksn, suite);
                prop_assert_eq!(refused.err(), Some(KeyError::NotPermitted));
                continue;
            }
            let suite = aes::Suite::new(SIZES[base], SIZES[size], aes::DataUsage::Encrypt).unwrap();
            let expected = naive_aes::data_key(base_key, &bytes, aes::DataUsage::Encrypt, SIZES[size].length());
            let mut data = encrypt_cbc(&[0; 16], &clear, |block| naive_aes::encrypt_block(&expected, block));
            let data_key = aes::DataKey::derive_after(spent.take(), &key, &ksn, suite).unwrap();
            data_key.decrypt_cbc(&[0; 16], &mut data).unwrap();
            prop_assert_eq!(&data, &clear);
            spent = Some(data_key);
        }
    }

    /// Many at once, with counters of all lengths and some that have no key; half of the keys are given back.
    #[test]
    fn aes_keys_together(
        base_key: [u8; 32], base in 0usize..3, size in 0usize..3,
        items in vec((any::<[u8; 8]>(), any::<u32>(), any::<bool>()), 0..40), clear: [u8; 32],
    ) {
        prop_assume!(size <= base);
        let base_key = &base_key[..SIZES[base].length()];
        let (store, name) = store("aes-base", base_key);
        let suite = aes::Suite::new(SIZES[base], SIZES[size], aes::DataUsage::Encrypt).unwrap();
        let bytes: Vec<_> = items.iter().map(|(id, counter, zero)| {
            aes_ksn(*id, if *zero && counter % 3 == 0 { 0 } else { few_bits(*counter, 16) })
        }).collect();
        let ksns: Vec<_> = bytes.iter().map(|bytes| aes::Ksn::try_from(&bytes[..]).unwrap()).collect();
        let mut kept = Vec::new();
        let mut results: Vec<Option<Result<Vec<u8>, KeyError>>> = vec![None; ksns.len()];
        aes::DataKey::derive_each(&store.key(&name).unwrap(), &ksns, suite, |number, key| {
            let ciphertext = (bytes[number][8..] != [0; 4]).then(|| {
                let expected = naive_aes::data_key(base_key, &bytes[number], aes::DataUsage::Encrypt, SIZES[size].length());
                encrypt_cbc(&[0; 16], &clear, |block| naive_aes::encrypt_block(&expected, block))
            });
            let mut data = ciphertext.unwrap_or_default();
            let done = key.as_ref().map_err(Clone::clone).and_then(|key| key.decrypt_cbc(&[0; 16], &mut data));
            assert!(results[number].replace(done.map(|()| data)).is_none(), "{number} twice");
            if number % 2 == 0 { key.ok() } else { kept.extend(key); None }
        });
        for (bytes, result) in bytes.iter().zip(results) {
            let zero = bytes[8..] == [0; 4];
            let expected = if zero { Err(KsnError::CounterZero.into()) } else { Ok(clear.to_vec()) };
            prop_assert_eq!(result, Some(expected));
        }
    }

    /// Few devices and many, few transactions and more than there are lanes, of each variant.
    #[test]
    fn tdes_keys(
        base_key: [u8; 16], devices in vec(any::<[u8; 7]>(), 1..6), items in vec((any::<usize>(), any::<u32>()), 1..40),
        times in select(vec![1, 30]),
        variant in select(vec![tdes::Variant::DataRequest, tdes::Variant::DataResponse, tdes::Variant::Pin]),
    ) {
        let (store, name) = store("tdes-base", &base_key);
        let key = store.key(&name).unwrap();
        let bytes: Vec<[u8; 10]> = items.iter().map(|(device, counter)| {
            let mut ksn = [0; 10];
            ksn[..7].copy_from_slice(&devices[device % devices.len()]);
            ksn[7..].copy_from_slice(&few_bits(counter & 0x1F_FFFF, 10).to_be_bytes()[1..]);
            ksn
        }).collect();
        let ksns: Vec<_> = bytes.iter().map(|ksn| tdes::Ksn::try_from(&ksn[..]).unwrap()).collect();
        let keys = key.tdes_data_keys(&ksns.repeat(times), variant).unwrap();
        let through_initial_keys = Indirect(&key).tdes_data_keys(&ksns.repeat(times), variant).unwrap();
        for (i, ksn) in bytes.iter().enumerate().map(|(i, ksn)| (i + bytes.len() * (times - 1), ksn)) {
            let expected = naive_tdes::data_key(
                naive_tdes::initial_key(u128::from_be_bytes(base_key), ksn), ksn, variant);
            let clear = [0x5A; 8];
            let cipher = naive_tdes::encrypt_block(expected, u64::from_be_bytes(clear)).to_be_bytes();
            for keys in [&keys, &through_initial_keys] {
                let mut data = cipher;
                keys.decrypt_cbc(tdes::Cipher::Tdes, &mut [(i, &mut data[..])]).unwrap();
                prop_assert_eq!(data, clear);
            }
        }
    }
}

/// A key with none of its own ways for many: what the joint does for a store that has one step only.
struct Indirect<'a, K>(&'a K);

impl<K: Key> Key for Indirect<'_, K> {
    fn derive(&self, _: &aes::Derivation) -> Result<Self, KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        self.0.tdes_initial_key(ksn)
    }
    fn decrypt_cbc(&self, _: &[u8; 16], _: &mut [u8]) -> Result<(), KeyError> {
        Err(KeyError::NotPermitted)
    }
    fn hmac_sha256(&self, _: &[u8]) -> Result<[u8; 32], KeyError> {
        Err(KeyError::NotPermitted)
    }
}

#[test]
fn what_is_no_path() {
    let (store, name) = store("aes-base", &[7; 16]);
    let key = store.key(&name).unwrap();
    let ksn = aes::Ksn::try_from(&aes_ksn([3; 8], 5)[..]).unwrap();
    let suite = aes::Suite::new(SIZES[0], SIZES[0], aes::DataUsage::Encrypt).unwrap();
    assert_eq!(key.derive_path([], None).err(), Some(KeyError::NotPermitted), "no step");
    let steps: Vec<_> = core::iter::once(ksn.initial_key(suite)).chain(ksn.steps(suite).unwrap()).collect();
    assert!(key.derive_path(steps.clone(), None).is_ok());
    // The data key derives nothing: not inside of a path, not as its beginning.
    let beyond = steps.iter().chain(&steps[1..2]).copied();
    assert_eq!(key.derive_path(beyond.clone(), None).err(), Some(KeyError::NotPermitted));
    let data_key = key.derive_path(steps.clone(), None).unwrap();
    assert_eq!(data_key.derive_path(steps[1..2].to_vec(), None).err(), Some(KeyError::NotPermitted));
    // In two pieces it is the same path; a spent key of the store itself stays where it is.
    let halfway = key.derive_path(steps[..2].to_vec(), Some(store.key(&name).unwrap())).unwrap();
    let there = halfway.derive_path(steps[2..].to_vec(), Some(data_key)).unwrap();
    let (mut one, mut other) = ([9; 16], [9; 16]);
    there.decrypt_cbc(&[0; 16], &mut one).unwrap();
    aes::DataKey::derive(&key, &ksn, suite).unwrap().decrypt_cbc(&[0; 16], &mut other).unwrap();
    assert_eq!(one, other);

    // Together with others, each such path fails alone.
    let paths = [steps[..2].to_vec(), Vec::new(), beyond.clone().collect(), steps.clone()];
    let mut ends = [const { None }; 5];
    let unknown = KeyError::NotFound(name.clone());
    key.derive_each(paths.map(Ok).into_iter().chain([Err(unknown.clone())]), |number, key| {
        ends[number] = Some(key.as_ref().err().cloned());
        key.ok()
    });
    let refused = Some(Some(KeyError::NotPermitted));
    assert_eq!(ends, [Some(None), refused.clone(), refused, Some(None), Some(Some(unknown))]);

    let zero = aes::Ksn::try_from(&aes_ksn([3; 8], 0)[..]).unwrap();
    let spent = aes::DataKey::derive(&key, &ksn, suite).ok();
    let refused = aes::DataKey::derive_after(spent, &key, &zero, suite);
    assert_eq!(refused.err(), Some(KeyError::Ksn(KsnError::CounterZero)));
}

#[test]
fn tdes_keys_that_there_are_not() {
    let ksn = |counter| tdes::Ksn::try_from(&[1, 2, 3, 4, 5, 6, 7, 0, 0, counter][..]).unwrap();
    let (tdes_store, name) = store("tdes-base", &[0x3B; 16]);
    let key = tdes_store.key(&name).unwrap();
    let (variant, zero) = (tdes::Variant::DataRequest, Some(KeyError::Ksn(KsnError::CounterZero)));
    assert_eq!(key.tdes_data_keys(&[ksn(1), ksn(0)], variant).err(), zero);
    assert_eq!(Indirect(&key).tdes_data_keys(&[ksn(1), ksn(0)], variant).err(), zero);
    assert!(key.tdes_data_keys(&[], variant).is_ok());
    let (aes_store, name) = store("aes-base", &[7; 16]);
    let refused = aes_store.key(&name).unwrap().tdes_data_keys(&[ksn(1)], variant);
    assert_eq!(refused.err(), Some(KeyError::NotPermitted));
}
