//! `Vault`: card numbers in one or several databases, random tokens out, and the way back.

use std::{
    env,
    path::PathBuf,
    process,
    sync::{Arc, RwLock},
};

use ::vault::{Card, KeyNames, RateLimit, ShardedVault, addresses, holds_password, open_stores};
use dukpt::KeyId;
use p2pe_audit::{Event, Label, Record};
use p2pe_config::key_id;
use p2pe_crypto::MerchantId;
use p2pe_migrate::VaultTokens;
use pyo3::{
    prelude::*,
    types::{PyAny, PyDict, PyList, PyString},
};

use crate::{
    answers::answers,
    arrow::{ArrowTokens, Chunks},
    card::CardOnFile,
    error::Failure,
    given::{Given, Number},
    handle::Handle,
    policy::{Policy, purpose},
    stats,
    store::Store,
    workers::{Open, Outcome, Plan, Workers},
};

/// Where the databases are named, one a line, if the program does not: as for `p2pe vault`.
const VARIABLE: &str = "P2PE_DATABASE";

/// A vault: card numbers in a database, sealed under keys that the key store wraps; random tokens out; and the way back. For
/// all threads; as many calls run at a time as it has `workers`, each with a session of its own at the key store.
///
/// Made by `Vault.init`, opened by `Vault.open`. Closes with `close()`, at the end of a `with` block, or when it is collected.
/// It serves while its store is open. Open it after a fork, not before.
#[pyclass(frozen, module = "p2pe_crypto")]
pub(crate) struct Vault {
    store: Arc<Handle>,
    /// `None` once closed. A call holds it until it has its result. Nothing under this lock takes the GIL.
    workers: RwLock<Option<Workers>>,
    /// For `repr`.
    databases: Vec<String>,
    /// The process with the threads in it: a fork has none.
    process: u32,
}

