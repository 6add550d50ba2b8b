//! When a key may be used: its cryptoperiod, and whether it was retired before the end.

use std::{
    fmt,
    str::{self, FromStr},
    time::{SystemTime, UNIX_EPOCH},
};

use cryptoki_sys::*;
use dukpt::{KeyError, KeyId};

use crate::{
    Pkcs11Store,
    direct::{Direct, Object, Value},
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
    /// The first day.
    pub start: Option<Date>,
    /// The last day.
    pub end: Option<Date>,
}

impl Cryptoperiod {
    /// Where `today` is in it.
    #[must_use]
    pub fn state(&self, today: Date) -> KeyState {
        if self.start.is_some_and(|start| today < start) {
            KeyState::Pending
        } else if self.end.is_some_and(|end| end < today) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }

    /// The `CKA_ID` of a key: its label, and the two days if there are any.
    pub(crate) fn id(&self, label: &str) -> String {
        let day = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
        match self {
            Self { start: None, end: None } => label.to_string(),
            Self { start, end } => format!("{label};{}/{}", day(*start), day(*end)),
        }
    }

    /// The cryptoperiod in a key's `CKA_ID`. Another program's may say what it likes: then there is none.
    fn read(label: &str, id: &[u8]) -> Self {
        let days = str::from_utf8(id).ok().and_then(|id| id.strip_prefix(label)?.strip_prefix(';')?.split_once('/'));
        let (start, end) = days.unwrap_or_default();
        Self { start: start.parse().ok(), end: end.parse().ok() }
    }

    /// The cryptoperiod of an object.
    pub(crate) fn of(direct: &Direct<'_>, object: Object, label: &str) -> Result<Self, Failure> {
        let mut id = [0; 128];
        Ok(direct.attribute(object, CKA_ID, &mut id)?.map(|id| Self::read(label, id)).unwrap_or_default())
    }
}

/// Whether a key may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Not yet.
    Pending,
    /// Yes.
    Active,
    /// Its cryptoperiod is over.
    Expired,
    /// It was taken out of use.
    Retired,
}

impl KeyState {
    /// # Errors
    /// [`KeyError::Pending`], [`KeyError::Expired`], [`KeyError::Retired`].
    pub(crate) fn must_be_active(self, id: &KeyId) -> Result<(), KeyError> {
        match self {
            Self::Active => Ok(()),
            Self::Pending => Err(KeyError::Pending(id.clone())),
            Self::Expired => Err(KeyError::Expired(id.clone())),
            Self::Retired => Err(KeyError::Retired(id.clone())),
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Retired => "retired",
        })
    }
}

impl Pkcs11Store {
    /// Takes a key out of use for good, before the end of its cryptoperiod. The key itself cannot be modified, so a data
    /// object `<id>.retired` says it. A store that has used the key already goes on until it is closed.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Retired`] if it is so already; [`KeyError::Device`].
    pub fn retire(&mut self, id: &KeyId) -> Result<(), KeyError> {
        self.only(id, id.as_str())?;
        if !self.retired(id)?.is_empty() {
            return Err(KeyError::Retired(id.clone()));
        }
        self.direct().create(&[
            (CKA_CLASS, Value::Ulong(CKO_DATA)),
            (CKA_LABEL, Value::Bytes(retired_label(id).as_bytes())),
            (CKA_TOKEN, Value::Bool(CK_TRUE)),
            (CKA_PRIVATE, Value::Bool(CK_TRUE)),
            (CKA_MODIFIABLE, Value::Bool(CK_FALSE)),
        ])?;
        self.forget(id);
        Ok(())
    }

    /// The data objects that say that a key is retired.
    pub(crate) fn retired(&self, id: &KeyId) -> Result<Vec<Object>, KeyError> {
        let class = (CKA_CLASS, Value::Ulong(CKO_DATA));
        Ok(self.direct().find(&[class, (CKA_LABEL, Value::Bytes(retired_label(id).as_bytes()))])?)
    }
}

fn retired_label(id: &KeyId) -> String {
    format!("{id}.retired")
}

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
        let period = Cryptoperiod { start: Some(date("2026-03-01")), end: Some(date("2026-03-31")) };
        for (today, state) in [
            ("2026-02-28", KeyState::Pending),
            ("2026-03-01", KeyState::Active),
            ("2026-03-31", KeyState::Active),
            ("2026-04-01", KeyState::Expired),
        ] {
            assert_eq!(period.state(date(today)), state, "{today}");
        }
        assert_eq!(Cryptoperiod::default().state(date("2026-03-01")), KeyState::Active);
    }

    #[test]
    fn the_period_stands_behind_the_label() {
        let (start, end) = (Some(date("2026-03-01")), Some(date("2026-03-31")));
        for (period, id) in [
            (Cryptoperiod { start, end }, "bdk;1;2026-03-01/2026-03-31"),
            (Cryptoperiod { start, end: None }, "bdk;1;2026-03-01/"),
            (Cryptoperiod { start: None, end }, "bdk;1;/2026-03-31"),
            (Cryptoperiod::default(), "bdk;1"),
        ] {
            assert_eq!(period.id("bdk;1"), id);
            assert_eq!(Cryptoperiod::read("bdk;1", id.as_bytes()), period);
        }
        for other in ["", "other", "other;2026-03-01/2026-03-31", "bdk;12026-03-01/2026-03-31", "bdk;1;x/y", "bdk;1;"] {
            assert_eq!(Cryptoperiod::read("bdk;1", other.as_bytes()), Cryptoperiod::default(), "{other}");
        }
    }
}
