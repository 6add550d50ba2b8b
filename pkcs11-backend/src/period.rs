//! When a key may be used: its cryptoperiod, and how that stands in its `CKA_ID`.

use std::{
    fmt,
    str::{self, FromStr},
    time::{SystemTime, UNIX_EPOCH},
};

use cryptoki_sys::CKA_ID;
use dukpt::CheckValue;

use crate::{
    KeyState,
    direct::{Direct, Object},
    failure::Failure,
};

/// A day (UTC): eight digits, year, month, day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date([u8; 8]);

/// Not a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a date is a day of the calendar, as 2026-12-31")]
pub struct DateError;

impl Date {
    fn new(year: u64, month: u64, day: u64) -> Self {
        let mut digits = [b'0'; 8];
        let mut rest = year * 10_000 + month * 100 + day;
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        Self(digits)
    }

    /// Today, by the clock of this machine.
    #[must_use]
    pub fn today() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::of_day(seconds / 86_400)
    }

    /// Day `number` since 1970-01-01.
    fn of_day(mut number: u64) -> Self {
        let mut year = 1970;
        while number >= days_of(year) {
            number -= days_of(year);
            year += 1;
        }
        let mut month = 1;
        while number >= days_in(year, month) {
            number -= days_in(year, month);
            month += 1;
        }
        Self::new(year, month, number + 1)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let shape = text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        if text.len() != 10 || !shape {
            return Err(DateError);
        }
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| DateError);
        let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..])?);
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return Err(DateError);
        }
        Ok(Self::new(year, month, day))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i] = self.0.map(char::from);
        write!(f, "{a}{b}{c}{d}-{e}{g}-{h}{i}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The days on which a key may be used, both included. Without a day it is open.
///
/// They stand in the key's `CKA_ID`, behind its label: an attribute that no one can modify. `CKA_START_DATE` and
/// `CKA_END_DATE` are not used, because SoftHSM cannot read those of a private object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cryptoperiod {
    /// When it begins.
    pub start: Start,
    /// The last day.
    pub end: Option<Date>,
}

/// When a cryptoperiod begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// It has begun.
    #[default]
    Open,
    /// On this day.
    On(Date),
    /// When the key is activated ([`crate::Pkcs11Store::activate`]).
    Activation,
}

/// What stands in the place of a day that only the activation fixes.
const PENDING: &str = "pending";

impl Cryptoperiod {
    /// Where `today` is in it, as long as nobody activates or retires the key.
    #[must_use]
    pub fn state(&self, today: Date) -> KeyState {
        let has_begun = match self.start {
            Start::Open => true,
            Start::On(start) => start <= today,
            Start::Activation => false,
        };
        match self.end {
            Some(end) if end < today => KeyState::Expired,
            _ if has_begun => KeyState::Active,
            _ => KeyState::Pending,
        }
    }

    fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// What a key's `CKA_ID` says behind its label.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) period: Cryptoperiod,
    /// Of a TDES base key: the check value of its variant, which was made with it.
    pub(crate) variant: Option<CheckValue>,
}

impl Written {
    /// The `CKA_ID`: `label`, `label;START/END`, `label;START/END;variant=…` or `label;variant=…`.
    pub(crate) fn id(&self, label: &str) -> String {
        let mut id = label.to_string();
        if !self.period.is_open() {
            let start = match self.period.start {
                Start::Open => String::new(),
                Start::On(start) => start.to_string(),
                Start::Activation => PENDING.into(),
            };
            let end = self.period.end.map(|date| date.to_string()).unwrap_or_default();
            id += &format!(";{start}/{end}");
        }
        self.variant.map_or(id.clone(), |value| format!("{id}{VARIANT}{value}"))
    }

