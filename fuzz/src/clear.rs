//! Any clear text, encrypted as a device would, under every profile of raw ciphertext.

use std::sync::OnceLock;

use cipher::{Block, BlockCipherEncrypt, KeyInit};
use des::TdesEde2;
use dukpt::{Key, KeyId, KeyImport, KeyMaterial, KeyStore, KsnPrefix, Lifetime, MemoryStore, Scheme, tdes};
use p2pe_crypto::{Decryptor, Device, Devices, Error, Payload, PayloadError};

use crate::payload::shows_no_number;

/// The public test key of ANSI X9.24.
const KEY: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x08];
const PROFILES: [&str; 3] = ["track-tdes-pin", "tlv-tdes-pin", "packed-track2-tdes-pin"];

struct World {
    cipher: TdesEde2,
    decryptors: [Decryptor<MemoryStore>; 3],
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let id = || KeyId::new("bdk").unwrap();
        let store = || {
            let mut store = MemoryStore::new();
            store.import(&id(), &KeyMaterial::new("tdes-base", &KEY).unwrap(), Lifetime::Session).unwrap();
            store
        };
        let ksn = tdes::Ksn::try_from(&KSN[..]).unwrap();
        let initial = store().key(&id()).unwrap().tdes_initial_key(&ksn).unwrap();
        let key = tdes::DataKey::derive(&initial, &ksn, tdes::Variant::Pin).unwrap();
        let decryptors = PROFILES.map(|profile| {
            let mut devices = Devices::new();
            let device = Device { base_key: id(), profile: profile.parse().unwrap() };
            devices.insert(KsnPrefix::new(Scheme::Tdes, &KSN[..5]).unwrap(), device);
            Decryptor::new(store(), devices)
        });
        World { cipher: TdesEde2::new(key.expose().into()), decryptors }
    })
}

/// A card, or one of two errors that tell of no place; and nothing is shown.
pub(crate) fn text(data: &[u8]) {
    let clear = &data[..data.len().min(512)];
    if clear.is_empty() {
        return;
    }
    let world = world();
    let ciphertext = cbc(&world.cipher, clear);
    // A ciphertext that looks like a clear track is one in 10^18.
    let payload = Payload::from_tracks(&KSN, &[&ciphertext]).expect("whole blocks");
    for decryptor in &world.decryptors {
        match decryptor.decrypt(&payload) {
            Ok(card) => {
                shows_no_number(&format!("{card:?} {card:#?} {} {}", card.pan(), card.entry() as u8), "a card");
                assert!(holds_digits(clear, card.pan().expose().as_bytes()), "a number that is not in the clear text");
                assert!((12..=19).contains(&card.pan().expose().len()));
            }
            Err(Error::DecryptFailed) => {}
            Err(Error::Payload(refusal)) => {
                assert_eq!((refusal.error, refusal.offset), (PayloadError::ClearAccountData, None));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// As characters or as nibbles.
fn holds_digits(clear: &[u8], digits: &[u8]) -> bool {
    let nibbles = hex::encode(clear);
    clear.windows(digits.len()).chain(nibbles.as_bytes().windows(digits.len())).any(|window| window == digits)
}

fn cbc(cipher: &TdesEde2, clear: &[u8]) -> Vec<u8> {
    let mut before = Block::<TdesEde2>::default();
    let mut out = Vec::new();
    for chunk in clear.chunks(before.len()) {
        before.iter_mut().zip(chunk).for_each(|(b, c)| *b ^= c);
        cipher.encrypt_block(&mut before);
        out.extend_from_slice(&before);
    }
    out
}
