//! The second Rust example of the README, word for word; a test runs it.

use std::{sync::Arc, thread, time::Duration};

use dukpt::{KeyId, KsnPrefix, Scheme};
use p2pe_crypto::{Decryptor, Device, Devices, Payload};
use pkcs11_backend::{PinSource, Pool, PoolSettings, Settings, TokenSelector};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let token = Settings::new(
        "/usr/lib/softhsm/libsofthsm2.so",
        TokenSelector::label("p2pe"),
        PinSource::File("pin.txt".into()),
    );
    let pool = Pool::open(PoolSettings { workers: 4, ..PoolSettings::new(token) })?;

    let mut devices = Devices::new();
    let keypads = KsnPrefix::new(Scheme::Tdes, &[0xFF, 0xFF, 0x98, 0x76, 0x54])?;
    devices.insert(keypads, Device { base_key: KeyId::new("bdk-1")?, profile: "idtech-tdes".parse()? });
    let devices = Arc::new(devices);

    // As many threads as requests come; four of them at a time are in the token.
    let payload = Payload::parse(&std::fs::read("frame.txt")?)?;
    thread::scope(|scope| {
        for request in 1..=8 {
            let (pool, devices, payload) = (&pool, Arc::clone(&devices), payload.clone());
            scope.spawn(move || {
                // The job may run twice, if the token fails in the middle of it.
                let job = move |store: &mut &_| Decryptor::new(*store, &*devices).decrypt(&payload);
                match pool.run(Duration::from_secs(5), job) {
                    Ok(Ok(card)) => println!("{request}: {}", card.pan()),
                    Ok(Err(error)) => println!("{request}: refused: {error}"),
                    Err(error) => println!("{request}: try later: {error}"), // too slow, overloaded, away: error.code()
                }
            });
        }
    });
    println!("{}", pool.health().state.name());
    Ok(())
}
