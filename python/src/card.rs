//! Card data: masked in every text of it, in clear only through `reveal()`.

use std::sync::Arc;

use p2pe_crypto::{Expiry, TrackNumber};
use pyo3::{prelude::*, types::PyAny};
use subtle::ConstantTimeEq;

use crate::{error::Failure, payload::entry_name};

/// A card number of 12 to 19 digits, shown as BIN and last four only. Wiped when it is collected.
///
/// Compares in constant time; cannot be hashed, copied or pickled.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Pan(pub(crate) p2pe_crypto::Pan);

#[pymethods]
impl Pan {
    /// BIN and last four with `*` between: `476173******0010`.
    #[getter]
    fn masked(&self) -> String {
        self.0.to_string()
    }

    /// The first six digits.
    #[getter]
    fn bin(&self) -> &str {
        self.0.bin()
    }

    /// The last four digits.
    #[getter]
    fn last_four(&self) -> &str {
        self.0.last_four()
    }

    /// Whether the check digit is right. A fact, not a gate: house and test cards break it.
    #[getter]
    fn luhn(&self) -> bool {
        self.0.luhn()
    }

    /// The digits in clear. Python cannot wipe them: let them go as soon as you can.
    fn reveal(&self) -> &str {
        self.0.expose()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn __str__(&self) -> String {
        self.masked()
    }

    fn __repr__(&self) -> String {
        format!("Pan('{}')", self.0)
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("Pan"))
    }
}

/// The card data of one payload. Wiped when it and its `sensitive` parts are collected.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct CardData {
    card: Arc<p2pe_crypto::CardData>,
    /// Its own copy: who keeps the number must not keep the tracks alive.
    pan: Py<Pan>,
    keys_in: &'static str,
}

impl CardData {
    /// `keys_in` is where the keys were: `token`, `hybrid` or `memory`.
    pub(crate) fn new(py: Python<'_>, card: p2pe_crypto::CardData, keys_in: dukpt::Custody) -> PyResult<Self> {
        let pan = p2pe_crypto::Pan::new(card.pan().expose().as_bytes());
        let pan = Py::new(py, Pan(pan.map_err(|_| Failure::from(p2pe_crypto::Error::DecryptFailed))?))?;
        let keys_in = match keys_in {
            dukpt::Custody::Token => "token",
            dukpt::Custody::Hybrid => "hybrid",
            dukpt::Custody::Memory => "memory",
        };
        Ok(Self { card: Arc::new(card), pan, keys_in })
    }
}

#[pymethods]
impl CardData {
    /// The card number.
    #[getter]
    fn pan(&self, py: Python<'_>) -> Py<Pan> {
        self.pan.clone_ref(py)
    }

    /// The expiry date as `YYMM`.
    #[getter]
    fn expiry(&self) -> Option<String> {
        self.card.expiry().map(|expiry| expiry.to_string())
    }

    /// The cardholder's name as on track 1, without trailing spaces.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.card.name()
    }

    /// The service code of the stripe, three digits.
    #[getter]
    fn service_code(&self) -> Option<String> {
        self.card.service_code().map(|code| code.to_string())
    }

    /// The chip's data objects as one BER-TLV string, unchanged, for field 55 of the authorisation message; empty if the
    /// payload is of no chip. Card number and track data are not in it.
    #[getter]
    fn emv(&self) -> &[u8] {
        self.card.emv().as_bytes()
    }

    /// The session id that the host had given to the device, 8 bytes.
    #[getter]
    fn session_id(&self) -> Option<&[u8]> {
        self.card.session_id().map(|id| &id[..])
    }

    /// `swiped`, `keyed`, `chip` or `contactless`.
    #[getter]
    fn entry(&self) -> &'static str {
        entry_name(self.card.entry())
    }

    /// Where the keys were: `token` (never outside it), `hybrid` (the base key in the token, those derived from it in
    /// wiped host memory) or `memory`.
    #[getter]
    fn keys_in(&self) -> &'static str {
        self.keys_in
    }

    /// Tracks and security code: for the authorisation message only, never to be stored (PCI DSS v4, 3.3.1).
    #[getter]
    fn sensitive(&self) -> SensitiveData {
        SensitiveData(Arc::clone(&self.card))
    }

    fn __repr__(&self) -> String {
        format!("CardData(entry='{}', pan='{}')", self.entry(), self.card.pan())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("CardData"))
    }
}

