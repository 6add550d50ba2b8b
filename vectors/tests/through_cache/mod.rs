//! A cached store as the suite takes it: its keys are there already, and it takes none in.

use std::time::{Duration, Instant};

use dukpt::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, Scheme,
    cache::{Cached, Limits},
};

pub(crate) struct ThroughCache<'s, S: KeyStore>(pub(crate) Cached<'s, S>);

impl<'s, S: KeyStore> ThroughCache<'s, S> {
    pub(crate) fn new(store: &'s S) -> Self {
        let start = Instant::now();
        let limits = Limits { initial_keys: 3, paths: 3, time_to_live: Duration::from_secs(60) };
        Self(Cached::new(store, limits, move || start.elapsed()))
    }
}

impl<'s, S: KeyStore> KeyStore for ThroughCache<'s, S> {
    type Key<'c>
        = <Cached<'s, S> as KeyStore>::Key<'c>
    where
        Self: 'c;

    fn key(&self, id: &KeyId) -> Result<Self::Key<'_>, KeyError> {
        self.0.key(id)
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        self.0.custody(scheme)
    }
}

impl<S: KeyStore> KeyImport for ThroughCache<'_, S> {
    fn import(&mut self, id: &KeyId, _: &KeyMaterial, _: Lifetime) -> Result<(), KeyError> {
        Err(KeyError::AlreadyExists(id.clone()))
    }

    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError> {
        self.0.key(id)?.check_value(CheckMethod::Legacy)
    }
}
