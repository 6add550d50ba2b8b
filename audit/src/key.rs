//! A key that records what it is asked to do.

use dukpt::{
    CheckMethod, CheckValue, Custody, Key, KeyError, KeyId, KeyStore, Ksn, MacAlgorithm, Scheme, Tag,
    aes::{self, Derivation},
    tdes,
};

use crate::{Audited, Event, Record, audited::code};

/// So many keys of a batch are held until their records are written together.
const TOGETHER: usize = 64;

/// A key of an [`Audited`] store.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct AuditedKey<'s, S: KeyStore + 's> {
    audit: &'s Audited<S>,
    /// Of a derived key, the stored one that it comes from.
    id: KeyId,
    /// The transaction of a derived key; `None` of a stored key.
    derived: Option<Option<Ksn>>,
    key: S::Key<'s>,
}

impl<'s, S: KeyStore> AuditedKey<'s, S> {
    pub(crate) fn stored(audit: &'s Audited<S>, id: &KeyId, key: S::Key<'s>) -> Self {
        Self { audit, id: id.clone(), derived: None, key }
    }

    /// A key derived from this one.
    fn child(&self, key: S::Key<'s>, ksn: Option<Ksn>) -> Self {
        Self { audit: self.audit, id: self.id.clone(), derived: Some(self.derived.unwrap_or(ksn)), key }
    }

    fn entry(&self, event: Event, result: &'static str, ksn: Option<Ksn>, custody: Custody) -> Record<'_> {
        let entry = Record::new(event, result).key(&self.id).custody(custody);
        self.derived.unwrap_or(ksn).iter().fold(entry, Record::ksn)
    }

    /// Records a use of a stored key, and the failure of a derived one.
    fn done<T>(
        &self,
        event: Event,
        ksn: Option<Ksn>,
        custody: Custody,
        result: Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        if self.derived.is_some() && result.is_ok() {
            return result;
        }
        self.audit.record(result, |code| self.entry(event, code, ksn, custody))
    }

    /// Records the use of a stored key for many transactions.
    fn done_each<T>(&self, ksns: &[tdes::Ksn], custody: Custody, result: Result<T, KeyError>) -> Result<T, KeyError> {
        if self.audit.log().is_some() {
            let code = code(&result);
            let entry = |ksn: &tdes::Ksn| self.entry(Event::DeriveKey, code, Some(Ksn::Tdes(*ksn)), custody);
            self.audit.write(&ksns.iter().map(entry).collect::<Vec<_>>())?;
        }
        result
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        self.audit.store().custody(scheme)
    }

    /// Of keys that are used where they are stored.
    fn at_home(&self) -> Custody {
        self.custody(Scheme::Aes)
    }
}

/// The KSN that a path from a base key stands for: the initial key's name, and the counter of the last step.
fn named(path: &[Derivation]) -> Option<Ksn> {
    let (first, last) = (path.first()?, path.last()?);
    let mut ksn = [0; 12];
    ksn[..8].copy_from_slice(first.data().get(8..16)?);
    if path.len() > 1 {
        ksn[8..].copy_from_slice(last.data().get(12..16)?);
    }
    // The update key's counter is no transaction's.
    let device = aes::Ksn::try_from(&ksn[..]).or_else(|_| aes::Ksn::try_from(&[&ksn[..8], &[0; 4]].concat()[..]));
    device.ok().map(Ksn::Aes)
}

impl<'s, S: KeyStore> Key for AuditedKey<'s, S> {
    fn derive(&self, step: &Derivation) -> Result<Self, KeyError> {
        let ksn = named(&[*step]);
        let key = self.key.derive(step).map(|key| self.child(key, ksn));
        self.done(Event::DeriveKey, ksn, self.custody(Scheme::Aes), key)
    }

    fn derive_path(&self, path: impl IntoIterator<Item = Derivation>, spent: Option<Self>) -> Result<Self, KeyError> {
        let spent = spent.map(|spent| spent.key);
        if self.audit.log().is_none() {
            return self.key.derive_path(path, spent).map(|key| self.child(key, None));
        }
        let path: Vec<_> = path.into_iter().collect();
        let ksn = named(&path);
        let key = self.key.derive_path(path, spent).map(|key| self.child(key, ksn));
        self.done(Event::DeriveKey, ksn, self.custody(Scheme::Aes), key)
    }

