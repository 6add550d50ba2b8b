//! Card numbers: brand ranges and lengths, check digits as a fact, what may be kept of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use p2pe_crypto::{Brand, Pan};
use proptest::prelude::*;

fn brand(digits: &str) -> Option<Brand> {
    Pan::new(digits.as_bytes()).unwrap().brand()
}

/// A number of this length that begins so.
fn number(prefix: &str, length: usize) -> String {
    format!("{prefix:0<length$}")
}

#[test]
fn ranges_begin_and_end_where_they_do() {
    for (prefixes, length, expected) in [
        (&["4000", "4999"][..], 16, Some(Brand::Visa)),
        (&["5100", "5599", "2221", "2720"], 16, Some(Brand::Mastercard)),
        (&["3400", "3499", "3700", "3799"], 15, Some(Brand::Amex)),
        (&["3528", "3589"], 16, Some(Brand::Jcb)),
        (&["3000", "3059", "3095", "3600", "3699", "3800", "3999"], 14, Some(Brand::Diners)),
        (&["6011", "6440", "6499", "6500", "6599"], 16, Some(Brand::Discover)),
        (&["6200", "6299", "8100", "8199"], 16, Some(Brand::UnionPay)),
        (
            &["5000", "5099", "5600", "5999", "6000", "6010", "6012", "6199", "6300", "6439", "6600", "6999"],
            16,
            Some(Brand::Maestro),
        ),
        // Just outside.
        (
            &[
                "2220", "2721", "3499", "3527", "3590", "3060", "3094", "3096", "7000", "8000", "8200", "9000", "0000",
                "1000",
            ],
            16,
            None,
        ),
    ] {
        for prefix in prefixes {
            assert_eq!(brand(&number(prefix, length)), expected, "{prefix} {length}");
        }
    }
}

#[test]
fn each_brand_has_its_lengths() {
    for (prefix, name, lengths) in [
        ("4761", Brand::Visa, &[13, 16, 19][..]),
        ("5413", Brand::Mastercard, &[16]),
        ("2223", Brand::Mastercard, &[16]),
        ("3742", Brand::Amex, &[15]),
        ("3566", Brand::Jcb, &[16, 17, 18, 19]),
        ("3600", Brand::Diners, &[14, 15, 16, 17, 18, 19]),
        ("6011", Brand::Discover, &[16, 17, 18, 19]),
        ("6221", Brand::UnionPay, &[16, 17, 18, 19]),
        ("5018", Brand::Maestro, &[12, 13, 14, 15, 16, 17, 18, 19]),
    ] {
        for length in 12..=19 {
            let expected = lengths.contains(&length).then_some(name);
            assert_eq!(brand(&number(prefix, length)), expected, "{prefix} {length}");
        }
    }
    // Only UnionPay issues numbers without a right check digit.
    let all = [Brand::Visa, Brand::Mastercard, Brand::Amex, Brand::Jcb, Brand::Diners, Brand::Discover, Brand::Maestro];
    assert!(all.iter().all(|brand| brand.luhn_always()) && !Brand::UnionPay.luhn_always());
}

#[test]
fn the_check_digit_is_a_fact_and_no_gate() {
    for (digits, right) in [
        ("4761739001010010", true),
        ("3566002020360505", true),
        ("374245001751006", true),
        ("5452300551227189", false),
        ("3555551111111111111", false),
        ("000000000000", true),
    ] {
        assert_eq!(Pan::new(digits.as_bytes()).unwrap().luhn(), right, "{digits}");
    }
}

#[test]
fn what_may_be_kept_depends_on_brand_and_length() {
    for (digits, kept) in [
        ("4761739001010010", "47617390****0010"),
        ("3566002020360505", "35660020****0505"),
        ("6221558812340000", "62215588****0000"),
        ("4761739001010010123", "47617390*******0123"),
        ("374245001751006", "374245*****1006"),
        ("36000000000008", "360000****0008"),
        ("4761739001013", "476173***1013"),
        ("501800000009", "501800**0009"),
        // No brand: no more than six.
        ("9761739001010010", "976173******0010"),
        ("5413330000000000000", "541333*********0000"),
    ] {
        let pan = Pan::new(digits.as_bytes()).unwrap();
        assert_eq!(pan.truncated().to_string(), kept);
        // A log shows what it always shows.
        assert_eq!(format!("{:?}", pan.truncated()), format!("Truncated({pan})"));
    }
}

proptest! {
    #[test]
    fn enough_digits_are_cut_away(digits in "[0-9]{12,19}") {
        let pan = Pan::new(digits.as_bytes()).unwrap();
        let kept = pan.truncated().to_string();
        let cut = kept.matches('*').count();
        let least = match digits.len() {
            16.. => 4,
            15 => 5,
            length => length - 10,
        };
        prop_assert_eq!(kept.len(), digits.len());
        prop_assert!(cut >= least, "{}", kept);
        prop_assert!(kept.bytes().zip(digits.bytes()).all(|(shown, digit)| shown == b'*' || shown == digit));
        prop_assert!(kept.starts_with(&digits[..6]) && kept.ends_with(&digits[digits.len() - 4..]));
    }
}
