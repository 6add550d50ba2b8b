//! Every type that holds a key wipes it: no block of memory is given back with the key still in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod canary;

use canary::{Seen, present, watch};
use dukpt::{Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore, aes, tdes};

const WIPED: Seen = Seen { held: true, leaks: 0 };

const TDES_BASE: &str = "0123456789ABCDEFFEDCBA9876543210";
const TDES_INITIAL: &str = "6AC292FAA1315B4D858AB3A3D7D5933A";
const AES_BASE: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1";
const AES_INITIAL: &str = "1273671EA26AC29AFA4D1084127652A1";
const AES_DATA: &str = "0FA8F1F0A2DD7B1005A862D77CDED698";

fn hex<const N: usize>(digits: &str) -> [u8; N] {
    core::array::from_fn(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
}

fn id() -> KeyId {
    KeyId::new("key").unwrap()
}

fn store(kind: &str, key: &[u8]) -> MemoryStore {
    let mut store = MemoryStore::new();
    store.import(&id(), &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    store
}

fn tdes_ksn() -> tdes::Ksn {
    tdes::Ksn::try_from(&hex::<10>("FFFF9876543210EFF801")[..]).unwrap()
}

fn aes_ksn() -> aes::Ksn {
    aes::Ksn::try_from(&hex::<12>("123456789012345600000007")[..]).unwrap()
}

fn suite() -> aes::Suite {
    aes::Suite::new(aes::KeyType::Aes128, aes::KeyType::Aes128, aes::DataUsage::Encrypt).unwrap()
}

/// The guard itself: it must catch what is not wiped.
#[test]
fn the_canary_sings() {
    let secret = hex::<16>(TDES_BASE);
    assert_eq!(watch(&secret, || secret.to_vec()), Seen { held: true, leaks: 1 }, "dropped unwiped");
    assert_eq!(watch(&secret, || Box::new([secret, secret])), Seen { held: true, leaks: 1 }, "in a box, twice");
    let grown = watch(&secret, || {
        let mut bytes = secret.to_vec();
        bytes.reserve_exact(100_000);
        bytes.fill(0);
        bytes
    });
    assert_eq!(grown, Seen { held: false, leaks: 1 }, "left behind by a move");
    assert_eq!(watch(&secret, || vec![0u8; 64]), Seen { held: false, leaks: 0 }, "no false alarm");
    assert_eq!(watch(&secret, || secret[1..].to_vec()), Seen { held: false, leaks: 0 }, "not the whole secret");
    // An inline secret that is not wiped is found as well: `watch` puts the value on the heap.
    assert_eq!(watch(&secret, || secret), Seen { held: true, leaks: 1 });
    assert!(!present(), "nothing is watched outside of a watch");
}

#[test]
fn key_material() {
    for (kind, key) in [
        ("tdes-base", &hex::<16>(TDES_BASE)[..]),
        ("aes-base", &hex::<16>(AES_BASE)),
        ("hmac", &[0xA5, 0x17, 0x99, 0x42].repeat(16)),
    ] {
        assert_eq!(watch(key, || KeyMaterial::new(kind, key).unwrap()), WIPED, "{kind}");
        let check_values = watch(key, || {
            let material = KeyMaterial::new(kind, key).unwrap();
            (material.check_value(), material.cmac_check_value())
        });
        assert_eq!(check_values.leaks, 0, "{kind}");
    }
    let key = hex::<16>(TDES_BASE);
    assert_eq!(watch(&key, || KeyMaterial::new("aes", &key).err()).leaks, 0, "refused");
}

#[test]
fn components_and_their_sum() {
    let key = hex::<16>(TDES_BASE);
    let (one, two) = ([0x5A; 16], [0xC3; 16]);
    let three: [u8; 16] = core::array::from_fn(|i| key[i] ^ one[i] ^ two[i]);
    let together = || KeyMaterial::from_components("tdes-base", &[&three, &one, &two]).unwrap();
    assert_eq!(watch(&key, together), WIPED);
    // The first component is where the sum begins.
    assert_eq!(watch(&three, together), Seen { held: false, leaks: 0 });
    let partial: [u8; 16] = core::array::from_fn(|i| three[i] ^ one[i]);
    assert_eq!(watch(&partial, together), Seen { held: false, leaks: 0 });
    let refused = || KeyMaterial::from_components("aes", &[&three, &one, &two]).err();
    assert_eq!(watch(&key, refused).leaks, 0);
}

#[test]
fn tdes_variant() {
    let key = hex::<16>(TDES_BASE);
    let mask = hex::<16>("C0C0C0C000000000C0C0C0C000000000");
    let variant: [u8; 16] = core::array::from_fn(|i| key[i] ^ mask[i]);
    let material = KeyMaterial::new("tdes-base", &key).unwrap();
    assert_eq!(watch(&variant, || material.tdes_variant().unwrap()), WIPED);
}

#[test]
fn memory_store() {
    let key = hex::<16>(TDES_BASE);
    assert_eq!(watch(&key, || store("tdes-base", &key)), WIPED);
    // A second key under the name is refused and not kept.
    let other = hex::<16>(AES_BASE);
    let refused = watch(&other, || {
        let mut store = store("tdes-base", &key);
        let material = KeyMaterial::new("aes-base", &other).unwrap();
        assert_eq!(store.import(&id(), &material, Lifetime::Session), Err(KeyError::AlreadyExists(id())));
        drop(material);
        store
    });
    assert_eq!(refused, Seen { held: false, leaks: 0 });
    // So is a store that moves, with more keys than one node of its map has room for.
    let many = watch(&key, || {
        let mut store = store("tdes-base", &key);
        for i in 0..50 {
            let name = KeyId::new(&format!("{i}")).unwrap();
            store.import(&name, &KeyMaterial::new("aes-base", &other).unwrap(), Lifetime::Session).unwrap();
        }
        vec![store]
    });
    assert_eq!(many, WIPED);
}

#[test]
fn derived_aes_keys() {
    let store = store("aes-base", &hex::<16>(AES_BASE));
    let base_key = store.key(&id()).unwrap();
    let initial_key = || base_key.derive(&aes_ksn().initial_key(suite())).unwrap();
    assert_eq!(watch(&hex::<16>(AES_INITIAL), initial_key), WIPED);

    let data_key = || aes::DataKey::derive(&base_key, &aes_ksn(), suite()).unwrap();
    assert_eq!(watch(&hex::<16>(AES_DATA), data_key), WIPED);
    assert_eq!(watch(&hex::<16>(AES_INITIAL), data_key), Seen { held: false, leaks: 0 }, "gone with its children");
    let used = || {
        let key = data_key();
        key.decrypt_cbc(&[0; 16], &mut [0; 32]).unwrap();
        assert_eq!(key.decrypt_cbc(&[0; 16], &mut [0; 31]), Err(KeyError::BadLength));
        key
    };
    assert_eq!(watch(&hex::<16>(AES_DATA), used), WIPED);
}

/// A key in the place of another: the other is gone as soon as the new one is there, or cannot be.
#[test]
fn derived_aes_keys_one_after_the_other() {
    let store = store("aes-base", &hex::<16>(AES_BASE));
    let base_key = store.key(&id()).unwrap();
    let other = aes::Ksn::try_from(&hex::<12>("123456789012345600000008")[..]).unwrap();
    let first = || aes::DataKey::derive(&base_key, &aes_ksn(), suite()).unwrap();
    let second = || aes::DataKey::derive_after(Some(first()), &base_key, &other, suite()).unwrap();
    assert_eq!(watch(&hex::<16>(AES_DATA), second), Seen { held: false, leaks: 0 }, "the spent one");
    let back = || aes::DataKey::derive_after(Some(second()), &base_key, &aes_ksn(), suite()).unwrap();
    assert_eq!(watch(&hex::<16>(AES_DATA), back), WIPED);
    let larger = aes::Suite::new(aes::KeyType::Aes256, aes::KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
    let refused = || aes::DataKey::derive_after(Some(first()), &base_key, &other, larger).err();
    assert_eq!(watch(&hex::<16>(AES_DATA), refused), Seen { held: false, leaks: 0 }, "spent in vain");

    // A long base key, a short data key: behind it nothing is left of the keys on the way.
    let store = self::store("aes-base", &[0x11; 32]);
    let base_key = store.key(&id()).unwrap();
    let path: Vec<_> =
        core::iter::once(aes_ksn().initial_key(larger)).chain(aes_ksn().steps(larger).unwrap()).collect();
    let mut key = [0x11; 32];
    for (i, step) in path[..path.len() - 1].iter().enumerate() {
        use ::aes::cipher::{BlockCipherEncrypt, KeyInit};
        let cipher = ::aes::Aes256::new(&key.into());
        key.copy_from_slice(step.data());
        key.as_chunks_mut::<16>().0.iter_mut().for_each(|block| cipher.encrypt_block(block.into()));
        let so_far = || base_key.derive_path(path[..=i].to_vec(), None).unwrap();
        assert_eq!(watch(&key, so_far), WIPED, "it is this key");
        for half in key.as_chunks::<16>().0 {
            let data_key = || aes::DataKey::derive(&base_key, &aes_ksn(), larger).unwrap();
            assert_eq!(watch(half, data_key), Seen { held: false, leaks: 0 }, "step {i}");
        }
    }
}

/// A 192-bit key takes two blocks of cipher output: the 8 bytes behind the key are gone at once.
#[test]
fn derived_aes_keys_of_all_sizes() {
    use ::aes::{
        Aes192,
        cipher::{BlockCipherEncrypt, KeyInit},
    };
    let base = [0x11; 24];
    let store = store("aes-base", &base);
    let suite = aes::Suite::new(aes::KeyType::Aes192, aes::KeyType::Aes192, aes::DataUsage::Both).unwrap();
    let step = aes_ksn().initial_key(suite);
    let mut key = step.data().to_vec();
    for block in key.as_chunks_mut::<16>().0 {
        Aes192::new(&base.into()).encrypt_block(block.into());
    }
    let base_key = store.key(&id()).unwrap();
    assert_eq!(watch(&key[..24], || base_key.derive(&step).unwrap()), WIPED);
    assert_eq!(watch(&key[16..], || base_key.derive(&step).unwrap()), Seen { held: false, leaks: 0 });
}

#[test]
fn tdes_keys() {
    let store = store("tdes-base", &hex::<16>(TDES_BASE));
    let base_key = store.key(&id()).unwrap();
    let initial_key = || base_key.tdes_initial_key(&tdes_ksn()).unwrap();
    assert_eq!(watch(&hex::<16>(TDES_INITIAL), initial_key), WIPED);

    for (variant, key) in [
        (tdes::Variant::DataRequest, "EBC9A12BDFAFC470E00ECA54611BE5C9"),
        (tdes::Variant::DataResponse, "C33928748DB4C31EB98BDAA6FC5A528F"),
        (tdes::Variant::Pin, "5BEE92627E9782A3911BF619DF72CAC4"),
    ] {
        let data_key = || tdes::DataKey::derive(&initial_key(), &tdes_ksn(), variant).unwrap();
        assert_eq!(watch(&hex::<16>(key), data_key), WIPED, "{variant:?}");
        for cipher in [tdes::Cipher::Tdes, tdes::Cipher::Aes128] {
            let used = || {
                let key = data_key();
                key.decrypt_cbc(cipher, &[0; 16], &mut [0; 32]).unwrap();
                key
            };
            assert_eq!(watch(&hex::<16>(key), used), WIPED, "{variant:?} {cipher:?}");
        }
        assert_eq!(watch(&hex::<16>(TDES_INITIAL), data_key), Seen { held: false, leaks: 0 }, "the parent");
        // The transaction key, before any variant.
        assert_eq!(watch(&hex::<16>("5BEE92627E97825C911BF619DF72CA3B"), data_key), Seen { held: false, leaks: 0 });
    }
}

/// The same keys for many transactions at once.
#[test]
fn tdes_keys_of_a_batch() {
    let store = store("tdes-base", &hex::<16>(TDES_BASE));
    let base_key = store.key(&id()).unwrap();
    let initial_keys = || base_key.tdes_initial_keys(&[tdes_ksn(); 3]).unwrap();
    assert_eq!(watch(&hex::<16>(TDES_INITIAL), initial_keys), WIPED);
    let data_keys = || {
        let initial = initial_keys();
        let transactions: Vec<_> = initial.iter().map(|key| (key, tdes_ksn())).collect();
        let keys = tdes::DataKeys::derive(&transactions, tdes::Variant::DataRequest).unwrap();
        let (mut one, mut other) = ([0; 32], [0; 8]);
        keys.decrypt_cbc(tdes::Cipher::Tdes, &mut [(0, &mut one[..]), (2, &mut other)]).unwrap();
        keys
    };
    assert_eq!(watch(&hex::<16>("EBC9A12BDFAFC470E00ECA54611BE5C9"), data_keys), WIPED);
    assert_eq!(watch(&hex::<16>(TDES_INITIAL), data_keys), Seen { held: false, leaks: 0 }, "the parents");

    // From the base key at once.
    let data_keys = || base_key.tdes_data_keys(&[tdes_ksn(); 3], tdes::Variant::DataRequest).unwrap();
    assert_eq!(watch(&hex::<16>("EBC9A12BDFAFC470E00ECA54611BE5C9"), data_keys), WIPED);
    assert_eq!(watch(&hex::<16>(TDES_INITIAL), data_keys), Seen { held: false, leaks: 0 }, "the parents");
    assert_eq!(watch(&hex::<16>(TDES_BASE), data_keys), Seen { held: false, leaks: 0 }, "their parent");

    // What cannot be: an index that is not there, partial blocks, nothing; and then nothing is decrypted.
    let (keys, mut data) = (data_keys(), [7; 24]);
    for (key, length) in [(3, 8), (0, 7), (0, 0)] {
        let refused = keys.decrypt_cbc(tdes::Cipher::Tdes, &mut [(key, &mut data[..length])]);
        assert_eq!(refused, Err(dukpt::KeyError::BadLength));
    }
    assert!(keys.decrypt_cbc(tdes::Cipher::Aes128, &mut [(0, &mut data[..24])]).is_err());
    assert_eq!(data, [7; 24]);
}

/// A token that fails in the middle of handing out an initial key.
#[test]
fn half_of_an_initial_key() {
    let half = hex::<8>("6AC292FAA1315B4D");
    let failed = watch(&half, || {
        let key = tdes::InitialKey::try_filled(|key| {
            key[..8].copy_from_slice(&half);
            assert!(present());
            Err(KeyError::Device { function: "C_Encrypt", code: 5 })
        });
        key.err().unwrap()
    });
    assert_eq!(failed, Seen { held: false, leaks: 0 });
}
