//! The calls of a module; the only `unsafe` code of this crate.
//!
//! All go through one function list, which is asked for once: some modules (those of p11-kit) make an instance of their
//! own for each that asks. `cryptoki` 0.12 keeps its list to itself, knows no `CKM_AES_ECB_ENCRYPT_DATA`, decrypts with two
//! calls into a plain `Vec`, and hides the return code behind an enum; here are its types only (`cryptoki-sys`).
//!
//! Why it is sound, once for all calls:
//! - the list comes from the module itself, is copied while the module is open, and the module is never unloaded;
//! - every pointer that is passed is made from a reference or an owned buffer that outlives the call, and has the
//!   length of that same buffer beside it, or is a C string where the module reads one; the standard lets a module keep none of them;
//! - handles are numbers: a wrong one is a return code of the module, not a wrong memory access.

use std::{cell::Cell, error::Error, ops::Deref, path::Path, ptr};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_FUNCTION_LIST, CK_KEY_DERIVATION_STRING_DATA, CK_MECHANISM,
    CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID, CK_ULONG,
    CK_UNAVAILABLE_INFORMATION, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKM_AES_CBC, CKM_AES_ECB, CKM_AES_ECB_ENCRYPT_DATA,
    CKM_AES_KEY_WRAP_PAD, CKM_DES3_ECB, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL,
    CKR_OK, CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS, CKU_USER,
};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    fault::{self, Suspicion},
};

/// An object of the token, valid in the sessions of one application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Object(CK_OBJECT_HANDLE);

/// An open session. Whoever has it closes it, with [`Calls::close`].
pub(crate) struct Session(CK_SESSION_HANDLE);

/// Which way a cipher runs.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Decrypt,
    Encrypt,
}

/// The value of an attribute in a template.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Bool(CK_BBOOL),
    Ulong(CK_ULONG),
    Bytes(&'a [u8]),
    Mechanisms(&'a [CK_MECHANISM_TYPE]),
}

/// An attribute in a template.
pub(crate) type Attribute<'a> = (CK_ATTRIBUTE_TYPE, Value<'a>);

/// The function list of an open module.
pub(crate) struct Calls {
    list: CK_FUNCTION_LIST,
}

/// Calls one function of the list. A module that leaves it out does not support it.
macro_rules! call {
    ($list:expr, $function:ident, $($argument:expr),*) => {
        match $list.$function {
            Some(function) => $list.noted(crate::observe::called(stringify!($function), || {
                // SAFETY: see the head of this file.
                check(stringify!($function), unsafe { function($($argument),*) })
            })),
            None => Err(Failure::Code { function: stringify!($function), code: cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED }),
        }
    };
}

mod slots;

pub(crate) use slots::About;

impl Calls {
    /// Loads the module.
    pub(crate) fn load(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        // SAFETY: loading a library runs its constructors: the module is the one that the settings name.
        let module = unsafe { cryptoki_sys::Pkcs11::new(path) }?;
        let mut list = ptr::null_mut();
        let get = *module.C_GetFunctionList.as_ref().map_err(|_| "it has no C_GetFunctionList")?;
        // SAFETY: the symbol has the type that the standard gives it; the argument is a valid place for a pointer.
        let code = unsafe { get(&raw mut list) };
        if code != CKR_OK || list.is_null() {
            return Err("its C_GetFunctionList fails".into());
        }
        // SAFETY: the module returned CKR_OK, so the pointer is to its function list, which lives as long as it.
        let list = unsafe { *list };
        // Once loaded, a module stays, so that the list can always be called: some start threads, or leave work for the
        // end of the process, and crash when they are unloaded.
        std::mem::forget(module);
        Ok(Self { list })
    }

    /// Opens a session.
    pub(crate) fn open(&self, slot: CK_SLOT_ID, writable: bool) -> Result<Session, Failure> {
        let flags = CKF_SERIAL_SESSION | if writable { CKF_RW_SESSION } else { 0 };
        let mut session = 0;
        call!(self.list, C_OpenSession, slot, flags, ptr::null_mut(), None, &raw mut session)?;
        Ok(Session(session))
    }

    /// Closes a session.
    pub(crate) fn close(&self, session: &Session) -> Result<(), Failure> {
        call!(self.list, C_CloseSession, session.0)
    }

    /// The calls of one session, which is used by one thread at a time. What they come to suspect is left in `suspicion`.
    pub(crate) fn on<'a>(&'a self, session: &Session, suspicion: &'a Cell<Option<Suspicion>>) -> Direct<'a> {
        Direct { list: Noted { list: &self.list, suspicion }, session: session.0 }
    }
}

