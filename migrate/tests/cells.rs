//! What is read as a card number, and what is not.

use p2pe_migrate::{Cell, masked};
use proptest::prelude::*;

const VISA: &str = "4761739001010010";

fn read(text: &str) -> String {
    match Cell::read(text) {
        Cell::Empty => "empty".into(),
        Cell::Number(pan, place) => format!("{} {}", pan.expose(), &text[place]),
        Cell::Float => "float".into(),
        Cell::Token => "token".into(),
        Cell::Other { holds: false } => "other".into(),
        Cell::Other { holds: true } => "holds".into(),
    }
}

#[test]
fn numbers_as_people_write_them() {
    for text in [
        VISA,
        "4761 7390 0101 0010",
        "4761-7390-0101-0010",
        "4761・7390・0101・0010",
        "4761　7390　0101　0010",
        "4761\u{FF65}7390\u{B7}0101\u{2010}0010",
        "４７６１７３９００１０１００１０",
        "４７６１－７３９０－０１０１－００１０",
        "4761ー7390ー0101ー0010",
    ] {
        assert_eq!(read(text), format!("{VISA} {text}"), "{text}");
        for (before, after) in [("'", ""), ("  ", "\t"), ("　", ""), ("=\"", "\""), ("\u{FEFF}", " ")] {
            assert_eq!(read(&format!("{before}{text}{after}")), format!("{VISA} {text}"), "{before}{text}{after}");
        }
    }
    for (text, is) in [
        ("", "empty"),
        (" 　\t", "empty"),
        ("378282246310005", "378282246310005 378282246310005"),
        ("123456789012", "123456789012 123456789012"),
        ("12345678901", "other"),
        ("4761--7390--0101--0010", "other"),
        ("4761/7390/0101/0010", "other"),
        ("card 4761 7390 0101 0010", "holds"),
        ("4761739001010010=2212", "holds"),
        ("4761 7390 0101 0010 2212", "holds"),
        ("03 4761739001010010 12", "holds"),
        ("(4761739001010010)", "holds"),
        ("4761739001010011 is mistyped", "other"),
        ("476173******0010", "other"),
        ("vtok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "other"),
        ("tok_e311329dbfcaf16719c8f49b17c2882a", "token"),
        ("tok_e311329dbfcaf16719c8f49b17c2882", "other"),
        ("2026-11-23 12:34:56", "other"),
        ("2026-11-23T12:34:56.123456", "other"),
    ] {
        assert_eq!(read(text), is, "{text}");
    }
}

#[test]
fn floats_are_never_guessed() {
    for text in
        ["4.54714E+15", "4.54714e15", "4547140000000000.0", "4547140000000000.", "4.547140012345678E+15", "4.7E15"]
    {
        assert_eq!(read(text), "float", "{text}");
    }
    // Amounts and numbers that no scheme issues.
    for text in ["4547140000000000.5", "4.54714E+3", "9.9E+15", "1E+15", "4.5E", "E+15", "4.5E+99999999999", "1.5E-3"] {
        assert_eq!(read(text), "other", "{text}");
    }
}

#[test]
fn what_is_shown() {
    for (text, shown) in [
        (VISA, "476173******0010"),
        ("'4761-7390-0101-0011", "'4761-73**-****-0011"),
        ("４７６１７３９００１０１００１０", "４７６１７３******００１０"),
        ("4.547140012345E+15", "4.54714*******E+**"),
        ("4547140000000000.0", "454714**********.*"),
        ("tel 090-1234-5678, code 123", "tel ***-****-****, code ***"),
        ("tel 090-1234-567", "tel 090-1234-567"),
    ] {
        assert_eq!(masked(text, &Cell::read(text)), shown);
    }
}

proptest! {
    #[test]
    fn any_text(text in r"[0-9０-９ \-・'=.Ee+\PC]{0,40}") {
        let cell = Cell::read(&text);
        if let Cell::Number(pan, place) = &cell {
            prop_assert!(text[place.clone()].chars().next().unwrap().is_numeric());
            prop_assert!(pan.expose().len() >= 12);
        }
        let shown = masked(&text, &cell);
        prop_assert_eq!(shown.chars().count(), text.chars().count());
        let digits = |text: &str| text.chars().filter(|c| c.is_ascii_digit() || ('０'..='９').contains(c)).count();
        prop_assert!(digits(&shown) <= 10, "{}", shown);
        match Cell::read(&shown) {
            Cell::Number(..) | Cell::Other { holds: true } => panic!("{text} is shown as {shown}"),
            _ => {}
        }
    }

    /// A right number is found however it is grouped, and whatever stands around it.
    #[test]
    fn grouped(gaps in prop::collection::vec(0usize..5, 15), before in "[a-z:]{0,3}", after in "[a-z:]{0,3}") {
        let mut text = before.clone();
        for (at, digit) in VISA.chars().enumerate() {
            text.push(digit);
            if at < 15 {
                text.push_str(["", "", " ", "-", "・"][gaps[at]]);
            }
        }
        text.push_str(&after);
        let expected = if before.is_empty() && after.is_empty() { VISA } else { "holds" };
        prop_assert!(read(&text).starts_with(expected), "{}", text);
    }
}