/// A card on its way out of a vault. Wiped when it and its `pan` are collected.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct CardOnFile {
    pan: Py<Pan>,
    expiry: Option<Expiry>,
}

impl CardOnFile {
    pub(crate) fn new(py: Python<'_>, card: ::vault::CardOnFile) -> PyResult<Self> {
        Ok(Self { pan: Py::new(py, Pan(card.pan))?, expiry: card.expiry })
    }
}

#[pymethods]
impl CardOnFile {
    /// The card number.
    #[getter]
    fn pan(&self, py: Python<'_>) -> Py<Pan> {
        self.pan.clone_ref(py)
    }

    /// The expiry date as `YYMM`, if the token is for number and date.
    #[getter]
    fn expiry(&self) -> Option<String> {
        self.expiry.map(|expiry| expiry.to_string())
    }

    fn __repr__(&self) -> String {
        format!("CardOnFile(pan='{}')", self.pan.get().0)
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("CardOnFile"))
    }
}

/// Sensitive authentication data: goes into the authorisation message and nowhere else.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct SensitiveData(Arc<p2pe_crypto::CardData>);

#[pymethods]
impl SensitiveData {
    /// Track 1, 2 or 3 from start to end sentinel; keyed data stands in track 2. `None` if the payload had none.
    ///
    /// Raises `ArgumentError` for another number.
    #[pyo3(signature = (number, /))]
    fn track(&self, number: i64) -> Result<Option<Secret>, Failure> {
        let number = match number {
            1 => TrackNumber::One,
            2 => TrackNumber::Two,
            3 => TrackNumber::Three,
            _ => return Err(Failure::argument("a track is 1, 2 or 3", "track_number")),
        };
        Ok(self.part(Part::Track(number)))
    }

    /// The security code that was keyed in, 3 or 4 digits.
    #[getter]
    fn security_code(&self) -> Option<Secret> {
        self.part(Part::SecurityCode)
    }

    /// The front stripe of a Japanese card (JIS X 6302-2, type II), 69 characters.
    #[getter]
    fn jis2(&self) -> Option<Secret> {
        self.part(Part::Jis2)
    }

    fn __repr__(&self) -> &'static str {
        "SensitiveData(***)"
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("SensitiveData"))
    }
}

impl SensitiveData {
    fn part(&self, part: Part) -> Option<Secret> {
        let secret = Secret { card: Arc::clone(&self.0), part };
        secret.text().is_some().then_some(secret)
    }
}

/// Which part of the sensitive data.
#[derive(Clone, Copy)]
enum Part {
    Track(TrackNumber),
    SecurityCode,
    Jis2,
}

/// A track or a security code, shown as `***`.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Secret {
    card: Arc<p2pe_crypto::CardData>,
    part: Part,
}

#[pymethods]
impl Secret {
    /// The text in clear. Python cannot wipe it: let it go as soon as you can.
    fn reveal(&self) -> &str {
        self.text().unwrap_or_default()
    }

    fn __repr__(&self) -> &'static str {
        "Secret(***)"
    }

    fn __str__(&self) -> &'static str {
        "***"
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("Secret"))
    }
}

impl Secret {
    fn text(&self) -> Option<&str> {
        let sensitive = self.card.sensitive();
        match self.part {
            Part::Track(number) => sensitive.track(number).map(|track| track.expose()),
            Part::SecurityCode => sensitive.security_code().map(|code| code.expose()),
            Part::Jis2 => sensitive.jis2().and_then(|stripe| str::from_utf8(stripe.expose()).ok()),
        }
    }
}