#[pymethods]
impl Vault {
    /// Makes a vault in an empty database, and opens it as `Vault.open` does. `fingerprint_key` and `wrapping_key` are names of
    /// keys in the store, of kinds `hmac` and `wrap`. A vault over several databases also has a `routing_key`, of kind `hmac`:
    /// that one, and how many databases there are, stay for ever.
    ///
    /// Raises `VaultError` with code `vault_already_initialised`, and what `Vault.open` raises.
    #[staticmethod]
    #[pyo3(signature = (store, /, *addresses, fingerprint_key, wrapping_key, routing_key = None, workers = 1, rate_limit = 600))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn init(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        addresses: Vec<PathBuf>,
        fingerprint_key: &str,
        wrapping_key: &str,
        routing_key: Option<&str>,
        workers: usize,
        rate_limit: u32,
    ) -> Result<Self, Failure> {
        let fingerprint = key_id(fingerprint_key, "fingerprint_key")?;
        let wrapping = key_id(wrapping_key, "wrapping_key")?;
        let routing = routing_key.map(|key| key_id(key, "routing_key")).transpose()?;
        let names = KeyNames { fingerprint, wrapping };
        Self::opened(py, store, addresses, workers, rate_limit, Some((names, routing)))
    }

    /// Opens a vault with the keys of an open store.
    ///
    /// An address is the path of an SQLite file, or a URL, `postgres://…`; without one, those of the environment variable
    /// `P2PE_DATABASE`, one a line. Several are the databases of one vault, all of them, in any order. A password is never an
    /// argument: a URL with one comes from that variable, or names its file with `?passfile=FILE`. `rate_limit` is how many card
    /// numbers a caller gets in a minute; of several databases, each grants its part.
    ///
    /// Each of the `workers` opens the store's token, or reads its key files, for itself, and again after a fault.
    ///
    /// Raises `VaultError` with code `vault_not_initialised`, or `vault_wrong_key` if a key is not the one that the vault was
    /// made with, or `vault_no_set` if the databases are not those of one vault; `DatabaseError`; `ConfigError`, also for a store
    /// whose PIN somebody typed; `StoreError`. A server of several that is down is no failure until a card or token of its is
    /// asked for.
    #[staticmethod]
    #[pyo3(signature = (store, /, *addresses, workers = 1, rate_limit = 600))]
    fn open(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        addresses: Vec<PathBuf>,
        workers: usize,
        rate_limit: u32,
    ) -> Result<Self, Failure> {
        Self::opened(py, store, addresses, workers, rate_limit, None)
    }

    /// The token of a card, under a policy. `pan` is a `Pan`, or the digits as `str`, `bytes` or `bytearray`; `expiry` is
    /// `YYMM`, for a policy with expiry date. A `request` of 1 to 64 bytes that is sent again within a day has the same token,
    /// under a single-use policy too.
    ///
    /// Raises `CardError`; `VaultError`; `ArgumentError` for another `request`; `DatabaseError`; `StoreError`.
    #[pyo3(signature = (policy, pan, /, expiry = None, *, request = None))]
    fn tokenize(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        pan: &Bound<'_, PyAny>,
        expiry: Option<&Bound<'_, PyString>>,
        request: Option<String>,
    ) -> Result<String, Failure> {
        let (policy, card) = (policy.get().0.clone(), Given::read(pan, expiry)?);
        let merchant = Label::of(policy.merchant().as_str());
        let token = self.run(py, move |vault| Ok(vault.tokenize(&policy, card.card(), request.as_deref())?));
        self.recorded(py, |result| about(Event::Tokenize, result, merchant.as_ref()), token)
    }

    /// The tokens of many cards: a list of them, or a column of card numbers with the Arrow C data interface, which pyarrow, Polars,
    /// pandas and DuckDB have.
    ///
    /// A list is one transaction in each database, of some thousands at most. Each card is a card number as `tokenize` takes it, or with a policy
    /// with expiry date a pair of number and date. The answer is a list that has, in their order, the token of each or the
    /// exception that `tokenize` would raise for it: a card that fails, fails alone.
    ///
    /// A column is an array, a chunked array or a table of one column: of strings, binary UTF-8, dictionaries of either, 64-bit
    /// integers or decimals of scale 0; of `float64` what has 16 digits or more is refused as `digits_lost`. Blanks and hyphens in
    /// a number stay where they are. It may be of any length: it is worked off chunk by chunk, for each number once, under a
    /// multi-use policy without expiry date. The answer is `ArrowTokens`. After an exception, ask for the whole again: the
    /// tokens that were made are the same.
    ///
    /// Raises `VaultError`, `DatabaseError` and `StoreError` for what fails for all; then nothing of a list is stored. Where one of
    /// several databases fails, its cards of a list have that exception, and a column is to be asked for again. For a column
    /// also `ArgumentError` with code `arrow_data`, `migrate_array_type`, `migrate_refused` or `migrate_single_use`.
    #[pyo3(signature = (policy, cards, /))]
    fn tokenize_batch(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        cards: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let policy = &policy.get().0;
        match Chunks::of(cards)? {
            Some(chunks) => Ok(Py::new(py, self.tokenize_column(py, policy, chunks)?)?.into_any()),
            None => {
                Ok(PyList::new(py, self.tokenize_list(py, policy, &cards.extract::<Vec<_>>()?)?)?.into_any().unbind())
            }
        }
    }

    /// The card of a token of the policy's merchant, for a `purpose` that the policy permits. Who asked is `caller`, 1 to 64
    /// bytes; it is recorded in the database, and in the store's audit log, before the card is handed out.
    ///
    /// Raises `UnknownTokenError` for a token that is not there, not this merchant's, used or ended; `RateLimitedError`;
    /// `VaultError`; `ArgumentError`; `DatabaseError`; `StoreError`.
    #[pyo3(signature = (policy, token, /, *, caller, purpose))]
    fn detokenize(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        token: String,
        caller: String,
        purpose: &str,
    ) -> PyResult<CardOnFile> {
        let (policy, purpose) = (policy.get().0.clone(), self::purpose(purpose)?);
        let [merchant, what_for, by] = [policy.merchant().as_str(), purpose.name(), &caller].map(Label::of);
        let record = |result| {
            let record = about(Event::Detokenize, result, merchant.as_ref());
            by.iter().fold(what_for.iter().fold(record, Record::purpose), Record::caller)
        };
        let card = self.run(py, move |vault| Ok(vault.detokenize(&caller, &policy, purpose, &token)?));
        let card = self.recorded(py, record, card)?;
        CardOnFile::new(py, card)
    }

    /// All tokens that a merchant has for a card number, with any expiry date and under any policy version, ended and used ones
    /// too.
    ///
    /// Raises `CardError`; `ArgumentError`; `DatabaseError`; `StoreError`.
    #[pyo3(signature = (pan, /, *, merchant))]
    fn tokens_of(&self, py: Python<'_>, pan: &Bound<'_, PyAny>, merchant: &str) -> Result<Vec<String>, Failure> {
        let (number, merchant) = (Number::read(pan)?, MerchantId::new(merchant)?);
        self.run(py, move |vault| Ok(vault.tokens_of(&merchant, number.pan())?))
    }

    /// Deletes a token and its card.
    ///
    /// Raises `UnknownTokenError`; `ArgumentError`; `DatabaseError`; `StoreError`.
    #[pyo3(signature = (token, /, *, merchant))]
    fn delete(&self, py: Python<'_>, token: String, merchant: &str) -> Result<(), Failure> {
        let (merchant, label) = (MerchantId::new(merchant)?, Label::of(merchant));
        let deleted = self.run(py, move |vault| Ok(vault.delete(&merchant, &token)?));
        self.recorded(py, |result| about(Event::DeleteToken, result, label.as_ref()), deleted)
    }

    /// How many tokens there are on each key and under each policy: a dictionary for each database.
    ///
    /// Raises `DatabaseError`; `StoreError`.
    fn stats(&self, py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        self.run(py, |vault| Ok(vault.stats()?))?.iter().map(|stats| stats::shown(py, stats)).collect()
    }

    /// Closes the vault, after the calls that other threads may be in; later ones raise `VaultError`. The store stays open.
    fn close(&self, py: Python<'_>) {
        // In a fork the lock may be held by a thread which is not there.
        if process::id() == self.process {
            py.detach(|| drop(self.workers.write().ok().and_then(|mut workers| workers.take())));
        }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        let databases: Vec<String> = self.databases.iter().map(|database| format!("{database:?}")).collect();
        format!("Vault(Store({}), {})", self.store.shown(), databases.join(", "))
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        Err(Failure::Copy("Vault"))
    }
}

