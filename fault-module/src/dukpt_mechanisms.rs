//! A stand-in for a token that derives TDES DUKPT keys by itself, with the mechanisms of Thales Luna.
//!
//! The module behind does not show its keys, so this one remembers what it saw on the way in.

use std::{
    collections::BTreeMap,
    slice,
    sync::{Mutex, PoisonError},
};

use cryptoki_sys::*;
use dukpt::{Key, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore, tdes};

use crate::forward::{LISTS, real};

const CKM_DES2_DUKPT_PIN: CK_MECHANISM_TYPE = 0x8000_0611;
const CKM_DES2_DUKPT_MAC: CK_MECHANISM_TYPE = 0x8000_0612;
const CKM_DES2_DUKPT_MAC_RESP: CK_MECHANISM_TYPE = 0x8000_0613;
const CKM_DES2_DUKPT_DATA: CK_MECHANISM_TYPE = 0x8000_0614;
const CKM_DES2_DUKPT_DATA_RESP: CK_MECHANISM_TYPE = 0x8000_0615;

pub(crate) const ALL: [CK_MECHANISM_TYPE; 5] =
    [CKM_DES2_DUKPT_PIN, CKM_DES2_DUKPT_MAC, CKM_DES2_DUKPT_MAC_RESP, CKM_DES2_DUKPT_DATA, CKM_DES2_DUKPT_DATA_RESP];

/// Two-key DES keys, by handle, and those with a `CKA_ID` by that too: a handle is another one after each start.
static SEEN: Mutex<BTreeMap<Vec<u8>, [u8; 16]>> = Mutex::new(BTreeMap::new());

pub(crate) fn remember(object: CK_OBJECT_HANDLE, template: &[(CK_ATTRIBUTE_TYPE, &[u8])]) {
    let of = |wanted| template.iter().find(|(attribute, _)| *attribute == wanted).map(|(_, value)| *value);
    if let Some(Ok(key)) = of(CKA_VALUE).map(<[u8; 16]>::try_from) {
        let name = of(CKA_ID).map_or_else(|| object.to_ne_bytes().to_vec(), <[u8]>::to_vec);
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(name, key);
    }
}

/// Derives, with one byte of the key changed by `flaw`; `None` if the mechanism is none of these.
///
/// # Safety
/// `mechanism` is as PKCS#11 demands, and `key` a valid place for a handle.
pub(crate) unsafe fn derive(
    session: CK_SESSION_HANDLE,
    mechanism: &CK_MECHANISM,
    base: CK_OBJECT_HANDLE,
    template: &[(CK_ATTRIBUTE_TYPE, &[u8])],
    key: *mut CK_OBJECT_HANDLE,
    flaw: u8,
) -> Option<CK_RV> {
    if !ALL.contains(&mechanism.mechanism) {
        return None;
    }
    if mechanism.pParameter.is_null()
        || mechanism.ulParameterLen != size_of::<CK_KEY_DERIVATION_STRING_DATA>() as CK_ULONG
    {
        return Some(CKR_MECHANISM_PARAM_INVALID);
    }
    // SAFETY: of the right length, as just seen.
    let parameter = unsafe { *mechanism.pParameter.cast::<CK_KEY_DERIVATION_STRING_DATA>() };
    // SAFETY: the pointer has the length beside it.
    let ksn = unsafe { slice::from_raw_parts(parameter.pData, usize::try_from(parameter.ulLen).unwrap_or(0)) };
    let Some(ksn) = (ksn.len() == 10).then(|| tdes::Ksn::try_from(ksn).ok()).flatten() else {
        return Some(CKR_MECHANISM_PARAM_INVALID);
    };
    let Some(base) = find(session, base) else { return Some(CKR_KEY_HANDLE_INVALID) };
    let Some(mut value) = working_key(&base, &ksn, mechanism.mechanism) else { return Some(CKR_FUNCTION_FAILED) };
    value[5] ^= flaw;
    let mut made: Vec<CK_ATTRIBUTE> = template
        .iter()
        .filter(|(attribute, _)| *attribute != CKA_VALUE_LEN)
        .chain([&(CKA_VALUE, &value[..])])
        .map(|(type_, value)| CK_ATTRIBUTE {
            type_: *type_,
            pValue: value.as_ptr().cast_mut().cast(),
            ulValueLen: value.len() as CK_ULONG,
        })
        .collect();
    Some(real!(C_CreateObject, session, made.as_mut_ptr(), made.len() as CK_ULONG, key))
}

fn find(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<[u8; 16]> {
    let mut id = [0; 128];
    let mut wanted = CK_ATTRIBUTE { type_: CKA_ID, pValue: id.as_mut_ptr().cast(), ulValueLen: id.len() as CK_ULONG };
    let code = real!(C_GetAttributeValue, session, object, &raw mut wanted, 1);
    let length = usize::try_from(wanted.ulValueLen).ok().filter(|length| code == CKR_OK && *length <= id.len())?;
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get(&id[..length]).or_else(|| seen.get(&object.to_ne_bytes()[..])).copied()
}

fn working_key(base: &[u8; 16], ksn: &tdes::Ksn, mechanism: CK_MECHANISM_TYPE) -> Option<[u8; 16]> {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("base").ok()?);
    store.import(&id, &KeyMaterial::new("tdes-base", base).ok()?, Lifetime::Session).ok()?;
    let initial = store.key(&id).ok()?.tdes_initial_key(ksn).ok()?;
    let key = |variant| tdes::DataKey::derive(&initial, ksn, variant).ok().map(|key| *key.expose());
    // The MAC keys differ from the PIN key in the byte of each half that is inverted (X9.24-1:2009, table A-1).
    let instead = |byte: usize| {
        let mut key = key(tdes::Variant::Pin)?;
        for half in key.chunks_exact_mut(8) {
            half[7] ^= 0xFF;
            half[byte] ^= 0xFF;
        }
        Some(key)
    };
    match mechanism {
        CKM_DES2_DUKPT_PIN => key(tdes::Variant::Pin),
        CKM_DES2_DUKPT_MAC => instead(6),
        CKM_DES2_DUKPT_MAC_RESP => instead(4),
        CKM_DES2_DUKPT_DATA => key(tdes::Variant::DataRequest),
        _ => key(tdes::Variant::DataResponse),
    }
}
