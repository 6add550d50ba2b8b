//! Card numbers in Arrow arrays become tokens by the rules of cells.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray,
    NullArray, StringArray, StringViewArray, UInt8Array, UInt64Array,
    types::{Int8Type, Int32Type, UInt64Type},
};
use p2pe_crypto::{Pan, TokenError};
use p2pe_migrate::{ArrowTokens, Batch, Decision, Error, Outcome, Tokens, tokenize_batch};
use proptest::prelude::*;
use support::{number, token, tokens};

/// Null, or a token, or why there is none.
type Answer<Reason> = Option<Result<String, Reason>>;

fn answers(array: &dyn Array) -> Vec<Answer<String>> {
    let ArrowTokens { tokens, reasons } = tokenize_batch(&tokens(), array).unwrap();
    assert_eq!((tokens.len(), reasons.len()), (array.len(), array.len()));
    let both = tokens.iter().zip(&reasons).map(|both| match both {
        (Some(token), None) => Some(Ok(token.into())),
        (None, Some(reason)) => Some(Err(reason.into())),
        (None, None) => None,
        (Some(_), Some(_)) => panic!("a token and a reason"),
    });
    both.collect()
}

fn wide(text: &str) -> String {
    text.chars().map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0xFF10).unwrap()).collect()
}

/// Texts, and what becomes of them.
fn cells() -> Vec<(Option<String>, Answer<&'static str>)> {
    let (one, two) = (number(1), number(2));
    let spaced = format!("{} {} {}-{}", &one[..4], &one[4..8], &one[8..12], &one[12..]);
    let (token_of_one, token_of_two) = (token(&one), token(&two));
    let mistyped = format!("{}{}", &one[..15], (one.as_bytes()[15] - b'0' + 1) % 10);
    let same = |text: &str| (Some(text.into()), Some(Ok(text.into())));
    vec![
        (Some(one.clone()), Some(Ok(token_of_one.clone()))),
        (None, None),
        (Some(spaced), Some(Ok(token_of_one.clone()))),
        (Some(wide(&one)), Some(Ok(token_of_one.clone()))),
        (Some(two.clone()), Some(Ok(token_of_two.clone()))),
        (Some(format!("=\"{two}\"")), Some(Ok(format!("=\"{token_of_two}\"")))),
        same(&token_of_one),
        same("9912345678901234"),
        same(""),
        same("  "),
        (Some(mistyped), Some(Err("check_digit"))),
        (Some("4.54714E+15".into()), Some(Err("digits_lost"))),
        (Some("4547140000000000".into()), Some(Err("digits_lost"))),
        (Some(format!("card {one}")), Some(Err("not_a_card_number"))),
        (Some("nobody".into()), Some(Err("not_a_card_number"))),
        (Some(one), Some(Ok(token_of_one))),
    ]
}

/// The same texts in all arrays that hold texts, with an offset into each.
fn arrays(texts: &[Option<String>]) -> Vec<ArrayRef> {
    let around = [Some("before".to_string()), None].into_iter();
    let texts: Vec<_> = around.chain(texts.iter().cloned()).chain([Some("behind".to_string())]).collect();
    let strs = || texts.iter().map(Option::as_deref);
    let bytes = || strs().map(|text| text.map(str::as_bytes));
    // Each cell has its own value, and the value of null is there and null.
    let keys = (0..i32::try_from(texts.len()).unwrap()).map(Some);
    let own: DictionaryArray<Int32Type> =
        DictionaryArray::new(keys.collect(), Arc::new(strs().collect::<LargeStringArray>()));
    let shared: DictionaryArray<UInt64Type> = strs().collect();
    let arrays: [ArrayRef; 8] = [
        Arc::new(strs().collect::<StringArray>()),
        Arc::new(strs().collect::<LargeStringArray>()),
        Arc::new(strs().collect::<StringViewArray>()),
        Arc::new(bytes().collect::<BinaryArray>()),
        Arc::new(bytes().collect::<LargeBinaryArray>()),
        Arc::new(bytes().collect::<BinaryViewArray>()),
        Arc::new(own),
        Arc::new(shared),
    ];
    arrays.iter().map(|array| array.slice(2, texts.len() - 3)).collect()
}

#[test]
fn texts() {
    let (texts, expected): (Vec<_>, Vec<_>) = cells().into_iter().unzip();
    let expected: Vec<_> =
        expected.into_iter().map(|answer| answer.map(|answer| answer.map_err(String::from))).collect();
    for array in arrays(&texts) {
        assert_eq!(answers(&array), expected, "{}", array.data_type());
    }
}

