//! CSV and TSV: what is not a card number keeps its bytes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use encoding_rs::SHIFT_JIS;
use p2pe_migrate::{Decision, Error, Format, Options, Rejects, scan};
use proptest::prelude::*;
use support::{CSV, Folder, number, run, token, tokens};

const A: &str = "4761739001010010";
const B: &str = "5413330089604111";

fn options() -> Options {
    Options::new(CSV)
}

/// Moves text and gives what came out.
fn moved(text: &str) -> String {
    let folder = Folder::new();
    folder.moved(text, &options()).unwrap();
    folder.text("out")
}

#[test]
fn only_the_digits_change() {
    let (a, b) = (token(A), token(B));
    for (before, after) in [
        ("id,card\n1,4761739001010010\n", "id,card\n1,{a}\n"),
        ("id,card\r\n1,4761-7390-0101-0010\r\n2,5413330089604111", "id,card\r\n1,{a}\r\n2,{b}"),
        ("\u{FEFF}card,id\n\"4761739001010010\", 1 \n\n", "\u{FEFF}card,id\n\"{a}\", 1 \n\n"),
        ("\u{FEFF}4761739001010010\n", "\u{FEFF}{a}\n"),
        ("4761739001010010", "{a}"),
        ("card,note\n '4761 7390 0101 0010 ,\"a, \"\"b\"\"\r\nc\"\n", "card,note\n '{a} ,\"a, \"\"b\"\"\r\nc\"\n"),
        ("card\n=\"4761739001010010\"\n", "card\n=\"{a}\"\n"),
        ("card\n\"=\"\"4761739001010010\"\"\"\n", "card\n\"=\"\"{a}\"\"\"\n"),
        ("カード\n４７６１　７３９０　０１０１　００１０\n", "カード\n{a}\n"),
        ("card\r4761739001010010\r5413330089604111\r", "card\r{a}\r{b}\r"),
        ("card,\n4761739001010010,,extra\n,\n", "card,\n{a},,extra\n,\n"),
    ] {
        assert_eq!(moved(before), after.replace("{a}", &a).replace("{b}", &b), "{before:?}");
    }
}

#[test]
fn shift_jis() {
    // 表 and ソ have a backslash and a quote's neighbour as their second bytes.
    let text = "会員,カード番号,備考\r\n表ソ能,４７６１－７３９０－０１０１－００１０,\"申込 \"\"済\"\" ①髙\"\r\nｶﾅ,\"ｶﾞ\",\r\n";
    let folder = Folder::new();
    let (bytes, _, lossy) = SHIFT_JIS.encode(text);
    assert!(!lossy);
    let options = Options {
        choice: p2pe_migrate::Choice { tokenize: vec!["カード番号".into()], ..Default::default() },
        ..options()
    };
    let report = folder.moved(&bytes, &options).unwrap();
    let after = text.replace("４７６１－７３９０－０１０１－００１０", &token(A));
    assert_eq!(folder.read("out"), SHIFT_JIS.encode(&after).0.into_owned());
    assert_eq!((report.rows_in, report.rows_out, report.rejected()), (3, 3, 1));
    assert_eq!(folder.text("out.rejects.csv"), "row,column,reason\n3,\"カード番号\",not_a_card_number\n");
    let found = scan(&folder.path("in"), &options, None, &mut |_| ()).unwrap();
    assert_eq!(found.encoding, p2pe_migrate::Encoding::ShiftJis);
}

#[test]
fn other_delimiters() {
    let folder = Folder::new();
    for (delimiter, text) in
        [(b'\t', "a\tcard, one\n\"x\ty\"\t4761739001010010\n"), (b';', "a;card, one\n\"x;y\";4761739001010010\n")]
    {
        let name = format!("in{delimiter}");
        let (input, output) = (folder.write(&name, text), folder.path(&format!("out{delimiter}")));
        run(&input, &output, &tokens(), &Options::new(Format::Csv { delimiter })).unwrap();
        assert_eq!(std::fs::read_to_string(output).unwrap(), text.replace(A, &token(A)));
    }
}