impl Vault {
    /// With names of keys, makes it first.
    fn opened(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        addresses: Vec<PathBuf>,
        workers: usize,
        rate_limit: u32,
        names: Option<(KeyNames, Option<KeyId>)>,
    ) -> Result<Self, Failure> {
        let (addresses, databases) = named(addresses)?;
        if !(1..=1_000).contains(&workers) {
            return Err(Failure::Settings("a vault has 1 to 1000 workers"));
        }
        let store = Arc::clone(&store.get().0);
        let keys = store.further();
        if !keys.opens_alone() {
            return Err(Failure::Settings(
                "a vault opens the token again after a fault: name the PIN's file or variable",
            ));
        }
        let workers = store.while_serving(py, || {
            let rows = open_stores(&addresses)?;
            match names {
                None => {}
                Some((names, None)) => {
                    let [alone] = &rows[..] else {
                        return Err(Failure::Settings("a vault over several databases needs a routing_key"));
                    };
                    drop(::vault::Vault::init(Arc::clone(alone), keys.open()?, names)?);
                }
                Some((names, Some(routing))) => {
                    drop(ShardedVault::init(rows.clone(), keys.open()?, names, routing)?);
                }
            }
            let workers = Workers::start(workers, Plan { keys, rows, limit: RateLimit(rate_limit) })?;
            // The first one opens it now.
            workers.run(|_| Ok(()))?;
            Ok(workers)
        })?;
        Ok(Self { store, workers: RwLock::new(Some(workers)), databases, process: process::id() })
    }

