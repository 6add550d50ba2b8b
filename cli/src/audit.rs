//! The audit log that the settings name: what this program records, `p2pe audit verify` and `p2pe audit seal`.

use std::sync::Arc;

use dukpt::{KeyId, KeyStore};
use p2pe_audit::{AuditError, Audited, Event, Log, Record, Verified, verify};
use p2pe_config::{Access, Config, Store};
use serde_json::json;

use crate::{
    args::{Audit, Global},
    failure::Failure,
    keys::key_id,
    open,
    output::Output,
};

/// Where records go, if the settings say so.
pub(crate) struct Journal(Option<Arc<Log>>);

impl Journal {
    /// Opens the log before anything is done that it must tell of.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        Ok(Self(config.audit.as_ref().map(|settings| settings.open().map(Arc::new)).transpose()?))
    }

    /// The store, each use of whose keys is recorded.
    pub(crate) fn over(&self, store: Store) -> Audited<Store> {
        Audited::new(store, self.0.clone())
    }

    /// Records how something ended. What cannot be recorded does not count as done.
    pub(crate) fn record<'e, T>(
        &self,
        entry: impl FnOnce(&'static str) -> Record<'e>,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.record_all(|result| vec![entry(result)], outcome)
    }

    /// As [`Journal::record`], in several records.
    pub(crate) fn record_all<'e, T>(
        &self,
        entries: impl FnOnce(&'static str) -> Vec<Record<'e>>,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(log) = &self.0 {
            let written = log.append_all(&entries(outcome.as_ref().err().map_or("ok", |failure| failure.code)));
            if log.options().required {
                written?;
            }
        }
        outcome
    }
}

/// A payload that is refused because card data stands in it in clear is recorded, if the settings can be read.
pub(crate) fn alarm<T>(global: &Global, payload: Result<T, Failure>) -> Result<T, Failure> {
    const ALARM: u8 = 5;
    match payload {
        Err(failure) if failure.exit == ALARM => {
            Journal::open(&open::config(global)?)?.record(|result| Record::new(Event::Alarm, result), Err(failure))
        }
        payload => payload,
    }
}

pub(crate) fn run(global: &Global, args: &Audit, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let folder = match (args, &config.audit) {
        (Audit::Verify { folder: Some(folder), .. }, _) => folder.clone(),
        (_, Some(settings)) => settings.folder.clone(),
        (_, None) => {
            return Err(Failure::config(
                "no audit log is named",
                "add [audit] with folder = \"FOLDER\" to the settings",
            ));
        }
    };
    match args {
        Audit::Verify { key, .. } => {
            let found = match key.as_deref().map(seal_key).transpose()? {
                Some(id) => {
                    let store = open::store(global, &config, Access::Use)?;
                    let key = store.key(&id)?;
                    verify(&folder, Some(&key))?
                }
                None => verify(&folder, None)?,
            };
            report(&found, key.is_some(), output)
        }
        Audit::Seal { key } => {
            let id = seal_key(key)?;
            let store = open::store(global, &config, Access::Use)?;
            let key = store.key(&id)?;
            let Journal(Some(log)) = Journal::open(&config)? else { return Ok(()) };
            log.seal(&key)?;
            output.result(&json!({ "sealed": true }), || "sealed\n".into())
        }
    }
}

fn seal_key(id: &str) -> Result<KeyId, Failure> {
    key_id(id).map_err(|failure| Failure { hint: "correct --key", ..failure })
}

fn report(found: &Verified, with_key: bool, output: &Output) -> Result<(), Failure> {
    let Verified { records, files, last, sealed, unfinished } = found;
    let value = json!({ "records": records, "files": files, "last": last, "sealed": sealed, "unfinished": unfinished });
    output.result(&value, || {
        let sealed = match (with_key, sealed) {
            (false, _) => "seals not checked: no --key".into(),
            (true, Some(number)) => format!("sealed up to record {number}"),
            (true, None) => "no seal".into(),
        };
        format!("whole: {records} records in {files} file(s); {sealed}\nlast {last}\n")
    })
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        let (exit, hint) = match &error {
            AuditError::Broken { .. } => {
                (9, "keep the folder as it is for the inquiry, and name a new one in the settings")
            }
            AuditError::Busy(_) => (3, "give each program an audit folder of its own"),
            AuditError::Key(_) => (7, "the key of the seals is an HMAC key of the store"),
            _ => (
                1,
                "check that the audit folder can be written to and has room; what could not be recorded counts as not done",
            ),
        };
        Self::new(exit, error.code(), &error, hint)
    }
}
