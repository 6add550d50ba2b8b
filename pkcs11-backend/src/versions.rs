//! Which version of a base key is used when its name leaves that open.

use std::{sync::Arc, time::Instant};

use cryptoki_sys::{CK_TRUE, CKA_CLASS, CKA_LABEL, CKA_TOKEN, CKO_SECRET_KEY};
use dukpt::{BdkName, KeyError, KeyId};

use crate::{KeyState, Pkcs11Store, direct::Value, period::Written, state::Term};

/// The versions of a base key, the highest first, as they were at some time.
pub(crate) struct Versions {
    pub(crate) looked_up: Instant,
    found: Vec<Version>,
}

struct Version {
    number: u16,
    id: KeyId,
    term: Term,
}

impl Pkcs11Store {
    /// The version of a base key that is used today: of the active ones the highest; if none is active, the highest that still
    /// decrypts.
    ///
    /// # Errors
    /// [`KeyError::NotFound`] if there is no version. If none may be used it is the highest, which then is refused.
    pub(crate) fn version_in_use(&self, id: &KeyId, name: &BdkName) -> Result<KeyId, KeyError> {
        let known = self.versions.borrow().get(id).filter(|known| self.is_fresh(known.looked_up)).map(Arc::clone);
        let versions = match known {
            Some(known) => known,
            None => {
                let found = Arc::new(Versions { looked_up: Instant::now(), found: self.versions_of(name)? });
                self.versions.borrow_mut().insert(id.clone(), Arc::clone(&found));
                found
            }
        };
        let first = |may: &dyn Fn(&Version) -> bool| versions.found.iter().find(|version| may(version));
        let chosen = first(&|version| version.term.state() == KeyState::Active)
            .or_else(|| first(&|version| version.term.state() != KeyState::Pending && self.still_decrypts(&version.id)))
            .or_else(|| versions.found.first());
        let chosen = chosen.ok_or_else(|| KeyError::NotFound(id.clone()))?;
        Ok(chosen.id.clone())
    }

    fn versions_of(&self, name: &BdkName) -> Result<Vec<Version>, KeyError> {
        let mut found = Vec::new();
        let wanted = [(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)), (CKA_TOKEN, Value::Bool(CK_TRUE))];
        for object in self.direct().find(&wanted)? {
            let mut label = [0; 128];
            let label = self.direct().attribute(object, CKA_LABEL, &mut label)?;
            let id = label.and_then(|label| std::str::from_utf8(label).ok()).and_then(|label| KeyId::new(label).ok());
            let Some(id) = id else { continue };
            let Some(version) = BdkName::read(&id).filter(|other| other.every_version() == *name) else { continue };
            let Some(number) = version.version() else { continue };
            let period = Written::of(&self.direct(), object, id.as_str())?.period;
            found.push(Version { number, term: self.term(&id, period)?, id });
        }
        found.sort_by_key(|version| std::cmp::Reverse(version.number));
        Ok(found)
    }
}
