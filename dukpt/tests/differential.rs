//! Both DUKPTs against a second implementation: the text of the standards written down naively over single blocks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use ::aes::{
    Aes128, Aes192, Aes256,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use des::Des;
use dukpt::{Key, KeyId, KeyImport, KeyMaterial, KeyStore, Ksn, Lifetime, MemoryStore, aes, tdes};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

/// TDES DUKPT as in ANSI X9.24-1:2009, Annex A, with the registers of its own description.
mod naive_tdes {
    use super::*;

    const C0: u128 = 0xC0C0_C0C0_0000_0000_C0C0_C0C0_0000_0000;

    fn des(key: u64, block: u64, encrypt: bool) -> u64 {
        let mut block = block.to_be_bytes().into();
        let cipher = Des::new(&key.to_be_bytes().into());
        if encrypt {
            cipher.encrypt_block(&mut block)
        } else {
            cipher.decrypt_block(&mut block)
        }
        u64::from_be_bytes(block.into())
    }

    fn left(key: u128) -> u64 {
        u64::try_from(key >> 64).unwrap()
    }

    fn right(key: u128) -> u64 {
        u64::try_from(key & u128::from(u64::MAX)).unwrap()
    }

    fn join(left: u64, right: u64) -> u128 {
        u128::from(left) << 64 | u128::from(right)
    }

    pub(super) fn encrypt_block(key: u128, block: u64) -> u64 {
        des(left(key), des(right(key), des(left(key), block, true), false), true)
    }

    /// A.6: "the derivation of the initial key".
    pub(super) fn initial_key(base_key: u128, ksn: &[u8; 10]) -> u128 {
        let mut block = u64::from_be_bytes(ksn[..8].try_into().unwrap());
        block -= block % 32;
        join(encrypt_block(base_key, block), encrypt_block(base_key ^ C0, block))
    }

    /// A.2: "Non-reversible key generation process": crypto register 1 holds the block, the key register the key.
    fn generate(key: u128, crypto_register_1: u64) -> u128 {
        let one_way = |key| des(left(key), crypto_register_1 ^ right(key), true) ^ right(key);
        join(one_way(key ^ C0), one_way(key))
    }

    /// A.3: the shift register runs from bit 21 of the counter to bit 1.
    fn transaction_key(initial_key: u128, ksn: &[u8; 10]) -> u128 {
        let ksn_register = u64::from_be_bytes(ksn[2..].try_into().unwrap());
        let (mut key, mut register) = (initial_key, ksn_register / 0x20_0000 * 0x20_0000);
        let mut shift_register = 0x10_0000;
        while shift_register > 0 {
            if ksn_register & shift_register > 0 {
                register += shift_register;
                key = generate(key, register);
            }
            shift_register /= 2;
        }
        key
    }

    /// Table A-1.
    pub(super) fn data_key(initial_key: u128, ksn: &[u8; 10], variant: tdes::Variant) -> u128 {
        let key = transaction_key(initial_key, ksn);
        let (mask, self_encrypted) = match variant {
            tdes::Variant::Pin => (0x0000_0000_0000_00FF, false),
            tdes::Variant::DataRequest => (0x0000_0000_00FF_0000, true),
            tdes::Variant::DataResponse => (0x0000_00FF_0000_0000, true),
        };
        let key = key ^ join(mask, mask);
        if self_encrypted { join(encrypt_block(key, left(key)), encrypt_block(key, right(key))) } else { key }
    }
}

/// AES DUKPT as in ANSI X9.24-3:2017, section 6, with derivation data put together as text.
mod naive_aes {
    use super::*;

    pub(super) fn encrypt_block(key: &[u8], block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        match key.len() {
            16 => Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
            24 => Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
            _ => Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
        }
        block.into()
    }

    /// 6.3.3 and table 1: as many encrypted blocks as the key needs.
    fn child(key: &[u8], usage: &str, length: usize, tail: &str) -> Vec<u8> {
        let algorithm = match length {
            16 => "0002",
            24 => "0003",
            _ => "0004",
        };
        let mut child = Vec::new();
        for number in 1..=length.div_ceil(16) {
            let text = format!("01{number:02X}{usage}{algorithm}{:04X}{tail}", length * 8);
            let block = u128::from_str_radix(&text, 16).unwrap();
            child.extend(encrypt_block(key, block.to_be_bytes()));
        }
        child.truncate(length);
        child
    }

