//! Tests of key blocks: read, and unwrapped under a clear protection key.

use dukpt::aes::WorkingKeyType;
use key_block::{ClearProtectionKey, KeyBlock, KeyBlockError, ProtectionKey};

use crate::{
    conformance::Attempt,
    dukpt_cases::{same, settle},
    working_cases::key_type,
    working_types::KeyBlockCase,
};

impl From<KeyBlockError> for Attempt {
    fn from(error: KeyBlockError) -> Self {
        Self::error(error.code())
    }
}

pub(crate) fn key_block(case: &KeyBlockCase) -> Attempt {
    settle(|| {
        let block = KeyBlock::parse(case.key_block.as_bytes())?;
        let key = match key_type(case.key_type) {
            WorkingKeyType::Tdes2 | WorkingKeyType::Tdes3 => ClearProtectionKey::tdes(&case.clear_key.0)?,
            WorkingKeyType::Aes(_) => ClearProtectionKey::aes(&case.clear_key.0)?,
            _ => return Err(KeyBlockError::ProtectionKey.into()),
        };
        same("the type of the protection key", key.key_type() == key_type(case.key_type))?;
        let clear = block.unwrap(&key)?;
        let expected = case.wrapped_key.as_ref().map(|key| key.0.as_slice());
        same("the key", expected.is_none_or(|expected| clear.expose() == expected))?;
        same("the usage", case.usage.as_ref().is_none_or(|usage| block.header().usage.to_string() == *usage))?;
        Ok(Attempt::AsExpected)
    })
}
