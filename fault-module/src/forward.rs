//! The functions: each plays the script and goes on to the module behind.
#![expect(non_snake_case, reason = "the names of PKCS#11")]

use std::{
    env, ptr, slice,
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use cryptoki_sys::*;

use crate::{
    BEHIND, dukpt_mechanisms,
    script::{self, Action, Call},
};

pub(crate) struct Lists {
    pub(crate) real: CK_FUNCTION_LIST,
    faulty: CK_FUNCTION_LIST,
    _module: Pkcs11,
}

pub(crate) static LISTS: OnceLock<Option<Lists>> = OnceLock::new();

/// SoftHSM crashes when it is finalised, or all sessions are closed, under a running call: those wait for each other here.
static RUNNING: RwLock<()> = RwLock::new(());

/// Set by [`Action::Broken`].
static BROKEN: AtomicBool = AtomicBool::new(false);

macro_rules! real {
    ($function:ident $(, $argument:expr)*) => {
        match LISTS.get().and_then(Option::as_ref).and_then(|lists| lists.real.$function) {
            // SAFETY: the caller's arguments, handed on as they are, or ones that are made in the same form.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}
pub(crate) use real;

/// What the functions of one shape do: those with a session first, and whatever else.
macro_rules! forward {
    ($($function:ident($($argument:ident: $type:ty),*) on $session:expr, template $template:expr;)*) => {
        $(unsafe extern "C" fn $function($($argument: $type),*) -> CK_RV {
            // SAFETY: the caller's template, as PKCS#11 demands.
            let template = unsafe { attributes($template) };
            let call = Call { function: stringify!($function), template: &template };
            play(call, $session, || real!($function, $($argument),*))
        })*
    };
}

const NONE: (*mut CK_ATTRIBUTE, CK_ULONG) = (ptr::null_mut(), 0);

forward! {
    C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) on 0, template NONE;
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) on 0, template NONE;
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, data: CK_VOID_PTR, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE)
        on 0, template NONE;
    C_CloseSession(session: CK_SESSION_HANDLE) on 0, template NONE;
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) on session, template NONE;
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut u8, length: CK_ULONG) on session, template NONE;
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) on session, template NONE;
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG)
        on session, template (template, count);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG)
        on session, template (template, count);
    C_FindObjects(session: CK_SESSION_HANDLE, found: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG)
        on session, template NONE;
    C_FindObjectsFinal(session: CK_SESSION_HANDLE) on session, template NONE;
    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE,
        count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) on session, template (template, count);
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE)
        on session, template NONE;
    C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE)
        on session, template NONE;
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE)
        on session, template NONE;
}

/// The functions that turn input into output: their results can be cut, and their buffers too small.
macro_rules! transform {
    ($($function:ident)*) => {
        $(unsafe extern "C" fn $function(
            session: CK_SESSION_HANDLE, input: *mut u8, length: CK_ULONG, output: *mut u8, room: *mut CK_ULONG,
        ) -> CK_RV {
            let call = Call { function: stringify!($function), template: &[] };
            let (mut cut, mut wrong) = (false, false);
            for (action, rule) in script::actions(call) {
                // SAFETY: the caller's pointer to a length, as PKCS#11 demands.
                let offered = unsafe { *room };
                match action {
                    Action::Room if offered <= length => {
                        // SAFETY: as above.
                        unsafe { *room = length + 16 };
                        return CKR_BUFFER_TOO_SMALL;
                    }
                    Action::Room => {}
                    Action::Cut => cut = true,
                    Action::Wrong => wrong = true,
                    action => {
                        let real = || real!($function, session, input, length, output, room);
                        if let Some(code) = act(action, &rule, session, real) {
                            return code;
                        }
                    }
                }
            }
            let code = run(|| real!($function, session, input, length, output, room));
            if wrong && code == CKR_OK && !output.is_null() {
                // SAFETY: CKR_OK, so the result is there, and none is empty.
                unsafe { *output ^= 0x10 };
            }
            if cut && code == CKR_OK {
                // SAFETY: as above.
                unsafe { *room -= 1 };
            }
            code
        })*
    };
}

transform! { C_Encrypt C_Decrypt C_Sign }

unsafe extern "C" fn C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) -> CK_RV {
    let call = Call { function: "C_GetMechanismList", template: &[] };
    let mut stands_in = false;
    for (action, rule) in script::actions(call) {
        match action {
            Action::Dukpt => stands_in = true,
            action => {
                if let Some(code) = act(action, &rule, 0, || real!(C_GetMechanismList, slot, list, count)) {
                    return code;
                }
            }
        }
    }
    // SAFETY: the caller's pointer to a length, as PKCS#11 demands.
    let room = unsafe { *count };
    let code = run(|| real!(C_GetMechanismList, slot, list, count));
    if stands_in && code == CKR_OK {
        // SAFETY: as above; the list has room for as many as the caller said.
        unsafe {
            for mechanism in dukpt_mechanisms::ALL {
                if !list.is_null() {
                    if *count == room {
                        return CKR_BUFFER_TOO_SMALL;
                    }
                    *list.add(usize::try_from(*count).unwrap_or(0)) = mechanism;
                }
                *count += 1;
            }
        }
    }
    code
}

