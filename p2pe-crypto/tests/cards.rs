//! Values around a card: its number, the names of profiles, and tokens.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{KeyError, KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore, Scheme};
use p2pe_crypto::{DeviceProfile, MerchantId, Pan, PanError, ProfileError, Token, Tokenizer};
use proptest::{prelude::*, sample::subsequence};
use std::collections::BTreeSet;

fn pan(digits: &str) -> Pan {
    Pan::new(digits.as_bytes()).unwrap()
}

#[test]
fn masking_by_length() {
    for (digits, shown) in [
        ("476173900101", "476173**0101"),
        ("4761739001010", "476173***1010"),
        ("47617390010100", "476173****0100"),
        ("374245455400126", "374245*****0126"),
        ("4761739001010010", "476173******0010"),
        ("47617390010100101", "476173*******0101"),
        ("476173900101001012", "476173********1012"),
        ("4761739001010010123", "476173*********0123"),
    ] {
        let pan = pan(digits);
        assert_eq!((pan.to_string(), format!("{pan:?}")), (shown.to_owned(), format!("Pan({shown})")));
        assert_eq!((pan.expose(), pan.bin(), pan.last_four()), (digits, &digits[..6], &digits[digits.len() - 4..]));
    }
}

#[test]
fn luhn() {
    for (digits, right) in [
        ("4761739001010010", true),
        ("4761739001010011", false),
        ("4761739001010100", false), // two digits exchanged
        ("374245455400126", true),
        ("374245455400127", false),
        ("30569309025904", true),
        ("6011111111111117", true),
        ("4222222222222", true),
        ("3555551111111111111", false), // a house card
        ("000000000000", true),
        ("000000000018", true),
        ("000000000059", true), // a doubled 5 counts as 1
        ("999999999999", false),
    ] {
        assert_eq!(pan(digits).luhn(), right, "{digits}");
    }
}

#[test]
fn not_a_card_number() {
    for wrong in [
        &b""[..],
        b"47617390010",          // 11
        b"47617390010100101234", // 20
        b"4761 7390 0101 0010",
        b"4761-7390-0101-0010",
        b"476173900101001O",
        b"+476173900101001",
        b" 476173900101001",
        b"476173900101001\n",
        b"476173900101001\0",
        b"476173******0010",
        "４７６１７３９００１０１".as_bytes(), // digits, but not ASCII
        &[0; 16],
        &[0xFF; 16],
    ] {
        assert_eq!(Pan::new(wrong).err(), Some(PanError), "{}", wrong.escape_ascii());
    }
}

const NAMES: [&str; 24] = [
    "idtech-tdes",
    "idtech-aes",
    "idtech-tdes-pin",
    "idtech-aes-pin",
    "idtech-tdes-response",
    "idtech-aes-response",
    "track-tdes",
    "track-aes",
    "track-tdes-pin",
    "track-aes-pin",
    "track-tdes-response",
    "track-aes-response",
    "track-aes-dukpt-128",
    "track-aes-dukpt-192",
    "track-aes-dukpt-256",
    "track-aes-dukpt-256-128",
    "track-aes-dukpt-256-192",
    "track-aes-dukpt-192-128",
    "track-aes-dukpt-128-both",
    "track-aes-dukpt-192-both",
    "track-aes-dukpt-256-both",
    "track-aes-dukpt-256-128-both",
    "track-aes-dukpt-256-192-both",
    "track-aes-dukpt-192-128-both",
];

#[test]
fn every_profile_prints_its_own_name() {
    let mut seen = BTreeSet::new();
    for name in NAMES {
        let profile: DeviceProfile = name.parse().unwrap();
        assert_eq!(profile.to_string(), name);
        assert_eq!(profile.scheme(), if name.contains("dukpt") { Scheme::Aes } else { Scheme::Tdes });
        assert!(seen.insert(format!("{profile:?}")), "{name} is another one's value");
    }
}

#[test]
fn not_a_profile() {
    for wrong in [
        "",
        "-",
        "idtech",
        "track",
        "idtech-",
        "track-",
        "idtech-des",
        "idtech-tdes-",
        "idtech-tdes-data",
        "idtech-tdes-request",
        "idtech-tdes-pin-",
        "idtech-tdes-pin-pin",
        "idtech-aes-dukpt-128",
        "idtech-aes-dukpt",
        "track-aes-dukpt",
        "track-aes-dukpt-",
        "track-aes-dukpt-64",
        "track-aes-dukpt-128-256",
        "track-aes-dukpt-128-192",
        "track-aes-dukpt-192-256",
        "track-aes-dukpt-128-128",
        "track-aes-dukpt-both",
        "track-aes-dukpt-128-both-both",
        "track-aes-dukpt-both-128",
        "track-aes-dukpt-256-128-128",
        "track-aes-dukpt-0128",
        "track-aes-dukpt-128-pin",
        "track-tdes-both",
        "acme-tdes",
        "IDTECH-TDES",
        " idtech-tdes",
        "idtech-tdes ",
        "idtech_tdes",
        "idtech--tdes",
    ] {
        assert_eq!(wrong.parse::<DeviceProfile>(), Err(ProfileError::Unknown), "{wrong:?}");
    }
}

