//! What a key of each kind looks like in a token: the templates it is made with, and the attributes it must not have.

use cryptoki_sys::*;
use dukpt::{
    KeyKind, Lifetime,
    aes::{KeyType, Purpose, WorkingKeyType},
};

use crate::{
    direct::{Attribute, Direct, Object, Value},
    dukpt_mechanisms,
    failure::Failure,
};

const YES: Value<'static> = Value::Bool(CK_TRUE);
const NO: Value<'static> = Value::Bool(CK_FALSE);

/// All that a key may be allowed to do. `VERIFY` is not in the list of [`problems`]: it gives nothing away.
const USES: [CK_ATTRIBUTE_TYPE; 7] = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE];

/// The attributes that make a key unsafe, with the value that does. Uses count only where the kind has no need of
/// them: an AES base key that may `ENCRYPT` would hand out every initial key.
const UNSAFE: [(CK_ATTRIBUTE_TYPE, bool, &str); 11] = [
    (CKA_SENSITIVE, false, "CKA_SENSITIVE=false"),
    (CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE=true"),
    // A public object can be used without any login.
    (CKA_PRIVATE, false, "CKA_PRIVATE=false"),
    // A copy may be given other attributes.
    (CKA_COPYABLE, true, "CKA_COPYABLE=true"),
    (CKA_MODIFIABLE, true, "CKA_MODIFIABLE=true"),
    (CKA_ENCRYPT, true, "CKA_ENCRYPT=true"),
    (CKA_DECRYPT, true, "CKA_DECRYPT=true"),
    (CKA_WRAP, true, "CKA_WRAP=true"),
    (CKA_UNWRAP, true, "CKA_UNWRAP=true"),
    (CKA_SIGN, true, "CKA_SIGN=true"),
    (CKA_DERIVE, true, "CKA_DERIVE=true"),
];

/// Those of [`UNSAFE`] that every token must tell: not to know them is not to be safe.
const MUST_BE_KNOWN: [(CK_ATTRIBUTE_TYPE, &str); 3] = [
    (CKA_SENSITIVE, "CKA_SENSITIVE unknown"),
    (CKA_EXTRACTABLE, "CKA_EXTRACTABLE unknown"),
    (CKA_PRIVATE, "CKA_PRIVATE unknown"),
];

/// The uses of a kind. `inside`: of a TDES base key that the token derives from by itself.
fn needed(kind: KeyKind, inside: bool) -> &'static [CK_ATTRIBUTE_TYPE] {
    match kind {
        KeyKind::TdesBase if inside => &[CKA_DERIVE],
        KeyKind::TdesBase | KeyKind::Ff1(_) => &[CKA_ENCRYPT],
        KeyKind::AesBase(_) => &[CKA_DERIVE],
        KeyKind::BlockProtection(_) | KeyKind::Hmac => &[CKA_SIGN],
        KeyKind::Wrap(_) => &[CKA_WRAP, CKA_UNWRAP],
    }
}

/// The mechanisms of a kind, for `CKA_ALLOWED_MECHANISMS`.
fn mechanisms(kind: KeyKind, inside: bool) -> &'static [CK_MECHANISM_TYPE] {
    match kind {
        KeyKind::TdesBase if inside => &dukpt_mechanisms::ALL,
        KeyKind::TdesBase => &[CKM_DES3_ECB],
        KeyKind::AesBase(_) => &[CKM_AES_ECB_ENCRYPT_DATA],
        KeyKind::BlockProtection(WorkingKeyType::Aes(_)) => &[CKM_AES_CMAC],
        KeyKind::BlockProtection(_) => &[CKM_DES3_CMAC],
        KeyKind::Hmac => &[CKM_SHA256_HMAC],
        KeyKind::Ff1(_) => &[CKM_AES_ECB, CKM_AES_CBC],
        KeyKind::Wrap(_) => &[CKM_AES_KEY_WRAP_PAD],
    }
}

