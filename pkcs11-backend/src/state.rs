//! Whether a key may be used, and how people change that: marks beside the key, which itself cannot be modified.

use std::{fmt, str};

use cryptoki_sys::*;
use dukpt::{KeyError, KeyId, KeyKind};

use crate::{
    Cryptoperiod, Date, Pkcs11Store, Start,
    direct::{Attribute, Object, Value},
};

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

/// The cryptoperiod of a key, and what people did since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Term {
    pub(crate) period: Cryptoperiod,
    pub(crate) activated: Option<Mark>,
    pub(crate) retired: Option<Mark>,
}

impl Term {
    /// Whether the key may be used today.
    pub(crate) fn state(&self) -> KeyState {
        match self.period.state(Date::today()) {
            _ if self.retired.is_some() => KeyState::Retired,
            KeyState::Pending if self.activated.is_some() => KeyState::Active,
            state => state,
        }
    }
}

/// A private data object that says what became of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) object: Object,
    /// The day on which it was set.
    pub(crate) on: Option<Date>,
}

const ACTIVATED: &str = "activated";
const RETIRED: &str = "retired";

impl Pkcs11Store {
    /// Begins the cryptoperiod of a pending key, from today: a data object `<id>.activated` says so. The key is checked
    /// first, as for use. Of an active key nothing changes.
    ///
    /// # Errors
    /// As of [`dukpt::KeyStore::key`]; [`KeyError::Expired`], [`KeyError::Retired`]; [`KeyError::Device`], also of a token
    /// that keeps no data objects (NSS).
    pub fn activate(&mut self, id: &KeyId) -> Result<(), KeyError> {
        self.forget(id);
        match self.stored(id)?.term.state() {
            KeyState::Active => Ok(()),
            KeyState::Pending => self.mark(id, ACTIVATED),
            state => state.must_be_active(id),
        }
    }

    /// Takes a key out of use for good, before the end of its cryptoperiod: a data object `<id>.retired` says so. Stores that
    /// have used the key learn of it after [`Settings::recheck`](crate::Settings::recheck).
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Retired`] if it is so already; [`KeyError::Device`], as of
    /// [`Pkcs11Store::activate`].
    pub fn retire(&mut self, id: &KeyId) -> Result<(), KeyError> {
        self.only(id, id.as_str())?;
        if !self.marks(id, RETIRED)?.is_empty() {
            return Err(KeyError::Retired(id.clone()));
        }
        self.mark(id, RETIRED)
    }

    fn mark(&mut self, id: &KeyId, what: &str) -> Result<(), KeyError> {
        let (label, today) = (format!("{id}.{what}"), Date::today().to_string());
        self.direct().create(&[
            (CKA_CLASS, Value::Ulong(CKO_DATA)),
            (CKA_LABEL, Value::Bytes(label.as_bytes())),
            (CKA_TOKEN, Value::Bool(CK_TRUE)),
            (CKA_PRIVATE, Value::Bool(CK_TRUE)),
            (CKA_MODIFIABLE, Value::Bool(CK_FALSE)),
            (CKA_VALUE, Value::Bytes(today.as_bytes())),
        ])?;
        self.forget(id);
        Ok(())
    }

    /// What was done with a key of this cryptoperiod.
    pub(crate) fn term(&self, id: &KeyId, period: Cryptoperiod) -> Result<Term, KeyError> {
        // Of a key that needs no activation nothing says so, and each search is a call that may fail.
        let activated = match period.start {
            Start::Open => None,
            Start::On(_) | Start::Activation => self.marks(id, ACTIVATED)?.first().copied(),
        };
        Ok(Term { period, activated, retired: self.marks(id, RETIRED)?.first().copied() })
    }

    /// All marks of a key.
    pub(crate) fn all_marks(&self, id: &KeyId) -> Result<Vec<Mark>, KeyError> {
        Ok([self.marks(id, ACTIVATED)?, self.marks(id, RETIRED)?].concat())
    }

    fn marks(&self, id: &KeyId, what: &str) -> Result<Vec<Mark>, KeyError> {
        let label = format!("{id}.{what}");
        let wanted: [Attribute<'_>; 2] =
            [(CKA_CLASS, Value::Ulong(CKO_DATA)), (CKA_LABEL, Value::Bytes(label.as_bytes()))];
        let objects = self.direct().find(&wanted)?;
        let read = |object| {
            let mut day = [0; 16];
            let day = self.direct().attribute(object, CKA_VALUE, &mut day)?;
            Ok(Mark { object, on: day.and_then(|day| str::from_utf8(day).ok()?.parse().ok()) })
        };
        objects.into_iter().map(read).collect()
    }

    /// Whether the key may be used: it is active, or it is a base key of which the settings say that what was encrypted
    /// before is still decrypted (recipient-usage period; NIST SP 800-57 part 1, 5.3.4).
    pub(crate) fn must_be_usable_now(&self, id: &KeyId, kind: KeyKind, term: &Term) -> Result<(), KeyError> {
        let state = term.state();
        let is_past = matches!(state, KeyState::Expired | KeyState::Retired);
        let is_base = matches!(kind, KeyKind::TdesBase | KeyKind::AesBase(_));
        if is_past && is_base && self.still_decrypts(id) { Ok(()) } else { state.must_be_active(id) }
    }
}
