//! Known answers by this token, before it serves; and whether it still has the keys that it had.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use cryptoki_sys::{
    CKR_DEVICE_MEMORY, CKR_FUNCTION_CANCELED, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR, CKR_HOST_MEMORY,
    CKR_VENDOR_DEFINED,
};
use dukpt::{
    CheckValue, KeyError, KeyId, KeyKind, Lifetime,
    self_test::{self, OF_STORE, SelfTest},
};

use crate::{
    OpenError, Pkcs11Key, Pkcs11Store,
    direct::Object,
    fault::{Fault, Remedy, Suspicion},
    key::Held,
    kind::{self, Source},
    period::Written,
    state::Term,
    store::{Stored, variant_label},
};

/// Makes the labels of test keys unique in this process, whose sessions all see them.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Pkcs11Store {
    /// Executes a known answer for each mechanism: of the ciphers of this host, and of the token, under session keys that
    /// are gone afterwards. [`Token::open`](crate::Token::open) does so by itself. A mechanism that the token does not
    /// have, or a token that takes no clear keys, is no failure: what is never executed gives no wrong answer.
    ///
    /// # Errors
    /// [`KeyError::SelfTest`] for a wrong answer; from then on every store of this token says so to every request, until
    /// the token is opened again. [`KeyError::Device`] for a fault, after which it may be tried again.
    pub fn self_test(&mut self) -> Result<(), KeyError> {
        let tested = self_test::host().and_then(|()| OF_STORE.iter().try_for_each(|test| self.must_pass(test)));
        if let Err(KeyError::SelfTest(test)) = tested {
            self.fail(test);
        }
        // All is over with the test: nothing of it is suspected later, and nothing stays.
        self.take_suspicion();
        tested.and(self.destroy_leftovers())
    }

    /// Whether the token gives this known answer. With a `flawed` key it must not.
    ///
    /// # Errors
    /// Why there is no answer: [`KeyError::Unsupported`] and whatever else a token says that does not do this.
    pub fn known_answer(&mut self, test: &SelfTest, flawed: bool) -> Result<bool, KeyError> {
        let (material, written) = (test.material(flawed)?, Written::default());
        let id = KeyId::new(&format!("self-test {}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let id = id.map_err(|_| KeyError::NotPermitted)?;
        let (kind, make) = (material.kind(), |label: &str, bytes: &[u8]| {
            self.make(material.kind(), label, Lifetime::Session, Source::Bytes(bytes), &written)
        });
        let variant = if self.makes_inside(kind) { None } else { material.tdes_variant() };
        let object = make(id.as_str(), material.expose())?;
        let variant = variant.map(|variant| make(&variant_label(&id), &variant[..])).transpose();
        let answer = match variant {
            Ok(variant) => {
                let stored = Stored { id, kind, object, variant, term: Term::default(), looked_up: Instant::now() };
                let answer = test.passes(&Pkcs11Key::new(self, Held::Stored(Arc::new(stored))));
                variant.into_iter().for_each(|variant| self.destroy(variant));
                answer
            }
            Err(failure) => Err(failure.into()),
        };
        self.destroy(object);
        answer
    }

    fn must_pass(&mut self, test: &SelfTest) -> Result<(), KeyError> {
        // Once more after a trouble without a name, which is also how some modules refuse.
        for last in [false, true] {
            self.take_suspicion();
            let error = match self.known_answer(test, false) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(KeyError::SelfTest(test.name)),
                Err(error) => error,
            };
            match self.take_suspicion() {
                None => return Ok(()),
                Some(Suspicion { fault, remedy: Remedy::NewSession }) if is_nameless(fault) => {
                    if last && self.direct().is_logged_in() == Ok(true) {
                        return Ok(());
                    }
                }
                Some(_) => return Err(error),
            }
            if last {
                return Err(error);
            }
        }
        Ok(())
    }

    /// A key was found, for the first time or again: whoever opens the token again will compare it.
    pub(crate) fn remember(&self, stored: &Stored) {
        if let Some(witness) = &self.open.witness {
            witness.remember(&stored.id, self.quiet_check_value(stored.kind, stored.object));
        }
    }

    /// The check value of a key; `None` where the token does not tell.
    fn quiet_check_value(&self, kind: KeyKind, object: Object) -> Option<CheckValue> {
        self.quietly(|direct| self.check_value_of(direct, kind, object)).ok().flatten()
    }
}

/// The module says that something went wrong, and not what.
fn is_nameless(fault: Fault) -> bool {
    matches!(
        fault.code,
        CKR_GENERAL_ERROR
            | CKR_FUNCTION_FAILED
            | CKR_FUNCTION_CANCELED
            | CKR_HOST_MEMORY
            | CKR_DEVICE_MEMORY
            | CKR_VENDOR_DEFINED..
    )
}

/// Remembers the check values of keys, from one opening of a token to the next: one that comes back under its own name
/// with other keys is not the one that went.
#[derive(Default)]
pub(crate) struct Witness(Mutex<BTreeMap<KeyId, CheckValue>>);

impl Witness {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<KeyId, CheckValue>> {
        // Whole whenever somebody panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: &KeyId, value: Option<CheckValue>) {
        match value {
            Some(value) => drop(self.seen().insert(id.clone(), value)),
            None => drop(self.seen().remove(id)),
        }
    }

    /// Whether the keys that were seen are the same ones. A key that is gone is not another one: who asks for it is told.
    pub(crate) fn compare(&self, store: &Pkcs11Store) -> Result<(), OpenError> {
        let seen = self.seen().clone();
        for (id, value) in seen {
            let object = match store.only(&id, id.as_str()) {
                Err(error @ KeyError::Device { .. }) => return Err(error.into()),
                Err(_) => continue,
                Ok(object) => object,
            };
            let kind = kind::of(&store.direct(), object)?;
            let now = kind.and_then(|kind| store.quiet_check_value(kind, object));
            if now.is_some_and(|now| !now.agrees(&value)) {
                return Err(OpenError::OtherKey(id));
            }
        }
        Ok(())
    }
}
