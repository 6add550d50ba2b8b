//! The Rust example of the README, word for word; a test runs it.

use dukpt::{KeyId, KsnPrefix, Scheme};
use p2pe_crypto::{Decryptor, Device, Devices, Error, MerchantId, Payload, PayloadError, Refusal, Tokenizer};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First of all: no core dumps, no swap.
    host_memory::no_core_dumps()?;
    if let Err(why) = host_memory::lock() {
        eprintln!("{why}");
    }
    // Once: the token, logged in. Share it between threads; each worker opens its own store.
    let settings = Settings::new(
        "/usr/lib/softhsm/libsofthsm2.so",
        TokenSelector::label("p2pe"),
        PinSource::File("pin.txt".into()),
    );
    let token = Token::open(&settings)?;
    let store = token.store()?;

    let mut devices = Devices::new();
    let keypads = KsnPrefix::new(Scheme::Tdes, &[0xFF, 0xFF, 0x98, 0x76, 0x54])?;
    devices.insert(keypads, Device { base_key: KeyId::new("bdk-1")?, profile: "idtech-tdes".parse()? });
    let decryptor = Decryptor::new(&store, devices);
    let tokenizer = Tokenizer::new(&store, KeyId::new("tokens")?);

    // For each request.
    let bytes = std::fs::read("frame.txt")?;
    let payload = match Payload::parse(&bytes) {
        Err(Refusal { error: PayloadError::ClearAccountData, .. }) => {
            return Err("ALARM: take the device out of service".into());
        }
        other => other?,
    };
    match decryptor.decrypt(&payload) {
        Ok(card) => println!("{} -> {}", card.pan(), tokenizer.token(&MerchantId::new("shop-1")?, card.pan())?),
        Err(Error::DecryptFailed) => println!("refused"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
