//! The yardstick: the same calls with the same templates over `cryptoki`, one after the other on one thread.

use std::fs;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{Mechanism, MechanismType, ekdf::AesCbcDeriveParams},
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use dukpt::aes;
use throwaway_token::ThrowawayToken;

pub(crate) struct Bare(Session);

impl Bare {
    pub(crate) fn open(throwaway: &ThrowawayToken) -> Self {
        let module = Pkcs11::new(throwaway.module()).expect("the module loads");
        // The library has initialised it and logged in already.
        let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slot = module.get_slots_with_initialized_token().expect("slots")[0];
        let session = module.open_rw_session(slot).expect("a session");
        let pin = fs::read_to_string(throwaway.pin_file()).expect("the PIN");
        let _ = session.login(UserType::User, Some(&AuthPin::new(pin.trim_end().into())));
        Self(session)
    }

    /// A permanent base key like the library's, bound to the mechanism that `cryptoki` can name.
    pub(crate) fn aes_key(&self, key: &[u8]) -> ObjectHandle {
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
        self.0.create_object(&template).expect("a key")
    }

    pub(crate) fn find(&self, label: &str) -> ObjectHandle {
        self.0.find_objects(&[Attribute::Label(label.into())]).expect("a search")[0]
    }

    pub(crate) fn decrypt(&self, bdk: ObjectHandle, ksn: &aes::Ksn, ciphertext: &[u8]) -> Vec<u8> {
        let size = aes::KeyType::Aes128;
        let suite = aes::Suite::new(size, size, aes::DataUsage::Encrypt).expect("a suite");
        let drop_derived = |key| {
            if key != bdk {
                self.0.destroy_object(key).expect("the key is destroyed");
            }
        };
        let mut parent = bdk;
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
            let child = self.0.derive_key(&mechanism, parent, &template).expect("a derived key");
            drop_derived(parent);
            parent = child;
        }
        let clear = self.0.decrypt(&Mechanism::AesCbc([0; 16]), parent, ciphertext).expect("clear text");
        drop_derived(parent);
        clear
    }

    pub(crate) fn des3(&self, key: ObjectHandle, block: &[u8; 8]) -> Vec<u8> {
        self.0.encrypt(&Mechanism::Des3Ecb, key, block).expect("a block")
    }

    pub(crate) fn hmac(&self, key: ObjectHandle) -> Vec<u8> {
        self.0.sign(&Mechanism::Sha256Hmac, key, &[0; 50]).expect("a MAC")
    }
}