    /// What another program wrote may say what it likes: then it says nothing here.
    fn read(label: &str, id: &[u8]) -> Self {
        let rest = str::from_utf8(id).ok().and_then(|id| id.strip_prefix(label)).unwrap_or_default();
        let (days, variant) = rest.split_once(VARIANT).unwrap_or((rest, ""));
        let (start, end) = days.strip_prefix(';').and_then(|days| days.split_once('/')).unwrap_or_default();
        let start = match start.parse() {
            Ok(date) => Start::On(date),
            Err(_) if start == PENDING => Start::Activation,
            Err(_) => Start::Open,
        };
        Self { period: Cryptoperiod { start, end: end.parse().ok() }, variant: variant.parse().ok() }
    }

    /// What an object says.
    pub(crate) fn of(direct: &Direct<'_>, object: Object, label: &str) -> Result<Self, Failure> {
        let mut id = [0; 128];
        Ok(direct.attribute(object, CKA_ID, &mut id)?.map(|id| Self::read(label, id)).unwrap_or_default())
    }
}

const VARIANT: &str = ";variant=";

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap_or(Date([b'0'; 8]))
    }

    #[test]
    fn days_of_the_calendar() {
        for (number, text) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_454, "2026-01-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(Date::of_day(number).to_string(), text);
            assert_eq!(date(text), Date::of_day(number));
        }
        assert!((0..40_000).all(|number| Date::of_day(number) < Date::of_day(number + 1)));
        for wrong in [
            "",
            "2026-1-1",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "20260401",
            "2026-04-0x",
            "\u{e9}026-04-1",
        ] {
            assert_eq!(wrong.parse::<Date>(), Err(DateError), "{wrong}");
        }
        assert!(Date::today() > date("2026-01-01"));
    }

    #[test]
    fn both_days_are_included() {
        let period = Cryptoperiod { start: Start::On(date("2026-03-01")), end: Some(date("2026-03-31")) };
        for (today, state) in [
            ("2026-02-28", KeyState::Pending),
            ("2026-03-01", KeyState::Active),
            ("2026-03-31", KeyState::Active),
            ("2026-04-01", KeyState::Expired),
        ] {
            assert_eq!(period.state(date(today)), state, "{today}");
        }
        assert_eq!(Cryptoperiod::default().state(date("2026-03-01")), KeyState::Active);
        let by_hand = Cryptoperiod { start: Start::Activation, ..period };
        assert_eq!(by_hand.state(date("2026-03-31")), KeyState::Pending);
        assert_eq!(by_hand.state(date("2026-04-01")), KeyState::Expired);
    }

    #[test]
    fn what_stands_behind_the_label() {
        let (start, end) = (Start::On(date("2026-03-01")), Some(date("2026-03-31")));
        for (period, id) in [
            (Cryptoperiod { start, end }, "bdk;1;2026-03-01/2026-03-31"),
            (Cryptoperiod { start, end: None }, "bdk;1;2026-03-01/"),
            (Cryptoperiod { start: Start::Open, end }, "bdk;1;/2026-03-31"),
            (Cryptoperiod { start: Start::Activation, end }, "bdk;1;pending/2026-03-31"),
            (Cryptoperiod { start: Start::Activation, end: None }, "bdk;1;pending/"),
            (Cryptoperiod::default(), "bdk;1"),
        ] {
            for variant in [None, Some("08D7B4")] {
                let written = Written { period, variant: variant.map(|value| value.parse().unwrap()) };
                let id = format!("{id}{}", variant.map(|value| format!(";variant={value}")).unwrap_or_default());
                assert_eq!(written.id("bdk;1"), id);
                let read = Written::read("bdk;1", id.as_bytes());
                assert_eq!(read.period, period);
                assert_eq!(read.variant.map(|value| value.to_string()).as_deref(), variant);
            }
        }
        for other in [
            "",
            "other",
            "other;2026-03-01/2026-03-31",
            "bdk;12026-03-01/2026-03-31",
            "bdk;1;x/y",
            "bdk;1;",
            "bdk;1;variant=",
            "bdk;1;variant=08D7B",
            "other;variant=08D7B4",
        ] {
            let read = Written::read("bdk;1", other.as_bytes());
            assert_eq!((read.period, read.variant.is_none()), (Cryptoperiod::default(), true), "{other}");
        }
    }
}
