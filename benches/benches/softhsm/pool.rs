//! Through the pool: what it costs beside the bare loop, and what a second shard gives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use dukpt::Ksn;
use p2pe_benches::{AES, AES_16_BITS, Bench, Rows};
use p2pe_crypto::{Decryptor, Devices, Payload};
use pkcs11_backend::{Pool, PoolSettings, Settings};

use crate::{bare::Bare, row};

/// Payloads in one call of a side: 25 to 30 ms of a worker, beside which the start of the callers is little.
const MANY: usize = 256;
const FEW: usize = 64;
/// Payloads of a request that has more than one.
const BATCH: usize = 16;

pub(crate) fn rows(rows: &mut Rows, bench: &Bench, settings: &Settings, bare: &Bare) {
    let pool = |shards| Pool::open(PoolSettings { workers: 1, shards, ..PoolSettings::new(settings.clone()) });
    let (one, two) = (pool(1).expect("a pool"), pool(2).expect("a pool"));
    for (work, id, payloads, batch) in [
        ("pool payload aes 1 bit, bare loop", AES, MANY, 1),
        ("pool payload aes 1 bit, 16 a request, bare loop", AES, MANY, BATCH),
        ("pool payload aes 16 bits, bare loop", AES_16_BITS, FEW, 1),
    ] {
        let gateway = Gateway::new(bench, id);
        let Ksn::Aes(ksn) = gateway.payload.ksn() else { continue };
        let ciphertext = gateway.payload.encrypted().into_iter().next().expect("a track").ciphertext;
        let bdk = bare.aes_key(bench.example(id).key.expose());
        rows.measure(
            &row(work, Some(0.95)),
            (payloads, || gateway.serve(&one, payloads, batch)),
            (1, || bare.decrypt(bdk, ksn, ciphertext)),
        );
    }
    let gateway = Gateway::new(bench, AES);
    for (work, batch) in
        [("two shards payload aes 1 bit, one", 1), ("two shards payload aes 1 bit, 16 a request, one", BATCH)]
    {
        rows.measure(
            &row(work, Some(1.8)),
            (MANY, || gateway.serve(&two, MANY, batch)),
            (MANY, || gateway.serve(&one, MANY, batch)),
        );
    }
}

struct Gateway {
    devices: Arc<Devices>,
    payload: Arc<Payload>,
}

impl Gateway {
    fn new(bench: &Bench, id: &str) -> Self {
        let example = bench.example(id);
        let mut devices = Devices::new();
        devices.insert(example.prefix, example.device.clone());
        Self { devices: devices.into(), payload: example.payload.clone().into() }
    }

    /// So many payloads from four callers, as fast as the pool takes them.
    fn serve(&self, pool: &Pool, payloads: usize, batch: usize) {
        let asked = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while asked.fetch_add(batch, Ordering::Relaxed) < payloads {
                        let (devices, payload) = (Arc::clone(&self.devices), Arc::clone(&self.payload));
                        let job = move |store: &mut &_| {
                            let decryptor = Decryptor::new(*store, &*devices);
                            (0..batch).map(|_| decryptor.decrypt(&payload)).collect::<Result<Vec<_>, _>>()
                        };
                        pool.run(Duration::from_secs(60), job).expect("an answer").expect("a card");
                    }
                });
            }
        });
    }
}