#[test]
fn bytes() {
    let (one, two) = (number(1), number(2));
    let fixed = FixedSizeBinaryArray::try_from_iter([one.as_bytes(), b"\xFF234567890123456"].into_iter()).unwrap();
    assert_eq!(answers(&fixed), [Some(Ok(token(&one))), Some(Err("not_a_card_number".into()))]);
    let broken = [one.as_bytes(), &[0x80], two.as_bytes()].concat();
    let cells = [Some(&*broken), Some(b"\xE2\x82"), None, Some(two.as_bytes())];
    let no = || Some(Err("not_a_card_number".into()));
    assert_eq!(answers(&BinaryArray::from_iter(cells)), [no(), no(), None, Some(Ok(token(&two)))]);
}

#[test]
fn numbers() {
    let one = number(1);
    let exact: i64 = one.parse().unwrap();
    let (amex, long) = ("378282246310005", "6304000000000000000");
    let long_right = (0..10).map(|check| long[..18].to_string() + &check.to_string());
    let long = long_right.clone().find(|long| Pan::new(long.as_bytes()).unwrap().luhn()).unwrap();
    let (lost, no) = (|| Some(Err("digits_lost".to_string())), || Some(Err("not_a_card_number".to_string())));
    let right = |number: &str| Some(Ok(token(number)));

    let ints = Int64Array::from(vec![Some(exact), None, Some(-exact), Some(12), Some(4_547_140_000_000_000)]);
    assert_eq!(answers(&ints), [right(&one), None, no(), no(), lost()]);
    assert_eq!(answers(&ints.slice(1, 2)), [None, no()]);
    let unsigned = UInt64Array::from(vec![long.parse().unwrap(), u64::MAX]);
    assert_eq!(answers(&unsigned), [right(&long), no()]);
    let decimals =
        Decimal128Array::from(vec![Some(exact.into()), None, Some(-i128::from(exact)), Some(10_i128.pow(37))]);
    let whole = decimals.clone().with_precision_and_scale(38, 0).unwrap();
    assert_eq!(answers(&whole), [right(&one), None, no(), no()]);
    // Fifteen digits are exact. Of sixteen nobody knows what they were.
    #[expect(clippy::cast_precision_loss, reason = "this is what is tested")]
    let double = exact as f64;
    let doubles =
        [Some(amex.parse().unwrap()), Some(double), None, Some(12.5), Some(f64::NAN), Some(-1e300), Some(5e-324)];
    assert_eq!(answers(&Float64Array::from_iter(doubles)), [right(amex), lost(), None, no(), no(), no(), no()]);

    let refused: [ArrayRef; 5] = [
        Arc::new(Int32Array::from(vec![1])),
        Arc::new(Float32Array::from(vec![4.5e15])),
        Arc::new(BooleanArray::from(vec![true])),
        Arc::new(decimals.with_precision_and_scale(38, 2).unwrap()),
        Arc::new(DictionaryArray::<Int8Type>::new([0].to_vec().into(), Arc::new(UInt8Array::from(vec![1])))),
    ];
    for array in refused {
        let error = tokenize_batch(&tokens(), &array).unwrap_err();
        assert!(matches!(&error, Error::ArrayType(_)), "{error}");
        assert!(!error.to_string().contains("45"), "{error}");
    }
}

#[test]
fn nothing() {
    let no_values = DictionaryArray::<Int8Type>::new(vec![None, None].into(), Arc::new(StringArray::new_null(0)));
    for empty in [&StringArray::new_null(0) as &dyn Array, &NullArray::new(0), &no_values.slice(0, 0)] {
        assert_eq!(answers(empty), []);
    }
    for null in [&StringArray::new_null(2) as &dyn Array, &NullArray::new(2), &no_values] {
        assert_eq!(answers(null), [None, None]);
    }
    let tokens = tokens();
    tokenize_batch(&tokens, &NullArray::new(5000)).unwrap();
    assert_eq!(tokens.asked.get(), 0);
}

