//! The joint between DUKPT and wherever keys live: a key is something you ask, not something you read.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::fmt;

use crate::{CheckMethod, CheckValue, Exhausted, KeyMaterial, KsnError, MacAlgorithm, Scheme, Tag, aes, tdes};

/// An opaque key in some store. It derives, decrypts and authenticates; it never shows its bytes.
pub trait Key: Sized {
    /// One AES DUKPT derivation step (X9.24-3:2017, 6.3.3); the child stays in the same store.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is an AES derivation key, or a base key of the size that the step yields.
    fn derive(&self, step: &aes::Derivation) -> Result<Self, KeyError>;

    /// The key at the end of a path of such steps, each from the key that the one before yields; of those in between none
    /// is left. A store may take the memory of `spent`, a key that is needed no more, for it.
    ///
    /// # Errors
    /// As of [`Key::derive`]; [`KeyError::NotPermitted`] for a path without a step.
    fn derive_path(
        &self,
        path: impl IntoIterator<Item = aes::Derivation>,
        spent: Option<Self>,
    ) -> Result<Self, KeyError> {
        drop(spent);
        let mut steps = path.into_iter();
        let first = self.derive(&steps.next().ok_or(KeyError::NotPermitted)?)?;
        steps.try_fold(first, |key, step| key.derive(&step))
    }

    /// The keys at the ends of many such paths. `each` gets the number of a path with its key, in any order, or with the
    /// reason why there is none, and may give back a key that is needed no more.
    fn derive_each<P: IntoIterator<Item = aes::Derivation>>(
        &self,
        paths: impl IntoIterator<Item = Result<P, KeyError>>,
        mut each: impl FnMut(usize, Result<Self, KeyError>) -> Option<Self>,
    ) {
        let mut spent = None;
        for (number, path) in paths.into_iter().enumerate() {
            spent = each(number, path.and_then(|path| self.derive_path(path, spent.take())));
        }
    }

    /// The TDES initial key of one device (X9.24-1:2009, A.6): an exit of key bytes from a store, because
    /// no standard token can run the rest of TDES DUKPT inside.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is a TDES base key.
    fn tdes_initial_key(&self, ksn: &tdes::Ksn) -> Result<tdes::InitialKey, KeyError>;

    /// The initial keys of many devices, in the order of `ksns`; as [`Key::tdes_initial_key`].
    ///
    /// # Errors
    /// As of [`Key::tdes_initial_key`]; one failure is that of all.
    fn tdes_initial_keys(&self, ksns: &[tdes::Ksn]) -> Result<Vec<tdes::InitialKey>, KeyError> {
        ksns.iter().map(|ksn| self.tdes_initial_key(ksn)).collect()
    }

    /// The transaction key that comes out when this base key is taken for another: for diagnosis.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is a TDES base key; [`KeyError::Ksn`]; [`KeyError::Unsupported`] where the
    /// derivation cannot be run inside: a token lets no base key out.
    fn tdes_taken_for(&self, _taken: tdes::TrialBase, _ksn: &tdes::Ksn) -> Result<tdes::TrialKeys, KeyError> {
        Err(KeyError::Unsupported("a base key taken for another key"))
    }

    /// The data keys of many transactions of devices under this base key: key `i` is that of `ksns[i]`.
    ///
    /// # Errors
    /// As of [`Key::tdes_initial_key`]; [`KeyError::Ksn`] if one of the counters is zero; one failure is that of all.
    fn tdes_data_keys(&self, ksns: &[tdes::Ksn], variant: tdes::Variant) -> Result<tdes::DataKeys, KeyError> {
        // Devices that sent several messages need one initial key.
        let mut devices = BTreeMap::new();
        let mut first = Vec::new();
        for ksn in ksns {
            devices.entry(ksn.initial_key_block()).or_insert_with(|| {
                first.push(*ksn);
                first.len() - 1
            });
        }
        let initial = self.tdes_initial_keys(&first)?;
        let key = |ksn: &tdes::Ksn| initial.get(*devices.get(&ksn.initial_key_block())?);
        let transactions: Option<Vec<_>> = ksns.iter().map(|ksn| Some((key(ksn)?, *ksn))).collect();
        Ok(tdes::DataKeys::derive(&transactions.ok_or(KeyError::BadLength)?, variant)?)
    }

    /// Whether [`Key::tdes_key_inside`] gives this data key, so that no key byte leaves the store. If not, the initial key is
    /// the way.
    fn derives_tdes_inside(&self, _variant: tdes::Variant, _cipher: tdes::Cipher) -> bool {
        false
    }