unsafe extern "C" fn C_Initialize(arguments: CK_VOID_PTR) -> CK_RV {
    alone(Call { function: "C_Initialize", template: &[] }, || real!(C_Initialize, arguments))
}

unsafe extern "C" fn C_Finalize(reserved: CK_VOID_PTR) -> CK_RV {
    BROKEN.store(false, Ordering::SeqCst);
    alone(Call { function: "C_Finalize", template: &[] }, || real!(C_Finalize, reserved))
}

unsafe extern "C" fn C_CreateObject(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's template, as PKCS#11 demands.
    let attributes = unsafe { attributes((template, count)) };
    play(Call { function: "C_CreateObject", template: &attributes }, session, || {
        let code = real!(C_CreateObject, session, template, count, object);
        if code == CKR_OK {
            // SAFETY: CKR_OK, so the handle is there.
            dukpt_mechanisms::remember(unsafe { *object }, &attributes);
        }
        code
    })
}

unsafe extern "C" fn C_DeriveKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    base: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's template, as PKCS#11 demands.
    let attributes = unsafe { attributes((template, count)) };
    let call = Call { function: "C_DeriveKey", template: &attributes };
    let (mut stands_in, mut wrong) = (None, false);
    for (action, rule) in script::actions(call) {
        match action {
            Action::Dukpt => stands_in = Some(0),
            Action::DukptWrong => stands_in = Some(0x10),
            Action::Wrong => wrong = true,
            action => {
                let real = || real!(C_DeriveKey, session, mechanism, base, template, count, key);
                if let Some(code) = act(action, &rule, session, real) {
                    return code;
                }
            }
        }
    }
    run(|| {
        // SAFETY: the caller's mechanism and place for a handle, as PKCS#11 demands.
        let derive = |flaw| unsafe { dukpt_mechanisms::derive(session, &*mechanism, base, &attributes, key, flaw) };
        let real = || {
            if wrong {
                // SAFETY: as above.
                unsafe { derive_otherwise(session, &*mechanism, base, (template, count), key) }
            } else {
                real!(C_DeriveKey, session, mechanism, base, template, count, key)
            }
        };
        stands_in.and_then(derive).unwrap_or_else(real)
    })
}

/// Derives by a mechanism that takes a string, from another string.
///
/// # Safety
/// All pointers are as PKCS#11 demands.
unsafe fn derive_otherwise(
    session: CK_SESSION_HANDLE,
    mechanism: &CK_MECHANISM,
    base: CK_OBJECT_HANDLE,
    (template, count): (*mut CK_ATTRIBUTE, CK_ULONG),
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    if mechanism.ulParameterLen != size_of::<CK_KEY_DERIVATION_STRING_DATA>() as CK_ULONG {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    // SAFETY: of the right length, as just seen.
    let parameter = unsafe { *mechanism.pParameter.cast::<CK_KEY_DERIVATION_STRING_DATA>() };
    // SAFETY: the pointer has the length beside it.
    let string = unsafe { slice::from_raw_parts(parameter.pData, usize::try_from(parameter.ulLen).unwrap_or(0)) };
    let mut string = string.to_vec();
    if let Some(last) = string.last_mut() {
        *last ^= 0x10;
    }
    let mut parameter = CK_KEY_DERIVATION_STRING_DATA { pData: string.as_mut_ptr(), ..parameter };
    let mut mechanism = CK_MECHANISM { pParameter: (&raw mut parameter).cast(), ..*mechanism };
    real!(C_DeriveKey, session, &raw mut mechanism, base, template, count, key)
}

unsafe extern "C" fn C_WrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    wrapping: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    wrapped: *mut u8,
    room: *mut CK_ULONG,
) -> CK_RV {
    let mut wrong = false;
    let real = || real!(C_WrapKey, session, mechanism, wrapping, key, wrapped, room);
    for (action, rule) in script::actions(Call { function: "C_WrapKey", template: &[] }) {
        if matches!(action, Action::Wrong) {
            wrong = true;
        } else if let Some(code) = act(action, &rule, session, real) {
            return code;
        }
    }
    let code = run(real);
    if wrong && code == CKR_OK && !wrapped.is_null() {
        // SAFETY: CKR_OK, so the result is there, and none is empty.
        unsafe { *wrapped ^= 0x10 };
    }
    code
}

/// The attributes of a template that have a value.
unsafe fn attributes<'a>((template, count): (*mut CK_ATTRIBUTE, CK_ULONG)) -> Vec<(CK_ATTRIBUTE_TYPE, &'a [u8])> {
    if template.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's template has this many attributes, and each value has its length beside it.
    let template = unsafe { slice::from_raw_parts(template, usize::try_from(count).unwrap_or(0)) };
    let value = |attribute: &CK_ATTRIBUTE| match usize::try_from(attribute.ulValueLen) {
        // SAFETY: as above.
        Ok(length) if !attribute.pValue.is_null() => unsafe {
            slice::from_raw_parts(attribute.pValue.cast::<u8>(), length)
        },
        _ => &[][..],
    };
    template.iter().map(|attribute| (attribute.type_, value(attribute))).collect()
}

