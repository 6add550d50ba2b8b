//! Several keys on their way into the token: all of them, or none.

use std::collections::BTreeSet;

use dukpt::{KeyError, KeyId, KeyMaterial, Lifetime};

use crate::{Cryptoperiod, Pkcs11Store, store::variant_label};

impl Pkcs11Store {
    /// Stores all of these keys as [`Pkcs11Store::import_for`] does. Each name is looked up before the first key is made, and if
    /// one cannot be made, those before it are deleted again.
    ///
    /// # Errors
    /// As of [`Pkcs11Store::import_for`], and nothing was stored; [`KeyError::AlreadyExists`] also for a name twice in the set.
    pub fn import_set(
        &mut self,
        keys: &[(KeyId, KeyMaterial)],
        lifetime: Lifetime,
        period: &Cryptoperiod,
    ) -> Result<(), KeyError> {
        let mut labels = BTreeSet::new();
        for (id, material) in keys {
            let variant = material.tdes_variant().map(|_| variant_label(id));
            self.must_be_new(id, material.kind())?;
            for label in [Some(id.to_string()), variant].into_iter().flatten() {
                self.label_must_be_free(id, &label)?;
                if !labels.insert(label) {
                    return Err(KeyError::AlreadyExists(id.clone()));
                }
            }
        }
        for (done, (id, material)) in keys.iter().enumerate() {
            if let Err(error) = self.import_for(id, material, lifetime, period) {
                for (id, _) in &keys[..done] {
                    // What stays because the token fails at this too shows in the inventory.
                    let _ = self.delete(id);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}
