//! Card numbers and cards as Python gives them.

use ::vault::Card;
use p2pe_crypto::Expiry;
use pyo3::{
    prelude::*,
    types::{PyAny, PyString, PyTuple},
};

use crate::{card::Pan, error::Failure, payload::bytes};

/// A card number that Python gave.
pub(crate) enum Number {
    Kept(Py<Pan>),
    Read(p2pe_crypto::Pan),
}

impl Number {
    pub(crate) fn read(number: &Bound<'_, PyAny>) -> Result<Self, Failure> {
        match number.cast::<Pan>() {
            Ok(pan) => Ok(Self::Kept(pan.clone().unbind())),
            Err(_) => Ok(Self::Read(p2pe_crypto::Pan::new(&bytes(number)?)?)),
        }
    }

    pub(crate) fn pan(&self) -> &p2pe_crypto::Pan {
        match self {
            Self::Kept(pan) => &pan.get().0,
            Self::Read(pan) => pan,
        }
    }
}

/// A card that Python gave.
pub(crate) struct Given {
    number: Number,
    expiry: Option<Expiry>,
}

impl Given {
    pub(crate) fn read(number: &Bound<'_, PyAny>, expiry: Option<&Bound<'_, PyString>>) -> Result<Self, Failure> {
        // Never Python's own error, which would carry the text.
        let expiry = expiry.map(|text| text.to_string_lossy().parse()).transpose()?;
        Ok(Self { number: Number::read(number)?, expiry })
    }

    /// A number, or a pair of number and expiry date.
    pub(crate) fn read_one(card: &Bound<'_, PyAny>) -> Result<Self, Failure> {
        let Ok(pair) = card.cast::<PyTuple>() else { return Self::read(card, None) };
        let pairs = || Failure::Type("expected a card number, or a pair of number and expiry date");
        let (number, expiry) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyString>)>().map_err(|_| pairs())?;
        Self::read(&number, Some(&expiry))
    }

    pub(crate) fn card(&self) -> Card<'_> {
        Card { pan: self.number.pan(), expiry: self.expiry }
    }
}
