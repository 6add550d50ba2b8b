#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use dukpt::{KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime};
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
