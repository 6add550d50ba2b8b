#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod row;

pub use row::{Row, Rows};

use bitsliced_des::{
    TdesEde2,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use dukpt::{Key, KeyId, KeyImport, KeyMaterial, KeyStore, Ksn, Lifetime, MemoryStore, tdes};
use p2pe_crypto::{Decryptor, Devices, MerchantId, Payload};
use p2pe_vectors::{Example, VectorFile};

/// A keypad's frame: TDES DUKPT, counter with 5 set bits, one track of 32 bytes.
pub const TDES: &str = "idtech-keyed-kb-cvv-zip-tdes";
/// A raw track under TDES DUKPT, counter with 10 set bits, 40 bytes.
pub const TDES_10_BITS: &str = "track-made-10-bits";
/// A raw track under AES DUKPT, 128-bit keys, counter with 1 set bit, 48 bytes.
pub const AES: &str = "aes-dukpt-track2-128";
/// The same with 16 set bits.
pub const AES_16_BITS: &str = "aes-dukpt-16-bits-high-128";

/// Everything a bench runs on.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct Bench {
    examples: Vec<(&'static str, Example)>,
}

#[expect(clippy::expect_used, reason = "a bench without its vectors or keys must stop")]
impl Bench {
    /// Loads the payloads from the test vectors.
    ///
    /// # Panics
    /// If the vectors lack one.
    #[must_use]
    pub fn load() -> Self {
        let files = VectorFile::builtin().expect("the built-in vectors load");
        let find = |id| (id, Example::find(&files, id).expect("the vectors have this test"));
        Self { examples: [TDES, TDES_10_BITS, AES, AES_16_BITS].map(find).into() }
    }

    /// The example named `id`.
    ///
    /// # Panics
    /// If it is none of the four.
    #[must_use]
    pub fn example(&self, id: &str) -> &Example {
        &self.examples.iter().find(|(name, _)| *name == id).expect("one of the four").1
    }

    /// The payload named `id`.
    #[must_use]
    pub fn payload(&self, id: &str) -> &Payload {
        &self.example(id).payload
    }

    /// The track of [`TDES_10_BITS`] as that many devices send it, each under a KSN of its own with the same counter.
    ///
    /// # Panics
    /// For more than 65,536.
    #[must_use]
    pub fn population(&self, size: usize) -> Vec<Payload> {
        let mut store = MemoryStore::new();
        self.import(&mut store, Lifetime::Session);
        let example = self.example(TDES_10_BITS);
        let base_key = store.key(&example.device.base_key).expect("the base key");
        let data_key = |ksn: &Ksn| {
            let Ksn::Tdes(ksn) = ksn else { unreachable!("the vector is one of TDES DUKPT") };
            let initial_key = base_key.tdes_initial_key(ksn).expect("an initial key");
            tdes::DataKey::derive(&initial_key, ksn, tdes::Variant::DataRequest).expect("a data key")
        };
        let Payload::Tracks(one) = &example.payload else { unreachable!("the vector is a raw track") };
        let mut clear = one.ciphertexts().next().expect("a track").to_vec();
        let key = data_key(example.payload.ksn());
        key.decrypt_cbc(tdes::Cipher::Tdes, &[0; 16], &mut clear).expect("whole blocks");
        let payload = |device: usize| {
            let mut ksn = example.payload.ksn().as_bytes().to_vec();
            ksn[5..7].copy_from_slice(&u16::try_from(device).expect("at most 65,536").to_be_bytes());
            let key = data_key(&Ksn::of_transaction(&ksn).expect("a KSN"));
            Payload::from_tracks(&ksn, &[&encrypt_cbc(key.expose(), &clear)]).expect("a payload")
        };
        (0..size).map(payload).collect()
    }

    /// Imports the base keys of all examples and an HMAC key for tokens.
    ///
    /// # Panics
    /// If the store refuses one.
    pub fn import(&self, store: &mut impl KeyImport, lifetime: Lifetime) {
        for (_, example) in &self.examples {
            if store.check_value(&example.device.base_key).is_err() {
                store.import(&example.device.base_key, &example.key, lifetime).expect("the store takes the key");
            }
        }
        let key = KeyMaterial::new("hmac", &[7; 32]).expect("an HMAC key");
        store.import(&token_key(), &key, lifetime).expect("the store takes the key");
    }

    /// A decryptor for the example named `id`.
    #[must_use]
    pub fn decryptor<S: KeyStore>(&self, id: &str, store: S) -> Decryptor<S> {
        let example = self.example(id);
        let mut devices = Devices::new();
        devices.insert(example.prefix, example.device.clone());
        Decryptor::new(store, devices)
    }
}

/// A device's side of TDES-CBC.
fn encrypt_cbc(key: &[u8; 16], clear: &[u8]) -> Vec<u8> {
    let cipher = TdesEde2::new(key.into());
    let mut data = clear.to_vec();
    let mut before = [0; 8];
    for block in data.as_chunks_mut().0 {
        (0..8).for_each(|i| block[i] ^= before[i]);
        cipher.encrypt_block((&mut *block).into());
        before = *block;
    }
    data
}

/// The name of the HMAC key.
///
/// # Panics
/// Never.
#[must_use]
#[expect(clippy::expect_used, reason = "a constant")]
pub fn token_key() -> KeyId {
    KeyId::new("tokens").expect("a valid name")
}

/// The merchant of the benches.
///
/// # Panics
/// Never.
#[must_use]
#[expect(clippy::expect_used, reason = "a constant")]
pub fn merchant() -> MerchantId {
    MerchantId::new("shop-1").expect("a valid merchant")
}