fn key_type(kind: KeyKind) -> CK_KEY_TYPE {
    match kind {
        KeyKind::BlockProtection(WorkingKeyType::Tdes3) => CKK_DES3,
        KeyKind::AesBase(_) | KeyKind::Ff1(_) | KeyKind::Wrap(_) | KeyKind::BlockProtection(WorkingKeyType::Aes(_)) => {
            CKK_AES
        }
        KeyKind::TdesBase | KeyKind::BlockProtection(_) => CKK_DES2,
        KeyKind::Hmac => CKK_GENERIC_SECRET,
    }
}

/// Where the bytes of a new key come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Imported.
    Bytes(&'a [u8]),
    /// Made by the token, of this many bytes.
    Generated(CK_ULONG),
}

/// The template of a key that is kept; `id` is its `CKA_ID`. A `strict` one has the two attributes that some tokens do not know.
pub(crate) fn stored<'a>(
    kind: KeyKind,
    inside: bool,
    label: &'a str,
    lifetime: Lifetime,
    source: Source<'a>,
    id: &'a str,
    strict: bool,
) -> Vec<Attribute<'a>> {
    let mut template = vec![
        (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
        (CKA_KEY_TYPE, Value::Ulong(key_type(kind))),
        (CKA_LABEL, Value::Bytes(label.as_bytes())),
        // NSS overwrites a key when another one of the same CKA_ID is made: it must be as unique as the label.
        (CKA_ID, Value::Bytes(id.as_bytes())),
        (CKA_TOKEN, if lifetime == Lifetime::Permanent { YES } else { NO }),
        (CKA_PRIVATE, YES),
        (CKA_SENSITIVE, YES),
        (CKA_EXTRACTABLE, NO),
        (CKA_MODIFIABLE, NO),
    ];
    template.extend(USES.map(|usage| (usage, if needed(kind, inside).contains(&usage) { YES } else { NO })));
    template.push(match source {
        Source::Bytes(bytes) => (CKA_VALUE, Value::Bytes(bytes)),
        Source::Generated(length) => (CKA_VALUE_LEN, Value::Ulong(length)),
    });
    if strict {
        template.push((CKA_COPYABLE, NO));
        template.push((CKA_ALLOWED_MECHANISMS, Value::Mechanisms(mechanisms(kind, inside))));
    }
    template
}

