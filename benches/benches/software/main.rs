//! Software: the library beside the same work written plainly over the `des` and `aes` crates and over OpenSSL's EVP.
#![expect(clippy::expect_used, reason = "a bench may stop")]

mod aes;
mod audit;
mod blocks;
mod evp;
mod ff1;
mod payloads;
mod plain;
mod rustcrypto;
mod tdes;

use bitsliced_des::lanes::Level;
use dukpt::{Lifetime, MemoryStore};
use p2pe_benches::{Bench, Rows};

fn main() -> Result<(), openssl::error::ErrorStack> {
    let mut rows = Rows::from_args();
    let chosen = [usize::MAX, 1].map(|devices| format!("{:?}", Level::best_for(devices)).to_lowercase());
    rows.heading(&format!("level {} for a batch, {} for a single device", chosen[0], chosen[1]));
    let bench = Bench::load();
    let mut store = MemoryStore::new();
    bench.import(&mut store, Lifetime::Session);
    let (mut crates, mut evp) = (rustcrypto::RustCrypto, evp::Evp::new()?);
    tdes::rows(&mut rows, &bench, &store, &mut crates, true);
    tdes::rows(&mut rows, &bench, &store, &mut evp, false);
    aes::rows(&mut rows, &bench, &store, &mut crates, true);
    aes::rows(&mut rows, &bench, &store, &mut evp, false);
    blocks::rows(&mut rows);
    ff1::rows(&mut rows);
    payloads::rows(&mut rows, &bench, &store);
    audit::rows(&mut rows, &bench, &store);
    Ok(())
}