/// Whether failures are noted.
trait Noting {
    fn noted(&self, result: Result<(), Failure>) -> Result<(), Failure>;
}

impl Noting for CK_FUNCTION_LIST {
    fn noted(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        result
    }
}

/// A function list of which each failure that is no answer is noted.
struct Noted<'a> {
    list: &'a CK_FUNCTION_LIST,
    suspicion: &'a Cell<Option<Suspicion>>,
}

impl Deref for Noted<'_> {
    type Target = CK_FUNCTION_LIST;

    fn deref(&self) -> &CK_FUNCTION_LIST {
        self.list
    }
}

impl Noting for Noted<'_> {
    fn noted(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        if let Err(failure) = result {
            fault::note(self.suspicion, failure.suspicion());
        }
        result
    }
}

/// The calls of one session.
pub(crate) struct Direct<'a> {
    list: Noted<'a>,
    session: CK_SESSION_HANDLE,
}

impl Direct<'_> {
    /// `C_Login` of the user.
    pub(crate) fn login(&self, pin: &[u8]) -> Result<(), Failure> {
        call!(self.list, C_Login, self.session, CKU_USER, pin.as_ptr().cast_mut(), length(pin))
    }

    /// Whether the user is logged in, by `C_GetSessionInfo`.
    pub(crate) fn is_logged_in(&self) -> Result<bool, Failure> {
        let mut info = CK_SESSION_INFO::default();
        call!(self.list, C_GetSessionInfo, self.session, &raw mut info)?;
        Ok([CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS].contains(&info.state))
    }

    /// `C_DeriveKey` with `CKM_AES_ECB_ENCRYPT_DATA`: the child is AES-ECB of `data` under the parent.
    pub(crate) fn derive(&self, parent: Object, data: &[u8], child: &[Attribute<'_>]) -> Result<Object, Failure> {
        self.derive_by(CKM_AES_ECB_ENCRYPT_DATA, parent, data, child)
    }

    /// `C_DeriveKey` with a mechanism whose parameter is `CK_KEY_DERIVATION_STRING_DATA`.
    pub(crate) fn derive_by(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        parent: Object,
        data: &[u8],
        child: &[Attribute<'_>],
    ) -> Result<Object, Failure> {
        let mut parameter = CK_KEY_DERIVATION_STRING_DATA { pData: data.as_ptr().cast_mut(), ulLen: length(data) };
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: (&raw mut parameter).cast(),
            ulParameterLen: size_of_val(&parameter) as CK_ULONG,
        };
        let (mut child, mut handle) = (raw(child), 0);
        let count = length(&child);
        call!(
            self.list,
            C_DeriveKey,
            self.session,
            &raw mut mechanism,
            parent.0,
            child.as_mut_ptr(),
            count,
            &raw mut handle
        )?;
        Ok(Object(handle))
    }

    /// `CKM_AES_CBC` in place, with one `C_Decrypt` or `C_Encrypt`. After a failure `data` is what it was.
    pub(crate) fn aes_cbc(
        &self,
        direction: Direction,
        key: Object,
        iv: &[u8; 16],
        data: &mut [u8],
    ) -> Result<(), Failure> {
        self.cbc(CKM_AES_CBC, direction, key, iv, data)
    }

    /// CBC by a mechanism whose parameter is the IV, as [`Direct::aes_cbc`].
    pub(crate) fn cbc(
        &self,
        by: CK_MECHANISM_TYPE,
        direction: Direction,
        key: Object,
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), Failure> {
        // Not every module can read and write the same buffer.
        let mut input = Zeroizing::new(data.to_vec());
        let (mut mechanism, count) = (mechanism(by, iv), length(&input));
        let mechanism = &raw mut mechanism;
        let done = match direction {
            Direction::Decrypt => {
                call!(self.list, C_DecryptInit, self.session, mechanism, key.0)?;
                fill("C_Decrypt", data, |out, room| {
                    call!(self.list, C_Decrypt, self.session, input.as_mut_ptr(), count, out, room)
                })
            }
            Direction::Encrypt => {
                call!(self.list, C_EncryptInit, self.session, mechanism, key.0)?;
                fill("C_Encrypt", data, |out, room| {
                    call!(self.list, C_Encrypt, self.session, input.as_mut_ptr(), count, out, room)
                })
            }
        };
        if done.is_err() {
            data.copy_from_slice(&input);
        }
        done
    }

    /// `CKM_AES_ECB` encryption in place, with one `C_Encrypt`. After a failure `blocks` is what it was.
    pub(crate) fn encrypt_aes_blocks(&self, key: Object, blocks: &mut [[u8; 16]]) -> Result<(), Failure> {
        let data = blocks.as_flattened_mut();
        if data.is_empty() {
            return Ok(());
        }
        let (mut input, mut mechanism) = (Zeroizing::new(data.to_vec()), mechanism(CKM_AES_ECB, &[]));
        call!(self.list, C_EncryptInit, self.session, &raw mut mechanism, key.0)?;
        let count = length(&input);
        let done = fill("C_Encrypt", data, |out, room| {
            call!(self.list, C_Encrypt, self.session, input.as_mut_ptr(), count, out, room)
        });
        if done.is_err() {
            data.copy_from_slice(&input);
        }
        done
    }

    /// `CKM_DES3_ECB` encryption of one block into `out`, with one `C_Encrypt`.
    pub(crate) fn encrypt_des3(&self, key: Object, mut block: [u8; 8], out: &mut [u8; 8]) -> Result<(), Failure> {
        let mut mechanism = mechanism(CKM_DES3_ECB, &[]);
        call!(self.list, C_EncryptInit, self.session, &raw mut mechanism, key.0)?;
        fill("C_Encrypt", out, |out, out_length| {
            call!(self.list, C_Encrypt, self.session, block.as_mut_ptr(), 8, out, out_length)
        })
    }

    /// A MAC of `N` bytes, by a mechanism that takes no parameter, with one `C_Sign`.
    pub(crate) fn sign<const N: usize>(
        &self,
        by: CK_MECHANISM_TYPE,
        key: Object,
        data: &[u8],
    ) -> Result<[u8; N], Failure> {
        let mut mechanism = mechanism(by, &[]);
        call!(self.list, C_SignInit, self.session, &raw mut mechanism, key.0)?;
        let mut mac = [0; N];
        fill("C_Sign", &mut mac, |out, out_length| {
            call!(self.list, C_Sign, self.session, data.as_ptr().cast_mut(), length(data), out, out_length)
        })?;
        Ok(mac)
    }

    /// `C_WrapKey` with `CKM_AES_KEY_WRAP_PAD`.
    pub(crate) fn wrap(&self, wrapping: Object, key: Object, out: &mut [u8; 40]) -> Result<(), Failure> {
        let mut mechanism = mechanism(CKM_AES_KEY_WRAP_PAD, &[]);
        let mechanism = &raw mut mechanism;
        fill("C_WrapKey", out, |out, room| {
            call!(self.list, C_WrapKey, self.session, mechanism, wrapping.0, key.0, out, room)
        })
    }

    /// `C_UnwrapKey` with `CKM_AES_KEY_WRAP_PAD`.
    pub(crate) fn unwrap(
        &self,
        unwrapping: Object,
        wrapped: &[u8; 40],
        template: &[Attribute<'_>],
    ) -> Result<Object, Failure> {
        let (mut mechanism, mut template, mut handle) = (mechanism(CKM_AES_KEY_WRAP_PAD, &[]), raw(template), 0);
        let (mut input, count, mechanism) = (*wrapped, length(&template), &raw mut mechanism);
        let bytes = length(&input);
        call!(
            self.list,
            C_UnwrapKey,
            self.session,
            mechanism,
            unwrapping.0,
            input.as_mut_ptr(),
            bytes,
            template.as_mut_ptr(),
            count,
            &raw mut handle
        )?;
        Ok(Object(handle))
    }

    /// `C_CreateObject`.
    pub(crate) fn create(&self, template: &[Attribute<'_>]) -> Result<Object, Failure> {
        let (mut template, mut handle) = (raw(template), 0);
        let count = length(&template);
        call!(self.list, C_CreateObject, self.session, template.as_mut_ptr(), count, &raw mut handle)?;
        Ok(Object(handle))
    }

    /// `C_GenerateKey` with a mechanism that takes no parameter.
    pub(crate) fn generate(
        &self,
        generation: CK_MECHANISM_TYPE,
        template: &[Attribute<'_>],
    ) -> Result<Object, Failure> {
        let (mut mechanism, mut template, mut handle) = (mechanism(generation, &[]), raw(template), 0);
        let (count, mechanism) = (length(&template), &raw mut mechanism);
        call!(self.list, C_GenerateKey, self.session, mechanism, template.as_mut_ptr(), count, &raw mut handle)?;
        Ok(Object(handle))
    }

    /// `C_DestroyObject`.
    pub(crate) fn destroy(&self, object: Object) -> Result<(), Failure> {
        call!(self.list, C_DestroyObject, self.session, object.0)
    }

    /// All objects that match. The search is always ended: an open one would block the session.
    pub(crate) fn find(&self, template: &[Attribute<'_>]) -> Result<Vec<Object>, Failure> {
        let mut template = raw(template);
        let count = length(&template);
        call!(self.list, C_FindObjectsInit, self.session, template.as_mut_ptr(), count)?;
        let mut found = Vec::new();
        let searched = loop {
            let (mut page, mut count) = ([0; 16], 0);
            let room = length(&page);
            let next = call!(self.list, C_FindObjects, self.session, page.as_mut_ptr(), room, &raw mut count);
            match next {
                Ok(()) if count == 0 => break Ok(()),
                Ok(()) => found.extend(page.into_iter().take(usize::try_from(count).unwrap_or(16)).map(Object)),
                Err(failure) => break Err(failure),
            }
        };
        let ended = call!(self.list, C_FindObjectsFinal, self.session);
        searched.and(ended).map(|()| found)
    }

    /// Reads one attribute into `buffer` and returns its bytes; `None` if the object has no such attribute, the token
    /// keeps it secret, or it is longer than the buffer, and so none that is looked for here.
    pub(crate) fn attribute<'b>(
        &self,
        object: Object,
        attribute: CK_ATTRIBUTE_TYPE,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Failure> {
        let mut wanted =
            CK_ATTRIBUTE { type_: attribute, pValue: buffer.as_mut_ptr().cast(), ulValueLen: length(buffer) };
        match call!(self.list, C_GetAttributeValue, self.session, object.0, &raw mut wanted, 1) {
            Err(Failure::Code {
                code: CKR_ATTRIBUTE_TYPE_INVALID | CKR_ATTRIBUTE_SENSITIVE | CKR_BUFFER_TOO_SMALL,
                ..
            }) => Ok(None),
            Ok(()) if wanted.ulValueLen == CK_UNAVAILABLE_INFORMATION => Ok(None),
            Ok(()) => Ok(usize::try_from(wanted.ulValueLen).ok().and_then(|length| buffer.get(..length))),
            Err(failure) => Err(failure),
        }
    }
}

/// Runs the second half of an operation, which must fill `out` exactly.
///
/// One call, because `out` has the right length for each mechanism used here. `CKR_BUFFER_TOO_SMALL` is the only
/// failure that leaves the operation active (PKCS#11 5.2), so a module that wants more room gets it, wiped, or every
/// later operation of the session would fail.
fn fill(
    function: &'static str,
    out: &mut [u8],
    mut run: impl FnMut(*mut u8, *mut CK_ULONG) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut written = length(out);
    match run(out.as_mut_ptr(), &raw mut written) {
        Err(Failure::Code { code: CKR_BUFFER_TOO_SMALL, .. }) => {
            let room = usize::try_from(written).unwrap_or_default().clamp(out.len() + 64, out.len() + 65_536);
            let mut scratch = Zeroizing::new(vec![0; room]);
            written = length(&scratch);
            run(scratch.as_mut_ptr(), &raw mut written)?;
            out.copy_from_slice(&scratch[..out.len()]);
        }
        done => done?,
    }
    if written != length(out) {
        return Err(Failure::Length { function });
    }
    Ok(())
}

fn check(function: &'static str, code: CK_RV) -> Result<(), Failure> {
    if code == CKR_OK { Ok(()) } else { Err(Failure::Code { function, code }) }
}

/// A mechanism whose parameter is plain bytes, which must live as long as it is used.
fn mechanism(mechanism: CK_MECHANISM_TYPE, parameter: &[u8]) -> CK_MECHANISM {
    let pointer = if parameter.is_empty() { ptr::null_mut() } else { parameter.as_ptr().cast_mut().cast() };
    CK_MECHANISM { mechanism, pParameter: pointer, ulParameterLen: length(parameter) }
}

/// The template in the form of the standard; its pointers are into `template`.
fn raw(template: &[Attribute<'_>]) -> Vec<CK_ATTRIBUTE> {
    let attribute = |(type_, value): &Attribute<'_>| {
        let (pointer, size): (*const u8, _) = match value {
            Value::Bool(flag) => (ptr::from_ref(flag).cast(), size_of_val(flag)),
            Value::Ulong(number) => (ptr::from_ref(number).cast(), size_of_val(number)),
            Value::Bytes(bytes) => (bytes.as_ptr(), bytes.len()),
            Value::Mechanisms(list) => (list.as_ptr().cast(), size_of_val(*list)),
        };
        CK_ATTRIBUTE { type_: *type_, pValue: pointer.cast_mut().cast(), ulValueLen: size as CK_ULONG }
    };
    template.iter().map(attribute).collect()
}

fn length<T>(items: &[T]) -> CK_ULONG {
    items.len() as CK_ULONG
}