    /// The data key of one TDES transaction, derived and used inside the store ([`Key::decrypt_cbc`] with TDES).
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] where [`Key::derives_tdes_inside`] says no; [`KeyError::Ksn`] for counter zero.
    fn tdes_key_inside(&self, _ksn: &tdes::Ksn, _variant: tdes::Variant) -> Result<Self, KeyError> {
        Err(KeyError::Unsupported("TDES DUKPT inside the store"))
    }

    /// CBC decryption in place; `data` is whole blocks of the key's cipher, and TDES takes the first 8 bytes of the IV.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless the key is [`aes::Purpose::Decrypt`]; [`KeyError::BadLength`] for partial
    /// blocks.
    fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError>;

    /// CBC encryption in place, as [`Key::decrypt_cbc`].
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless the key is [`aes::Purpose::Encrypt`] or an FF1 key; [`KeyError::BadLength`]
    /// for partial blocks; [`KeyError::Unsupported`].
    fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError>;

    /// Encryption of one cipher block in place.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless the key is [`aes::Purpose::Pin`]; [`KeyError::BadLength`] for another length;
    /// [`KeyError::Unsupported`].
    fn encrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError>;

    /// Decryption of one cipher block in place.
    ///
    /// # Errors
    /// As of [`Key::encrypt_block`].
    fn decrypt_block(&self, block: &mut [u8]) -> Result<(), KeyError>;

    /// Encryption of many AES blocks in place, each by itself, in one call of the store (format-preserving encryption).
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is an FF1 key; [`KeyError::Unsupported`].
    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), KeyError>;

    /// Wraps 32 bytes of another key (NIST SP 800-38F, KWP; `CKM_AES_KEY_WRAP_PAD`), so that they may be kept anywhere.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is a wrapping key; [`KeyError::Unsupported`].
    fn wrap(&self, secret: &[u8; 32]) -> Result<[u8; 40], KeyError>;

    /// What was wrapped, into `secret`. This is an exit of key bytes from a store, for data keys whose work a store would be
    /// too slow for.
    ///
    /// # Errors
    /// [`KeyError::NotWrapped`] for what this key did not wrap; else as of [`Key::wrap`].
    fn unwrap(&self, wrapped: &[u8; 40], secret: &mut [u8; 32]) -> Result<(), KeyError>;

    /// The whole MAC of `data`.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless the key is [`aes::Purpose::Mac`] and of a type that the algorithm takes, or a key
    /// block protection key and the algorithm CMAC; [`KeyError::Unsupported`].
    fn mac(&self, algorithm: MacAlgorithm, data: &[u8]) -> Result<Tag, KeyError>;

    /// The check value of a stored or derived key.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] where the store cannot tell; [`KeyError::NotPermitted`] where there is none of this
    /// method.
    fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError>;

    /// HMAC-SHA-256 of `data` (RFC 2104): tokens and fingerprints.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] unless this is an HMAC key.
    fn hmac_sha256(&self, data: &[u8]) -> Result<[u8; 32], KeyError>;
}

/// Something that holds named keys: memory, or a PKCS#11 token.
pub trait KeyStore {
    /// A key of this store. Dropping a derived key destroys it.
    type Key<'s>: Key
    where
        Self: 's;

    /// The key named `id`.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; a backend may refuse a key that is not safely kept.
    fn key(&self, id: &KeyId) -> Result<Self::Key<'_>, KeyError>;

    /// The name of the key that `id` stands for: itself, or the version of a base key in use ([`crate::BdkName`]).
    ///
    /// # Errors
    /// [`KeyError::NotFound`] of a base key without versions.
    fn key_in_use(&self, id: &KeyId) -> Result<KeyId, KeyError> {
        Ok(id.clone())
    }

    /// Where the working keys of a scheme live in this store.
    fn custody(&self, scheme: Scheme) -> Custody;
}

impl<S: KeyStore> KeyStore for &S {
    type Key<'s>
        = S::Key<'s>
    where
        Self: 's;

    fn key(&self, id: &KeyId) -> Result<Self::Key<'_>, KeyError> {
        (**self).key(id)
    }

    fn key_in_use(&self, id: &KeyId) -> Result<KeyId, KeyError> {
        (**self).key_in_use(id)
    }

    fn custody(&self, scheme: Scheme) -> Custody {
        (**self).custody(scheme)
    }
}

/// A store that also takes keys in: key ceremonies and test suites.
pub trait KeyImport: KeyStore {
    /// Stores `material` under `id`.
    ///
    /// # Errors
    /// [`KeyError::AlreadyExists`]; [`KeyError::Device`] where the store refuses clear keys.
    fn import(&mut self, id: &KeyId, material: &KeyMaterial, lifetime: Lifetime) -> Result<(), KeyError>;

    /// The legacy check value of a stored key: 3 bytes ([`KeyMaterial::check_value`]); in a token, the CMAC one of a key
    /// block protection key, which may not encrypt.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Unsupported`] where the store cannot tell.
    fn check_value(&self, id: &KeyId) -> Result<CheckValue, KeyError>;
}

/// How long an imported key stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// Until the store is closed.
    Session,
    /// Until it is deleted.
    Permanent,
}

/// Where working keys live while they are used; reported with every decryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Custody {
    /// Every key, derived ones included, stays inside the token.
    Token,
    /// The base key stays in the token; the initial key of one device and its data keys are in wiped host memory
    /// (a *hybrid decryption environment* in PCI P2PE).
    Hybrid,
    /// All keys are in wiped host memory: tests and development.
    Memory,
}

