//! The key store of one worker: one session, the handles it found, and the derived keys it must destroy.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Instant,
};

use cryptoki_sys::{
    CKA_CLASS, CKA_DERIVE, CKA_ENCRYPT, CKA_LABEL, CKO_SECRET_KEY, CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN,
};
use dukpt::{BdkName, CheckValue, Custody, KeyError, KeyId, KeyKind, KeyStore, Scheme, aes::WorkingKeyType};

use crate::{
    Pkcs11Key,
    direct::{Direct, Object, Session, Value},
    failure::Failure,
    fault::{self, Fault, Remedy, Suspicion},
    key::Held,
    kind,
    period::Written,
    state::Term,
    token::Open,
    versions::Versions,
};

/// More derived keys than this that cannot be destroyed, and no further one is derived.
const MOST_UNDESTROYED: usize = 64;

/// The keys of a token, through one session. `Send`, not `Sync`: each worker has its own.
///
/// A key is found by its `CKA_LABEL` and checked; its handle is kept, and it is looked up again after
/// [`Settings::recheck`](crate::Settings::recheck).
pub struct Pkcs11Store {
    session: Session,
    found: RefCell<BTreeMap<KeyId, Arc<Stored>>>,
    pub(crate) versions: RefCell<BTreeMap<KeyId, Arc<Versions>>>,
    undestroyed: RefCell<Vec<Object>>,
    suspicion: Cell<Option<Suspicion>>,
    pub(crate) open: Arc<Open>,
}

/// A key of the token, found and checked.
pub(crate) struct Stored {
    pub(crate) id: KeyId,
    pub(crate) kind: KeyKind,
    pub(crate) object: Object,
    /// Of a TDES base key of the hybrid: the key that gives the right halves (X9.24-1:2009, A.6).
    pub(crate) variant: Option<Object>,
    pub(crate) term: Term,
    pub(crate) looked_up: Instant,
}

impl Stored {
    /// The key, if it is a TDES base key that the token derives from by itself.
    pub(crate) fn tdes_inside(&self) -> Result<Object, Failure> {
        match (self.kind, self.variant) {
            (KeyKind::TdesBase, None) => Ok(self.object),
            _ => Err(Failure::WrongKind),
        }
    }

    /// The key and its variant, if this is a TDES base key.
    pub(crate) fn tdes_base(&self) -> Result<(Object, Object), Failure> {
        match (self.kind, self.variant) {
            (KeyKind::TdesBase, Some(variant)) => Ok((self.object, variant)),
            _ => Err(Failure::WrongKind),
        }
    }

    /// The key, if this is an AES base key of this size: an initial key is of its base key's size, and another size
    /// means that the suite is not this key's.
    pub(crate) fn aes_base(&self, size: WorkingKeyType) -> Result<Object, Failure> {
        match self.kind {
            KeyKind::AesBase(own) if size == WorkingKeyType::Aes(own) => Ok(self.object),
            _ => Err(Failure::WrongKind),
        }
    }

    /// The key, if this is an FF1 key.
    pub(crate) fn ff1(&self) -> Result<Object, Failure> {
        if matches!(self.kind, KeyKind::Ff1(_)) { Ok(self.object) } else { Err(Failure::WrongKind) }
    }

    /// The key, if this is a wrapping key.
    pub(crate) fn wrapping(&self) -> Result<Object, Failure> {
        if matches!(self.kind, KeyKind::Wrap(_)) { Ok(self.object) } else { Err(Failure::WrongKind) }
    }

    /// The key, if this is a key block protection key.
    pub(crate) fn protection(&self) -> Result<Object, Failure> {
        if matches!(self.kind, KeyKind::BlockProtection(_)) { Ok(self.object) } else { Err(Failure::WrongKind) }
    }

    /// The key, if this is an HMAC key.
    pub(crate) fn hmac(&self) -> Result<Object, Failure> {
        if self.kind == KeyKind::Hmac { Ok(self.object) } else { Err(Failure::WrongKind) }
    }
}

