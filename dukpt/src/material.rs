//! A key on its way into a store: from clear bytes or from the components of a key ceremony.

use alloc::vec::Vec;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::{
    CheckMethod, CheckValue,
    aes::{KeyType, WorkingKeyType},
    clear::ClearKey,
};

/// What a stored key is for; a store lets it do nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// TDES base derivation key, 16 bytes.
    TdesBase,
    /// AES base derivation key, 16, 24 or 32 bytes.
    AesBase(KeyType),
    /// Key block protection key (TR-31, X9.143): TDES of 16 or 24 bytes, AES of 16, 24 or 32. Its one operation is CMAC.
    BlockProtection(WorkingKeyType),
    /// HMAC-SHA-256 key, 32 to 256 bytes (tokens refuse shorter ones).
    Hmac,
    /// AES key of format-preserving encryption (FF1, NIST SP 800-38G), 16, 24 or 32 bytes.
    Ff1(KeyType),
    /// AES key that wraps other keys (NIST SP 800-38F, KWP), 16, 24 or 32 bytes.
    Wrap(KeyType),
}

impl KeyKind {
    /// The kind's name in configuration and vectors: `tdes-base`, `aes-base`, `tdes-kbpk`, `aes-kbpk`, `hmac`, `ff1`, `wrap`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TdesBase => "tdes-base",
            Self::AesBase(_) => "aes-base",
            Self::BlockProtection(WorkingKeyType::Aes(_)) => "aes-kbpk",
            Self::BlockProtection(_) => "tdes-kbpk",
            Self::Hmac => "hmac",
            Self::Ff1(_) => "ff1",
            Self::Wrap(_) => "wrap",
        }
    }
}

/// The bytes of a key that is being imported. Wiped on drop, never printed.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct KeyMaterial {
    kind: KeyKind,
    bytes: Zeroizing<Vec<u8>>,
}

