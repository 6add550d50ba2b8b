//! A key of a cached store: the store's own key, and the place in the cache where its children are looked for.

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use super::{Cached, Path, PathName, observe};
use crate::{
    CheckMethod, CheckValue, Key, KeyError, KeyId, KeyStore, MacAlgorithm, Tag,
    aes::{Derivation, Purpose},
    tdes,
};

/// The longest path that is kept: the initial key, and one key for each bit of a counter but the lowest.
const LONGEST: usize = 16;

/// A key of a [`Cached`] store.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct CachedKey<'c, 's, S: KeyStore> {
    cache: &'c Cached<'s, S>,
    held: Held<S::Key<'s>>,
}

enum Held<K> {
    Base {
        id: KeyId,
        key: K,
    },
    /// A derivation key, shared with the cache while it is kept: number `depth` of the named path, the initial key being
    /// number 0.
    OnPath {
        name: PathName,
        depth: usize,
        key: Rc<K>,
    },
    Working(K),
}

impl<'c, 's, S: KeyStore> CachedKey<'c, 's, S> {
    pub(super) fn base(cache: &'c Cached<'s, S>, id: KeyId, key: S::Key<'s>) -> Self {
        Self { cache, held: Held::Base { id, key } }
    }

    fn inner(&self) -> &S::Key<'s> {
        match &self.held {
            Held::Base { key, .. } | Held::Working(key) => key,
            Held::OnPath { key, .. } => key,
        }
    }

    /// The store's own key, unless it may be shared with the cache.
    fn into_inner(self) -> Option<S::Key<'s>> {
        match self.held {
            Held::Base { key, .. } | Held::Working(key) => Some(key),
            Held::OnPath { .. } => None,
        }
    }

    fn with(&self, held: Held<S::Key<'s>>) -> Self {
        Self { cache: self.cache, held }
    }

    fn initial(&self, id: &KeyId, base_key: &S::Key<'s>, step: &Derivation) -> Result<Self, KeyError> {
        let name = step.head();
        let (paths, now) = (&self.cache.paths, (self.cache.clock)());
        let kept =
            paths.borrow_mut().get(&name, now).filter(|path| path.base == *id).and_then(|path| path.key(0, step));
        observe::looked_up("aes-initial-key", kept.is_some());
        let key = match kept {
            Some(key) => key,
            None => {
                let key = Rc::new(base_key.derive(step)?);
                let path = Path { base: id.clone(), keys: Vec::from([(*step, Rc::clone(&key))]) };
                paths.borrow_mut().insert(name, path, now);
                key
            }
        };
        Ok(self.with(Held::OnPath { name, depth: 0, key }))
    }

    fn next(&self, name: PathName, depth: usize, parent: &Rc<S::Key<'s>>, step: &Derivation) -> Result<Self, KeyError> {
        let paths = &self.cache.paths;
        let kept = paths
            .borrow_mut()
            .peek(&name)
            .filter(|path| path.leads(depth, parent))
            .and_then(|path| path.key(depth + 1, step));
        observe::looked_up("aes-derivation-key", kept.is_some());
        let key = match kept {
            Some(key) => key,
            None => {
                let key = Rc::new(self.below(name, depth, parent, step)?);
                if depth + 1 < LONGEST
                    && !step.is_leaf()
                    && let Some(path) = paths.borrow_mut().peek(&name).filter(|path| path.leads(depth, parent))
                {
                    path.keys.truncate(depth + 1);
                    path.keys.push((*step, Rc::clone(&key)));
                }
                key
            }
        };
        Ok(self.with(Held::OnPath { name, depth: depth + 1, key }))
    }

    /// The child of a key on a path. A kept key may have died with its session in the device: once, the path is derived
    /// again from the base key, and nothing else that is kept is trusted.
    fn below(
        &self,
        name: PathName,
        depth: usize,
        parent: &Rc<S::Key<'s>>,
        step: &Derivation,
    ) -> Result<S::Key<'s>, KeyError> {
        let failed = match parent.derive(step) {
            Err(error @ KeyError::Device { .. }) => error,
            done => return done,
        };
        let steps = self.cache.paths.borrow_mut().peek(&name).filter(|path| path.leads(depth, parent)).map(|path| {
            (path.base.clone(), path.keys.iter().take(depth + 1).map(|(step, _)| *step).collect::<Vec<_>>())
        });
        self.cache.clear();
        let (base, steps) = steps.ok_or(failed)?;
        let mut key = self.cache.store.key(&base)?;
        for step in &steps {
            key = key.derive(step)?;
        }
        key.derive(step)
    }
}

impl<K> Path<K> {
    /// Key number `depth`, if this step makes it.
    fn key(&self, depth: usize, step: &Derivation) -> Option<Rc<K>> {
        self.keys.get(depth).filter(|(made_by, _)| made_by == step).map(|(_, key)| Rc::clone(key))
    }

    /// Whether key number `depth` is still this one.
    fn leads(&self, depth: usize, key: &Rc<K>) -> bool {
        self.keys.get(depth).is_some_and(|(_, kept)| Rc::ptr_eq(kept, key))
    }
}