fn play(call: Call<'_>, session: CK_SESSION_HANDLE, real: impl Fn() -> CK_RV) -> CK_RV {
    for (action, rule) in script::actions(call) {
        if let Some(code) = act(action, &rule, session, &real) {
            return code;
        }
    }
    run(real)
}

fn run(real: impl Fn() -> CK_RV) -> CK_RV {
    if BROKEN.load(Ordering::SeqCst) {
        return CKR_DEVICE_ERROR;
    }
    let _running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    real()
}

fn alone(call: Call<'_>, real: impl Fn() -> CK_RV) -> CK_RV {
    for (action, rule) in script::actions(call) {
        let lost = matches!(action, Action::Lost(_));
        if let Some(code) = act(action, &rule, 0, || CKR_OK) {
            if lost {
                let _alone = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
                real();
            }
            return code;
        }
    }
    let _alone = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    real()
}

/// Does what a rule says; the code that ends the call, if it does.
fn act(action: Action, rule: &str, session: CK_SESSION_HANDLE, real: impl Fn() -> CK_RV) -> Option<CK_RV> {
    let alone = |first: &dyn Fn() -> CK_RV| {
        let _alone = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
        first();
    };
    match action {
        Action::Code(code) => return Some(code),
        Action::Lost(code) => {
            let _running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
            real();
            return Some(code);
        }
        Action::Delay(time) => thread::sleep(time),
        Action::Hang => {
            while script::has(rule) {
                thread::sleep(Duration::from_millis(2));
            }
        }
        Action::Close => alone(&|| real!(C_CloseSession, session)),
        Action::CloseAll => alone(&|| real!(C_CloseAllSessions, slot(session))),
        Action::Logout => alone(&|| real!(C_Logout, session)),
        Action::Finalize => alone(&|| real!(C_Finalize, ptr::null_mut())),
        Action::Initialize => alone(&|| {
            real!(C_Finalize, ptr::null_mut());
            let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..Default::default() };
            real!(C_Initialize, (&raw mut arguments).cast())
        }),
        Action::Broken => BROKEN.store(true, Ordering::SeqCst),
        // Of functions that have none of it.
        Action::Cut | Action::Wrong | Action::Room | Action::Dukpt | Action::DukptWrong => {}
    }
    None
}

fn slot(session: CK_SESSION_HANDLE) -> CK_SLOT_ID {
    let mut info = CK_SESSION_INFO::default();
    real!(C_GetSessionInfo, session, &raw mut info);
    info.slotID
}

fn load() -> Option<Lists> {
    // SAFETY: the module behind is a PKCS#11 module that the test names.
    let module = unsafe { Pkcs11::new(env::var_os(BEHIND)?) }.ok()?;
    let mut list = ptr::null_mut();
    let get = *module.C_GetFunctionList.as_ref().ok()?;
    // SAFETY: a valid place for the pointer.
    if unsafe { get(&raw mut list) } != CKR_OK {
        return None;
    }
    // SAFETY: CKR_OK, so the pointer is to the module's list.
    let real = unsafe { *list };
    let faulty = CK_FUNCTION_LIST {
        C_Initialize: Some(C_Initialize),
        C_Finalize: Some(C_Finalize),
        C_GetSlotList: Some(C_GetSlotList),
        C_GetTokenInfo: Some(C_GetTokenInfo),
        C_GetMechanismList: Some(C_GetMechanismList),
        C_OpenSession: Some(C_OpenSession),
        C_CloseSession: Some(C_CloseSession),
        C_GetSessionInfo: Some(C_GetSessionInfo),
        C_Login: Some(C_Login),
        C_CreateObject: Some(C_CreateObject),
        C_DestroyObject: Some(C_DestroyObject),
        C_GetAttributeValue: Some(C_GetAttributeValue),
        C_FindObjectsInit: Some(C_FindObjectsInit),
        C_FindObjects: Some(C_FindObjects),
        C_FindObjectsFinal: Some(C_FindObjectsFinal),
        C_EncryptInit: Some(C_EncryptInit),
        C_Encrypt: Some(C_Encrypt),
        C_DecryptInit: Some(C_DecryptInit),
        C_Decrypt: Some(C_Decrypt),
        C_SignInit: Some(C_SignInit),
        C_Sign: Some(C_Sign),
        C_GenerateKey: Some(C_GenerateKey),
        C_DeriveKey: Some(C_DeriveKey),
        C_WrapKey: Some(C_WrapKey),
        ..real
    };
    Some(Lists { real, faulty, _module: module })
}

/// The one symbol of the module.
///
/// # Safety
/// As of PKCS#11: `list` is a valid place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let Some(lists) = LISTS.get_or_init(load) else { return CKR_GENERAL_ERROR };
    // SAFETY: the caller's place for the pointer; the list lives in a static and nobody writes to it.
    unsafe { *list = (&raw const lists.faulty).cast_mut() };
    CKR_OK
}
