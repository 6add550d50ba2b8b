//! `Store`: an open key store.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use p2pe_config::{ConfigError, KeyFile, PoolOptions, StoreSettings, TokenSettings, TokenSettingsError, key_id};
use pyo3::{
    prelude::*,
    types::{PyAny, PyDict},
};

use crate::{audit::AuditLog, error::Failure, handle::Handle, health};

/// An open key store: a PKCS#11 token, or memory. For all threads; one call runs at a time, or as many as a pool has workers.
///
/// Closes with `close()`, at the end of a `with` block, or when it is collected. Open it after a fork, not before.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Store(pub(crate) Arc<Handle>);

#[pymethods]
impl Store {
    /// Keys in memory, for tests and development.
    ///
    /// `key_files` is `{name: (kind, path)}`: kind `tdes-base`, `aes-base`, `hmac` or `wrap`, and a file of hex digits.
    ///
    /// `audit` records each use of a key.
    ///
    /// Raises `ConfigError` for a file that is no such key.
    #[staticmethod]
    #[pyo3(signature = (key_files = None, *, audit = None))]
    fn memory(
        py: Python<'_>,
        key_files: Option<BTreeMap<String, (String, PathBuf)>>,
        audit: Option<&Bound<'_, AuditLog>>,
    ) -> Result<Self, Failure> {
        let files = key_files
            .unwrap_or_default()
            .into_iter()
            .map(|(name, (kind, path))| Ok(KeyFile { id: key_id(&name, "key_files")?, kind, path }));
        let settings = StoreSettings::Memory(files.collect::<Result<_, ConfigError>>()?);
        let audit = audit.map(|audit| Arc::clone(&audit.get().0));
        py.detach(|| Handle::open(settings, None, audit)).map(Self)
    }

    /// Keys in a PKCS#11 token, whose user is logged in.
    ///
    /// `module` is the vendor's library. `token` is the token's label, or `uri` its RFC 7512 URI, whose `module-path`
    /// and `pin-source` count where nothing else is said. The PIN is read from the file `pin_file`, from the
    /// environment variable `pin_env`, or asked for on the terminal; it is never an argument. `init` is the module's
    /// initialisation string, where it has one. `allow_unsafe_keys` uses keys that the token does not keep safely.
    /// `still_decrypt` names base keys that decrypt although they are expired or retired.
    /// `audit` records each use of a key.
    ///
    /// With `workers`, `shards` or `deadline` it is a pool: so many sessions in each of so many copies of the module, which
    /// recover by themselves when the token fails, and so many seconds for a call. The PIN is then not asked for. A
    /// settings file can say more.
    ///
    /// Known answers are executed first, on the host and in the token.
    ///
    /// Raises `ConfigError`; `TokenOpenError`; `WrongPinError`, after which you must not try again: tokens lock;
    /// `SelfTestError`.
    #[staticmethod]
    #[pyo3(signature = (
        *, module = None, token = None, uri = None, pin_file = None, pin_env = None, init = None,
        allow_unsafe_keys = false, still_decrypt = None, workers = None, shards = None, deadline = None,
        audit = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn pkcs11(
        py: Python<'_>,
        module: Option<PathBuf>,
        token: Option<&str>,
        uri: Option<&str>,
        pin_file: Option<PathBuf>,
        pin_env: Option<String>,
        init: Option<String>,
        allow_unsafe_keys: bool,
        still_decrypt: Option<Vec<String>>,
        workers: Option<usize>,
        shards: Option<usize>,
        deadline: Option<f64>,
        audit: Option<&Bound<'_, AuditLog>>,
    ) -> Result<Self, Failure> {
        let named = || {
            TokenSettings {
                module,
                token: TokenSettings::token(token, uri)?,
                pin: TokenSettings::pin(pin_file.as_deref(), pin_env.as_deref())?,
            }
            .settings(None)
        };
        let mut settings = named().map_err(|error: TokenSettingsError| ConfigError::from(error))?;
        settings.init = init;
        settings.allow_unsafe_keys = allow_unsafe_keys;
        let ids = still_decrypt.iter().flatten().map(|name| key_id(name, "still_decrypt"));
        settings.still_decrypt = ids.collect::<Result<_, _>>()?;
        let audit = audit.map(|audit| Arc::clone(&audit.get().0));
        if workers.is_none() && shards.is_none() && deadline.is_none() {
            let settings = StoreSettings::Pkcs11(Box::new(settings));
            return py.detach(|| Handle::open(settings, None, audit)).map(Self);
        }
        let mut options = PoolOptions::new(settings);
        let within = |count: Option<usize>, usual: usize, most: usize| match count.unwrap_or(usual) {
            count if (1..=most).contains(&count) => Ok(count),
            _ => Err(Failure::Settings("a pool has 1 to 1000 workers and 1 to 100 shards")),
        };
        options.settings.workers = within(workers, options.settings.workers, 1_000)?;
        options.settings.shards = within(shards, options.settings.shards, 100)?;
        if let Some(seconds) = deadline {
            options.deadline = match Duration::try_from_secs_f64(seconds) {
                Ok(time) if (Duration::from_millis(1)..=Duration::from_secs(600)).contains(&time) => time,
                _ => return Err(Failure::Settings("a deadline is 0.001 to 600 seconds")),
            };
        }
        py.detach(|| Handle::pool(options, None, audit)).map(Self)
    }

    /// How the pool is; `None` for a store that is none.
    ///
    /// Raises `StoreError` if the store is closed.
    #[getter]
    fn health(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        health::shown(py, &self.0)
    }

    /// Executes the known answers again, as once a day. Over a pool it has a session of its own, which opens the token.
    ///
    /// Raises `SelfTestError` for a wrong answer, and so does every later call, until the store is opened again: a pool is
    /// closed. Raises `KeyStoreError` for a fault of the token; `StoreError` if the store is closed.
    fn self_test(&self, py: Python<'_>) -> Result<(), Failure> {
        self.0.self_test(py)
    }

    /// Closes the store, after the call that another thread may be in; later calls raise `StoreError`.
    fn close(&self, py: Python<'_>) {
        self.0.close(py);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.0.close(py);
    }

    fn __repr__(&self) -> String {
        format!("Store({})", self.0.shown())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("Store"))
    }
}