impl<S: KeyStore> Key for CachedKey<'_, '_, S> {
    fn derive(&self, step: &Derivation) -> Result<Self, KeyError> {
        match (&self.held, step.purpose()) {
            (Held::Base { id, key }, Purpose::Derive) => self.initial(id, key, step),
            (Held::OnPath { name, depth, key }, Purpose::Derive) => self.next(*name, *depth, key, step),
            (Held::OnPath { name, depth, key }, _) => {
                self.below(*name, *depth, key, step).map(|key| self.with(Held::Working(key)))
            }
            (Held::Base { key, .. } | Held::Working(key), _) => {
                key.derive(step).map(|key| self.with(Held::Working(key)))
            }
        }
    }

    /// Step by step where there is something to find or to keep; else as the store below does it.
    fn derive_path(&self, path: impl IntoIterator<Item = Derivation>, spent: Option<Self>) -> Result<Self, KeyError> {
        if !self.cache.paths.borrow().keeps_nothing() {
            drop(spent);
            let mut steps = path.into_iter();
            let first = self.derive(&steps.next().ok_or(KeyError::NotPermitted)?)?;
            return steps.try_fold(first, |key, step| key.derive(&step));
        }
        self.inner().derive_path(path, spent.and_then(Self::into_inner)).map(|key| self.with(Held::Working(key)))
    }

    /// One by one where there is something to find or to keep; else as the store below does it.
    fn derive_each<P: IntoIterator<Item = Derivation>>(
        &self,
        paths: impl IntoIterator<Item = Result<P, KeyError>>,
        mut each: impl FnMut(usize, Result<Self, KeyError>) -> Option<Self>,
    ) {
        if self.cache.paths.borrow().keeps_nothing() {
            return self.inner().derive_each(paths, |number, key| {
                each(number, key.map(|key| self.with(Held::Working(key)))).and_then(Self::into_inner)
            });
        }
        for (number, path) in paths.into_iter().enumerate() {
            each(number, path.and_then(|path| self.derive_path(path, None)));
        }
    }

    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        let Held::Base { id, key } = &self.held else { return self.inner().tdes_initial_key(ksn) };
        if let Some(kept) = self.cache.initial_key(id, ksn) {
            return Ok(kept);
        }
        let key = key.tdes_initial_key(ksn)?;
        self.cache.keep_initial_key(id, ksn, &key);
        Ok(key)
    }

    fn tdes_initial_keys(&self, ksns: &[tdes::Ksn]) -> Result<Vec<tdes::InitialKey>, KeyError> {
        let Held::Base { id, key } = &self.held else { return self.inner().tdes_initial_keys(ksns) };
        let kept: Vec<_> = ksns.iter().map(|ksn| self.cache.initial_key(id, ksn)).collect();
        // Devices that sent several messages need one initial key.
        let (mut devices, mut missing) = (BTreeMap::new(), Vec::new());
        for (ksn, _) in ksns.iter().zip(&kept).filter(|(_, kept)| kept.is_none()) {
            devices.entry(ksn.initial_key_block()).or_insert_with(|| {
                missing.push(*ksn);
                missing.len() - 1
            });
        }
        let derived = if missing.is_empty() { Vec::new() } else { key.tdes_initial_keys(&missing)? };
        missing.iter().zip(&derived).for_each(|(ksn, key)| self.cache.keep_initial_key(id, ksn, key));
        let keys = ksns.iter().zip(kept).map(|(ksn, kept)| match kept {
            Some(key) => Some(key),
            None => derived.get(*devices.get(&ksn.initial_key_block())?).map(tdes::InitialKey::copy),
        });
        keys.collect::<Option<_>>().ok_or(KeyError::BadLength)
    }

    fn tdes_taken_for(&self, taken: tdes::TrialBase, ksn: &tdes::Ksn) -> Result<tdes::TrialKeys, KeyError> {
        self.inner().tdes_taken_for(taken, ksn)
    }

    /// By way of the initial keys where those are kept; else as the store below does it.
    fn tdes_data_keys(&self, ksns: &[tdes::Ksn], variant: tdes::Variant) -> Result<tdes::DataKeys, KeyError> {
        if self.cache.initial_keys.borrow().keeps_nothing() {
            return self.inner().tdes_data_keys(ksns, variant);
        }
        let initial = self.tdes_initial_keys(ksns)?;
        let transactions: Vec<_> = initial.iter().zip(ksns.iter().copied()).collect();
        Ok(tdes::DataKeys::derive(&transactions, variant)?)
    }

    fn derives_tdes_inside(&self, variant: tdes::Variant, cipher: tdes::Cipher) -> bool {
        self.inner().derives_tdes_inside(variant, cipher)
    }

    fn tdes_key_inside(&self, ksn: &tdes::Ksn, variant: tdes::Variant) -> Result<Self, KeyError> {
        self.inner().tdes_key_inside(ksn, variant).map(|key| self.with(Held::Working(key)))
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.inner().decrypt_cbc(iv, data)
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        self.inner().encrypt_cbc(iv, data)
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.inner().encrypt_block(block)
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        self.inner().decrypt_block(block)
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        self.inner().mac(algorithm, data)
    }

    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        self.inner().check_value(method)
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        self.inner().encrypt_blocks(blocks)
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        self.inner().wrap(secret)
    }

    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        self.inner().unwrap(wrapped, secret)
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        self.inner().hmac_sha256(data)
    }
}
