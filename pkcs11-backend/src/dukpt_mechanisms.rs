//! TDES DUKPT inside the token, by mechanisms of its vendor: used where they are listed and give the known answers.
//!
//! Thales Luna: the parameter is `CK_KEY_DERIVATION_STRING_DATA` over the 10 bytes of the KSN, the result is `CKK_DES2`.

use std::cell::Cell;

use cryptoki_sys::{CK_MECHANISM_TYPE, CKM_DES3_CBC};
use dukpt::{
    KeyError,
    tdes::{Cipher, DataKey, InitialKey, Ksn, Variant},
};

use crate::{
    OpenError,
    direct::{Calls, Direct, Direction, Session},
    failure::Failure,
    fault::{Remedy, Suspicion},
    kind,
};

const CKM_DES2_DUKPT_PIN: CK_MECHANISM_TYPE = 0x8000_0611;
const CKM_DES2_DUKPT_DATA: CK_MECHANISM_TYPE = 0x8000_0614;
const CKM_DES2_DUKPT_DATA_RESP: CK_MECHANISM_TYPE = 0x8000_0615;

/// What a base key is bound to that the token derives from by itself.
pub(crate) const ALL: [CK_MECHANISM_TYPE; 3] = [CKM_DES2_DUKPT_PIN, CKM_DES2_DUKPT_DATA, CKM_DES2_DUKPT_DATA_RESP];

/// X9.24-1:2009, A.4: a public test key, a KSN of it, and the initial key.
const BASE_KEY: u128 = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210;
const KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x13];
const INITIAL_KEY: u128 = 0x6AC2_92FA_A131_5B4D_858A_B3A3_D7D5_933A;

pub(crate) fn mechanism(variant: Variant) -> CK_MECHANISM_TYPE {
    match variant {
        Variant::Pin => CKM_DES2_DUKPT_PIN,
        Variant::DataRequest => CKM_DES2_DUKPT_DATA,
        Variant::DataResponse => CKM_DES2_DUKPT_DATA_RESP,
    }
}

/// Whether the token lists the mechanisms, and each executed once gives the known answer.
///
/// # Errors
/// A fault of the token: it may have them all the same.
pub(crate) fn work(calls: &Calls, session: &Session, slot: u64) -> Result<bool, OpenError> {
    // A number of one vendor may mean anything to another: what is not listed is not tried.
    let listed = calls.mechanisms(slot)?;
    if !ALL.iter().all(|mechanism| listed.contains(mechanism)) {
        return Ok(false);
    }
    let suspicion: Cell<Option<Suspicion>> = Cell::new(None);
    // Once more after a trouble without a name, which is also how some modules refuse.
    for _ in 0..2 {
        suspicion.take();
        match known_answers(&calls.on(session, &suspicion)) {
            Ok(right) => return Ok(right),
            Err(failure) => match suspicion.get() {
                Some(Suspicion { remedy: Remedy::Reopen, .. }) => return Err(failure.into()),
                Some(_) => {}
                None => return Ok(false),
            },
        }
    }
    Ok(false)
}

fn known_answers(direct: &Direct<'_>) -> Result<bool, Failure> {
    let base = direct.create(&kind::tdes_test_key(&BASE_KEY.to_be_bytes()))?;
    let answers =
        [Variant::Pin, Variant::DataRequest, Variant::DataResponse].into_iter().try_fold(true, |right, variant| {
            let key = direct.derive_by(mechanism(variant), base, &KSN, &kind::TDES_DATA_KEY)?;
            let mut answer = [0x5A; 16];
            let decrypted = direct.cbc(CKM_DES3_CBC, Direction::Decrypt, key, &[0; 8], &mut answer);
            direct.destroy(key)?;
            decrypted.map(|()| right && known_answer(variant).is_ok_and(|known| known == answer))
        });
    direct.destroy(base)?;
    answers
}

/// The same by software.
fn known_answer(variant: Variant) -> Result<[u8; 16], KeyError> {
    let initial_key = InitialKey::try_filled(|key| {
        *key = INITIAL_KEY.to_be_bytes();
        Ok(())
    })?;
    let mut answer = [0x5A; 16];
    let key = DataKey::derive(&initial_key, &Ksn::try_from(&KSN[..])?, variant)?;
    key.decrypt_cbc(Cipher::Tdes, &[0; 16], &mut answer)?;
    Ok(answer)
}
