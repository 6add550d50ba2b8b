//! `Payload`: what a device sent, parsed and checked, not decrypted.

use p2pe_crypto::{Entry, Form, Format, idtech::Frame, tracks::from_hex};
use pyo3::{
    prelude::*,
    types::{PyAny, PyByteArray, PyBytes, PyString},
};
use zeroize::Zeroizing;

use crate::error::Failure;

/// A device payload, every length, check and flag of it found right. It holds ciphertext, no card data.
///
/// `frame` is what a device sent, of any format that is recognised by its first bytes: binary (`bytes` or `bytearray`),
/// hex digits or keyboard form (or `str`). `format`, if it is given, is the one format that it must be of: the name with which
/// its profiles begin, as in `magtek-report`.
///
/// Raises `ArgumentError` for an unknown format; `PayloadError`; `ClearAccountDataError` if a card number stands there unencrypted.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Payload(pub(crate) p2pe_crypto::Payload);

#[pymethods]
impl Payload {
    #[new]
    #[pyo3(signature = (frame, /, *, format = None))]
    fn new(frame: &Bound<'_, PyAny>, format: Option<&str>) -> Result<Self, Failure> {
        let Some(name) = format else { return Self::parse(frame) };
        let format = Format::ALL.into_iter().find(|format| format.name() == name);
        let format = format.ok_or_else(|| {
            Failure::argument("no payload format has this name; profiles begin with the names", "payload_format")
        })?;
        Ok(Self(p2pe_crypto::Payload::parse_as(format, &bytes(frame)?)?))
    }

    /// Raw track ciphertext with its KSN beside it.
    ///
    /// `ksn` is 10 bytes (TDES DUKPT) or 12 (AES DUKPT), `tracks` one to three ciphertexts of whole blocks, each its
    /// own CBC run: `bytes`, `bytearray`, or `str` of hex digits.
    ///
    /// Raises `PayloadError`.
    #[staticmethod]
    #[pyo3(signature = (*, ksn, tracks))]
    fn from_tracks(ksn: &Bound<'_, PyAny>, tracks: Vec<Bound<'_, PyAny>>) -> Result<Self, Failure> {
        let tracks = tracks.iter().map(bytes_or_hex).collect::<Result<Vec<_>, _>>()?;
        let tracks: Vec<&[u8]> = tracks.iter().map(|track| track.as_slice()).collect();
        Ok(Self(p2pe_crypto::Payload::from_tracks(&bytes_or_hex(ksn)?, &tracks)?))
    }

    /// The key serial number: 20 (TDES) or 24 (AES) hex digits.
    #[getter]
    fn ksn(&self) -> String {
        self.0.ksn().to_string()
    }

    /// The layout, as the names of profiles begin: `idtech`, `idtech-original`, `track` …
    #[getter]
    fn format(&self) -> &'static str {
        self.0.format().name()
    }

    /// How a frame was received: `binary`, `hex` or `keyboard`; `None` for raw tracks.
    #[getter]
    fn form(&self) -> Option<&'static str> {
        let form = match &self.0 {
            p2pe_crypto::Payload::IdTech(frame) => frame.form(),
            p2pe_crypto::Payload::IdTechOriginal(frame) => frame.form(),
            _ => return None,
        };
        Some(match form {
            Form::Binary => "binary",
            Form::Hex => "hex",
            Form::Keyboard => "keyboard",
        })
    }

    /// `swiped` or `keyed`; `None` for raw tracks, which tell only when decrypted.
    #[getter]
    fn entry(&self) -> Option<&'static str> {
        match &self.0 {
            p2pe_crypto::Payload::IdTech(frame) => Some(entry_name(frame.entry())),
            p2pe_crypto::Payload::IdTechOriginal(_) => Some(entry_name(Entry::Swiped)),
            p2pe_crypto::Payload::IdTechKeyed(_) => Some(entry_name(Entry::Keyed)),
            p2pe_crypto::Payload::IdTechXml(message) => Some(entry_name(message.entry())),
            _ => None,
        }
    }

    /// The device's serial number, 10 bytes, usually ASCII; `None` if it was not sent.
    #[getter]
    fn serial(&self) -> Option<&[u8]> {
        match &self.0 {
            p2pe_crypto::Payload::IdTech(frame) => frame.serial(),
            p2pe_crypto::Payload::IdTechXml(message) => message.serial(),
            _ => None,
        }
    }

    /// What was keyed in beside the card number, in clear: address and ZIP code; `None` if nothing was.
    #[getter]
    fn extra(&self) -> Option<&[u8]> {
        self.frame()?.extra()
    }

    fn __repr__(&self) -> String {
        format!("Payload(format='{}', ksn='{}')", self.format(), self.0.ksn())
    }
}

impl Payload {
    /// Of whichever format it is.
    pub(crate) fn parse(frame: &Bound<'_, PyAny>) -> Result<Self, Failure> {
        Ok(Self(p2pe_crypto::Payload::parse(&bytes(frame)?)?))
    }

    fn frame(&self) -> Option<&Frame> {
        match &self.0 {
            p2pe_crypto::Payload::IdTech(frame) => Some(frame),
            _ => None,
        }
    }
}

/// What `entry` is called in Python.
pub(crate) fn entry_name(entry: Entry) -> &'static str {
    match entry {
        Entry::Swiped => "swiped",
        Entry::Keyed => "keyed",
        Entry::Chip => "chip",
        Entry::Contactless => "contactless",
    }
}

/// The bytes of a frame, wiped on drop: a device that is not in encrypting mode sends a card number in here.
pub(crate) fn bytes(object: &Bound<'_, PyAny>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = if let Ok(bytes) = object.cast::<PyBytes>() {
        bytes.as_bytes().to_vec()
    } else if let Ok(bytes) = object.cast::<PyByteArray>() {
        bytes.to_vec()
    } else if let Ok(text) = object.cast::<PyString>() {
        // Never Python's own error, which would carry the whole text: the parser refuses it, and sounds the alarm if due.
        text.to_string_lossy().as_bytes().to_vec()
    } else {
        return Err(Failure::Type("expected bytes, bytearray or str"));
    };
    Ok(Zeroizing::new(bytes))
}

/// Bytes as they are; text as hex digits.
fn bytes_or_hex(object: &Bound<'_, PyAny>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let read = bytes(object)?;
    if object.is_instance_of::<PyString>() { Ok(from_hex(&read)?) } else { Ok(read) }
}
