//! A PKCS#11 module that stands before another one (`FAULTY_BEHIND`) and fails as the file `FAULTY_PLAN` says: one
//! fault a line, the function's name and a return code in hex. The file is read at each call, so a test can change
//! its mind. Codes with a meaning of their own:
//! - `C_Decrypt 150` (`CKR_BUFFER_TOO_SMALL`) holds until the caller offers more than the ciphertext's length;
//! - `C_Encrypt 0` succeeds with a result that is one byte short;
//! - `C_GetAttributeValue 12` holds for `CKA_CHECK_VALUE`;
//! - `C_CreateObject 12` (`CKR_ATTRIBUTE_TYPE_INVALID`) holds for templates with `CKA_COPYABLE`, any other code for
//!   labels that end in `.variant`.
#![expect(non_snake_case, reason = "the names of PKCS#11")]
#![expect(clippy::missing_safety_doc, reason = "the contracts are those of PKCS#11")]

use std::{env, fs, sync::OnceLock};

use cryptoki_sys::*;

struct Lists {
    real: CK_FUNCTION_LIST,
    faulty: CK_FUNCTION_LIST,
    _module: Pkcs11,
}

static LISTS: OnceLock<Option<Lists>> = OnceLock::new();

fn planned(function: &str) -> Option<CK_RV> {
    let plan = fs::read_to_string(env::var_os("FAULTY_PLAN")?).ok()?;
    let code = plan.lines().find_map(|line| line.strip_prefix(function)?.strip_prefix(' '))?;
    CK_RV::from_str_radix(code, 16).ok()
}

macro_rules! real {
    ($function:ident, $($argument:expr),*) => {
        match LISTS.get().and_then(Option::as_ref).and_then(|lists| lists.real.$function) {
            // SAFETY: the caller's arguments, handed on as they are.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

macro_rules! faulty {
    ($($function:ident($($argument:ident: $type:ty),*);)*) => {
        $(unsafe extern "C" fn $function($($argument: $type),*) -> CK_RV {
            match planned(stringify!($function)) {
                Some(code) => code,
                None => real!($function, $($argument),*),
            }
        })*
    };
}

faulty! {
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut u8, length: CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, data: CK_VOID_PTR, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, base: CK_OBJECT_HANDLE,
        template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE,
        count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_FindObjects(session: CK_SESSION_HANDLE, found: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG);
}

unsafe extern "C" fn C_Decrypt(
    session: CK_SESSION_HANDLE,
    ciphertext: *mut u8,
    length: CK_ULONG,
    plaintext: *mut u8,
    room: *mut CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's pointer to a length, as PKCS#11 demands.
    let room_there = unsafe { *room };
    match planned("C_Decrypt") {
        Some(CKR_BUFFER_TOO_SMALL) if room_there <= length => {
            // SAFETY: as above.
            unsafe { *room = length + 16 };
            CKR_BUFFER_TOO_SMALL
        }
        None | Some(CKR_BUFFER_TOO_SMALL) => real!(C_Decrypt, session, ciphertext, length, plaintext, room),
        Some(code) => {
            // The operation ends, as it does when a real decryption fails.
            real!(C_Decrypt, session, ciphertext, length, plaintext, room);
            code
        }
    }
}

unsafe extern "C" fn C_Encrypt(
    session: CK_SESSION_HANDLE,
    plaintext: *mut u8,
    length: CK_ULONG,
    ciphertext: *mut u8,
    room: *mut CK_ULONG,
) -> CK_RV {
    let code = real!(C_Encrypt, session, plaintext, length, ciphertext, room);
    match planned("C_Encrypt") {
        None => code,
        Some(planned) => {
            // SAFETY: the caller's pointer to a length, as PKCS#11 demands.
            unsafe { *room -= 1 };
            planned
        }
    }
}

unsafe extern "C" fn C_CreateObject(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's template, as PKCS#11 demands.
    let attributes = unsafe { std::slice::from_raw_parts(template, usize::try_from(count).unwrap_or(0)) };
    let copyable = attributes.iter().any(|attribute| attribute.type_ == CKA_COPYABLE);
    let variant = attributes.iter().any(|attribute| {
        let length = usize::try_from(attribute.ulValueLen).unwrap_or(0);
        // SAFETY: as above; the value of each attribute has the length beside it.
        attribute.type_ == CKA_LABEL
            && unsafe { std::slice::from_raw_parts(attribute.pValue.cast::<u8>(), length) }.ends_with(b".variant")
    });
    match planned("C_CreateObject") {
        Some(CKR_ATTRIBUTE_TYPE_INVALID) if copyable => CKR_ATTRIBUTE_TYPE_INVALID,
        Some(code) if code != CKR_ATTRIBUTE_TYPE_INVALID && variant => code,
        _ => real!(C_CreateObject, session, template, count, object),
    }
}

unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's template of at least one attribute, as PKCS#11 demands.
    let wanted = unsafe { (*template).type_ };
    match planned("C_GetAttributeValue") {
        Some(code) if wanted == CKA_CHECK_VALUE => code,
        _ => real!(C_GetAttributeValue, session, object, template, count),
    }
}

fn load() -> Option<Lists> {
    // SAFETY: the module behind is a PKCS#11 module that the test names.
    let module = unsafe { Pkcs11::new(env::var_os("FAULTY_BEHIND")?) }.ok()?;
    let mut list = std::ptr::null_mut();
    let get = *module.C_GetFunctionList.as_ref().ok()?;
    // SAFETY: a valid place for the pointer.
    if unsafe { get(&raw mut list) } != CKR_OK {
        return None;
    }
    // SAFETY: CKR_OK, so the pointer is to the module's list.
    let real = unsafe { *list };
    let faulty = CK_FUNCTION_LIST {
        C_Login: Some(C_Login),
        C_OpenSession: Some(C_OpenSession),
        C_DestroyObject: Some(C_DestroyObject),
        C_DeriveKey: Some(C_DeriveKey),
        C_GenerateKey: Some(C_GenerateKey),
        C_DecryptInit: Some(C_DecryptInit),
        C_EncryptInit: Some(C_EncryptInit),
        C_SignInit: Some(C_SignInit),
        C_FindObjects: Some(C_FindObjects),
        C_Decrypt: Some(C_Decrypt),
        C_Encrypt: Some(C_Encrypt),
        C_CreateObject: Some(C_CreateObject),
        C_GetAttributeValue: Some(C_GetAttributeValue),
        ..real
    };
    Some(Lists { real, faulty, _module: module })
}

/// The one symbol of the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let Some(lists) = LISTS.get_or_init(load) else { return CKR_GENERAL_ERROR };
    // SAFETY: the caller's place for the pointer; the list lives in a static and nobody writes to it.
    unsafe { *list = (&raw const lists.faulty).cast_mut() };
    CKR_OK
}
