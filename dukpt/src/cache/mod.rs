//! Keys of devices that were seen lately, kept above the joint: bounded, wiped or destroyed when they go, for any store.

mod key;
mod lru;
mod observe;

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::{cell::RefCell, fmt, time::Duration};

pub use key::CachedKey;
use lru::Lru;

use crate::{BdkName, Custody, KeyError, KeyId, KeyStore, Scheme, aes, tdes};

/// How much a [`Cached`] store keeps, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// TDES initial keys, one a device, 16 bytes of wiped host memory each.
    pub initial_keys: usize,
    /// AES derivation paths, one a device: its initial key and at most 15 intermediate keys, in the store.
    pub paths: usize,
    /// The age at which a key goes, used or not: how long the keys of a base key may outlive its removal.
    pub time_to_live: Duration,
}

/// A store that remembers what it derived for each device. One worker, one cache: it is neither `Send` nor `Sync`.
///
/// Of an AES device it keeps the keys on the path to its last counter, so that a run of counters costs two derivations
/// a transaction. Keys that no later counter needs are dropped at once; dropping destroys them where they are. The
/// key of an odd counter has no children and is never kept.
///
/// What reaches its age goes at the next use of the store; an idle worker calls [`Cached::expire`].
pub struct Cached<'s, S: KeyStore> {
    store: &'s S,
    clock: Box<dyn Fn() -> Duration + 's>,
    initial_keys: RefCell<Lru<[u8; 8], InitialKey>>,
    paths: RefCell<Lru<PathName, Path<S::Key<'s>>>>,
}

/// The derivation data of an initial key, which names device and key size.
type PathName = [u8; 16];

/// A TDES initial key and the base key that it is of.
struct InitialKey {
    base: KeyId,
    key: tdes::InitialKey,
}

/// The keys of one device, each with the step that made it from the one before; the initial key is the first.
struct Path<K> {
    base: KeyId,
    keys: Vec<(aes::Derivation, Rc<K>)>,
}

impl<'s, S: KeyStore> Cached<'s, S> {
    /// Over `store`. `clock` tells the time since any fixed point and never goes back.
    pub fn new(store: &'s S, limits: Limits, clock: impl Fn() -> Duration + 's) -> Self {
        let Limits { initial_keys, paths, time_to_live } = limits;
        Self {
            store,
            clock: Box::new(clock),
            initial_keys: RefCell::new(Lru::new(initial_keys, time_to_live)),
            paths: RefCell::new(Lru::new(paths, time_to_live)),
        }
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &'s S {
        self.store
    }

    /// Drops every key that is kept.
    pub fn clear(&self) {
        self.initial_keys.borrow_mut().clear();
        self.paths.borrow_mut().clear();
    }

    /// Drops the keys that have reached their age.
    pub fn expire(&self) {
        let now = (self.clock)();
        self.initial_keys.borrow_mut().expire(now);
        self.paths.borrow_mut().expire(now);
    }

    /// Drops what is kept of one base key, or of all its versions.
    fn forget(&self, id: &KeyId) {
        let all = BdkName::read(id);
        let of =
            |base: &KeyId| base == id || all.is_some() && BdkName::read(base).map(|name| name.every_version()) == all;
        self.initial_keys.borrow_mut().remove_if(|kept| of(&kept.base));
        self.paths.borrow_mut().remove_if(|kept| of(&kept.base));
    }

    fn initial_key(&self, id: &KeyId, ksn: &tdes::Ksn) -> Option<tdes::InitialKey> {
        let mut kept = self.initial_keys.borrow_mut();
        let kept = kept.get(&ksn.initial_key_block(), (self.clock)()).filter(|kept| kept.base == *id);
        observe::looked_up("tdes-initial-key", kept.is_some());
        Some(kept?.key.copy())
    }

    fn keep_initial_key(&self, id: &KeyId, ksn: &tdes::Ksn, key: &tdes::InitialKey) {
        let kept = InitialKey { base: id.clone(), key: key.copy() };
        self.initial_keys.borrow_mut().insert(ksn.initial_key_block(), kept, (self.clock)());
    }
}

impl<'s, S: KeyStore> KeyStore for Cached<'s, S> {
    type Key<'c>
        = CachedKey<'c, 's, S>
    where
        Self: 'c;

    /// The store below is asked each time; where it has the key no more, what was kept of it goes.
    fn key(&self, id: &KeyId) -> Result<CachedKey<'_, 's, S>, KeyError> {
        self.expire();
        // Of a base key with versions each has keys of its own.
        match self.store.key_in_use(id).and_then(|used| Ok((self.store.key(&used)?, used))) {
            Ok((key, used)) => Ok(CachedKey::base(self, used, key)),
            Err(error) => {
                self.forget(id);
                Err(error)
            }
        }
    }

    fn key_in_use(&self, id: &KeyId) -> Result<KeyId, KeyError> {
        self.store.key_in_use(id)
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        self.store.custody(scheme)
    }
}

impl<S: KeyStore> fmt::Debug for Cached<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").finish_non_exhaustive()
    }
}