    /// 6.3.1: the host's side.
    pub(super) fn data_key(base_key: &[u8], ksn: &[u8; 12], usage: aes::DataUsage, length: usize) -> Vec<u8> {
        let text: String = ksn.iter().map(|byte| format!("{byte:02X}")).collect();
        let (initial_key_id, derivation_id) = (&text[..16], &text[8..16]);
        let counter = u32::from_str_radix(&text[16..], 16).unwrap();
        let usage = match usage {
            aes::DataUsage::Encrypt => "3000",
            aes::DataUsage::Both => "3002",
        };
        let mut key = child(base_key, "8001", base_key.len(), initial_key_id);
        let (mut working_counter, mut mask) = (0, 0x8000_0000);
        while mask > 0 {
            if mask & counter > 0 {
                working_counter |= mask;
                key = child(&key, "8000", base_key.len(), &format!("{derivation_id}{working_counter:08X}"));
            }
            mask >>= 1;
        }
        child(&key, usage, length, &format!("{derivation_id}{counter:08X}"))
    }
}

/// CBC encryption, the way a device does it, over any block cipher.
fn encrypt_cbc<const N: usize>(iv: &[u8; 16], clear: &[u8], block: impl Fn([u8; N]) -> [u8; N]) -> Vec<u8> {
    let mut before: [u8; N] = core::array::from_fn(|i| iv[i]);
    let mut out = Vec::new();
    for chunk in clear.chunks_exact(N) {
        before = block(core::array::from_fn(|i| chunk[i] ^ before[i]));
        out.extend(before);
    }
    out
}

fn store(kind: &str, key: &[u8]) -> (MemoryStore, KeyId) {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("key").unwrap());
    store.import(&id, &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    (store, id)
}

/// A counter with 1 to `most` of `bits` bits set, few and many alike.
fn counter(bits: u32, most: usize) -> impl Strategy<Value = u32> {
    let places: Vec<u32> = (0..bits).collect();
    subsequence(places, 1..=most).prop_map(|set| set.into_iter().map(|bit| 1 << bit).sum())
}

