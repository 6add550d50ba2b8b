//! What keys the token has, and how to be rid of one: for key ceremonies.

use std::collections::BTreeMap;

use cryptoki_sys::{CKA_CLASS, CKA_LABEL, CKA_LOCAL, CKA_TOKEN, CKO_SECRET_KEY};
use dukpt::{CheckValue, KeyError, KeyId, KeyKind};

use crate::{
    Cryptoperiod, Date, KeyState, Pkcs11Store,
    direct::{Object, Value},
    kind,
    period::Written,
    state::Mark,
    store::variant_label,
};

/// What is wrong with a TDES base key without its variant, or with a variant alone.
const NO_VARIANT: &str = "the variant key is missing";

/// What is wrong with a variant whose check value is not the one that was written down when both keys were made.
const OTHER_VARIANT: &str = "the variant key is not the one that was made with it";

/// What is doubtful where none was written down: made by another program, or by hand.
const UNPROVED_VARIANT: &str = "nothing proves that the variant key is its base key's";

/// What is wrong with a label that several keys have.
const AMBIGUOUS: &str = "CKA_LABEL: several keys have it";

/// One key of the inventory.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// Its name, the `CKA_LABEL`.
    pub id: KeyId,
    /// What it is for; `None` if no kind of key has its type and length.
    pub kind: Option<KeyKind>,
    /// It stays when the session ends (`CKA_TOKEN`).
    pub permanent: bool,
    /// The token made it (`CKA_LOCAL`); nobody ever saw it.
    pub generated: bool,
    /// Why it would be refused: unsafe attributes as `name=value`, a missing variant, a name that is not unique.
    pub problems: Vec<&'static str>,
    /// What production does not accept beyond that: attributes that the token does not tell, mechanisms that are not bound, a
    /// variant key of which nothing proves that it belongs to its base key.
    pub doubts: Vec<&'static str>,
    /// When it may be used.
    pub period: Cryptoperiod,
    /// The day on which it was activated by hand.
    pub activated: Option<Date>,
    /// The day on which it was retired.
    pub retired: Option<Date>,
    /// Whether it may be used today.
    pub state: KeyState,
    /// The token binds it to the one mechanism of its kind (`CKA_ALLOWED_MECHANISMS`). Many tokens cannot.
    pub bound: bool,
    /// The legacy check value, 3 bytes, if the token can compute it.
    pub check_value: Option<CheckValue>,
}

impl Pkcs11Store {
    /// The secret keys that this session sees and whose label can be a [`KeyId`], by name. The variant of a TDES base
    /// key is part of it. A TDES key that is a variant without base key, or the other way round, is listed as broken.
    ///
    /// # Errors
    /// [`KeyError::Device`].
    pub fn list(&self) -> Result<Vec<KeyEntry>, KeyError> {
        let mut labelled: BTreeMap<KeyId, Vec<Object>> = BTreeMap::new();
        for object in self.direct().find(&[(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY))])? {
            let mut label = [0; 128];
            let label = self.direct().attribute(object, CKA_LABEL, &mut label)?;
            // Derived keys have no label, a long name's variant has one that is too long for a name, and other
            // programs may call theirs what they like.
            let id = label.and_then(|label| std::str::from_utf8(label).ok()).and_then(|label| KeyId::new(label).ok());
            if let Some(id) = id {
                labelled.entry(id).or_default().push(object);
            }
        }
        let (mut entries, mut folded) = (Vec::new(), Vec::new());
        for (id, objects) in &labelled {
            for &object in objects {
                let mut entry = self.entry(id, object)?;
                if objects.len() > 1 {
                    entry.problems.push(AMBIGUOUS);
                }
                if entry.kind == Some(KeyKind::TdesBase) && !self.derives_inside(KeyKind::TdesBase, object)? {
                    let variants = self.variants(id)?;
                    match variants[..] {
                        [] => entry.problems.push(NO_VARIANT),
                        [variant] => self.add_variant(&mut entry, object, variant)?,
                        [..] => entry.problems.push(AMBIGUOUS),
                    }
                    folded.extend(variants);
                }
                entries.push((object, entry));
            }
        }
        entries.retain(|(object, _)| !folded.contains(object));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Deletes a key; of a TDES base key, its variant too. The variant goes first: if the second deletion fails, the
    /// base key is still there to be deleted again.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Ambiguous`] if several keys have this name; [`KeyError::Device`].
    pub fn delete(&mut self, id: &KeyId) -> Result<(), KeyError> {
        let object = self.only(id, id.as_str())?;
        self.forget_for_good(id);
        if kind::of(&self.direct(), object)? == Some(KeyKind::TdesBase) {
            for variant in self.variants(id)? {
                self.direct().destroy(variant)?;
            }
        }
        self.direct().destroy(object)?;
        for mark in self.all_marks(id)? {
            self.direct().destroy(mark.object)?;
        }
        Ok(())
    }

    /// The objects that are variants of this base key, by name and type.
    fn variants(&self, id: &KeyId) -> Result<Vec<Object>, KeyError> {
        let mut variants = Vec::new();
        for object in self.labelled(&variant_label(id))? {
            if kind::of(&self.direct(), object)? == Some(KeyKind::TdesBase) {
                variants.push(object);
            }
        }
        Ok(variants)
    }

    /// What is wrong with the variant key of a base key is wrong with the base key.
    fn add_variant(&self, entry: &mut KeyEntry, base: Object, variant: Object) -> Result<(), KeyError> {
        let (direct, kind) = (self.direct(), KeyKind::TdesBase);
        entry.problems.extend(kind::problems(&direct, variant, kind, false)?);
        let doubts = kind::doubts(&direct, variant, kind, false)?;
        entry.doubts.extend(doubts.into_iter().filter(|doubt| !entry.doubts.contains(doubt)).collect::<Vec<_>>());
        match self.is_variant(&Written::of(&direct, base, entry.id.as_str())?, variant) {
            Ok(Some(true)) => {}
            // A key that may not encrypt is none that gives initial keys.
            Ok(Some(false)) | Err(KeyError::NotPermitted) => entry.problems.push(OTHER_VARIANT),
            Ok(None) => entry.doubts.push(UNPROVED_VARIANT),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn entry(&self, id: &KeyId, object: Object) -> Result<KeyEntry, KeyError> {
        let direct = self.direct();
        let kind = kind::of(&direct, object)?;
        let term = self.term(id, Written::of(&direct, object, id.as_str())?.period)?;
        let inside = kind.map(|kind| self.derives_inside(kind, object)).transpose()?.unwrap_or_default();
        let of_kind = |of: fn(&_, _, _, _) -> _| kind.map(|kind| of(&direct, object, kind, inside)).transpose();
        let day = |mark: Option<Mark>| mark.and_then(|mark| mark.on);
        Ok(KeyEntry {
            id: id.clone(),
            kind,
            permanent: kind::flag(&direct, object, CKA_TOKEN)?.unwrap_or_default(),
            generated: kind::flag(&direct, object, CKA_LOCAL)?.unwrap_or_default(),
            problems: of_kind(kind::problems)?.unwrap_or_default(),
            doubts: of_kind(kind::doubts)?.unwrap_or_default(),
            period: term.period,
            activated: day(term.activated),
            retired: day(term.retired),
            state: term.state(),
            bound: kind.map(|kind| kind::is_bound(&direct, object, kind, inside)).transpose()?.unwrap_or_default(),
            // A key that may not do what its kind does has no check value; that is no reason to list nothing.
            check_value: kind.and_then(|kind| self.check_value_of(&direct, kind, object).ok().flatten()),
        })
    }
}