    fn tokenize_list(
        &self,
        py: Python<'_>,
        policy: &p2pe_crypto::Policy,
        cards: &[Bound<'_, PyAny>],
    ) -> PyResult<Vec<Py<PyAny>>> {
        let mut given = Vec::with_capacity(cards.len());
        let mut refused = Vec::new();
        for (index, card) in cards.iter().enumerate() {
            match Given::read_one(card) {
                Ok(card) => given.push(card),
                Err(failure @ Failure::Card(..)) => refused.push((index, PyErr::from(failure))),
                Err(failure) => return Err(failure.into()),
            }
        }
        let policy = policy.clone();
        let merchant = Label::of(policy.merchant().as_str());
        let tokens = self.run(py, move |vault| {
            let cards: Vec<Card<'_>> = given.iter().map(Given::card).collect();
            Ok(vault.tokenize_batch(&policy, &cards)?)
        });
        let tokens = self.recorded(py, |result| about(Event::Tokenize, result, merchant.as_ref()), tokens)?;
        answers(py, cards.len(), refused, tokens, |token| match token {
            Ok(token) => Ok(PyString::new(py, &token).into_any().unbind()),
            Err(error) => Ok(PyErr::from(Failure::from(error)).into_value(py).into_any()),
        })
    }

    /// Each chunk is recorded by itself.
    fn tokenize_column(
        &self,
        py: Python<'_>,
        policy: &p2pe_crypto::Policy,
        mut chunks: Chunks,
    ) -> PyResult<ArrowTokens> {
        let merchant = Label::of(policy.merchant().as_str());
        let mut made = Vec::new();
        while let Some(numbers) = chunks.next(py)? {
            let policy = policy.clone();
            let tokens = self.run(py, move |vault| {
                Ok(p2pe_migrate::tokenize_batch(&VaultTokens::of_set(vault, policy)?, &*numbers)?)
            });
            made.push(self.recorded(py, |result| about(Event::Tokenize, result, merchant.as_ref()), tokens)?);
            py.check_signals()?;
        }
        Ok(ArrowTokens::new(made))
    }

    fn run<T: Outcome>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Open) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.store.while_serving(py, || {
            let workers = self.workers.read().map_err(|_| Failure::VaultClosed)?;
            workers.as_ref().ok_or(Failure::VaultClosed)?.run(work)
        })
    }

    /// Records how something ended, unless the vault was not even asked. What cannot be recorded does not count as done.
    fn recorded<'r, T>(
        &self,
        py: Python<'_>,
        record: impl FnOnce(&'static str) -> Record<'r>,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match outcome.as_ref().err().map_or(Some("ok"), Failure::code) {
            Some(result) => self.store.record(py, &record(result)).and(outcome),
            None => outcome,
        }
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        // Closing a session is a call to the device. While the interpreter ends there is no GIL to release.
        let _ = Python::try_attach(|py| self.close(py));
    }
}

/// The addresses of databases, and what may be shown of them.
fn named(given: Vec<PathBuf>) -> Result<(Vec<String>, Vec<String>), Failure> {
    if given.is_empty() {
        let named = addresses(&env::var(VARIABLE).unwrap_or_default());
        if named.is_empty() {
            return Err(Failure::Settings("no database is named: pass its address, or set P2PE_DATABASE"));
        }
        let shown = named.iter().map(|address| if holds_password(address) { VARIABLE } else { address }.to_owned());
        let shown = shown.collect();
        return Ok((named, shown));
    }
    let text = |path: PathBuf| match path.into_os_string().into_string() {
        Ok(address) if holds_password(&address) => Err(Failure::Settings(
            "a password is no argument: name its file with ?passfile=FILE or PGPASSFILE, or put the URL into P2PE_DATABASE",
        )),
        Ok(address) => Ok(address),
        Err(_) => Err(Failure::Settings("the address of the database is not UTF-8 text")),
    };
    let named: Vec<String> = given.into_iter().map(text).collect::<Result<_, _>>()?;
    Ok((named.clone(), named))
}

fn about<'r>(event: Event, result: &'static str, merchant: Option<&'r Label>) -> Record<'r> {
    merchant.into_iter().fold(Record::new(event, result), Record::subject)
}