impl KeyMaterial {
    /// A key of the named kind ([`KeyKind::name`]); its size is its length.
    ///
    /// # Errors
    /// [`MaterialError::Kind`] for another name, [`MaterialError::Length`] for a length the kind does not have.
    pub fn new(kind: &str, bytes: &[u8]) -> Result<Self, MaterialError> {
        let kind = match (kind, bytes.len()) {
            ("tdes-base", 16) => KeyKind::TdesBase,
            ("aes-base", _) => KeyKind::AesBase(aes_size(bytes)?),
            ("ff1", _) => KeyKind::Ff1(aes_size(bytes)?),
            ("wrap", _) => KeyKind::Wrap(aes_size(bytes)?),
            ("tdes-kbpk", 16) => KeyKind::BlockProtection(WorkingKeyType::Tdes2),
            ("tdes-kbpk", 24) => KeyKind::BlockProtection(WorkingKeyType::Tdes3),
            ("aes-kbpk", _) => KeyKind::BlockProtection(aes_size(bytes)?.into()),
            ("hmac", 32..=256) => KeyKind::Hmac,
            ("tdes-base" | "tdes-kbpk" | "hmac", length) => return Err(MaterialError::Length(length)),
            _ => return Err(MaterialError::Kind),
        };
        Ok(Self { kind, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// The exclusive-or of two or more components of equal length, as custodians hold them.
    ///
    /// # Errors
    /// [`MaterialError::Components`] for fewer than two, or for unequal lengths; [`MaterialError::SameComponent`],
    /// [`MaterialError::Weak`]; otherwise as [`KeyMaterial::new`].
    pub fn from_components(kind: &str, components: &[&[u8]]) -> Result<Self, MaterialError> {
        let [first, others @ ..] = components else { return Err(MaterialError::Components) };
        if others.is_empty() || others.iter().any(|c| c.len() != first.len()) {
            return Err(MaterialError::Components);
        }
        let mut pairs = components.iter().enumerate().flat_map(|(i, a)| components[..i].iter().map(move |b| (a, b)));
        if pairs.any(|(a, b)| bool::from(a.ct_eq(b))) {
            return Err(MaterialError::SameComponent);
        }
        let mut key = Zeroizing::new(first.to_vec());
        for component in others {
            key.iter_mut().zip(*component).for_each(|(k, c)| *k ^= c);
        }
        let key = Self::new(kind, &key)?;
        if key.is_weak() { Err(MaterialError::Weak) } else { Ok(key) }
    }

    /// All zero, or a TDES key with equal parts: what goes wrong when components are mixed up.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        let zero = self.bytes.iter().fold(0, |any, byte| any | byte).ct_eq(&0);
        // Of three keys, two equal neighbours cancel out.
        let is_tdes = matches!(
            self.kind,
            KeyKind::TdesBase | KeyKind::BlockProtection(WorkingKeyType::Tdes2 | WorkingKeyType::Tdes3)
        );
        let single_des = match self.bytes.as_chunks::<8>().0 {
            [one, two] if is_tdes => one.ct_eq(two),
            [one, two, three] if is_tdes => one.ct_eq(two) | two.ct_eq(three),
            _ => Choice::from(0),
        };
        (zero | single_des).into()
    }

    /// What the key is for.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The legacy check value, 3 bytes: TDES or AES of a zero block; for HMAC keys, the MAC of an empty message.
    #[must_use]
    pub fn check_value(&self) -> CheckValue {
        // The length was checked when this became key material, so this cannot fail.
        CheckMethod::Legacy.of(self.clear()).unwrap_or_else(|_| CheckValue::cut(&[0; 3]))
    }

    /// The CMAC check value of a TDES or AES key, 5 bytes (X9.143:2021); `None` for other kinds.
    #[must_use]
    pub fn cmac_check_value(&self) -> Option<CheckValue> {
        CheckMethod::Cmac.of(self.clear()).ok()
    }

    /// The clear bytes, for a store's import.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&self) -> ClearKey<'_> {
        if let KeyKind::BlockProtection(key_type) = self.kind
            && let Ok(key) = ClearKey::new(key_type, &self.bytes)
        {
            return key;
        }
        match (self.kind, self.bytes.first_chunk()) {
            (KeyKind::TdesBase, Some(key)) => key.into(),
            (KeyKind::AesBase(_) | KeyKind::Ff1(_) | KeyKind::Wrap(_), _) => ClearKey::Aes(&self.bytes),
            _ => ClearKey::Hmac(&self.bytes),
        }
    }

    /// The legacy check value of [`KeyMaterial::tdes_variant`].
    #[must_use]
    pub fn tdes_variant_check_value(&self) -> Option<CheckValue> {
        let variant = self.tdes_variant()?;
        CheckMethod::Legacy.of((&*variant).into()).ok()
    }

    /// The variant key whose TDES encryption gives the right half of an initial key (X9.24-1:2009, A.6), 16 bytes.
    /// A token keeps it beside the base key. `None` for other kinds.
    #[must_use]
    pub fn tdes_variant(&self) -> Option<Zeroizing<[u8; 16]>> {
        if self.kind != KeyKind::TdesBase {
            return None;
        }
        let mut variant = Zeroizing::new([0; 16]);
        variant.iter_mut().zip(self.bytes.iter().zip(crate::tdes::VARIANT_C0)).for_each(|(v, (k, c))| *v = k ^ c);
        Some(variant)
    }
}

fn aes_size(key: &[u8]) -> Result<KeyType, MaterialError> {
    match key.len() {
        16 => Ok(KeyType::Aes128),
        24 => Ok(KeyType::Aes192),
        32 => Ok(KeyType::Aes256),
        length => Err(MaterialError::Length(length)),
    }
}

/// Why bytes are not a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MaterialError {
    /// No such kind.
    #[error("a key's kind is tdes-base, aes-base, tdes-kbpk, aes-kbpk, hmac, ff1 or wrap")]
    Kind,
    /// The kind has no key of this many bytes.
    #[error(
        "a key of this kind does not have {0} bytes (tdes-base 16; tdes-kbpk 16 or 24; hmac 32 to 256; others 16, 24 or 32)"
    )]
    Length(usize),
    /// Too few components, or unequal lengths.
    #[error("a key is put together from two or more components of equal length")]
    Components,
    /// The same component twice: they cancel out.
    #[error("the same component was given twice")]
    SameComponent,
    /// All bytes zero, or a TDES key that is single DES because parts of it are equal.
    #[error("the key is weak: all zero, or a TDES key with equal parts")]
    Weak,
}

impl MaterialError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Kind => "key_kind",
            Self::Length(_) => "component_length",
            Self::Components => "components",
            Self::SameComponent => "component_twice",
            Self::Weak => "key_weak",
        }
    }
}
