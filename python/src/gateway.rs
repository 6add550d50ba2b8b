//! `Gateway`: a store, the configured devices and the token key, in one object.

use std::{path::PathBuf, sync::Arc};

use dukpt::{Custody, KeyId, KeyStore, KsnPrefix};
use p2pe_audit::{Event, Record};
use p2pe_config::{Config, ConfigError, SealKey, key_id};
use p2pe_crypto::{Decryptor, Devices, MerchantId, PayloadError, Tokenizer};
use pyo3::{
    prelude::*,
    types::{PyAny, PyDict},
};

use crate::{
    answers::answers,
    card::{CardData, Pan},
    error::Failure,
    handle::{Handle, Work},
    health,
    payload::Payload,
    profile::Profile,
    store::Store,
};

/// A population of devices.
///
/// `ksn_prefix` is what their KSNs begin with, in hex digits: 1 to 7 bytes for TDES DUKPT, 1 to 8 for AES DUKPT. In its
/// place, `ksn` may be the KSN of any of their payloads: its first 5 bytes (TDES) or its 4-byte BDK id (AES) count.
/// `base_key` is the name of the base key that they were injected from, `profile` how they send: a `Profile`, or the name of one
/// that comes with the library, as `idtech-tdes` or `track-aes-dukpt-128`.
///
/// Raises `ConfigError`.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Device {
    prefix: KsnPrefix,
    device: p2pe_crypto::Device,
}

/// A profile, or the name of one.
#[derive(FromPyObject)]
enum Named<'py> {
    Profile(Bound<'py, Profile>),
    Name(String),
}

#[pymethods]
impl Device {
    #[new]
    #[pyo3(signature = (*, ksn_prefix = None, ksn = None, base_key, profile))]
    fn new(ksn_prefix: Option<&str>, ksn: Option<&str>, base_key: &str, profile: Named<'_>) -> Result<Self, Failure> {
        let (name, own) = match &profile {
            Named::Profile(profile) => (profile.get().0.to_string(), Some(profile.get().0)),
            Named::Name(name) => (name.clone(), None),
        };
        let (prefix, device) = p2pe_config::device(ksn_prefix, ksn, base_key, &name, own.as_slice())?;
        Ok(Self { prefix, device })
    }

    /// What their KSNs begin with, in hex digits.
    #[getter]
    fn ksn_prefix(&self) -> String {
        self.prefix.to_string()
    }

    /// The name of their base key.
    #[getter]
    fn base_key(&self) -> &str {
        self.device.base_key.as_str()
    }

    /// How they send.
    #[getter]
    fn profile(&self) -> String {
        self.device.profile.to_string()
    }

    fn __repr__(&self) -> String {
        let (prefix, device) = (self.prefix, &self.device);
        format!("Device(ksn_prefix='{prefix}', base_key={:?}, profile='{}')", device.base_key.as_str(), device.profile)
    }
}

/// Decrypts payloads of the configured devices, and makes tokens. For all threads.
///
/// `devices` says who sends; of several KSN prefixes that fit, the longest counts. `token_key` is the name of the HMAC
/// key for tokens.
///
/// Raises `ConfigError` if a KSN prefix is there twice. A key that is missing shows when it is used.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Gateway {
    store: Arc<Handle>,
    devices: Arc<Devices>,
    token_key: Option<KeyId>,
}

#[pymethods]
impl Gateway {
    #[new]
    #[pyo3(signature = (store, /, *, devices, token_key = None))]
    fn new(
        store: &Bound<'_, Store>,
        devices: Vec<Bound<'_, Device>>,
        token_key: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut configured = Devices::new();
        for device in devices {
            let Device { prefix, device } = device.get();
            if configured.insert(*prefix, device.clone()).is_some() {
                return Err(ConfigError::Device(prefix.to_string(), "this prefix is there twice".into()).into());
            }
        }
        let token_key = token_key.map(|name| key_id(name, "token_key")).transpose()?;
        Ok(Self { store: Arc::clone(&store.get().0), devices: Arc::new(configured), token_key })
    }

    /// Decrypts a payload and reads the card in it. A frame may be given as it came.
    ///
    /// Raises `PayloadError`, `DeviceError` and `KeyStoreError` before anything is decrypted; `DecryptError` if the
    /// clear text is not a card's; `StoreError` if the store is closed.
    #[pyo3(signature = (payload, /))]
    fn decrypt(&self, py: Python<'_>, payload: &Bound<'_, PyAny>) -> PyResult<CardData> {
        let payload = match payload.cast::<Payload>() {
            Ok(payload) => Ok(payload.get().0.clone()),
            Err(_) => Payload::parse(payload).map(|payload| payload.0),
        };
        let devices = Arc::clone(&self.devices);
        let card = payload.and_then(|payload| self.store.with(py, Decrypt { devices, payload }));
        let (card, keys_in) = card.map_err(|failure| self.refused(py, failure))?;
        CardData::new(py, card, keys_in)
    }