#[test]
fn the_encodings_that_are_refused() {
    for (bytes, name) in [
        (&b"\xFF\xFE4\x007\x00"[..], "UTF-16"),
        (b"4\x007\x006\x00", "UTF-16"),
        (b"card\n\x1B$B#4\x1B(B\n", "ISO-2022-JP"),
        (b"card\n\xFF\xFF\xA0\n", "neither"),
        (b"PK\x03\x04.....", "zip"),
        (b"\xD0\xCF\x11\xE0\xA1", "workbook"),
    ] {
        let folder = Folder::new();
        match folder.moved(bytes, &options()) {
            Err(Error::Refused(what)) => assert!(what.contains(name), "{what}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(folder.names(), ["in"]);
    }
}

#[test]
fn what_gets_no_token_is_listed_and_masked() {
    let folder = Folder::new();
    let text = "id,card\n1,4761739001010010\n2,4761739001010011\n3,4.76174E+15\n4,4761739001010010.0\n5,n/a\n6,\n\
                7,see 4761739001010010\n8,999999999999999999999\n9,tok_e311329dbfcaf16719c8f49b17c2882a\n10,9912345678901234\n\
                11,5413330089604111\n12,5413330089604111\n13,5413330089604111\n14,5413330089604111\n15,5413330089604111\n";
    let report = folder.moved(text, &options()).unwrap();
    let out = folder.text("out");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[2..11],
        [
            "2,476173******0011",
            "3,4.76174E+15",
            "4,476173**********.*",
            "5,n/a",
            "6,",
            "7,see ****************",
            "8,*********************",
            "9,tok_e311329dbfcaf16719c8f49b17c2882a",
            "10,9912345678901234"
        ]
    );
    assert_eq!(
        folder.text("out.rejects.csv"),
        "row,column,reason\n3,\"card\",check_digit\n4,\"card\",digits_lost\n5,\"card\",digits_lost\n\
         6,\"card\",not_a_card_number\n8,\"card\",not_a_card_number\n9,\"card\",not_a_card_number\n"
    );
    let tally = report.columns[1].tally.unwrap();
    assert_eq!((tally.cells, tally.tokenized, tally.already, tally.empty, tally.rejected), (15, 6, 2, 1, 6));
    assert_eq!(report.columns[0].tally, None);
    assert_eq!(folder.names(), ["in", "out", "out.rejects.csv", "out.report.json"]);
    assert_eq!(folder.text("in"), text);
    // What was moved can be moved again: nothing is left to do.
    let options =
        Options { choice: p2pe_migrate::Choice { tokenize: vec!["card".into()], ..Default::default() }, ..options() };
    let again = run(&folder.path("out"), &folder.path("again"), &tokens(), &options).unwrap();
    assert_eq!((again.columns[1].tally.unwrap().tokenized, folder.text("again")), (0, out));
}

#[test]
fn a_reject_can_stop_the_run() {
    let folder = Folder::new();
    let options = Options { rejects: Rejects::Stop, ..options() };
    let text = format!("card\n{A}\n{B}\n4761739001010011\n");
    match folder.moved(text, &options) {
        Err(Error::Rejected { row: 4, column, reason: "check_digit" }) => assert_eq!(column, "card"),
        other => panic!("{other:?}"),
    }
    assert_eq!(folder.names(), ["in"]);
}

/// A spreadsheet keeps 15 digits: the sixteenth is 0, and one number in ten is right all the same.
#[test]
fn a_rounded_column_is_not_guessed() {
    let folder = Folder::new();
    let mut text = "card\n".to_owned();
    let rounded = |i| format!("{}0", &number(i)[..15]);
    let right = |number: &str| p2pe_crypto::Pan::new(number.as_bytes()).unwrap().luhn();
    (0..200).for_each(|i| text += &format!("{}\n", if i < 100 { rounded(i) } else { number(i) }));
    let luck = (0..100).filter(|i| right(&rounded(*i))).count();
    assert!(luck > 0);
    let zeros = (100..200).filter(|i| number(*i).ends_with('0')).count();
    let report = folder.moved(text, &options()).unwrap();
    let tally = report.columns[0].tally.unwrap();
    assert_eq!(tally.rejected, 100 + zeros as u64);
    assert!(folder.text("out.rejects.csv").lines().skip(1).all(|line| line.ends_with("digits_lost")));
}

#[test]
fn columns_are_found_and_never_guessed() {
    let folder = Folder::new();
    let mut text = "card,order,note,phone,jan\n".to_owned();
    for i in 0..40 {
        let note = if i == 7 { format!("paid with {}", number(7)) } else { "ok".into() };
        text += &format!("{},{:016},{note},090-1234-56{i:02},49012345{i:02}894\n", number(i), i * 7919);
    }
    let input = folder.write("in", &text);
    let found = scan(&input, &options(), None, &mut |_| ()).unwrap();
    let card = &found.columns[0];
    assert_eq!((found.rows, card.plausible, card.cells, card.brands["Visa"]), (41, 40, 40, 40));
    assert_eq!(card.samples.len(), 3);
    assert!(card.samples.iter().all(|sample| sample.contains("******")), "{:?}", card.samples);
    let verdicts: Vec<Decision> = found.decisions;
    assert_eq!(verdicts[0], Decision::Tokenize { doubt_zeros: false });
    assert_eq!((verdicts[1], verdicts[2], verdicts[3]), (Decision::Keep, Decision::Unsure, Decision::Keep));
    // 13 digits that begin with 4 are Visa numbers by their looks, and one in ten has the check digit.
    assert_eq!(verdicts[4], Decision::Unsure);
    match run(&input, &folder.path("out"), &tokens(), &options()) {
        Err(Error::Unsure(columns)) => assert_eq!(columns, ["note", "jan"]),
        other => panic!("{other:?}"),
    }
    let choice = p2pe_migrate::Choice { tokenize: vec!["note".into()], keep: vec!["5".into()] };
    run(&input, &folder.path("out"), &tokens(), &Options { choice, ..options() }).unwrap();
    let out = folder.text("out");
    assert!(out.contains("paid with ****************"), "{out}");
    (0..40).for_each(|i| assert_eq!(folder.holds(number(i).as_bytes(), "in"), None));
    let choice = p2pe_migrate::Choice { tokenize: vec!["cards".into()], ..Default::default() };
    assert!(matches!(scan(&input, &options(), Some(3), &mut |_| ()), Ok(found) if found.rows == 3));
    let missing = run(&input, &folder.path("out2"), &tokens(), &Options { choice, ..options() });
    assert!(matches!(missing, Err(Error::UnknownColumn(name)) if name == "cards"));
    assert!(matches!(folder_none("a,b\n1,2\n"), Err(Error::NoColumn)));
}

fn folder_none(text: &str) -> Result<p2pe_migrate::Report, Error> {
    let folder = Folder::new();
    let moved = folder.moved(text, &options());
    assert_eq!(folder.names(), ["in"]);
    moved
}

#[test]
fn headers() {
    // A first row with a number is data.
    assert_eq!(moved(&format!("{A},1\n{B},2\n")), format!("{},1\n{},2\n", token(A), token(B)));
    let folder = Folder::new();
    let forced = Options { header: Some(true), ..options() };
    assert!(matches!(folder.moved(format!("{A},1\n{B},2\n"), &forced), Err(Error::Malformed { row: 1, .. })));
    let none = Options { header: Some(false), ..options() };
    let report = folder.moved(format!("card\n{A}\n"), &none).unwrap();
    assert_eq!((report.columns[0].name.as_str(), report.rejected()), ("column 1", 1));
}

#[test]
fn malformed() {
    assert!(matches!(folder_none("card\n\"4761739001010010\n"), Err(Error::Malformed { row: 2, .. })));
    let long = format!("card\n\"{}\"\n", "x".repeat(17 << 20));
    assert!(matches!(folder_none(&long), Err(Error::Malformed { row: 2, .. })));
}

#[test]
fn nothing_is_overwritten() {
    for there in ["out", "out.partial", "out.rejects.csv", "out.report.json"] {
        let folder = Folder::new();
        folder.write(there, "mine");
        match folder.moved(format!("card\n{A}\n"), &options()) {
            Err(Error::Exists(path)) => assert_eq!(path, folder.path(there)),
            other => panic!("{other:?}"),
        }
        assert_eq!((folder.names().len(), folder.text(there)), (2, "mine".into()));
    }
    let folder = Folder::new();
    let input = folder.write("in", format!("card\n{A}\n"));
    assert!(matches!(run(&input, &input, &tokens(), &options()), Err(Error::Exists(_))));
    let busy = std::fs::File::create(folder.path("out.journal")).unwrap();
    busy.lock().unwrap();
    assert!(matches!(run(&input, &folder.path("out"), &tokens(), &options()), Err(Error::Busy(_))));
}

/// The store is asked once for each number, within its bounded memory.
#[test]
fn each_number_is_asked_for_once() {
    let folder = Folder::new();
    let text: String = (0..1000).map(|i| format!("{}\n", number(i % 50))).collect();
    let (input, tokens) = (folder.write("in", text), tokens());
    run(&input, &folder.path("out"), &tokens, &Options { batch: 90, ..options() }).unwrap();
    assert_eq!(tokens.asked.get(), 50);
    tokens.asked.set(0);
    let little = Options { batch: 90, remembered: 4, ..options() };
    run(&input, &folder.path("out2"), &tokens, &little).unwrap();
    assert!(tokens.asked.get() > 50);
    assert_eq!(folder.read("out"), folder.read("out2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands around the numbers comes out byte for byte, in batches of any size.
    #[test]
    fn bytes_survive(rows in prop::collection::vec(
        (0u64..20, prop::sample::select(vec!["", " ", "\"", "'"]), "[a-z\"' 表ソ能ｶﾅ]{0,6}", prop::bool::ANY), 1..40),
        end in prop::sample::select(vec!["\n", "\r\n"]), batch in 1usize..50, shift_jis in prop::bool::ANY, last in prop::bool::ANY)
    {
        let (mut before, mut after) = (String::new(), String::new());
        for (at, (i, around, note, quoted)) in rows.iter().enumerate() {
            let note = if *quoted { format!("\"{},\r\n{}\"", note.replace('"', "\"\""), at) } else { note.replace('"', "x") };
            let close = if *around == "\"" { "\"" } else { "" };
            let end = if at + 1 == rows.len() && !last { "" } else { end };
            before += &format!("{around}{}{close},{note}{end}", number(*i));
            after += &format!("{around}{}{close},{note}{end}", token(&number(*i)));
        }
        let encode = |text: &str| if shift_jis { SHIFT_JIS.encode(text).0.into_owned() } else { text.as_bytes().to_vec() };
        let folder = Folder::new();
        let report = folder.moved(encode(&before), &Options { batch, ..options() }).unwrap();
        prop_assert_eq!(folder.read("out"), encode(&after));
        prop_assert_eq!(report.rows_out, rows.len() as u64);
    }
}