fn tokenizer(key: u8) -> Tokenizer<MemoryStore> {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("tokens").unwrap());
    store.import(&id, &KeyMaterial::new("hmac", &[key; 32]).unwrap(), Lifetime::Session).unwrap();
    Tokenizer::new(store, id)
}

fn token(merchant: &str, digits: &str) -> Token {
    tokenizer(7).token(&MerchantId::new(merchant).unwrap(), &pan(digits)).unwrap()
}

#[test]
fn merchants() {
    for right in ["m", "shop-1", "店", " ", &"m".repeat(64)] {
        assert!(MerchantId::new(right).is_ok(), "{right}");
    }
    for wrong in ["", "a\0b", "a\n", "\u{7F}", "\u{85}", &"m".repeat(65), &"店".repeat(22)] {
        assert!(MerchantId::new(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_token_needs_its_hmac_key() {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("bdk").unwrap());
    let (merchant, pan) = (MerchantId::new("shop").unwrap(), pan("4761739001010010"));
    assert_eq!(Tokenizer::new(&store, id.clone()).token(&merchant, &pan).err(), Some(KeyError::NotFound(id.clone())));
    store.import(&id, &KeyMaterial::new("tdes-base", &[7; 16]).unwrap(), Lifetime::Session).unwrap();
    assert_eq!(Tokenizer::new(&store, id).token(&merchant, &pan).err(), Some(KeyError::NotPermitted));
}

proptest! {
    #[test]
    fn any_bytes_are_a_number_or_not(bytes in prop::collection::vec(any::<u8>(), 0..22), digits in "[0-9]{0,22}") {
        let right = |b: &[u8]| (12..=19).contains(&b.len()) && b.iter().all(u8::is_ascii_digit);
        for bytes in [&bytes[..], digits.as_bytes()] {
            prop_assert_eq!(Pan::new(bytes).is_ok(), right(bytes));
        }
    }

    /// The sum of ISO/IEC 7812-1 as in its text, and: one wrong digit is always seen.
    #[test]
    fn luhn_by_another_way(digits in "[0-9]{12,19}", at in any::<prop::sample::Index>(), by in 1u32..10) {
        let sum = |digits: &str| digits.chars().rev().enumerate().fold(0, |sum, (i, digit)| {
            let digit = digit.to_digit(10).unwrap();
            sum + if i % 2 == 0 { digit } else { [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][digit as usize] }
        });
        prop_assert_eq!(pan(&digits).luhn(), sum(&digits) % 10 == 0);
        let at = at.index(digits.len());
        let changed: String = digits.chars().enumerate().map(|(i, digit)| {
            let digit = digit.to_digit(10).unwrap();
            char::from_digit(if i == at { (digit + by) % 10 } else { digit }, 10).unwrap()
        }).collect();
        prop_assert!(!(pan(&digits).luhn() && pan(&changed).luhn()));
    }

    /// No text is a profile but the names above.
    #[test]
    fn only_these_names(format in "(idtech|track|[a-z]{0,3})", rest in "(-(tdes|aes|dukpt|128|192|256|both|pin|response)){0,5}") {
        let name = format!("{format}{rest}");
        prop_assert_eq!(name.parse::<DeviceProfile>().is_ok(), NAMES.contains(&&name[..]), "{}", name);
    }

    #[test]
    fn tokens(one in "[0-9]{12,19}", other in "[0-9]{12,19}", shop in "[a-z0-9]{1,20}", next in "[a-z0-9]{1,20}") {
        let of = |shop, pan| token(shop, pan);
        prop_assert_eq!(of(&shop, &one), of(&shop, &one));
        prop_assert_eq!(of(&shop, &one) == of(&shop, &other), one == other);
        prop_assert_eq!(of(&shop, &one) == of(&next, &one), shop == next);
        let other_key = tokenizer(8).token(&MerchantId::new(&shop).unwrap(), &pan(&one)).unwrap();
        prop_assert_ne!(of(&shop, &one), other_key);
        let text = of(&shop, &one).to_string();
        prop_assert!(text.strip_prefix("tok_").is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    /// Digits that wander over the border between merchant and number make another token.
    #[test]
    fn the_border_between_merchant_and_number(
        shop in "[a-z]{1,5}", digits in "[0-9]{14,19}", splits in subsequence(vec![0usize, 1, 2], 2),
    ) {
        let split = |at: usize| token(&format!("{shop}{}", &digits[..at]), &digits[at..]);
        prop_assert_ne!(split(splits[0]), split(splits[1]));
    }
}
