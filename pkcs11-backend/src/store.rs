//! The key store of one worker: one session, the handles it found, and the derived keys it must destroy.

use std::{cell::RefCell, collections::BTreeMap, fmt, sync::Arc};

use cryptoki::session::Session;
use cryptoki_sys::{CKA_CLASS, CKA_LABEL, CKO_SECRET_KEY};
use dukpt::{Custody, KeyError, KeyId, KeyKind, KeyStore, Scheme, aes::WorkingKeyType};

use crate::{
    Cryptoperiod, Date, KeyState, Pkcs11Key,
    direct::{Direct, Object, Value},
    failure::Failure,
    key::Held,
    kind,
    token::Open,
};

/// More derived keys than this that cannot be destroyed, and no further one is derived.
const MOST_UNDESTROYED: usize = 64;

/// The keys of a token, through one session. `Send`, not `Sync`: each worker has its own.
///
/// A key is found once by its `CKA_LABEL`, checked once, and its handle kept for the life of the store.
pub struct Pkcs11Store {
    // Before `open`: a session is closed before the module may be finalised.
    session: Session,
    found: RefCell<BTreeMap<KeyId, Arc<Stored>>>,
    undestroyed: RefCell<Vec<Object>>,
    open: Arc<Open>,
}

/// A key of the token, found and checked.
pub(crate) struct Stored {
    pub(crate) id: KeyId,
    pub(crate) kind: KeyKind,
    pub(crate) object: Object,
    /// Of a TDES base key: the key that gives the right halves (X9.24-1:2009, A.6).
    pub(crate) variant: Option<Object>,
    pub(crate) period: Cryptoperiod,
    pub(crate) retired: bool,
}

impl Stored {
    /// Whether the key may be used today.
    fn state(&self) -> KeyState {
        if self.retired { KeyState::Retired } else { self.period.state(Date::today()) }
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
        Self { session, found: RefCell::default(), undestroyed: RefCell::default(), open }
    }

    pub(crate) fn direct(&self) -> Direct<'_> {
        self.open.module.calls.on(self.session.handle())
    }

    /// The key named `id`: known already, or looked up.
    pub(crate) fn stored(&self, id: &KeyId) -> Result<Arc<Stored>, KeyError> {
        if let Some(stored) = self.found.borrow().get(id) {
            return Ok(Arc::clone(stored));
        }
        let stored = Arc::new(self.look_up(id)?);
        self.found.borrow_mut().insert(id.clone(), Arc::clone(&stored));
        Ok(stored)
    }

    pub(crate) fn forget(&self, id: &KeyId) {
        self.found.borrow_mut().remove(id);
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
                operation(&self.direct(), &*self.stored(&stored.id)?)
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
        let variant = match kind {
            KeyKind::TdesBase => {
                let variant = self.only(id, &variant_label(id))?;
                if self.checked(id, variant)? != kind {
                    return Err(KeyError::NotPermitted);
                }
                Some(variant)
            }
            _ => None,
        };
        let (period, retired) = (Cryptoperiod::of(&self.direct(), object, id.as_str())?, !self.retired(id)?.is_empty());
        Ok(Stored { id: id.clone(), kind, object, variant, period, retired })
    }

    /// The kind of a key that is kept safely.
    fn checked(&self, id: &KeyId, object: Object) -> Result<KeyKind, KeyError> {
        let kind = kind::of(&self.direct(), object)?.ok_or(KeyError::NotPermitted)?;
        if !self.open.allow_unsafe_keys
            && let Some(attribute) = kind::problems(&self.direct(), object, kind)?.first()
        {
            return Err(KeyError::UnsafeAttribute { id: id.clone(), attribute });
        }
        Ok(kind)
    }

    /// Destroys a derived key. If that fails it is tried again later: no key stays silently.
    pub(crate) fn destroy(&self, object: Object) {
        match self.direct().destroy(object) {
            Err(failure) if !failure.is_stale_handle() => self.undestroyed.borrow_mut().push(object),
            _ => {}
        }
    }

    /// Tries to destroy what could not be destroyed before.
    ///
    /// # Errors
    /// The last failure, once there are too many.
    pub(crate) fn destroy_leftovers(&self) -> Result<(), KeyError> {
        let mut last = None;
        self.undestroyed.borrow_mut().retain(|object| match self.direct().destroy(*object) {
            Err(failure) if !failure.is_stale_handle() => {
                last = Some(failure);
                true
            }
            _ => false,
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

    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Ambiguous`]; [`KeyError::UnsafeAttribute`] for a key that is not kept
    /// safely; [`KeyError::NotPermitted`] for a key of no known kind; [`KeyError::Pending`], [`KeyError::Expired`] and
    /// [`KeyError::Retired`]; [`KeyError::Device`].
    fn key(&self, id: &KeyId) -> Result<Pkcs11Key<'_>, KeyError> {
        let stored = self.stored(id)?;
        stored.state().must_be_active(id)?;
        Ok(Pkcs11Key::new(self, Held::Stored(stored)))
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        match scheme {
            Scheme::Aes => Custody::Token,
            Scheme::Tdes => Custody::Hybrid,
        }
    }
}

impl fmt::Debug for Pkcs11Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Store").finish_non_exhaustive()
    }
}
