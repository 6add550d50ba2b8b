//! SoftHSM through the pool: what the pool costs beside a bare loop of the same PKCS#11 calls, and what a second shard gives.
#![expect(clippy::expect_used, reason = "a bench may stop")]

use std::{
    fs,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{Mechanism, MechanismType, ekdf::AesCbcDeriveParams},
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use dukpt::{Ksn, Lifetime, aes};
use p2pe_benches::{AES, AES_16_BITS, Bench, Row, Rows};
use p2pe_crypto::{Decryptor, Devices, Payload};
use pkcs11_backend::{PinSource, Pool, PoolSettings, Settings, Token, TokenSelector};
use throwaway_token::{Process, ThrowawayToken, reexec_with_token};

fn main() -> Result<ExitCode, throwaway_token::Error> {
    let token = match reexec_with_token()? {
        Process::Inside(token) => token,
        Process::Outside(code) => return Ok(code),
    };
    run(&mut Rows::from_args(), &token);
    Ok(ExitCode::SUCCESS)
}

/// Requests in one call of a side: some 10 ms of a worker.
const REQUESTS: usize = 64;

fn run(rows: &mut Rows, throwaway: &ThrowawayToken) {
    let pin = PinSource::File(throwaway.pin_file());
    let settings = Settings::new(throwaway.module(), TokenSelector::label(throwaway.label()), pin);
    let bench = Bench::load();
    bench.import(&mut Token::open(&settings).and_then(|token| token.admin()).expect("a session"), Lifetime::Permanent);
    let pool = |shards| Pool::open(PoolSettings { workers: 1, shards, ..PoolSettings::new(settings.clone()) });
    let (one, two) = (pool(1).expect("a pool"), pool(2).expect("a pool"));
    let row = |name: &str, target| Row { name: format!("softhsm {name}"), target: Some(target), limit: "token" };

    for (work, id) in [("pool payload aes 1 bit, bare loop", AES), ("pool payload aes 16 bits, bare loop", AES_16_BITS)]
    {
        let (gateway, bare) = (Gateway::new(&bench, id), Bare::open(throwaway, bench.example(id).key.expose()));
        let Ksn::Aes(ksn) = gateway.payload.ksn() else { continue };
        let ciphertext = gateway.payload.encrypted().into_iter().next().expect("a track").ciphertext;
        let work = row(work, 0.95);
        rows.measure(&work, (REQUESTS, || gateway.serve(&one)), (1, || bare.decrypt(ksn, ciphertext)));
    }
    let gateway = Gateway::new(&bench, AES);
    rows.measure(
        &row("two shards payload aes 1 bit, one", 1.8),
        (REQUESTS, || gateway.serve(&two)),
        (REQUESTS, || gateway.serve(&one)),
    );
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

    /// So many requests from four callers, as fast as the pool takes them.
    fn serve(&self, pool: &Pool) {
        let asked = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                        let (devices, payload) = (Arc::clone(&self.devices), Arc::clone(&self.payload));
                        let job = move |store: &mut &_| Decryptor::new(*store, &*devices).decrypt(&payload);
                        pool.run(Duration::from_secs(60), job).expect("an answer").expect("a card");
                    }
                });
            }
        });
    }
}

/// The same calls with the same templates, one after the other on one thread.
struct Bare {
    session: Session,
    bdk: ObjectHandle,
}

impl Bare {
    fn open(throwaway: &ThrowawayToken, key: &[u8]) -> Self {
        let module = Pkcs11::new(throwaway.module()).expect("the module loads");
        // The library has initialised it and logged in already.
        let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slot = module.get_slots_with_initialized_token().expect("slots")[0];
        let session = module.open_rw_session(slot).expect("a session");
        let pin = fs::read_to_string(throwaway.pin_file()).expect("the PIN");
        let _ = session.login(UserType::User, Some(&AuthPin::new(pin.trim_end().into())));
        // Like the library's, bound to the mechanism that `cryptoki` can name.
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Value(key.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Derive(true),
            Attribute::Modifiable(false),
            Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC_ENCRYPT_DATA]),
        ];
        let bdk = session.create_object(&template).expect("a key");
        Self { session, bdk }
    }

    fn decrypt(&self, ksn: &aes::Ksn, ciphertext: &[u8]) -> Vec<u8> {
        let size = aes::KeyType::Aes128;
        let suite = aes::Suite::new(size, size, aes::DataUsage::Encrypt).expect("a suite");
        let mut parent = self.bdk;
        for step in std::iter::once(ksn.initial_key(suite)).chain(ksn.steps(suite).expect("a transaction")) {
            let decrypts = step.purpose() == aes::Purpose::Decrypt;
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::ValueLen(16.into()),
                Attribute::Token(false),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Derive(!decrypts),
                Attribute::Decrypt(decrypts),
                Attribute::Encrypt(false),
                Attribute::Wrap(false),
                Attribute::Unwrap(false),
                Attribute::Sign(false),
                Attribute::Verify(false),
            ];
            // With a zero IV and one block, the CBC form is the same derivation.
            let mechanism = Mechanism::AesCbcEncryptData(AesCbcDeriveParams::new([0; 16], step.data()));
            let child = self.session.derive_key(&mechanism, parent, &template).expect("a derived key");
            self.drop_derived(parent);
            parent = child;
        }
        let clear = self.session.decrypt(&Mechanism::AesCbc([0; 16]), parent, ciphertext).expect("clear text");
        self.drop_derived(parent);
        clear
    }

    fn drop_derived(&self, key: ObjectHandle) {
        if key != self.bdk {
            self.session.destroy_object(key).expect("the key is destroyed");
        }
    }
}