/// A dictionary may have more values than a part of the array refers to.
#[test]
fn values_that_nothing_refers_to() {
    let values: StringArray = (0..10).map(|i| Some(number(i))).collect();
    let array = DictionaryArray::<Int8Type>::new(vec![0, 1, 2, 7, 7, 2].into(), Arc::new(values)).slice(3, 3);
    let tokens = tokens();
    let answers = tokenize_batch(&tokens, &array).unwrap().tokens;
    let expected = [7, 7, 2].map(|i| Some(token(&number(i))));
    assert!(answers.iter().eq(expected.iter().map(Option::as_deref)));
    assert_eq!(tokens.asked.get(), 2);
}

#[test]
fn in_parts() {
    // 3,500 cells of 700 numbers; each fifth is null.
    let cells = (0..3500).map(|i| (i % 5 != 4).then(|| number(i % 875)));
    let array: StringViewArray = cells.clone().collect();
    let tokens = tokens();
    let ArrowTokens { tokens: answers, reasons } = tokenize_batch(&tokens, &array).unwrap();
    assert!(
        answers.iter().eq(cells
            .map(|cell| cell.map(|number| token(&number)))
            .collect::<Vec<_>>()
            .iter()
            .map(Option::as_deref))
    );
    assert_eq!((answers.null_count(), reasons.null_count()), (700, 3500));
    assert_eq!(tokens.asked.get(), 700, "each number once");
    assert_eq!(usize::MAX - tokens.answers.get(), 1, "the second part and those after it have no new number");
    // Whichever part fails, there is nothing.
    let array: StringArray = (0..3500).map(|i| Some(number(i))).collect();
    for part in 0..4 {
        tokens.answers.set(part);
        assert!(matches!(tokenize_batch(&tokens, &array), Err(Error::Token(TokenError::Random))), "{part}");
    }
    tokens.answers.set(4);
    assert_eq!(tokenize_batch(&tokens, &array).unwrap().tokens.null_count(), 0);
}

/// Refuses each number that ends in 0, and answers one too few where that is asked for.
struct Choosy {
    short: bool,
}

impl Tokens for Choosy {
    fn tokens(&self, pans: &[&Pan]) -> Result<Vec<Result<String, TokenError>>, Error> {
        let token = |pan: &&Pan| match pan.expose().strip_suffix('0') {
            Some(_) => Err(TokenError::BinNotKept),
            None => Ok(token(pan.expose())),
        };
        Ok(pans.iter().skip(usize::from(self.short)).map(token).collect())
    }

    fn settings(&self) -> String {
        String::new()
    }
}

#[test]
fn what_a_store_refuses() {
    let numbers: Vec<_> = (0..40).map(number).collect();
    let array: StringArray = numbers.iter().chain(&numbers).map(Some).collect();
    let ArrowTokens { tokens, reasons } = tokenize_batch(&Choosy { short: false }, &array).unwrap();
    for (at, number) in numbers.iter().chain(&numbers).enumerate() {
        let refused = number.ends_with('0');
        assert_eq!((tokens.is_null(at), reasons.is_null(at)), (refused, !refused));
        if refused {
            assert_eq!(reasons.value(at), TokenError::BinNotKept.code());
        }
    }
    assert!((1..80).contains(&tokens.null_count()));
    assert!(matches!(tokenize_batch(&Choosy { short: true }, &array), Err(Error::NotReconciled(_))));
}

proptest! {
    /// Whatever stands in an array, of whichever type: what `Batch` says of its texts.
    #[test]
    fn as_batch(
        texts in prop::collection::vec(prop::option::of(prop_oneof![
            r"[0-9０-９ \-・'=.Ee+\PC]{0,24}",
            (0u64..9).prop_map(number),
            (0u64..9).prop_map(|i| wide(&number(i))),
            (0u64..9).prop_map(|i| token(&number(i))),
            "4[0-9]{15}",
            r"4\.[0-9]{5}E\+15",
        ]), 0..40),
        kind in 0usize..8,
    ) {
        let tokens = tokens();
        let mut batch = Batch::new(&tokens, vec![Decision::Tokenize { doubt_zeros: false }], 2).unwrap();
        let cells: Vec<(usize, &str)> = texts.iter().flatten().map(|text| (0, &**text)).collect();
        let mut outcomes = batch.replace(&cells).unwrap().into_iter();
        let expected: Vec<_> = texts.iter().map(|text| text.as_ref().map(|text| match outcomes.next().unwrap() {
            Outcome::Kept => Ok(text.clone()),
            Outcome::Token(token) => Ok(token),
            Outcome::Rejected { reason, .. } => Err(reason.to_string()),
        })).collect();
        prop_assert_eq!(answers(&arrays(&texts)[kind]), expected);
    }
}
