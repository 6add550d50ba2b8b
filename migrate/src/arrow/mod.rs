//! Arrow arrays: the tokens of a column, and why some cells have none.

mod cells;

use arrow_array::{Array, StringArray, builder::StringBuilder};

use self::cells::cells;
use crate::{
    Batch, Decision, Error, Outcome, Tokens,
    options::{BATCH, REMEMBERED},
};

/// Bytes in an array of strings at most: its offsets have 32 bits.
const MOST: usize = i32::MAX as usize;

/// What becomes of an array: two arrays of its length.
#[derive(Clone, Debug)]
pub struct ArrowTokens {
    /// The cell's text with the token in place of the number; a cell that is blank or a token already, as it was. Null where the
    /// cell is, and where it has no token.
    pub tokens: StringArray,
    /// Why it has none, by the names of [`Outcome::Rejected`]; null elsewhere.
    pub reasons: StringArray,
}

/// Tokens for an array of card numbers, by the rules of [`Batch`]. The store is asked for 1,000 cells at a time, and once for each
/// number; what was made before a failure is the same when it is asked for again.
///
/// Taken are strings, binary arrays of UTF-8, dictionaries of either, and `Null`; of numbers `Int64`, `UInt64` and `Decimal128` of
/// scale 0, which are exact; and `Float64`, of which what has 16 digits or more is `digits_lost`. Narrower numbers hold no card
/// number. The array is the caller's and is not wiped; copies made here are.
///
/// # Errors
/// [`Error::ArrayType`] of another array, [`Error::Refused`] if the tokens are more than 2 GiB, and those of [`Tokens::tokens`];
/// then there is no answer at all.
pub fn tokenize_batch<T: Tokens + ?Sized>(tokens: &T, numbers: &dyn Array) -> Result<ArrowTokens, Error> {
    let cell = cells(numbers)?;
    // Whether a spreadsheet has rounded a column cannot be told from a part of it.
    let mut batch = Batch::new(tokens, vec![Decision::Tokenize { doubt_zeros: false }], REMEMBERED)?;
    let mut tokens = StringBuilder::with_capacity(numbers.len(), 0);
    let mut reasons = StringBuilder::with_capacity(numbers.len(), 0);
    for start in (0..numbers.len()).step_by(BATCH) {
        let texts: Vec<_> = (start..numbers.len().min(start + BATCH)).map(&cell).collect();
        let asked: Vec<(usize, &str)> = texts.iter().flatten().map(|text| (0, &**text)).collect();
        let mut outcomes = batch.replace(&asked)?.into_iter();
        for text in &texts {
            let outcome = text.as_deref().and_then(|text| Some((text, outcomes.next()?)));
            let (token, reason) = match &outcome {
                None => (None, None),
                Some((text, Outcome::Kept)) => (Some(*text), None),
                Some((_, Outcome::Token(token))) => (Some(&**token), None),
                Some((_, Outcome::Rejected { reason, .. })) => (None, Some(*reason)),
            };
            add(&mut tokens, token, MOST)?;
            add(&mut reasons, reason, MOST)?;
        }
    }
    Ok(ArrowTokens { tokens: tokens.finish(), reasons: reasons.finish() })
}

/// The builder would panic.
fn add(builder: &mut StringBuilder, text: Option<&str>, most: usize) -> Result<(), Error> {
    if builder.values_slice().len() + text.map_or(0, str::len) > most {
        return Err(Error::Refused("the tokens of the array are more than 2 GiB: take it in parts".into()));
    }
    builder.append_option(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_strings_is_not_overfilled() {
        let mut builder = StringBuilder::new();
        assert!(add(&mut builder, Some("12345"), 8).is_ok());
        assert!(add(&mut builder, None, 8).is_ok());
        assert!(matches!(add(&mut builder, Some("6789"), 8), Err(Error::Refused(_))));
        assert!(add(&mut builder, Some("678"), 8).is_ok());
        assert_eq!(builder.finish().value_data(), b"12345678");
    }
}
