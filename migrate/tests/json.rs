//! JSON lines: values at their paths; all other bytes stay.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use p2pe_migrate::{Choice, Error, Format, Options};
use proptest::prelude::*;
use support::{Folder, number, run, token, tokens};

const A: &str = "4761739001010010";

fn options() -> Options {
    Options::new(Format::JsonLines)
}

fn moved(text: &str) -> String {
    let folder = Folder::new();
    folder.moved(text, &options()).unwrap();
    folder.text("out")
}

#[test]
fn only_the_value_changes() {
    let a = token(A);
    for (before, after) in [
        (r#"{"card":"4761739001010010","n":1.50e+3}"#, r#"{"card":"{a}","n":1.50e+3}"#),
        (
            r#" { "card" : 4761739001010010 , "t" : [ true , null ] } "#,
            r#" { "card" : "{a}" , "t" : [ true , null ] } "#,
        ),
        (r#"{"a":{"b":[{"no":"4761-7390-0101-0010"},{"no":""}]}}"#, r#"{"a":{"b":[{"no":"{a}"},{"no":""}]}}"#),
        (r#"{"card":"\u0034761739001010010"}"#, r#"{"card":"{a}"}"#),
        (r#"{"card":"　４７６１７３９００１０１００１０","\"}":"\\\""}"#, r#"{"card":"　{a}","\"}":"\\\""}"#),
        ("\u{FEFF}[\"4761739001010010\"]\r\n\r\n[\"\"]", "\u{FEFF}[\"{a}\"]\r\n\r\n[\"\"]"),
        ("4761739001010010\n", "\"{a}\"\n"),
        (
            "{\"big\":12345678901234567890123,\"card\":4761739001010010}\n{}\n",
            "{\"big\":12345678901234567890123,\"card\":\"{a}\"}\n{}\n",
        ),
    ] {
        assert_eq!(moved(before), after.replace("{a}", &a), "{before}");
    }
}

#[test]
fn numbers_of_nineteen_digits_are_text() {
    // 2^53 has sixteen digits.
    assert_eq!(moved(r#"{"card":4999900000000123455}"#), format!(r#"{{"card":"{}"}}"#, token("4999900000000123455")));
}

#[test]
fn floats_are_listed() {
    let folder = Folder::new();
    let text = format!("{{\"c\":\"{A}\"}}\n{{\"c\":{A}.0}}\n{{\"c\":4.76e15}}\n{{\"c\":-{A}}}\n{{\"c\":\"{A}\"}}\n");
    let report = folder.moved(text, &options()).unwrap();
    assert_eq!(report.columns[0].name, "c");
    let lines = folder.text("out");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[1..4], [r#"{"c":"476173**********.*"}"#, r#"{"c":4.76e15}"#, r#"{"c":"-****************"}"#]);
    assert_eq!(
        folder.text("out.rejects.csv"),
        "row,column,reason\n2,\"c\",digits_lost\n3,\"c\",digits_lost\n4,\"c\",not_a_card_number\n"
    );
}

#[test]
fn refusals() {
    for (text, row) in [
        ("{\"card\":\"4761739001010010\"}\n{\"card\":}\n", 2),
        ("{\"4761739001010010\":1}\n", 1),
        ("{\"x\":1}{\"x\":2}\n", 1),
        ("{\"x\":\"\\ud800\"}\n", 1),
        (&format!("{}{}\n", "[".repeat(200), "]".repeat(200)), 1),
    ] {
        let folder = Folder::new();
        match folder.moved(text, &options()) {
            Err(Error::Malformed { row: at, .. }) => assert_eq!(at, row, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
        assert_eq!(folder.names(), ["in"]);
    }
    let keys: String = (0..10_001).map(|i| format!("{{\"k{i}\":1}}\n")).collect();
    assert!(matches!(Folder::new().moved(keys, &options()), Err(Error::Refused(_))));
    // A card number where none is expected.
    let text = format!("{{\"card\":\"{A}\",\"memo\":\"a\"}}\n{{\"memo\":\"{A} b\"}}\n{{\"memo\":\"c\"}}\n");
    assert!(matches!(Folder::new().moved(text, &options()), Err(Error::Unsure(names)) if names == ["memo"]));
}

#[test]
fn interrupted_where_paths_are_new() {
    let folder = Folder::new();
    let text: String =
        (0..40).map(|i| format!("{{\"{}\":\"{}\"}}\n", ["a", "b", "c"][i / 14], number(i as u64))).collect();
    let (input, tokens) = (folder.write("in", text), tokens());
    let options = Options { batch: 5, choice: Choice::default(), ..options() };
    run(&input, &folder.path("whole"), &tokens, &options).unwrap();
    for batches in 0..8 {
        let output = folder.path(&format!("out{batches}"));
        tokens.answers.set(batches);
        run(&input, &output, &tokens, &options).unwrap_err();
        tokens.answers.set(usize::MAX);
        run(&input, &output, &tokens, &options).unwrap();
        assert_eq!(folder.read(&format!("out{batches}")), folder.read("whole"));
    }
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
        (0u64..9).prop_map(|i| number(i).into()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| serde_json::json!(map)),
        ]
    })
}

/// The same value with tokens in place of card numbers.
fn expected(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(values) => values.iter_mut().for_each(expected),
        serde_json::Value::Object(values) => values.values_mut().for_each(expected),
        serde_json::Value::String(text) if text.len() == 16 && text.starts_with("49999") => *text = token(text),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against serde_json's own reading of input and output.
    #[test]
    fn any_values(mut values in prop::collection::vec(value(), 1..12)) {
        let line = |value: &serde_json::Value| format!("{value}\n");
        let folder = Folder::new();
        let input = folder.write("in", values.iter().map(line).collect::<String>());
        let found = p2pe_migrate::scan(&input, &options(), None, &mut |_| ()).unwrap();
        // Every column with a number in it, however many others there are.
        let tokenize = found.columns.iter().filter(|c| c.plausible > 0).map(|c| c.name.clone()).collect::<Vec<_>>();
        prop_assume!(!tokenize.is_empty());
        let options = Options { choice: Choice { tokenize, keep: Vec::new() }, ..options() };
        run(&input, &folder.path("out"), &tokens(), &options).unwrap();
        values.iter_mut().for_each(expected);
        prop_assert_eq!(folder.text("out"), values.iter().map(line).collect::<String>());
    }
}