impl fmt::Display for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Hybrid => "hybrid",
            Self::Memory => "memory",
        })
    }
}

/// The name of a key: 1 to 64 printable ASCII characters; a token's `CKA_LABEL`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// # Errors
    /// [`KeyIdError`] unless `id` is 1 to 64 printable ASCII characters.
    pub fn new(id: &str) -> Result<Self, KeyIdError> {
        if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| (0x20..0x7F).contains(&b)) {
            return Err(KeyIdError);
        }
        Ok(Self(id.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl core::str::FromStr for KeyId {
    type Err = KeyIdError;
    fn from_str(s: &str) -> Result<Self, KeyIdError> {
        Self::new(s)
    }
}

/// A key name that is empty, longer than 64 characters or not printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key name is 1 to 64 printable ASCII characters")]
pub struct KeyIdError;

/// Why a key could not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No such key: import it, or correct the configuration.
    #[error("no key named {0}")]
    NotFound(KeyId),
    /// A key of that name is there already.
    #[error("a key named {0} exists already")]
    AlreadyExists(KeyId),
    /// Several keys have that name: either could be the wrong one.
    #[error("several keys are named {0}")]
    Ambiguous(KeyId),
    /// The key is of another kind than the operation needs.
    #[error("the key is not of the kind that this operation needs")]
    NotPermitted,
    /// The store cannot do this: it names the missing mechanism.
    #[error("the key store does not support {0}")]
    Unsupported(&'static str),
    /// The bytes were not wrapped by this key, or were changed since.
    #[error("not wrapped by this key")]
    NotWrapped,
    /// The initial key of a device would come out into host memory, and that is forbidden here.
    #[error("TDES DUKPT would need a key outside of the token, and the settings forbid that")]
    HybridForbidden,
    /// A length that is not whole blocks.
    #[error("the data is not a whole number of cipher blocks")]
    BadLength,
    /// The working key would be stronger than the key it is derived from.
    #[error("the working key would be stronger than the key it is derived from")]
    TooStrong,
    /// The KSN names no transaction key.
    #[error(transparent)]
    Ksn(#[from] KsnError),
    /// A virtual device has no transaction left.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// The key's cryptoperiod has not begun.
    #[error("the cryptoperiod of key {0} has not begun")]
    Pending(KeyId),
    /// The key's cryptoperiod is over.
    #[error("the cryptoperiod of key {0} is over")]
    Expired(KeyId),
    /// The key was taken out of use.
    #[error("key {0} is retired")]
    Retired(KeyId),
    /// The variant key of a TDES base key is not the one that was made with it.
    #[error("the variant key of {0} is not the one that was made with it")]
    VariantMismatch(KeyId),
    /// A name that stands for other keys ([`crate::BdkName`]).
    #[error("{0} is no name for this key: SCHEME:BDK-ID:vN is a version of the base key of its scheme")]
    NameMismatch(KeyId),
    /// The key is kept unsafely; the attribute is named.
    #[error("key {id} has the unsafe attribute {attribute}")]
    UnsafeAttribute {
        /// The key.
        id: KeyId,
        /// The PKCS#11 attribute and its offending value.
        attribute: &'static str,
    },
    /// The use of the key could not be recorded in the audit log, so that nothing came of it.
    #[error("the use of the key could not be recorded: no key serves without a record")]
    NotRecorded,
    /// A self-test gave a wrong answer, by its name: nothing is served until the store is opened again.
    #[error("self-test {0} failed: nothing is served")]
    SelfTest(&'static str),
    /// The device under the store failed: the function called and the code returned (PKCS#11 `CK_RV`).
    #[error("{function} failed with {code:#x}")]
    Device {
        /// The function, as in `C_DeriveKey`.
        function: &'static str,
        /// Its return code.
        code: u64,
    },
}

impl KeyError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "key_not_found",
            Self::AlreadyExists(_) => "key_already_exists",
            Self::Ambiguous(_) => "key_ambiguous",
            Self::NotPermitted => "key_not_permitted",
            Self::Unsupported(_) => "key_unsupported",
            Self::NotWrapped => "key_not_wrapped",
            Self::HybridForbidden => "key_hybrid_forbidden",
            Self::NotRecorded => "key_not_recorded",
            Self::BadLength => "key_bad_length",
            Self::TooStrong => "suite_strength",
            Self::Ksn(error) => error.code(),
            Self::Exhausted(_) => "device_exhausted",
            Self::Pending(_) => "key_pending",
            Self::Expired(_) => "key_expired",
            Self::Retired(_) => "key_retired",
            Self::VariantMismatch(_) => "key_variant_mismatch",
            Self::NameMismatch(_) => "key_name_mismatch",
            Self::UnsafeAttribute { .. } => "key_unsafe_attribute",
            Self::SelfTest(_) => "self_test",
            Self::Device { .. } => "key_device",
        }
    }
}
