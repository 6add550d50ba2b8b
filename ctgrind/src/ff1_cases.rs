//! FF1 and format-preserving tokens in memory: every size of key, every length of digits.

use dukpt::KeyStore as _;
use ff1::{Ff1, LONGEST, Message, SHORTEST};
use p2pe_crypto::{Bin, FormatPreserving, FormatPreservingTokenizer, Kept, MerchantId, Pan, Policy, TokenForm};

use crate::case::{Case, sample};
use crate::tdes::stored;
use crate::valgrind;

const LENGTHS: usize = LONGEST - SHORTEST + 1;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [16, 24, 32].into_iter().flat_map(|size| [singles(size), batch(size)]).collect();
    cases.push(tokens());
    cases
}

/// A key and so many digits.
fn key_and_digits(key: usize, digits: usize) -> Vec<u8> {
    let digits = sample(digits).into_iter().map(|byte| b'0' + byte % 10);
    sample(key).into_iter().chain(digits).collect()
}

/// Declassified, once a call: whether all bytes are digits.
fn singles(size: usize) -> Case {
    Case::new(format!("ff1 there and back, {} bits", 8 * size), 0, move |secret, results| {
        let (key, digits) = secret.split_at(size);
        let (store, id) = stored("ff1", key)?;
        let ff1 = Ff1::new(store.key(&id)?);
        for length in SHORTEST..=LONGEST {
            let mut digits = digits[..length].to_vec();
            ff1.encrypt(&[7; 20], &mut digits)?;
            results.put(&digits);
            ff1.decrypt(&[7; 20], &mut digits)?;
            results.put(&digits);
        }
        Ok(())
    })
    .with(&key_and_digits(size, LONGEST))
    .outcomes(2 * LENGTHS)
}

/// As above, once for each message.
fn batch(size: usize) -> Case {
    Case::new(format!("ff1 batch, {} bits", 8 * size), 0, move |secret, results| {
        let (key, digits) = secret.split_at(size);
        let (store, id) = stored("ff1", key)?;
        let mut all: Vec<Vec<u8>> = (SHORTEST..=LONGEST).map(|length| digits[..length].to_vec()).collect();
        let mut messages: Vec<_> = all.iter_mut().map(|digits| Message { tweak: &[7; 40], digits }).collect();
        Ff1::new(store.key(&id)?).encrypt_batch(&mut messages)?;
        for digits in &all {
            results.put(digits);
        }
        Ok(())
    })
    .with(&key_and_digits(size, LONGEST))
    .outcomes(LENGTHS)
}

/// Kept digits are public. Declassified: whether the Luhn check passes, whether FF1 got digits, and whether the number is its
/// own token.
fn tokens() -> Case {
    Case::new("FormatPreservingTokenizer::token", 16, |secret, results| {
        let (store, id) = stored("ff1", secret)?;
        let form = FormatPreserving::new(&[(16, Kept { bin: Bin::Six, last_four: true })])?;
        let policy = Policy::new(MerchantId::new("merchant")?, 1, TokenForm::FormatPreserving(form));
        let pan = Pan::new(b"5413330089604111")?;
        valgrind::secret_shared(&pan.expose().as_bytes()[6..12]);
        let token = FormatPreservingTokenizer::new(store.key(&id)?).token(&policy, &pan)?;
        results.put(&token.as_bytes()[6..12]);
        Ok(())
    })
    .outcomes(3)
}
