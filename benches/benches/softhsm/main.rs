//! SoftHSM: the library beside the same PKCS#11 calls made plainly over `cryptoki`.
#![expect(clippy::expect_used, reason = "a bench may stop")]

use std::{fs, hint::black_box, process::ExitCode};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{Mechanism, ekdf::AesCbcDeriveParams},
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use dukpt::{Key, KeyStore, Ksn, Lifetime, aes};
use p2pe_benches::{AES, AES_16_BITS, Bench, Row, Rows, TDES, merchant, token_key};
use p2pe_crypto::Tokenizer;
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::{Process, ThrowawayToken, reexec_with_token};

fn main() -> Result<ExitCode, throwaway_token::Error> {
    let token = match reexec_with_token()? {
        Process::Inside(token) => token,
        Process::Outside(code) => return Ok(code),
    };
    run(&mut Rows::from_args(), &token);
    Ok(ExitCode::SUCCESS)
}

fn run(rows: &mut Rows, throwaway: &ThrowawayToken) {
    let pin = PinSource::File(throwaway.pin_file());
    let settings = Settings::new(throwaway.module(), TokenSelector::label(throwaway.label()), pin);
    let token = Token::open(&settings).expect("the token opens");
    let bench = Bench::load();
    let mut store = token.admin().expect("a session");
    bench.import(&mut store, Lifetime::Permanent);
    let plain = Plain::open(throwaway);
    let row = |work: &str| Row { name: format!("softhsm {work}, cryptoki"), target: None, limit: "token" };

    for (work, id) in [("payload aes 1 bit", AES), ("payload aes 16 bits", AES_16_BITS)] {
        let (payload, decryptor) = (bench.payload(id), bench.decryptor(id, &store));
        let Ksn::Aes(ksn) = payload.ksn() else { continue };
        let ciphertext = payload.encrypted().into_iter().next().expect("a track").ciphertext;
        let bdk = plain.aes_key(bench.example(id).key.expose());
        rows.measure(
            &row(work),
            (1, || decryptor.decrypt(black_box(payload)).expect("a card")),
            (1, || plain.aes(black_box(bdk), ksn, ciphertext)),
        );
    }

    let id = &bench.example(TDES).device.base_key;
    let Ksn::Tdes(ksn) = bench.payload(TDES).ksn() else { return };
    let keys = [plain.find(id.as_str()), plain.find(&format!("{id}.variant"))];
    rows.measure(
        &row("initial key tdes"),
        (1, || store.key(id).and_then(|key| key.tdes_initial_key(black_box(ksn))).expect("an initial key")),
        (1, || keys.map(|key| plain.des3(black_box(key), &ksn.initial_key_block()))),
    );

    let card = bench.decryptor(TDES, &store).decrypt(bench.payload(TDES)).expect("a card");
    let (tokenizer, merchant) = (Tokenizer::new(&store, token_key()), merchant());
    let key = plain.find(token_key().as_str());
    rows.measure(
        &row("merchant token"),
        (1, || tokenizer.token(&merchant, black_box(card.pan())).expect("a token")),
        (1, || plain.hmac(black_box(key))),
    );
}

/// The same token over `cryptoki`, as its documentation shows.
struct Plain(Session);

impl Plain {
    fn open(throwaway: &ThrowawayToken) -> Self {
        let module = Pkcs11::new(throwaway.module()).expect("the module loads");
        // The library has initialised it and logged in already.
        let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slot = module.get_slots_with_initialized_token().expect("slots")[0];
        let session = module.open_rw_session(slot).expect("a session");
        let pin = fs::read_to_string(throwaway.pin_file()).expect("the PIN");
        let _ = session.login(UserType::User, Some(&AuthPin::new(pin.trim_end().into())));
        Self(session)
    }

    /// A permanent base key like the library's, but with no list of allowed mechanisms: `cryptoki` cannot name the one
    /// that the library uses.
    fn aes_key(&self, key: &[u8]) -> ObjectHandle {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Value(key.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Derive(true),
        ];
        self.0.create_object(&template).expect("a key")
    }

    fn find(&self, label: &str) -> ObjectHandle {
        self.0.find_objects(&[Attribute::Label(label.into())]).expect("a search")[0]
    }

    fn aes(&self, bdk: ObjectHandle, ksn: &aes::Ksn, ciphertext: &[u8]) -> Vec<u8> {
        let size = aes::KeyType::Aes128;
        let suite = aes::Suite::new(size, size, aes::DataUsage::Encrypt).expect("a suite");
        let mut made = vec![bdk];
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
            ];
            // With a zero IV and one block, the CBC form is the same derivation.
            let mechanism = Mechanism::AesCbcEncryptData(AesCbcDeriveParams::new([0; 16], step.data()));
            let parent = *made.last().expect("a parent");
            made.push(self.0.derive_key(&mechanism, parent, &template).expect("a derived key"));
        }
        let key = *made.last().expect("the data key");
        let clear = self.0.decrypt(&Mechanism::AesCbc([0; 16]), key, ciphertext).expect("clear text");
        for key in made.split_off(1) {
            self.0.destroy_object(key).expect("the key is destroyed");
        }
        clear
    }

    fn des3(&self, key: ObjectHandle, block: &[u8; 8]) -> Vec<u8> {
        self.0.encrypt(&Mechanism::Des3Ecb, key, block).expect("a block")
    }

    fn hmac(&self, key: ObjectHandle) -> Vec<u8> {
        self.0.sign(&Mechanism::Sha256Hmac, key, &[0; 50]).expect("a MAC")
    }
}