/// The template of a derived key: it dies with the session, never leaves the token, and has one purpose. `None` for
/// TDES: tokens adjust the parity of DES keys, and that is another key than the device's.
pub(crate) fn derived(key_type: WorkingKeyType, purpose: Purpose) -> Option<[Attribute<'static>; 14]> {
    let may = |wanted: &[Purpose]| if wanted.contains(&purpose) { YES } else { NO };
    let token_type = match key_type {
        WorkingKeyType::Aes(_) => CKK_AES,
        WorkingKeyType::Hmac128 | WorkingKeyType::Hmac192 | WorkingKeyType::Hmac256 => CKK_GENERIC_SECRET,
        WorkingKeyType::Tdes2 | WorkingKeyType::Tdes3 => return None,
    };
    Some([
        (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
        (CKA_KEY_TYPE, Value::Ulong(token_type)),
        (CKA_VALUE_LEN, Value::Ulong(key_type.length() as CK_ULONG)),
        (CKA_TOKEN, NO),
        (CKA_PRIVATE, YES),
        (CKA_SENSITIVE, YES),
        (CKA_EXTRACTABLE, NO),
        (CKA_DERIVE, may(&[Purpose::Derive])),
        (CKA_DECRYPT, may(&[Purpose::Decrypt, Purpose::Pin])),
        // A key-encryption key encrypts a zero block, its check value. CKA_CHECK_VALUE of derived keys is no such thing:
        // SoftHSM fills in a hash of the key.
        (CKA_ENCRYPT, may(&[Purpose::Encrypt, Purpose::Pin, Purpose::Check])),
        (CKA_WRAP, NO),
        (CKA_UNWRAP, NO),
        // Received MACs are computed and compared: a token verifies no cut ones.
        (CKA_SIGN, may(&[Purpose::Mac])),
        (CKA_VERIFY, NO),
    ])
}

/// The template of a TDES data key that the token derives by itself.
pub(crate) const TDES_DATA_KEY: [Attribute<'static>; 11] = [
    (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
    (CKA_KEY_TYPE, Value::Ulong(CKK_DES2)),
    (CKA_TOKEN, NO),
    (CKA_PRIVATE, YES),
    (CKA_SENSITIVE, YES),
    (CKA_EXTRACTABLE, NO),
    (CKA_DECRYPT, YES),
    (CKA_ENCRYPT, NO),
    (CKA_DERIVE, NO),
    (CKA_WRAP, NO),
    (CKA_UNWRAP, NO),
];

/// The template of a TDES base key of this value that goes with the session.
pub(crate) fn tdes_test_key(value: &[u8; 16]) -> [Attribute<'_>; 9] {
    [
        (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
        (CKA_KEY_TYPE, Value::Ulong(CKK_DES2)),
        (CKA_TOKEN, NO),
        (CKA_PRIVATE, YES),
        (CKA_SENSITIVE, YES),
        (CKA_EXTRACTABLE, NO),
        (CKA_ENCRYPT, NO),
        (CKA_DERIVE, YES),
        (CKA_VALUE, Value::Bytes(value)),
    ]
}

/// The template of the "key" that is the first three bytes of a block, and readable: an AES check value.
pub(crate) const CHECK_VALUE: [Attribute<'static>; 7] = [
    (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
    (CKA_KEY_TYPE, Value::Ulong(CKK_GENERIC_SECRET)),
    (CKA_VALUE_LEN, Value::Ulong(3)),
    (CKA_TOKEN, NO),
    (CKA_PRIVATE, YES),
    (CKA_SENSITIVE, NO),
    (CKA_EXTRACTABLE, YES),
];

/// The template of another key on its way through the token: there for one call, then destroyed.
pub(crate) fn passing(secret: Option<&[u8]>) -> Vec<Attribute<'_>> {
    let mut template = vec![
        (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
        (CKA_KEY_TYPE, Value::Ulong(CKK_GENERIC_SECRET)),
        (CKA_TOKEN, NO),
        (CKA_PRIVATE, YES),
        (CKA_SENSITIVE, NO),
        (CKA_EXTRACTABLE, YES),
    ];
    template.extend(secret.map(|secret| (CKA_VALUE, Value::Bytes(secret))));
    template
}

/// The kind of a stored key, by its type and length; `None` for a type that no kind has. A key that may not do what a base
/// key of its type does is for key blocks if it may sign, for FF1 if it may encrypt, for wrapping if it may do that; any
/// other is a base key. [`problems`] tells if it may do more.
pub(crate) fn of(direct: &Direct<'_>, object: Object) -> Result<Option<KeyKind>, Failure> {
    let number = |attribute| -> Result<Option<CK_ULONG>, Failure> {
        let mut bytes = [0; size_of::<CK_ULONG>()];
        let read = direct.attribute(object, attribute, &mut bytes)?.map(<[u8]>::len);
        Ok((read == Some(bytes.len())).then(|| CK_ULONG::from_ne_bytes(bytes)))
    };
    let signs = |instead_of| -> Result<bool, Failure> {
        Ok(flag(direct, object, CKA_SIGN)? == Some(true) && flag(direct, object, instead_of)? != Some(true))
    };
    Ok(match number(CKA_KEY_TYPE)? {
        Some(CKK_DES2) if signs(CKA_ENCRYPT)? => Some(KeyKind::BlockProtection(WorkingKeyType::Tdes2)),
        Some(CKK_DES2) => Some(KeyKind::TdesBase),
        Some(CKK_DES3) if signs(CKA_ENCRYPT)? => Some(KeyKind::BlockProtection(WorkingKeyType::Tdes3)),
        Some(CKK_GENERIC_SECRET | CKK_SHA256_HMAC) => Some(KeyKind::Hmac),
        Some(CKK_AES) => {
            let may = |usage| flag(direct, object, usage);
            let protects = |size: KeyType| KeyKind::BlockProtection(size.into());
            let kind: fn(KeyType) -> KeyKind = match (may(CKA_DERIVE)?, may(CKA_ENCRYPT)?, may(CKA_WRAP)?) {
                _ if signs(CKA_DERIVE)? => protects,
                (Some(false), Some(true), _) => KeyKind::Ff1,
                (Some(false), _, Some(true)) => KeyKind::Wrap,
                _ => KeyKind::AesBase,
            };
            match number(CKA_VALUE_LEN)? {
                Some(16) => Some(kind(KeyType::Aes128)),
                Some(24) => Some(kind(KeyType::Aes192)),
                Some(32) => Some(kind(KeyType::Aes256)),
                _ => None,
            }
        }
        _ => None,
    })
}

/// The unsafe attributes of a key of this kind, as `name=value`. Those that the token does not know are skipped, but for
/// the three that it must know.
pub(crate) fn problems(
    direct: &Direct<'_>,
    object: Object,
    kind: KeyKind,
    inside: bool,
) -> Result<Vec<&'static str>, Failure> {
    let mut problems = Vec::new();
    for (attribute, bad, name) in UNSAFE {
        if needed(kind, inside).contains(&attribute) {
            continue;
        }
        let unknown = MUST_BE_KNOWN.iter().find(|(known, _)| *known == attribute);
        match (flag(direct, object, attribute)?, unknown) {
            (Some(value), _) if value == bad => problems.push(name),
            (None, Some((_, unknown))) => problems.push(unknown),
            _ => {}
        }
    }
    Ok(problems)
}

/// Whether the token binds the key to the mechanisms of its kind. No reason to refuse it: many tokens cannot.
pub(crate) fn is_bound(direct: &Direct<'_>, object: Object, kind: KeyKind, inside: bool) -> Result<bool, Failure> {
    let mut list = [0; 64];
    let wanted: Vec<u8> = mechanisms(kind, inside).iter().flat_map(|mechanism| mechanism.to_ne_bytes()).collect();
    Ok(direct.attribute(object, CKA_ALLOWED_MECHANISMS, &mut list)? == Some(&wanted[..]))
}

/// What is no reason to refuse a key, because some tokens cannot do better, and none of which a token for production has:
/// attributes that are not told, mechanisms that are not bound, and a key of the token's own that was once less safe.
pub(crate) fn doubts(
    direct: &Direct<'_>,
    object: Object,
    kind: KeyKind,
    inside: bool,
) -> Result<Vec<&'static str>, Failure> {
    const UNTOLD: [(CK_ATTRIBUTE_TYPE, &str); 2] =
        [(CKA_MODIFIABLE, "CKA_MODIFIABLE unknown"), (CKA_COPYABLE, "CKA_COPYABLE unknown")];
    const EVER: [(CK_ATTRIBUTE_TYPE, &str); 2] = [
        (CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE=false of a key made in the token"),
        (CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE=false of a key made in the token"),
    ];
    let mut doubts = Vec::new();
    for (attribute, name) in UNTOLD {
        if flag(direct, object, attribute)?.is_none() {
            doubts.push(name);
        }
    }
    if flag(direct, object, CKA_LOCAL)? == Some(true) {
        for (attribute, name) in EVER {
            if flag(direct, object, attribute)? != Some(true) {
                doubts.push(name);
            }
        }
    }
    if !is_bound(direct, object, kind, inside)? {
        let mut list = [0; 64];
        let some = direct.attribute(object, CKA_ALLOWED_MECHANISMS, &mut list)?.is_some_and(|list| !list.is_empty());
        doubts.push(if some {
            "CKA_ALLOWED_MECHANISMS has others than its kind"
        } else {
            "CKA_ALLOWED_MECHANISMS not set"
        });
    }
    Ok(doubts)
}

/// A true-or-false attribute; `None` if the token does not know it.
pub(crate) fn flag(direct: &Direct<'_>, object: Object, attribute: CK_ATTRIBUTE_TYPE) -> Result<Option<bool>, Failure> {
    let mut byte = [0];
    let read = direct.attribute(object, attribute, &mut byte)?;
    Ok(read.and_then(|value| value.first()).map(|value| *value != CK_FALSE))
}