    /// Keys are given out once they are recorded, some at a time.
    fn derive_each<P: IntoIterator<Item = Derivation>>(
        &self,
        paths: impl IntoIterator<Item = Result<P, KeyError>>,
        mut each: impl FnMut(usize, Result<Self, KeyError>) -> Option<Self>,
    ) {
        if self.audit.log().is_none() || self.derived.is_some() {
            return self.key.derive_each(paths, |number, key| {
                each(number, key.map(|key| self.child(key, None))).map(|spent| spent.key)
            });
        }
        let paths: Vec<Result<Vec<_>, _>> =
            paths.into_iter().map(|path| path.map(|path| path.into_iter().collect())).collect();
        let ksns: Vec<_> = paths.iter().map(|path| path.as_ref().ok().and_then(|path| named(path))).collect();
        let mut held = Vec::with_capacity(TOGETHER.min(paths.len()));
        let mut give_out = |held: &mut Vec<(usize, Result<S::Key<'s>, KeyError>)>| {
            let custody = self.custody(Scheme::Aes);
            let entry = |(number, key): &(usize, Result<_, _>)| {
                self.entry(Event::DeriveKey, code(key), ksns.get(*number).copied().flatten(), custody)
            };
            let written = self.audit.write(&held.iter().map(entry).collect::<Vec<_>>());
            for (number, key) in held.drain(..) {
                let ksn = ksns.get(number).copied().flatten();
                let _ = each(number, written.clone().and(key).map(|key| self.child(key, ksn)));
            }
        };
        self.key.derive_each(paths, |number, key| {
            held.push((number, key));
            if held.len() == TOGETHER {
                give_out(&mut held);
            }
            None
        });
        give_out(&mut held);
    }

    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError> {
        let key = self.key.tdes_initial_key(ksn);
        self.done(Event::DeriveKey, Some(Ksn::Tdes(*ksn)), self.custody(Scheme::Tdes), key)
    }

    fn tdes_initial_keys(&self, ksns: &[tdes::Ksn]) -> Result<Vec<tdes::InitialKey>, KeyError> {
        self.done_each(ksns, self.custody(Scheme::Tdes), self.key.tdes_initial_keys(ksns))
    }

    fn tdes_taken_for(&self, taken: tdes::TrialBase, ksn: &tdes::Ksn) -> Result<tdes::TrialKeys, KeyError> {
        let keys = self.key.tdes_taken_for(taken, ksn);
        self.done(Event::DeriveKey, Some(Ksn::Tdes(*ksn)), self.custody(Scheme::Tdes), keys)
    }

    fn tdes_data_keys(&self, ksns: &[tdes::Ksn], variant: tdes::Variant) -> Result<tdes::DataKeys, KeyError> {
        self.done_each(ksns, self.custody(Scheme::Tdes), self.key.tdes_data_keys(ksns, variant))
    }

    fn derives_tdes_inside(&self, variant: tdes::Variant, cipher: tdes::Cipher) -> bool {
        self.key.derives_tdes_inside(variant, cipher)
    }

    fn tdes_key_inside(&self, ksn: &tdes::Ksn, variant: tdes::Variant) -> Result<Self, KeyError> {
        let named = Some(Ksn::Tdes(*ksn));
        let key = self.key.tdes_key_inside(ksn, variant).map(|key| self.child(key, named));
        self.done(Event::DeriveKey, named, Custody::Token, key)
    }

    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        let done = self.key.decrypt_cbc(iv, data);
        self.done(Event::DecryptData, None, self.at_home(), done)
    }

    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        let done = self.key.encrypt_cbc(iv, data);
        self.done(Event::Encrypt, None, self.at_home(), done)
    }

    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        let done = self.key.encrypt_block(block);
        self.done(Event::Encrypt, None, self.at_home(), done)
    }

    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError> {
        let done = self.key.decrypt_block(block);
        self.done(Event::DecryptData, None, self.at_home(), done)
    }

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError> {
        let done = self.key.encrypt_blocks(blocks);
        self.done(Event::Encrypt, None, self.at_home(), done)
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError> {
        self.done(Event::WrapKey, None, self.at_home(), self.key.wrap(secret))
    }

    /// The key that comes out is in host memory, wherever this one is.
    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError> {
        let custody = match self.at_home() {
            Custody::Token => Custody::Hybrid,
            elsewhere => elsewhere,
        };
        let done = Key::unwrap(&self.key, wrapped, secret);
        self.done(Event::UnwrapKey, None, custody, done).inspect_err(|_| secret.fill(0))
    }

    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError> {
        self.done(Event::Authenticate, None, self.at_home(), self.key.mac(algorithm, data))
    }

    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        self.done(Event::InspectKey, None, self.at_home(), self.key.check_value(method))
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError> {
        self.done(Event::Authenticate, None, self.at_home(), self.key.hmac_sha256(data))
    }
}
