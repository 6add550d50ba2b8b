//! A TDES base key and the variant key that belongs to it.

use crate::common::{TDES_KEY, hex, id, material, open, other_session, settings};
use cryptoki::{
    object::{Attribute, AttributeType, KeyType, ObjectClass},
    session::Session,
};
use dukpt::{Key, KeyError, KeyImport, KeyStore, Lifetime, tdes};
use pkcs11_backend::{Cryptoperiod, Settings, Start, Token};
use throwaway_token::{Error, isolated};

const OTHER: &str = "the variant key is not the one that was made with it";
const UNPROVED: &str = "nothing proves that the variant key is its base key's";

fn ksn() -> tdes::Ksn {
    tdes::Ksn::try_from(&hex("FFFF9876543210E00001")[..]).unwrap()
}

/// A key as an import makes it, of another program's value and name.
fn safe(label: &str, value: &str, key_id: &str) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::DES2),
        Attribute::Value(hex(value)),
        Attribute::Label(label.into()),
        Attribute::Id(key_id.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Encrypt(true),
    ];
    template.extend([Attribute::Extractable(false), Attribute::Modifiable(false), Attribute::Copyable(false)]);
    template.extend([Attribute::Decrypt(false), Attribute::Sign(false), Attribute::Verify(false)]);
    template.extend([Attribute::Wrap(false), Attribute::Unwrap(false), Attribute::Derive(false)]);
    template
}

fn replace(other: &Session, label: &str, value: &str) {
    let object = other.find_objects(&[Attribute::Label(label.into())]).unwrap()[0];
    other.destroy_object(object).unwrap();
    other.create_object(&safe(label, value, label)).unwrap();
}

/// `key` with the variant mask of X9.24-1:2009, A.6.
fn masked(key: &str) -> String {
    let mask = hex("C0C0C0C000000000C0C0C0C000000000");
    hex(key).iter().zip(mask).map(|(byte, mask)| format!("{:02X}", byte ^ mask)).collect()
}

#[test]
fn another_variant_is_found_before_anything_is_decrypted() -> Result<(), Error> {
    isolated("variants::another_variant_is_found_before_anything_is_decrypted", |throwaway| {
        let token = open(throwaway);
        let mut store = token.admin().unwrap();
        let pending = Cryptoperiod { start: Start::Activation, end: None };
        store.import(&id("tdes"), &material("tdes-base", TDES_KEY), Lifetime::Permanent).unwrap();
        store.import_for(&id("next"), &material("tdes-base", TDES_KEY), Lifetime::Permanent, &pending).unwrap();
        assert!(store.list().unwrap().iter().all(|entry| entry.problems.is_empty() && entry.doubts.is_empty()));
        let knows_both = token.store().unwrap();
        let key = knows_both.key(&id("tdes")).unwrap();
        let before = *key.tdes_initial_key(&ksn()).unwrap().expose();

        let other = other_session(throwaway);
        // A foreign key; the base key itself; a variant by another mask; all zero.
        for wrong in [&"1F2E3D4C".repeat(4), TDES_KEY, &masked(TDES_KEY).replace("C1E3", "C1E1"), &"00".repeat(16)] {
            replace(&other, "tdes.variant", wrong);
            replace(&other, "next.variant", wrong);
            let refused = Some(KeyError::VariantMismatch(id("tdes")));
            assert_eq!(token.store().unwrap().key(&id("tdes")).err(), refused, "{wrong}");
            // Of a key in hand the old handle is gone, and the new one is checked like any other.
            assert_eq!(key.tdes_initial_key(&ksn()).err(), refused, "{wrong}");
            assert_eq!(store.activate(&id("next")), Err(KeyError::VariantMismatch(id("next"))));
            let listed = store.list().unwrap();
            assert!(listed.iter().all(|entry| entry.problems == [OTHER]), "{listed:?}");
            assert_eq!(listed.len(), 2);
        }
        // Not even where unsafe keys are allowed: it is no matter of keeping.
        let permissive = Token::open(&Settings { allow_unsafe_keys: true, ..settings(throwaway) }).unwrap();
        let refused = permissive.store().unwrap().key(&id("tdes")).err();
        assert_eq!(refused, Some(KeyError::VariantMismatch(id("tdes"))));

        // The right one again, made by whomever.
        replace(&other, "tdes.variant", &masked(TDES_KEY));
        let again = token.store().unwrap().key(&id("tdes")).unwrap().tdes_initial_key(&ksn()).unwrap();
        assert_eq!(*again.expose(), before);
        store.delete(&id("tdes")).unwrap();
        store.delete(&id("next")).unwrap();
        assert!(other.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap().is_empty());
    })
}

#[test]
fn a_pair_of_which_nothing_was_written_down() -> Result<(), Error> {
    isolated("variants::a_pair_of_which_nothing_was_written_down", |throwaway| {
        let token = open(throwaway);
        let other = other_session(throwaway);
        other.create_object(&safe("old", TDES_KEY, "old")).unwrap();
        other.create_object(&safe("old.variant", &masked(TDES_KEY), "old.variant")).unwrap();
        let store = token.store().unwrap();
        let key = store.key(&id("old")).unwrap();
        let right = [hex("6AC292FAA1315B4D858AB3A3D7D5933A"), Vec::new()];
        assert_eq!(key.tdes_initial_key(&ksn()).unwrap().expose()[..], right[0]);
        let listed = store.list().unwrap();
        assert!(listed[0].problems.is_empty());
        assert_eq!(listed[0].doubts, ["CKA_ALLOWED_MECHANISMS not set", UNPROVED]);
    })
}

/// The check value stands where nobody can change it, and is the variant's own.
#[test]
fn what_is_written_down() -> Result<(), Error> {
    isolated("variants::what_is_written_down", |throwaway| {
        let mut store = open(throwaway).admin().unwrap();
        let end = "2999-12-31".parse().ok();
        let period = Cryptoperiod { start: Start::Open, end };
        store.import_for(&id("tdes"), &material("tdes-base", TDES_KEY), Lifetime::Permanent, &period).unwrap();
        let other = other_session(throwaway);
        let variant = material("tdes-base", &masked(TDES_KEY)).check_value();
        for (label, expected) in [
            ("tdes", format!("tdes;/2999-12-31;variant={variant}")),
            ("tdes.variant", "tdes.variant;/2999-12-31".into()),
        ] {
            let object = other.find_objects(&[Attribute::Label(label.into())]).unwrap()[0];
            let key_id = other.get_attributes(object, &[AttributeType::Id]).unwrap();
            assert_eq!(key_id, [Attribute::Id(expected.into_bytes())]);
            assert!(other.update_attributes(object, &[Attribute::Id(b"tdes".to_vec())]).is_err());
        }
    })
}
