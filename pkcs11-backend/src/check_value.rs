//! Check values that the token computes itself: three bytes by which people recognise a key.

use cryptoki_sys::{CKA_CHECK_VALUE, CKA_VALUE, CKM_AES_CMAC, CKM_DES3_CMAC, CKM_SHA256_HMAC};
use dukpt::{CheckValue, KeyKind, aes::WorkingKeyType};

use crate::{
    Pkcs11Store,
    direct::{Direct, Object},
    failure::Failure,
    kind,
};

impl Pkcs11Store {
    /// The check value of a key of this kind; `None` where the token cannot tell.
    pub(crate) fn check_value_of(
        &self,
        direct: &Direct<'_>,
        kind: KeyKind,
        object: Object,
    ) -> Result<Option<CheckValue>, Failure> {
        match kind {
            // The token derives from it and does nothing else with it.
            KeyKind::TdesBase if self.derives_inside(kind, object)? => {
                let mut bytes = [0; 3];
                Ok(direct.attribute(object, CKA_CHECK_VALUE, &mut bytes)?.and_then(CheckValue::legacy))
            }
            KeyKind::TdesBase => {
                let mut block = [0; 8];
                direct.encrypt_des3(object, [0; 8], &mut block)?;
                Ok(CheckValue::legacy(&block))
            }
            KeyKind::Ff1(_) => {
                let mut block = [[0; 16]];
                direct.encrypt_aes_blocks(object, &mut block)?;
                Ok(CheckValue::legacy(&block[0]))
            }
            // It may do nothing that would show it.
            KeyKind::Wrap(_) => {
                let mut bytes = [0; 3];
                Ok(direct.attribute(object, CKA_CHECK_VALUE, &mut bytes)?.and_then(CheckValue::legacy))
            }
            // It may not encrypt: the first of the five bytes that CMAC gives are as good.
            KeyKind::BlockProtection(WorkingKeyType::Aes(_)) => {
                Ok(CheckValue::cmac(&direct.sign::<16>(CKM_AES_CMAC, object, &[0; 16])?))
            }
            KeyKind::BlockProtection(_) => Ok(CheckValue::cmac(&direct.sign::<8>(CKM_DES3_CMAC, object, &[0; 8])?)),
            KeyKind::Hmac => Ok(CheckValue::legacy(&direct.sign::<32>(CKM_SHA256_HMAC, object, &[])?)),
            KeyKind::AesBase(_) => match self.encrypted_zeros(direct, object) {
                Ok(Some(value)) => Ok(Some(value)),
                Err(failure) if failure.is_stale_handle() => Err(failure),
                // The token derives no readable keys, or none of three bytes.
                _ => {
                    let mut bytes = [0; 3];
                    Ok(direct.attribute(object, CKA_CHECK_VALUE, &mut bytes)?.and_then(CheckValue::legacy))
                }
            },
        }
    }

    /// An AES base key may not encrypt, but it derives: with 16 zero bytes as data, a readable "key" that is the
    /// first three bytes of the encrypted zero block. That is the check value, and no key of any device, whose
    /// derivation data begin with 01 (X9.24-3:2017, 6.3.2).
    fn encrypted_zeros(&self, direct: &Direct<'_>, object: Object) -> Result<Option<CheckValue>, Failure> {
        let child = direct.derive(object, &[0; 16], &kind::CHECK_VALUE)?;
        let mut bytes = [0; 3];
        let value = direct.attribute(child, CKA_VALUE, &mut bytes).map(|value| value.and_then(CheckValue::legacy));
        self.destroy(child);
        value
    }
}
