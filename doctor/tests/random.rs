//! Random bytes have no cause: 100,000 payloads, and not one is explained.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::thread;

use dukpt::{KeyId, KeyImport, KeyMaterial, KsnPrefix, Lifetime, MemoryStore, Scheme};
use p2pe_crypto::{Decryptor, Device, Devices};
use p2pe_doctor::{Case, Doctor};

const PAYLOADS: u64 = 100_000;
const PROFILES: [&str; 3] = ["track-tdes", "tlv-tdes", "packed-track2-tdes"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn hex(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| format!("{:02X}", self.next() & 0xFF)).collect()
    }
}

#[test]
fn no_cause_is_named_for_random_bytes() {
    let shares: Vec<_> = (0..2).map(|share| thread::spawn(move || examine(share, PAYLOADS / 2))).collect();
    let explained: Vec<String> = shares.into_iter().flat_map(|share| share.join().unwrap()).collect();
    assert!(explained.is_empty(), "{explained:#?}");
}

fn examine(seed: u64, payloads: u64) -> Vec<String> {
    let mut store = MemoryStore::new();
    let id = KeyId::new("base").unwrap();
    store.import(&id, &KeyMaterial::new("tdes-base", b"a key for a test").unwrap(), Lifetime::Session).unwrap();
    let decryptors = PROFILES.map(|profile| {
        let mut devices = Devices::new();
        let device = Device { base_key: id.clone(), profile: profile.parse().unwrap() };
        devices.insert(KsnPrefix::new(Scheme::Tdes, &[0xFF, 0xFF]).unwrap(), device);
        Decryptor::new(&store, devices)
    });
    let mut random = Random(seed);
    let mut explained = Vec::new();
    for count in 0..payloads {
        let doctor = Doctor::new(&decryptors[usize::try_from(count % 3).unwrap()]);
        // Counters of up to 10 bits, so that each is a transaction's.
        let ksn = format!("FFFF98765432{:06X}{:02X}", random.next() & 0x03, random.next() & 0xFF | 1);
        let blocks = 2 + random.next() % 5;
        let ciphertext = random.hex(8 * usize::try_from(blocks).unwrap());
        let diagnosis = doctor.examine(&Case::Raw { ksns: &[&ksn], ciphertexts: &[&ciphertext] });
        if diagnosis.healthy || !diagnosis.findings.is_empty() {
            explained.push(format!("{ksn} {ciphertext}: {:?}", diagnosis.findings));
        }
    }
    explained
}
