//! What allocates: nothing in `bitsliced-des`, nothing for an item of a batch but what its result keeps, and a bounded number
//! for a payload on its own. It fails where that does not hold. Run as a bench and as a test.
#![expect(clippy::expect_used, reason = "a bench may stop")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use bitsliced_des::{Des, TdesEde2, TdesEde3, batch, lanes::Level, x924};
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use dukpt::{Key, KeyStore, Ksn, Lifetime, MemoryStore, aes, tdes};
use p2pe_benches::{AES, AES_16_BITS, Bench, TDES, TDES_10_BITS};
use p2pe_crypto::Payload;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static MADE: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted. This program has one thread.
struct Counting;

// SAFETY: every block comes from `System` and goes back to it with its own layout.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MADE.fetch_add(1, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        FREED.fetch_add(1, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Blocks allocated (one that grows counts again), and those of them that the result keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Count {
    made: usize,
    kept: usize,
}

fn count<T>(work: impl FnOnce() -> T) -> Count {
    let before = (MADE.load(Relaxed), FREED.load(Relaxed));
    let result = work();
    let made = MADE.load(Relaxed) - before.0;
    let kept = made + before.1 - FREED.load(Relaxed);
    drop(result);
    Count { made, kept }
}

/// Checks, one line each.
struct Checks {
    failed: bool,
}

impl Checks {
    fn line(&mut self, holds: bool, name: &str, found: &str) {
        self.failed |= !holds;
        println!("{} {name}: {found}", if holds { "ok    " } else { "FAILED" });
    }

    /// No allocation at all; says so only if there is one.
    fn none<T>(&mut self, name: &str, work: impl FnOnce() -> T) {
        let Count { made, .. } = count(work);
        if made > 0 {
            self.line(false, name, &format!("{made} allocations"));
        }
    }

    /// At most `most` allocations.
    fn bounded<T>(&mut self, name: &str, most: usize, work: impl FnOnce() -> T) {
        let Count { made, kept } = count(work);
        self.line(made <= most, name, &format!("{made} allocations, {kept} of them kept; at most {most}"));
    }

    /// With twice the items, for each further one `own` allocations more that are kept and `passing` more that are not, and
    /// a few in all, as a vector that grows step by step takes one more.
    fn per_item<T>(&mut self, name: &str, own: usize, passing: usize, mut work: impl FnMut(usize) -> T) {
        const ITEMS: usize = 512;
        const FEW: usize = 16;
        let (once, twice) = (count(|| work(ITEMS)), count(|| work(2 * ITEMS)));
        let kept = twice.kept - once.kept;
        let passed = twice.made - once.made - kept;
        let holds = kept <= own * ITEMS && passed <= passing * ITEMS + FEW;
        let found = format!(
            "for {ITEMS} items more, {kept} allocations more that are kept (at most {own} an item), {passed} more that are \
             not (at most {passing} an item)"
        );
        self.line(holds, name, &found);
    }
}

