//! FF1 against NIST's samples, against another implementation, and at the edges of what it takes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use aes::{Aes128, Aes192, Aes256};
use dukpt::{KeyError, KeyStore};
use ff1::{Ff1, Ff1Error, Message};
use fpe::ff1::{FF1, FlexibleNumeralString};
use proptest::prelude::*;
use support::{Counting, id, store};

const KEY: [u8; 32] = [
    0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C, 0xEF, 0x43, 0x59,
    0xD8, 0xD5, 0x80, 0xAA, 0x4F, 0x7F, 0x03, 0x6D, 0x6F, 0x04, 0xFC, 0x6A, 0x94,
];

fn encrypted(key: &[u8], tweak: &[u8], digits: &str) -> String {
    let store = store("ff1", key);
    let (ff1, mut bytes) = (Ff1::new(store.key(&id()).unwrap()), digits.as_bytes().to_vec());
    ff1.encrypt(tweak, &mut bytes).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    ff1.decrypt(tweak, &mut bytes).unwrap();
    assert_eq!(bytes, digits.as_bytes());
    text
}

/// Another implementation.
fn theirs(key: &[u8], tweak: &[u8], digits: &str) -> String {
    let numerals = FlexibleNumeralString::from(digits.bytes().map(|digit| u16::from(digit - b'0')).collect::<Vec<_>>());
    let result = match key.len() {
        16 => FF1::<Aes128>::new(key, 10).unwrap().encrypt(tweak, &numerals),
        24 => FF1::<Aes192>::new(key, 10).unwrap().encrypt(tweak, &numerals),
        _ => FF1::<Aes256>::new(key, 10).unwrap().encrypt(tweak, &numerals),
    };
    Vec::from(result.unwrap()).iter().map(|digit| char::from(b'0' + u8::try_from(*digit).unwrap())).collect()
}

/// "Block Cipher Modes of Operation: FF1", the samples of radix 10.
#[test]
fn samples_of_nist() {
    for (length, tweak, expected) in [
        (16, "", "2433477484"),
        (16, "9876543210", "6124200773"),
        (24, "", "2830668132"),
        (24, "9876543210", "2496655549"),
        (32, "", "6657667009"),
        (32, "9876543210", "1001623463"),
    ] {
        assert_eq!(encrypted(&KEY[..length], tweak.as_bytes(), "0123456789"), expected, "{length} {tweak}");
    }
}

/// Every length, with tweaks around every border of a block, the smallest and the largest digits.
#[test]
fn every_length_and_border() {
    for length in 6..=38 {
        for tweak in (0..40).chain([254, 255]) {
            for digit in ["0", "9"] {
                let (digits, tweak) = (digit.repeat(length), vec![0xA5; tweak]);
                assert_eq!(encrypted(&KEY[..16], &tweak, &digits), theirs(&KEY[..16], &tweak, &digits));
            }
        }
    }
}

fn any_message() -> impl Strategy<Value = (Vec<u8>, String)> {
    (prop::collection::vec(any::<u8>(), 0..64), "[0-9]{6,38}")
}

proptest! {
    #[test]
    fn as_another_implementation(key: [u8; 32], size in prop::sample::select(vec![16, 24, 32]), (tweak, digits) in any_message()) {
        prop_assert_eq!(encrypted(&key[..size], &tweak, &digits), theirs(&key[..size], &tweak, &digits));
    }

    /// A batch is so many single messages, in both directions.
    #[test]
    fn batches(messages in prop::collection::vec(any_message(), 0..20)) {
        let store = store("ff1", &KEY);
        let ff1 = Ff1::new(store.key(&id()).unwrap());
        let mut digits: Vec<Vec<u8>> = messages.iter().map(|(_, digits)| digits.clone().into_bytes()).collect();
        fn of<'a>(messages: &'a [(Vec<u8>, String)], digits: &'a mut [Vec<u8>]) -> Vec<Message<'a>> {
            messages.iter().zip(digits).map(|((tweak, _), digits)| Message { tweak, digits }).collect()
        }
        ff1.encrypt_batch(&mut of(&messages, &mut digits)).unwrap();
        for ((tweak, clear), digits) in messages.iter().zip(&digits) {
            prop_assert_eq!(&encrypted(&KEY, tweak, clear).into_bytes(), digits);
        }
        ff1.decrypt_batch(&mut of(&messages, &mut digits)).unwrap();
        prop_assert!(messages.iter().zip(&digits).all(|((_, clear), digits)| clear.as_bytes() == digits));
    }

    /// Whatever the bytes: refused as a whole, or encrypted to as many digits.
    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..50), digits in "[0-9]{0,50}", at in any::<prop::sample::Index>()) {
        let store = store("ff1", &KEY);
        let ff1 = Ff1::new(store.key(&id()).unwrap());
        let mut damaged = digits.clone().into_bytes();
        if !damaged.is_empty() && !bytes.is_empty() {
            let at = at.index(damaged.len());
            damaged[at] = bytes[0];
        }
        for text in [&mut bytes, &mut digits.into_bytes(), &mut damaged] {
            let before = text.clone();
            let right = text.iter().all(u8::is_ascii_digit);
            let expected = match text.len() {
                6..=38 if right => Ok(()),
                6..=38 => Err(Ff1Error::Digit),
                _ => Err(Ff1Error::Length),
            };
            prop_assert_eq!(ff1.encrypt(b"", text), expected.clone());
            if expected.is_ok() {
                prop_assert!(text.len() == before.len() && text.iter().all(u8::is_ascii_digit));
            } else {
                prop_assert_eq!(&before, text);
            }
        }
    }
}