impl Pkcs11Store {
    pub(crate) fn new(session: Session, open: Arc<Open>) -> Self {
        let (found, versions, undestroyed, suspicion) = Default::default();
        Self { session, found, versions, undestroyed, suspicion, open }
    }

    pub(crate) fn direct(&self) -> Direct<'_> {
        self.open.module.calls.on(&self.session, &self.suspicion)
    }

    /// What went wrong with session or token since this was asked last, whoever was told of it.
    pub(crate) fn take_suspicion(&self) -> Option<Suspicion> {
        self.suspicion.take()
    }

    /// Whether the token still does what it did: it shows a key that was found before.
    pub(crate) fn is_healthy(&self) -> bool {
        let known = self.known().first().cloned();
        let shows = |id| self.look_up(&id).is_ok();
        self.direct().is_logged_in() == Ok(true) && known.is_none_or(shows)
    }

    /// A key was derived.
    pub(crate) fn count_derived(&self) {
        self.open.derived.fetch_add(1, Ordering::Relaxed);
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<KeyId>> {
        // A set of names is whole whenever somebody panicked.
        self.open.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key named `id`: known already, or looked up.
    pub(crate) fn stored(&self, id: &KeyId) -> Result<Arc<Stored>, KeyError> {
        if let Some(test) = self.open.failed.get() {
            return Err(KeyError::SelfTest(test));
        }
        if let Some(stored) = self.found.borrow().get(id).filter(|stored| self.is_fresh(stored.looked_up)) {
            return Ok(Arc::clone(stored));
        }
        let stored = match self.look_up(id) {
            Err(KeyError::NotFound(missing)) => {
                self.doubt(id);
                return Err(KeyError::NotFound(missing));
            }
            found => Arc::new(found?),
        };
        self.found.borrow_mut().insert(id.clone(), Arc::clone(&stored));
        if self.known().insert(id.clone()) {
            self.remember(&stored);
        }
        Ok(stored)
    }

    /// A key that is not found may be one that cannot be seen: nobody is logged in any more, or the token's memory is
    /// gone. A key that was there before is doubted once.
    fn doubt(&self, id: &KeyId) {
        let function = "C_FindObjects";
        let code = match self.direct().is_logged_in() {
            Ok(false) => CKR_USER_NOT_LOGGED_IN,
            Ok(true) if self.known().remove(id) => CKR_OBJECT_HANDLE_INVALID,
            _ => return,
        };
        let suspicion = Suspicion { fault: Fault { function, code }, remedy: Remedy::Reopen };
        fault::note(&self.suspicion, Some(suspicion));
    }

    /// Whether what was looked up then need not be looked up again.
    pub(crate) fn is_fresh(&self, looked_up: Instant) -> bool {
        looked_up.elapsed() < self.open.recheck
    }

    pub(crate) fn forget(&self, id: &KeyId) {
        self.found.borrow_mut().remove(id);
        self.versions.borrow_mut().clear();
    }

    /// The key is deleted, by this store.
    pub(crate) fn forget_for_good(&self, id: &KeyId) {
        self.forget(id);
        self.known().remove(id);
    }

    /// Runs an operation of a stored key. If its handle is gone (deleted and imported again, by another process for
    /// instance), the key is looked up and checked once more.
    pub(crate) fn run<T>(
        &self,
        stored: &Stored,
        mechanism: &'static str,
        mut operation: impl FnMut(&Direct<'_>, &Stored) -> Result<T, Failure>,
    ) -> Result<T, KeyError> {
        match operation(&self.direct(), stored) {
            Err(failure) if failure.is_stale_handle() => {
                self.forget(&stored.id);
                let stored = self.stored(&stored.id)?;
                let again = operation(&self.direct(), &stored);
                if again.is_ok() {
                    self.remember(&stored);
                    // The key was another one by now, and that is all.
                    self.suspicion.take();
                }
                again
            }
            done => done,
        }
        .map_err(|failure| failure.in_mechanism(mechanism))
    }

    /// The secret keys with this label.
    pub(crate) fn labelled(&self, label: &str) -> Result<Vec<Object>, KeyError> {
        let class = (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY));
        Ok(self.direct().find(&[class, (CKA_LABEL, Value::Bytes(label.as_bytes()))])?)
    }

    /// The one secret key with this label. Of two, either could be the wrong one.
    pub(crate) fn only(&self, id: &KeyId, label: &str) -> Result<Object, KeyError> {
        match self.labelled(label)?[..] {
            [object] => Ok(object),
            [] => Err(KeyError::NotFound(KeyId::new(label).unwrap_or_else(|_| id.clone()))),
            [..] => Err(KeyError::Ambiguous(KeyId::new(label).unwrap_or_else(|_| id.clone()))),
        }
    }

    fn look_up(&self, id: &KeyId) -> Result<Stored, KeyError> {
        let object = self.only(id, id.as_str())?;
        let kind = self.checked(id, object)?;
        let written = Written::of(&self.direct(), object, id.as_str())?;
        let variant = match kind {
            KeyKind::TdesBase if !self.derives_inside(kind, object)? => {
                let variant = self.only(id, &variant_label(id))?;
                if self.checked(id, variant)? != kind {
                    return Err(KeyError::NotPermitted);
                }
                if self.is_variant(&written, variant)? == Some(false) {
                    return Err(KeyError::VariantMismatch(id.clone()));
                }
                Some(variant)
            }
            _ => None,
        };
        let term = self.term(id, written.period)?;
        Ok(Stored { id: id.clone(), kind, object, variant, term, looked_up: Instant::now() })
    }

    /// Whether this is the variant key that was made with a base key; `None` where nothing was written down of it. No
    /// operation of the two keys shows that one is the other's variant, so its check value is written into the base key's
    /// `CKA_ID` when both are made.
    pub(crate) fn is_variant(&self, written: &Written, variant: Object) -> Result<Option<bool>, KeyError> {
        let Some(wanted) = written.variant else { return Ok(None) };
        let mut block = [0; 8];
        let encrypted = self.direct().encrypt_des3(variant, [0; 8], &mut block);
        encrypted.map_err(|failure| failure.in_mechanism("CKM_DES3_ECB"))?;
        Ok(Some(CheckValue::legacy(&block).is_some_and(|found| found.agrees(&wanted))))
    }

    /// Whether the token derives data keys from this base key by itself: it can, and the key may do that only.
    pub(crate) fn derives_inside(&self, kind: KeyKind, object: Object) -> Result<bool, Failure> {
        let direct = self.direct();
        Ok(self.open.derives_tdes
            && kind == KeyKind::TdesBase
            && kind::flag(&direct, object, CKA_DERIVE)? == Some(true)
            && kind::flag(&direct, object, CKA_ENCRYPT)? != Some(true))
    }

    /// Whether base keys that are made now are for that.
    pub(crate) fn makes_inside(&self, kind: KeyKind) -> bool {
        self.open.derives_tdes && kind == KeyKind::TdesBase
    }

    /// Nothing is served any more, by any store of this token.
    pub(crate) fn fail(&self, test: &'static str) {
        // Whichever failed first.
        let _ = self.open.failed.set(test);
    }

    /// Calls whose failures are of no consequence, but for those that only a token opened again is free of.
    pub(crate) fn quietly<T>(&self, run: impl FnOnce(&Direct<'_>) -> T) -> T {
        let suspicion = Cell::default();
        let done = run(&self.open.module.calls.on(&self.session, &suspicion));
        fault::note(&self.suspicion, suspicion.get().filter(|why: &Suspicion| why.remedy == Remedy::Reopen));
        done
    }

    /// The settings forbid that an initial key leaves the token.
    pub(crate) fn forbids_hybrid(&self) -> bool {
        self.open.forbid_hybrid
    }

    /// The settings say that this base key decrypts after its time.
    pub(crate) fn still_decrypts(&self, id: &KeyId) -> bool {
        self.open.still_decrypt.contains(id)
    }

    /// The kind of a key that is kept safely.
    fn checked(&self, id: &KeyId, object: Object) -> Result<KeyKind, KeyError> {
        let kind = kind::of(&self.direct(), object)?.ok_or(KeyError::NotPermitted)?;
        let inside = self.derives_inside(kind, object)?;
        if !self.open.allow_unsafe_keys
            && let Some(attribute) = kind::problems(&self.direct(), object, kind, inside)?.first()
        {
            return Err(KeyError::UnsafeAttribute { id: id.clone(), attribute });
        }
        Ok(kind)
    }

    /// Destroys a derived key. If that fails it is tried again later: no key stays silently. What was done with it stays
    /// done, so nothing is suspected.
    pub(crate) fn destroy(&self, object: Object) {
        if self.destroyed(object).is_err() {
            self.undestroyed.borrow_mut().push(object);
        }
    }

    /// Destroys, or finds that it is gone.
    fn destroyed(&self, object: Object) -> Result<(), Failure> {
        match self.open.module.calls.on(&self.session, &Cell::default()).destroy(object) {
            Err(failure) if !failure.is_stale_handle() => Err(failure),
            _ => Ok(()),
        }
    }

    /// Whether every derived key that went is destroyed.
    pub(crate) fn left_nothing(&self) -> bool {
        self.undestroyed.borrow().is_empty()
    }

    /// Tries to destroy what could not be destroyed before.
    ///
    /// # Errors
    /// The last failure, once there are too many.
    pub(crate) fn destroy_leftovers(&self) -> Result<(), KeyError> {
        let mut last = None;
        self.undestroyed.borrow_mut().retain(|object| {
            let failed = self.destroyed(*object).err();
            last = failed.or(last);
            failed.is_some()
        });
        match last {
            Some(failure) if self.undestroyed.borrow().len() >= MOST_UNDESTROYED => Err(failure.into()),
            _ => Ok(()),
        }
    }
}

/// The label of the variant that belongs to a TDES base key.
pub(crate) fn variant_label(id: &KeyId) -> String {
    format!("{id}.variant")
}

impl KeyStore for Pkcs11Store {
    type Key<'s> = Pkcs11Key<'s>;

    /// The name of all versions of a base key ([`BdkName`]) stands for the one in use: the highest that is active.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Ambiguous`]; [`KeyError::UnsafeAttribute`] for a key that is not kept
    /// safely; [`KeyError::VariantMismatch`]; [`KeyError::NotPermitted`] for a key of no known kind;
    /// [`KeyError::Pending`], [`KeyError::Expired`] and [`KeyError::Retired`]; [`KeyError::SelfTest`];
    /// [`KeyError::Device`].
    fn key(&self, id: &KeyId) -> Result<Pkcs11Key<'_>, KeyError> {
        let stored = self.stored(&self.key_in_use(id)?)?;
        self.must_be_usable_now(&stored.id, stored.kind, &stored.term)?;
        Ok(Pkcs11Key::new(self, Held::Stored(stored)))
    }

    fn key_in_use(&self, id: &KeyId) -> Result<KeyId, KeyError> {
        match BdkName::read(id) {
            Some(name) if name.version().is_none() => self.version_in_use(id, &name),
            _ => Ok(id.clone()),
        }
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        match scheme {
            Scheme::Aes => Custody::Token,
            Scheme::Tdes => Custody::Hybrid,
        }
    }
}

impl Drop for Pkcs11Store {
    fn drop(&mut self) {
        self.open.close(&self.session);
    }
}

impl fmt::Debug for Pkcs11Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Store").finish_non_exhaustive()
    }
}
