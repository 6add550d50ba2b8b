//! KSNs: total parsers, the counter rules, and the longest prefix.
#![expect(clippy::cast_possible_truncation, reason = "the test cuts on purpose")]

use dukpt::{Ksn, KsnError, KsnMap, KsnPrefix, Scheme, aes, tdes};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = Ksn::of_transaction(&bytes);
    }

    #[test]
    fn counter_rules(mut tdes_bytes: [u8; 10], mut aes_bytes: [u8; 12], counter: u32) {
        tdes_bytes[7] = tdes_bytes[7] & 0xE0 | (counter >> 16) as u8 & 0x1F;
        tdes_bytes[8..].copy_from_slice(&counter.to_be_bytes()[2..]);
        aes_bytes[8..].copy_from_slice(&counter.to_be_bytes());
        for (bytes, counter, limit) in [(&tdes_bytes[..], counter & 0x1F_FFFF, 10), (&aes_bytes[..], counter, 16)] {
            match Ksn::of_transaction(bytes) {
                Ok(ksn) => {
                    prop_assert!(counter != 0 && counter.count_ones() <= limit);
                    prop_assert_eq!(ksn.counter(), counter);
                    prop_assert_eq!(ksn.as_bytes(), bytes);
                }
                Err(KsnError::CounterZero) => prop_assert_eq!(counter, 0),
                Err(KsnError::CounterBits(set)) => prop_assert!(set > limit && set == counter.count_ones()),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn one_step_for_each_counter_bit_and_one_for_the_data_key(
        bits in prop::sample::subsequence((0..32).collect::<Vec<u32>>(), 1..=16),
    ) {
        let counter: u32 = bits.iter().map(|bit| 1 << bit).sum();
        let mut bytes = [7; 12];
        bytes[8..].copy_from_slice(&counter.to_be_bytes());
        let suite = aes::Suite::new(aes::KeyType::Aes256, aes::KeyType::Aes128, aes::DataUsage::Encrypt).unwrap();
        let steps: Vec<_> = aes::Ksn::try_from(&bytes[..]).unwrap().steps(suite).unwrap().collect();
        prop_assert_eq!(steps.len(), counter.count_ones() as usize + 1);
        let (last, derivations) = steps.split_last().unwrap();
        prop_assert_eq!((last.purpose(), last.data().len()), (aes::Purpose::Decrypt, 16));
        prop_assert!(derivations.iter().all(|d| d.purpose() == aes::Purpose::Derive && d.data().len() == 32));
        prop_assert_eq!(&derivations.last().unwrap().data()[12..16], &counter.to_be_bytes());
    }

    #[test]
    fn the_longest_prefix_wins(bytes: [u8; 10], lengths in prop::collection::btree_set(1usize..8, 1..7)) {
        let Ok(ksn) = Ksn::of_transaction(&bytes) else { return Ok(()) };
        let mut map = KsnMap::new();
        for &length in &lengths {
            map.insert(KsnPrefix::new(Scheme::Tdes, &bytes[..length]).unwrap(), length);
        }
        prop_assert_eq!(map.get(&ksn), lengths.last());
        // A prefix of the other scheme never matches.
        let mut other = KsnMap::new();
        other.insert(KsnPrefix::new(Scheme::Aes, &bytes[..4]).unwrap(), ());
        prop_assert_eq!(other.get(&ksn), None);
    }
}

#[test]
fn eight_bytes_are_padded_with_ff() {
    let short = tdes::Ksn::try_from(&[0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x08][..]).unwrap();
    assert_eq!(short.to_string(), "FFFF9876543210E00008");
}

#[test]
fn default_prefixes() {
    let tdes = Ksn::of_transaction(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 1]).unwrap();
    assert_eq!(KsnPrefix::of(&tdes).to_string(), "FFFF987654");
    let aes = Ksn::of_transaction(&[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 1]).unwrap();
    assert_eq!(KsnPrefix::of(&aes).to_string(), "12345678");
    assert!(KsnPrefix::new(Scheme::Tdes, &[0; 8]).is_err());
    assert!(KsnPrefix::new(Scheme::Aes, &[0; 9]).is_err());
    assert!(KsnPrefix::new(Scheme::Aes, &[]).is_err());
}