fn main() -> ExitCode {
    let mut checks = Checks { failed: false };
    ciphers(&mut checks);
    let bench = Bench::load();
    let mut store = MemoryStore::new();
    bench.import(&mut store, Lifetime::Session);
    derivations(&mut checks, &bench, &store);
    payloads(&mut checks, &bench, &store);
    if checks.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn ciphers(checks: &mut Checks) {
    const MOST: usize = 1024;
    const BLOCKS: usize = 14;
    let mut blocks = vec![[7; 8]; MOST * BLOCKS];
    let (keys, des_keys, registers) = (vec![[3; 16]; MOST], vec![[3; 8]; MOST], vec![[0xE5; 8]; MOST]);
    let mut out = vec![[0; 16]; MOST];
    let working = x924::Working { variant: [0; 8], encrypt_under_itself: true };
    for level in Level::ALL.into_iter().filter(|level| level.available()) {
        for n in [1, 14, MOST] {
            let mut messages: Vec<_> = keys[..n]
                .iter()
                .zip(blocks.chunks_mut(BLOCKS))
                .map(|(key, data)| batch::Message { key, iv: [0; 8], data })
                .collect();
            checks.none(&format!("{level:?} batch::tdes_cbc_decrypt of {n}"), || {
                batch::tdes_cbc_decrypt(level, &mut messages);
            });
            checks.none(&format!("{level:?} batch, a key a block, of {n}"), || {
                batch::des_encrypt(level, &des_keys[..n], &mut blocks[..n]);
                batch::des_decrypt(level, &des_keys[..n], &mut blocks[..n]);
                batch::tdes_encrypt(level, &keys[..n], &mut blocks[..n]);
                batch::tdes_decrypt(level, &keys[..n], &mut blocks[..n]);
            });
            checks.none(&format!("{level:?} x924::derive of {n}"), || {
                x924::derive(level, &keys[..n], &registers[..n], working, &mut out[..n]);
            });
        }
    }
    checks.none("Des, TdesEde2, TdesEde3", || {
        let (des, two, three) =
            (Des::new(&[3; 8].into()), TdesEde2::new(&[3; 16].into()), TdesEde3::new(&[3; 24].into()));
        let mut block = [0; 8].into();
        des.encrypt_block(&mut block);
        des.decrypt_block(&mut block);
        two.encrypt_block(&mut block);
        two.decrypt_block(&mut block);
        three.encrypt_block(&mut block);
        three.decrypt_block(&mut block);
        two.cbc_decrypt(&[0; 8], &mut blocks);
        three.cbc_decrypt(&[0; 8], &mut blocks);
    });
}

fn derivations(checks: &mut Checks, bench: &Bench, store: &MemoryStore) {
    let base_key = store.key(&bench.example(TDES_10_BITS).device.base_key).expect("the base key");
    let ksns: Vec<tdes::Ksn> = bench
        .population(1024)
        .iter()
        .filter_map(|payload| match payload.ksn() {
            Ksn::Tdes(ksn) => Some(*ksn),
            Ksn::Aes(_) => None,
        })
        .collect();
    // Each key stands in memory of its own, so that moving it leaves no copy behind.
    checks.per_item("tdes_initial_keys", 1, 0, |n| base_key.tdes_initial_keys(&ksns[..n]).expect("initial keys"));
    let initial = base_key.tdes_initial_keys(&ksns).expect("initial keys");
    let transactions: Vec<_> = initial.iter().zip(ksns.iter().copied()).collect();
    let derive = |n: usize| tdes::DataKeys::derive(&transactions[..n], tdes::Variant::DataRequest).expect("data keys");
    checks.per_item("tdes::DataKeys::derive", 0, 0, derive);
    let keys = derive(1024);
    let mut data = vec![[7; 112]; 1024];
    let mut messages: Vec<(usize, &mut [u8])> = data.iter_mut().map(|data| &mut data[..]).enumerate().collect();
    for cipher in [tdes::Cipher::Tdes, tdes::Cipher::Aes128] {
        let name = format!("tdes::DataKeys::decrypt_cbc {cipher:?}");
        checks.per_item(&name, 0, 0, |n| keys.decrypt_cbc(cipher, &mut messages[..n]).expect("whole blocks"));
    }

    checks.bounded("tdes::DataKey::derive", 1, || {
        tdes::DataKey::derive(&initial[0], &ksns[0], tdes::Variant::DataRequest).expect("a data key")
    });
    let example = bench.example(AES_16_BITS);
    let base_key = store.key(&example.device.base_key).expect("the base key");
    let size = aes::KeyType::Aes128;
    let suite = aes::Suite::new(size, size, aes::DataUsage::Encrypt).expect("a suite");
    if let Ksn::Aes(ksn) = example.payload.ksn() {
        checks.bounded("aes::DataKey::derive, 18 keys", 18, || {
            aes::DataKey::derive(&base_key, ksn, suite).expect("a data key")
        });
    }
}

fn payloads(checks: &mut Checks, bench: &Bench, store: &MemoryStore) {
    // The last is the longest derivation of AES DUKPT: 18 keys, each in memory of its own.
    for (id, most) in [(TDES, 5), (TDES_10_BITS, 4), (AES, 5), (AES_16_BITS, 20)] {
        let (decryptor, payload) = (bench.decryptor(id, store), bench.payload(id));
        let decrypt = || decryptor.decrypt(payload).expect("a card");
        drop(decrypt()); // what is made once for the process
        checks.bounded(&format!("Decryptor::decrypt {id}"), most, decrypt);
    }
    let again = |id| -> Vec<Payload> { (0..1024).map(|_| bench.payload(id).clone()).collect() };
    let batches = [
        ("TDES, one device", TDES_10_BITS, again(TDES_10_BITS), 0),
        // The initial key of each device, and its place in a map.
        ("TDES, a device an item", TDES_10_BITS, bench.population(1024), 2),
        // One after another: the three keys of each.
        ("AES", AES, again(AES), 3),
    ];
    for (name, id, payloads, passing) in batches {
        let decryptor = bench.decryptor(id, store);
        assert!(decryptor.decrypt_batch(&payloads).iter().all(Result::is_ok), "cards");
        // What a card keeps.
        let own = count(|| decryptor.decrypt(bench.payload(id))).kept;
        let name = format!("Decryptor::decrypt_batch, {name}");
        checks.per_item(&name, own, passing, |n| decryptor.decrypt_batch(&payloads[..n]));
    }
}
