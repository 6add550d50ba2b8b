//! Tests of FF1, format-preserving tokens and vault tokens: their types, and how they run.

use dukpt::KeyStore;
use ff1::{Ff1, Ff1Error};
use p2pe_crypto::{
    Bin, FormatPreserving, FormatPreservingTokenizer, Kept, MerchantId, Pan, Policy, TokenError, TokenForm, VaultToken,
};
use serde::Deserialize;

use crate::{
    conformance::Attempt,
    dukpt_cases::key_id,
    file::{Hex, schema},
};

schema! {
    /// FF1 of decimal digits.
    struct Ff1Case { key: String, tweak: Hex, clear: String, encrypted: Option<String> }
    /// A format-preserving token.
    struct Ff1TokenCase {
        key: String, merchant: String, version: u32, bin: u8, last_four: bool, pan: String, token: Option<String>,
    }
    /// The text of a vault token.
    struct VaultTokenCase { bytes: Option<Hex>, token: String }
}

pub(crate) fn ff1<S: KeyStore>(store: &S, case: &Ff1Case) -> Attempt {
    let key = match key_id(&case.key) {
        Ok(key) => key,
        Err(broken) => return broken,
    };
    let ff1 = match store.key(&key) {
        Ok(key) => Ff1::new(key),
        Err(error) => return error.into(),
    };
    let mut digits = case.clear.clone().into_bytes();
    let both_ways = |digits: &mut [u8]| -> Result<bool, Ff1Error> {
        ff1.encrypt(&case.tweak.0, digits)?;
        let same = case.encrypted.as_deref().map(str::as_bytes) == Some(digits);
        ff1.decrypt(&case.tweak.0, digits)?;
        Ok(same && digits == case.clear.as_bytes())
    };
    match both_ways(&mut digits) {
        Ok(true) => Attempt::AsExpected,
        Ok(false) => Attempt::Differs("the digits differ".into()),
        Err(Ff1Error::Key(error)) => error.into(),
        Err(error) => Attempt::Error { code: error.code(), at_parse: true, offset: None },
    }
}

pub(crate) fn ff1_token<S: KeyStore>(store: &S, case: &Ff1TokenCase) -> Attempt {
    let refused = |code| Attempt::Error { code, at_parse: true, offset: None };
    let pan = match Pan::new(case.pan.as_bytes()) {
        Ok(pan) => pan,
        Err(error) => return refused(error.code()),
    };
    let merchant = match MerchantId::new(&case.merchant) {
        Ok(merchant) => merchant,
        Err(error) => return refused(error.code()),
    };
    let bin = match case.bin {
        0 => Bin::None,
        6 => Bin::Six,
        8 => Bin::Eight,
        _ => return Attempt::Broken("no such BIN".into()),
    };
    let form = match FormatPreserving::new(&[(case.pan.len(), Kept { bin, last_four: case.last_four })]) {
        Ok(form) => TokenForm::FormatPreserving(form),
        Err(error) => return refused(error.code()),
    };
    let (policy, key) = match key_id(&case.key) {
        Ok(key) => (Policy::new(merchant, case.version, form), key),
        Err(broken) => return broken,
    };
    let tokenizer = match store.key(&key) {
        Ok(key) => FormatPreservingTokenizer::new(key),
        Err(error) => return error.into(),
    };
    let there_and_back = || -> Result<bool, TokenError> {
        let token = tokenizer.token(&policy, &pan)?;
        let same = case.token.as_deref().map(str::as_bytes) == Some(token.as_bytes());
        Ok(same && tokenizer.pan(&policy, &token)?.expose() == case.pan)
    };
    match there_and_back() {
        Ok(true) => Attempt::AsExpected,
        Ok(false) => Attempt::Differs("the token differs".into()),
        Err(TokenError::Key(error)) => error.into(),
        Err(error) => Attempt::error(error.code()),
    }
}

pub(crate) fn vault_token(case: &VaultTokenCase) -> Attempt {
    match case.token.parse::<VaultToken>() {
        Ok(token) if case.bytes.as_ref().is_some_and(|bytes| token.as_bytes()[..] == bytes.0) => {
            match token.to_string() == case.token {
                true => Attempt::AsExpected,
                false => Attempt::Differs("the text differs".into()),
            }
        }
        Ok(_) => Attempt::Differs("the bytes differ".into()),
        Err(error) => Attempt::Error { code: error.code(), at_parse: true, offset: None },
    }
}