    /// Decrypts many payloads at once, each a `Payload` or a frame as it came. The list has, in their order, the card of
    /// each or the exception that `decrypt` would raise for it: a payload that fails, fails alone.
    ///
    /// Raises `StoreError` if the store is closed.
    #[pyo3(signature = (payloads, /))]
    fn decrypt_batch(&self, py: Python<'_>, payloads: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<Py<PyAny>>> {
        let mut parsed = Vec::with_capacity(payloads.len());
        let mut refused = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            match payload.cast::<Payload>() {
                Ok(payload) => parsed.push(payload.get().0.clone()),
                Err(_) => match Payload::parse(payload) {
                    Ok(payload) => parsed.push(payload.0),
                    Err(failure) => refused.push((index, self.refused(py, failure))),
                },
            }
        }
        let devices = Arc::clone(&self.devices);
        let results = self.store.with(py, DecryptBatch { devices, payloads: parsed })?;
        answers(py, payloads.len(), refused, results, |result| match result {
            (Ok(card), custody) => Ok(CardData::new(py, card, custody)?.into_pyobject(py)?.into_any().unbind()),
            (Err(error), _) => Ok(self.refused(py, error.into()).into_value(py).into_any()),
        })
    }

    /// The token of a card number at one merchant: `tok_` and 32 hex digits, the same for the same pair, always.
    ///
    /// `merchant` has 1 to 64 bytes without control characters.
    ///
    /// Raises `ArgumentError`; `ConfigError` if no `token_key` is named; `KeyStoreError`; `StoreError` if the store is
    /// closed.
    #[pyo3(signature = (pan, /, *, merchant))]
    fn token(&self, py: Python<'_>, pan: &Bound<'_, Pan>, merchant: &str) -> Result<String, Failure> {
        let merchant = MerchantId::new(merchant)?;
        let Some(key) = self.token_key.clone() else {
            return Err(Failure::Settings("no key for tokens is named"));
        };
        let pan = pan.clone().unbind();
        self.store.with(py, MakeToken { key, merchant, pan })
    }

    /// The store with the keys.
    #[getter]
    fn store(&self) -> Store {
        Store(Arc::clone(&self.store))
    }

    /// How the pool of the store is; `None` for a store that is none.
    ///
    /// Raises `StoreError` if the store is closed.
    #[getter]
    fn health(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        health::shown(py, &self.store)
    }

    /// As `Store.self_test`.
    fn self_test(&self, py: Python<'_>) -> Result<(), Failure> {
        self.store.self_test(py)
    }

    /// Closes the store, also for others that use it; later calls raise `StoreError`.
    fn close(&self, py: Python<'_>) {
        self.store.close(py);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.store.close(py);
    }

    fn __repr__(&self) -> String {
        format!("Gateway(Store({}), devices={})", self.store.shown(), self.devices.iter().count())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("Gateway"))
    }
}

struct Decrypt {
    devices: Arc<Devices>,
    payload: p2pe_crypto::Payload,
}

impl Work for Decrypt {
    type Result = (p2pe_crypto::CardData, Custody);

    fn run(&mut self, store: &impl KeyStore) -> Result<Self::Result, Failure> {
        let decryptor = Decryptor::new(store, &*self.devices);
        Ok((decryptor.decrypt(&self.payload)?, decryptor.custody(&self.payload)))
    }
}

struct DecryptBatch {
    devices: Arc<Devices>,
    payloads: Vec<p2pe_crypto::Payload>,
}

impl Work for DecryptBatch {
    type Result = Vec<(Result<p2pe_crypto::CardData, p2pe_crypto::Error>, Custody)>;

    fn run(&mut self, store: &impl KeyStore) -> Result<Self::Result, Failure> {
        let decryptor = Decryptor::new(store, &*self.devices);
        let custody = self.payloads.iter().map(|payload| decryptor.custody(payload));
        Ok(decryptor.decrypt_batch(&self.payloads).into_iter().zip(custody).collect())
    }
}

struct MakeToken {
    key: KeyId,
    merchant: MerchantId,
    pan: Py<Pan>,
}

impl Work for MakeToken {
    type Result = String;

    fn run(&mut self, store: &impl KeyStore) -> Result<String, Failure> {
        Ok(Tokenizer::new(store, self.key.clone()).token(&self.merchant, &self.pan.get().0)?.to_string())
    }
}

impl Gateway {
    /// The exception for a payload. An alarm is recorded, and raised even if it cannot be.
    fn refused(&self, py: Python<'_>, failure: Failure) -> PyErr {
        let code = PayloadError::ClearAccountData.code();
        if failure.code() == Some(code) {
            drop(self.store.record(py, &Record::new(Event::Alarm, code)));
        }
        failure.into()
    }
}

/// Opens the store, devices, token key and audit log of a settings file (TOML). Relative paths in it start at its folder.
///
/// `sealed` is what `p2pe config seal` printed: then the file must have the seal of that very key, or it is not used. It must
/// come from where the file's writers cannot change it.
///
/// Raises `ConfigError`, with code `config_seal` for a seal that is missing or wrong; `AuditError`; `TokenOpenError`,
/// `WrongPinError` and `SelfTestError` as `Store.pkcs11` does.
#[pyfunction]
#[pyo3(signature = (path, /, *, sealed = None))]
pub(crate) fn open(py: Python<'_>, path: PathBuf, sealed: Option<&str>) -> Result<Gateway, Failure> {
    let sealed = sealed.map(str::parse::<SealKey>).transpose().map_err(ConfigError::from)?;
    py.detach(|| {
        let config = match &sealed {
            Some(key) => Config::load_sealed(&path, key)?,
            None => Config::load(&path)?,
        };
        let Config { store, cache, pool, devices, token_key, audit, .. } = config;
        let settings = store.ok_or(Failure::Settings("the settings name no [store]"))?;
        let audit = audit.map(|audit| audit.open()).transpose()?.map(Arc::new);
        let store = match pool {
            Some(options) => Handle::pool(options, cache, audit)?,
            None => Handle::open(settings, cache, audit)?,
        };
        Ok(Gateway { store, devices: Arc::new(devices), token_key })
    })
}
