//! A store over a store that records each use of a key.

use std::{fmt, sync::Arc};

use dukpt::{CheckValue, Custody, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, Scheme};

use crate::{AuditedKey, Event, Log, Record};

/// A store whose keys record what they are asked to do, each operation of a stored key as one record, with its KSN where
/// it has one. Of keys that are derived from it only failures are recorded: one transaction is one record.
///
/// A result is given out when its record is as safe as the log's options say; if it cannot be recorded, it is
/// [`KeyError::NotRecorded`]. It goes over every other store, [`dukpt::cache::Cached`] too, so that what the cache
/// remembers is recorded as well. Without a log it records nothing.
///
/// ```
/// use std::sync::Arc;
///
/// use dukpt::{Key, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};
/// use p2pe_audit::{Audited, Label, Log, Options};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # let mut keys = MemoryStore::new();
/// # keys.import(&KeyId::new("tokens")?, &KeyMaterial::new("hmac", &[7; 32])?, Lifetime::Session)?;
/// let log = Arc::new(Log::open(folder, Label::new("gateway-1")?, Options::default())?);
/// let store = Audited::new(&keys, Some(log)); // a gateway's Decryptor and Tokenizer take it as any other store
/// store.key(&KeyId::new("tokens")?)?.hmac_sha256(b"data")?;
///
/// let text = std::fs::read_to_string(folder.join("audit-00000001.jsonl"))?;
/// assert!(text.contains(r#""event":"authenticate","key":"tokens","custody":"memory","result":"ok""#));
/// # Ok(())
/// # }
/// ```
pub struct Audited<S> {
    store: S,
    log: Option<Arc<Log>>,
}

impl<S> Audited<S> {
    /// Over `store`, into `log`.
    pub fn new(store: S, log: Option<Arc<Log>>) -> Self {
        Self { store, log }
    }

    /// The store below: what is done there is not recorded.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store below, as a ceremony changes it. The ceremony records its steps itself.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Option<&Log> {
        self.log.as_deref()
    }

    /// The result of a use, once it is recorded.
    pub(crate) fn record<'e, T>(
        &self,
        result: Result<T, KeyError>,
        record: impl FnOnce(&'static str) -> Record<'e>,
    ) -> Result<T, KeyError> {
        if self.log.is_some() {
            self.write(&[record(code(&result))])?;
        }
        result
    }

    /// Writes records, which reach the disk together.
    pub(crate) fn write(&self, records: &[Record<'_>]) -> Result<(), KeyError> {
        match self.log.as_deref().map(|log| (log.append_all(records), log.options().required)) {
            Some((Err(_), true)) => Err(KeyError::NotRecorded),
            _ => Ok(()),
        }
    }
}

impl<S: KeyStore> KeyStore for Audited<S> {
    type Key<'s>
        = AuditedKey<'s, S>
    where
        Self: 's;

    fn key(&self, id: &KeyId) -> Result<AuditedKey<'_, S>, KeyError> {
        // Of a base key with versions the one that is used.
        match self.store.key_in_use(id).and_then(|used| Ok((self.store.key(&used)?, used))) {
            Ok((key, used)) => Ok(AuditedKey::stored(self, &used, key)),
            Err(error) => self.record(Err(error), |result| Record::new(Event::FindKey, result).key(id)),
        }
    }

    fn key_in_use(&self, id: &KeyId) -> Result<KeyId, KeyError> {
        self.store.key_in_use(id)
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        self.store.custody(scheme)
    }
}

impl<S: KeyImport> KeyImport for Audited<S> {
    fn import(&mut self, id: &KeyId, material: &KeyMaterial, lifetime: Lifetime) -> Result<(), KeyError> {
        let done = self.store.import(id, material, lifetime);
        self.record(done, |result| Record::new(Event::ImportKey, result).key(id))
    }

    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError> {
        let value = self.store.check_value(id);
        self.record(value, |result| Record::new(Event::InspectKey, result).key(id))
    }
}

impl<S> fmt::Debug for Audited<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audited").field("log", &self.log).finish_non_exhaustive()
    }
}

/// What a record says of a result.
pub(crate) fn code<T>(result: &Result<T, KeyError>) -> &'static str {
    result.as_ref().err().map_or("ok", KeyError::code)
}