proptest! {
    #[test]
    fn tdes_dukpt(
        base_key: [u8; 16], id: [u8; 8], counter in counter(21, 10), iv: [u8; 16],
        variant in select(vec![tdes::Variant::DataRequest, tdes::Variant::DataResponse, tdes::Variant::Pin]),
        clear in vec(any::<[u8; 16]>(), 1..5),
    ) {
        let low = (u32::from(id[7]) << 16 & 0xE0_0000) + counter;
        let mut ksn = [0; 10];
        ksn[..7].copy_from_slice(&id[..7]);
        ksn[7..].copy_from_slice(&low.to_be_bytes()[1..]);
        let clear = clear.concat();

        let expected = naive_tdes::initial_key(u128::from_be_bytes(base_key), &ksn);
        let (store, name) = store("tdes-base", &base_key);
        let parsed = tdes::Ksn::try_from(&ksn[..]).unwrap();
        let initial_key = store.key(&name).unwrap().tdes_initial_key(&parsed).unwrap();
        prop_assert_eq!(u128::from_be_bytes(*initial_key.expose()), expected);

        let expected = naive_tdes::data_key(expected, &ksn, variant);
        let key = tdes::DataKey::derive(&initial_key, &parsed, variant).unwrap();
        prop_assert_eq!(u128::from_be_bytes(*key.expose()), expected);

        let mut data = encrypt_cbc(&iv, &clear, |block| {
            naive_tdes::encrypt_block(expected, u64::from_be_bytes(block)).to_be_bytes()
        });
        key.decrypt_cbc(tdes::Cipher::Tdes, &iv, &mut data).unwrap();
        prop_assert_eq!(&data, &clear);
        let mut data = encrypt_cbc(&iv, &clear, |block| naive_aes::encrypt_block(&expected.to_be_bytes(), block));
        key.decrypt_cbc(tdes::Cipher::Aes128, &iv, &mut data).unwrap();
        prop_assert_eq!(&data, &clear);
    }

    /// The 8-byte form stands for the KSN with `FF FF` in front.
    #[test]
    fn tdes_dukpt_of_short_ksns(base_key: [u8; 16], id: [u8; 6], counter in counter(16, 10)) {
        let mut ksn = [0xFF; 10];
        ksn[2..8].copy_from_slice(&id);
        ksn[7] &= 0xE0;
        ksn[8..].copy_from_slice(&counter.to_be_bytes()[2..]);
        let (store, name) = store("tdes-base", &base_key);
        let Ok(Ksn::Tdes(short)) = Ksn::of_transaction(&ksn[2..]) else { return Err(TestCaseError::fail("refused")) };
        let initial_key = store.key(&name).unwrap().tdes_initial_key(&short).unwrap();
        let key = tdes::DataKey::derive(&initial_key, &short, tdes::Variant::Pin).unwrap();
        let expected = naive_tdes::initial_key(u128::from_be_bytes(base_key), &ksn);
        let expected = naive_tdes::data_key(expected, &ksn, tdes::Variant::Pin);
        prop_assert_eq!(u128::from_be_bytes(*key.expose()), expected);
    }

    #[test]
    fn aes_dukpt(
        base_key: [u8; 32], id: [u8; 8], counter in counter(32, 16), iv: [u8; 16],
        sizes in select(vec![(16, 16), (24, 16), (24, 24), (32, 16), (32, 24), (32, 32)]),
        usage in select(vec![aes::DataUsage::Encrypt, aes::DataUsage::Both]),
        clear in vec(any::<[u8; 16]>(), 1..5),
    ) {
        let mut ksn = [0; 12];
        ksn[..8].copy_from_slice(&id);
        ksn[8..].copy_from_slice(&counter.to_be_bytes());
        let base_key = &base_key[..sizes.0];
        let clear = clear.concat();
        let key_type = |length| match length {
            16 => aes::KeyType::Aes128,
            24 => aes::KeyType::Aes192,
            _ => aes::KeyType::Aes256,
        };

        let expected = naive_aes::data_key(base_key, &ksn, usage, sizes.1);
        let (store, name) = store("aes-base", base_key);
        let parsed = aes::Ksn::try_from(&ksn[..]).unwrap();
        let suite = aes::Suite::new(key_type(sizes.0), key_type(sizes.1), usage).unwrap();
        let key = aes::DataKey::derive(&store.key(&name).unwrap(), &parsed, suite).unwrap();
        let mut data = encrypt_cbc(&iv, &clear, |block| naive_aes::encrypt_block(&expected, block));
        key.decrypt_cbc(&iv, &mut data).unwrap();
        prop_assert_eq!(&data, &clear);

        // A base key of another size than the suite's does not pretend.
        for other in [16, 24, 32].into_iter().filter(|&other| other != sizes.0) {
            let suite = aes::Suite::new(key_type(other), aes::KeyType::Aes128, usage).unwrap();
            prop_assert!(aes::DataKey::derive(&store.key(&name).unwrap(), &parsed, suite).is_err());
        }
    }
}

/// The naive side is right by itself: published keys, not those of the library.
#[test]
fn the_naive_side_knows_the_published_keys() {
    let bytes = |text: &str| u128::from_str_radix(text, 16).unwrap();
    let ksn = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xEF, 0xF8, 0x01];
    let initial_key = naive_tdes::initial_key(bytes("0123456789ABCDEFFEDCBA9876543210"), &ksn);
    assert_eq!(initial_key, bytes("6AC292FAA1315B4D858AB3A3D7D5933A"));
    let data_key = naive_tdes::data_key(initial_key, &ksn, tdes::Variant::DataRequest);
    assert_eq!(data_key, bytes("EBC9A12BDFAFC470E00ECA54611BE5C9"));

    let base_key = bytes("FEDCBA9876543210F1F1F1F1F1F1F1F1").to_be_bytes();
    let ksn = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 7];
    let data_key = naive_aes::data_key(&base_key, &ksn, aes::DataUsage::Encrypt, 16);
    assert_eq!(data_key, bytes("0FA8F1F0A2DD7B1005A862D77CDED698").to_be_bytes());
}
