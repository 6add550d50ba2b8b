//! Keys on their way into the token.

use cryptoki_sys::{CK_ULONG, CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN};
use dukpt::{BdkName, CheckValue, KeyError, KeyId, KeyImport, KeyKind, KeyMaterial, Lifetime, aes::WorkingKeyType};

use crate::{
    Cryptoperiod, Pkcs11Store,
    direct::Object,
    failure::Failure,
    kind::{self, Source},
    period::Written,
    store::variant_label,
};

/// Length of an HMAC key that the token makes: that of the hash (RFC 2104, 3).
const HMAC_LENGTH: u8 = 32;

impl KeyImport for Pkcs11Store {
    /// Stores the key, and of a TDES base key its variant too, as `<id>.variant`, unless the token runs TDES DUKPT by itself. The new key is looked up and
    /// checked at once: one that the token does not keep safely is removed again.
    /// A token that does not know `CKA_COPYABLE` or `CKA_ALLOWED_MECHANISMS` (NSS) gets the key without the two.
    ///
    /// # Errors
    /// [`KeyError::AlreadyExists`], also for the variant's label and for a mark that an earlier key of this name left;
    /// [`KeyError::NameMismatch`]; [`KeyError::UnsafeAttribute`];
    /// [`KeyError::Device`], as for a permanent key in the read-only session of [`Token::store`](crate::Token::store).
    fn import(&mut self, id: &KeyId, material: &KeyMaterial, lifetime: Lifetime) -> Result<(), KeyError> {
        self.import_for(id, material, lifetime, &Cryptoperiod::default())
    }

    /// Computed by the token, never by reading the key. A key that may not be used has its check value all the same.
    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError> {
        let stored = self.stored(id)?;
        self.run(&stored, "check values of AES keys", |direct, key| self.check_value_of(direct, key.kind, key.object))?
            .ok_or(KeyError::Unsupported("check values of this key"))
    }
}

impl Pkcs11Store {
    /// As [`KeyImport::import`], for a cryptoperiod.
    ///
    /// # Errors
    /// As of [`KeyImport::import`].
    pub fn import_for(
        &mut self,
        id: &KeyId,
        material: &KeyMaterial,
        lifetime: Lifetime,
        period: &Cryptoperiod,
    ) -> Result<(), KeyError> {
        let kind = material.kind();
        let variant = if self.makes_inside(kind) { None } else { material.tdes_variant() };
        self.must_be_new(id, kind)?;
        if variant.is_some() {
            self.label_must_be_free(id, &variant_label(id))?;
        }
        let check_value = variant.as_ref().and_then(|_| material.tdes_variant_check_value());
        let written = Written { period: *period, variant: check_value };
        let mut made = vec![self.make(kind, id.as_str(), lifetime, Source::Bytes(material.expose()), &written)?];
        if let Some(variant) = variant {
            let written = Written { period: *period, variant: None };
            match self.make(kind, &variant_label(id), lifetime, Source::Bytes(&variant[..]), &written) {
                Ok(object) => made.push(object),
                Err(failure) => return Err(self.undo(&made, failure.into())),
            }
        }
        self.must_be_usable(id, &made)
    }

    /// Makes a permanent key inside the token: an HMAC key of 32 bytes, or an AES key. Nobody has ever seen it, so nobody
    /// can restore it but from the token's own backup.
    ///
    /// # Errors
    /// As of [`KeyImport::import`]; [`KeyError::Unsupported`] for TDES base keys, whose variant is made of their bytes, and
    /// for TDES protection keys, which nobody should make any more.
    pub fn generate(&mut self, id: &KeyId, kind: KeyKind, period: &Cryptoperiod) -> Result<(), KeyError> {
        let (length, mechanism) = match kind {
            KeyKind::Hmac => (usize::from(HMAC_LENGTH), "CKM_GENERIC_SECRET_KEY_GEN"),
            KeyKind::AesBase(size)
            | KeyKind::Ff1(size)
            | KeyKind::Wrap(size)
            | KeyKind::BlockProtection(WorkingKeyType::Aes(size)) => (size.length(), "CKM_AES_KEY_GEN"),
            KeyKind::TdesBase | KeyKind::BlockProtection(_) => {
                return Err(KeyError::Unsupported("TDES keys made in the token"));
            }
        };
        self.must_be_new(id, kind)?;
        let (source, written) =
            (Source::Generated(length as CK_ULONG), Written { period: *period, ..Written::default() });
        let made = self.make(kind, id.as_str(), Lifetime::Permanent, source, &written);
        let made = made.map_err(|failure| failure.in_mechanism(mechanism))?;
        self.must_be_usable(id, &[made])
    }

    /// Whether a new key may have this name: no key has it, its variant's label is free, and no mark of an earlier key of that
    /// name is left.
    ///
    /// # Errors
    /// [`KeyError::AlreadyExists`]; [`KeyError::Device`].
    pub fn must_be_free(&self, id: &KeyId) -> Result<(), KeyError> {
        self.label_must_be_free(id, id.as_str())?;
        self.label_must_be_free(id, &variant_label(id))?;
        if self.all_marks(id)?.is_empty() { Ok(()) } else { Err(KeyError::AlreadyExists(id.clone())) }
    }

    /// The name is free, and stands for this kind of key.
    pub(crate) fn must_be_new(&self, id: &KeyId, kind: KeyKind) -> Result<(), KeyError> {
        if !BdkName::fits(id, kind) {
            return Err(KeyError::NameMismatch(id.clone()));
        }
        self.label_must_be_free(id, id.as_str())?;
        if self.all_marks(id)?.is_empty() { Ok(()) } else { Err(KeyError::AlreadyExists(id.clone())) }
    }

    pub(crate) fn label_must_be_free(&self, id: &KeyId, label: &str) -> Result<(), KeyError> {
        match self.labelled(label)?[..] {
            [] => Ok(()),
            [..] => Err(KeyError::AlreadyExists(KeyId::new(label).unwrap_or_else(|_| id.clone()))),
        }
    }

    /// Makes one object. A token that does not know `CKA_COPYABLE` or `CKA_ALLOWED_MECHANISMS` is asked without.
    pub(crate) fn make(
        &self,
        kind: KeyKind,
        label: &str,
        lifetime: Lifetime,
        source: Source<'_>,
        written: &Written,
    ) -> Result<Object, Failure> {
        let id = written.id(label);
        let attempt = |strict| {
            let template = kind::stored(kind, self.makes_inside(kind), label, lifetime, source, &id, strict);
            match source {
                Source::Bytes(_) => self.direct().create(&template),
                Source::Generated(_) if kind == KeyKind::Hmac => {
                    self.direct().generate(CKM_GENERIC_SECRET_KEY_GEN, &template)
                }
                Source::Generated(_) => self.direct().generate(CKM_AES_KEY_GEN, &template),
            }
        };
        match attempt(true) {
            Err(failure) if failure.is_refused_template() => attempt(false),
            done => done,
        }
    }

    fn must_be_usable(&self, id: &KeyId, made: &[Object]) -> Result<(), KeyError> {
        match self.stored(id) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.undo(made, error)),
        }
    }

    /// Removes what was made so far. `error` is what the caller must know; a key that stays shows in the inventory.
    fn undo(&self, made: &[Object], error: KeyError) -> KeyError {
        for object in made {
            self.destroy(*object);
        }
        error
    }
}