/// More than one group, one of them not whole.
#[test]
fn a_long_batch() {
    let store = store("ff1", &KEY);
    let ff1 = Ff1::new(store.key(&id()).unwrap());
    let clear: Vec<Vec<u8>> = (0..1200).map(|i| format!("{i:016}").into_bytes()).collect();
    let mut digits = clear.clone();
    let mut messages: Vec<_> = digits.iter_mut().map(|digits| Message { tweak: b"t", digits }).collect();
    ff1.encrypt_batch(&mut messages).unwrap();
    for (clear, digits) in clear.iter().zip(&digits) {
        let mut single = clear.clone();
        ff1.encrypt(b"t", &mut single).unwrap();
        assert_eq!(&single, digits);
    }
}

/// One call to set up and one a round, whatever the tweak; a batch costs no more for more messages.
#[test]
fn calls_of_the_store() {
    let store = store("ff1", &KEY);
    let ff1 = Ff1::new(Counting::new(store.key(&id()).unwrap()));
    let calls = |run: &dyn Fn()| {
        let before = support::calls();
        run();
        support::calls() - before
    };
    for tweak in [0, 11, 12, 16, 64, 255] {
        let tweak = vec![7; tweak];
        assert_eq!(calls(&|| ff1.encrypt(&tweak, &mut b"0123456789123456".to_vec()).unwrap()), 11);
        assert_eq!(calls(&|| ff1.decrypt(&tweak, &mut b"0123456789123456".to_vec()).unwrap()), 11);
    }
    for (tweak, expected) in [(11, 11), (12, 12), (27, 12), (28, 13)] {
        let tweak = vec![7; tweak];
        let many = || {
            let mut digits = vec![*b"0123456789123456"; 512];
            let mut messages: Vec<_> = digits.iter_mut().map(|digits| Message { tweak: &tweak, digits }).collect();
            ff1.encrypt_batch(&mut messages).unwrap();
        };
        assert_eq!(calls(&many), expected);
    }
    assert_eq!(calls(&|| assert!(ff1.encrypt(b"", &mut b"01234".to_vec()).is_err())), 0, "refused at the door");
    assert_eq!(calls(&|| ff1.encrypt_batch(&mut []).unwrap()), 0);
}

#[test]
fn what_is_refused() {
    let ff1_store = store("ff1", &KEY);
    let ff1 = Ff1::new(ff1_store.key(&id()).unwrap());
    for (tweak, digits, error) in [
        (0, "12345", Ff1Error::Length),
        (0, "", Ff1Error::Length),
        (0, &"1".repeat(39), Ff1Error::Length),
        (0, "12345a", Ff1Error::Digit),
        (0, "12345:", Ff1Error::Digit),
        (0, "12345/", Ff1Error::Digit),
        (0, "１23456", Ff1Error::Digit),
        (256, "123456", Ff1Error::TweakLength),
    ] {
        let mut bytes = digits.as_bytes().to_vec();
        assert_eq!(ff1.encrypt(&vec![0; tweak], &mut bytes), Err(error.clone()), "{digits}");
        assert_eq!(ff1.decrypt(&vec![0; tweak], &mut bytes), Err(error), "{digits}");
        assert_eq!(bytes, digits.as_bytes());
    }
    // One bad message, and none is touched.
    let (mut right, mut wrong) = (*b"123456", *b"12345x");
    let mut messages = [Message { tweak: b"", digits: &mut right }, Message { tweak: b"", digits: &mut wrong }];
    assert_eq!(ff1.encrypt_batch(&mut messages), Err(Ff1Error::Digit));
    assert_eq!(&right, b"123456");
    // Keys of other kinds.
    for (kind, key) in [("aes-base", &KEY[..]), ("hmac", &KEY), ("tdes-base", &KEY[..16])] {
        let store = store(kind, key);
        let mut digits = *b"123456";
        let refused = Ff1::new(store.key(&id()).unwrap()).encrypt(b"", &mut digits);
        assert_eq!(refused, Err(Ff1Error::Key(KeyError::NotPermitted)), "{kind}");
        assert_eq!(&digits, b"123456");
    }
}

/// A store that fails in any of the calls leaves the digits as they were.
#[test]
fn a_store_that_fails() {
    let store = store("ff1", &KEY);
    for at in 0..11 {
        let key = Counting::failing(store.key(&id()).unwrap(), at);
        let mut digits = *b"0123456789";
        let failed = Ff1::new(key).encrypt(b"tweak", &mut digits);
        assert_eq!(failed, Err(Ff1Error::Key(KeyError::Device { function: "C_Encrypt", code: 5 })), "{at}");
        assert_eq!(&digits, b"0123456789");
    }
}
