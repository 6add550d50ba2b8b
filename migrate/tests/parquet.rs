//! Parquet files: chunks without card numbers are copied, those with are new, and nothing tells what was in them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "support/parquet.rs"]
mod file;
mod support;

use std::{fs, path::Path};

use file::{Values, about, packed, rows, unpacked, write};
use p2pe_migrate::{Choice, Decision, Error, Format, Options, Rejects, Report, Tally, scan};
use parquet::{
    basic::{Compression, GzipLevel, Type as Physical, ZstdLevel},
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
};
use proptest::prelude::*;
use support::{Folder, number, run, stands_in, token, tokens};

const VISA: &str = "4761739001010010";
const MASTERCARD: &str = "5413330089604111";
const AMEX: &str = "378282246310005";

const SCHEMA: &str = "message orders {
    optional int64 id (INTEGER(64, true));
    optional binary card (STRING);
    optional binary note (STRING);
    optional int64 at (TIMESTAMP(MILLIS, true));
    optional group cards (LIST) { repeated group list { optional binary element (STRING); } }
}";

fn options() -> Options {
    Options::new(Format::Parquet)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet").join(name)).unwrap()
}

/// Orders from `first` on: each seventh card is null, and each record has up to three more in a list.
fn orders(first: u64, count: u64) -> Vec<Values> {
    let orders = || first..first + count;
    let card = |i: u64| (i % 7 != 3).then(|| number(i % 40));
    let (mut texts, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
    for i in orders() {
        // No list, an empty one, or one of a null and numbers.
        let levels: &[i16] = [&[0][..], &[1], &[3], &[3, 2, 3]][usize::try_from(i % 4).unwrap()];
        for (at, level) in levels.iter().enumerate() {
            def.push(*level);
            rep.push(i16::from(at > 0));
            if *level == 3 {
                texts.push(number((i + at as u64) % 40));
            }
        }
    }
    vec![
        Values::Ints(orders().map(|i| Some(i.cast_signed())).collect()),
        Values::Texts(orders().map(card).collect()),
        Values::Texts(orders().map(|i| Some(format!("order {i}"))).collect()),
        Values::Ints(orders().map(|i| Some(1_700_000_000_000 + i.cast_signed())).collect()),
        Values::Levels(texts, def, rep),
    ]
}

/// With all that tells of values but the values themselves.
fn telling() -> parquet::file::properties::WriterPropertiesBuilder {
    let by = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_write_page_header_statistics(true)
        .set_bloom_filter_enabled(true)
        .set_data_page_row_count_limit(60)
        .set_created_by("somebody version 1.2".into())
        .set_sorting_columns(Some(vec![by(0), by(1), by(2)]))
        .set_key_value_metadata(Some(vec![KeyValue::new("origin".into(), "till 7".to_string())]))
}

#[test]
fn card_numbers_go_and_all_else_stays() {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    for (at, codec) in codecs.into_iter().enumerate() {
        let version = if at % 2 == 0 { WriterVersion::PARQUET_1_0 } else { WriterVersion::PARQUET_2_0 };
        let properties = telling().set_compression(codec).set_writer_version(version);
        let properties = properties.set_dictionary_enabled(at % 3 != 0).build();
        let folder = Folder::new();
        let (input, output) = (folder.path("in"), folder.path("out"));
        write(&input, SCHEMA, properties, vec![orders(0, 150), orders(150, 40)]);
        let report = run(&input, &output, &tokens(), &Options { batch: 64, ..options() }).unwrap();
        assert_eq!((report.rows_in, report.rows_out, report.rejected()), (190, 190, 0));

        let tokenized = |text: String| (0..40).fold(text, |text, i| text.replace(&number(i), &token(&number(i))));
        assert_eq!(rows(&output), rows(&input).into_iter().map(tokenized).collect::<Vec<_>>());
        // The guard sees what it looks for, in pages, statistics and indexes.
        let (before, after) = (unpacked(&input), unpacked(&output));
        for i in 0..40 {
            assert!(stands_in(number(i).as_bytes(), &before), "{codec}");
            assert!(!stands_in(number(i).as_bytes(), &after), "{codec}");
        }

        let (old, new) = (about(&input), about(&output));
        let (old_file, new_file) = (old.file_metadata(), new.file_metadata());
        assert_eq!(old_file.schema(), new_file.schema());
        assert_eq!(old_file.created_by(), new_file.created_by());
        assert_eq!(old_file.key_value_metadata(), new_file.key_value_metadata());
        assert_eq!(old.num_row_groups(), new.num_row_groups());
        for (group, (old_group, new_group)) in old.row_groups().iter().zip(new.row_groups()).enumerate() {
            assert_eq!(old_group.num_rows(), new_group.num_rows());
            assert_eq!(new_group.sorting_columns().unwrap(), &old_group.sorting_columns().unwrap()[..1]);
            for (column, (old_chunk, new_chunk)) in old_group.columns().iter().zip(new_group.columns()).enumerate() {
                assert_eq!(old_chunk.compression(), new_chunk.compression());
                let kept = !matches!(column, 1 | 4);
                assert_eq!(packed(&input, old_chunk) == packed(&output, new_chunk), kept);
                assert_eq!(old_chunk.statistics() == new_chunk.statistics(), kept);
                assert!(old_chunk.bloom_filter_offset().is_some());
                assert_eq!(new_chunk.bloom_filter_offset().is_some(), kept);
                let index = |about: &parquet::file::metadata::ParquetMetaData| {
                    about.column_index().unwrap()[group][column].clone()
                };
                assert_eq!(index(&old) == index(&new), kept);
                let statistics = new_chunk.statistics().and_then(|statistics| statistics.min_bytes_opt());
                if !kept {
                    assert!(statistics.unwrap().starts_with(b"tok_"));
                }
            }
        }
    }
}

/// Dictionaries, dates, decimals, lists and maps as pyarrow writes them; columns of numbers become strings.
#[test]
fn as_pyarrow_writes() {
    let folder = Folder::new();
    let (input, output) = (folder.write("in", fixture("pyarrow.parquet")), folder.path("out"));
    let found = scan(&input, &options(), None, &mut |_| ()).unwrap();
    let moved: Vec<&str> = found
        .columns
        .iter()
        .zip(&found.decisions)
        .filter(|(_, decision)| matches!(decision, Decision::Tokenize { .. }))
        .map(|(column, _)| &*column.name)
        .collect();
    let maps = "owner.cards.key_value.value";
    assert_eq!(moved, ["card", "number", "exact", "double", "cards.list.element", maps]);
    assert_eq!(scan(&input, &options(), Some(1), &mut |_| ()).unwrap().columns[2].cells, 1);

    let report = run(&input, &output, &tokens(), &options()).unwrap();
    let tally = |name: &str| report.columns.iter().find(|column| column.name == name).unwrap().tally.unwrap();
    assert_eq!(tally("double"), Tally { cells: 3, tokenized: 1, rejected: 2, ..Tally::default() });
    assert_eq!(tally("cards.list.element").tokenized, 4);
    assert_eq!(
        folder.text("out.rejects.csv"),
        "row,column,reason\n1,\"double\",digits_lost\n4,\"number\",check_digit\n4,\"double\",digits_lost\n"
    );
    let (visa, mastercard, amex) = (token(VISA), token(MASTERCARD), token(AMEX));
    let rows = rows(&output);
    let has = |row: usize, what: &str| assert!(rows[row].contains(what), "{what} is not in {}", rows[row]);
    has(0, &format!("card: \"{visa}\", reference: \"a\", number: \"{visa}\", exact: \"{visa}\""));
    has(0, "double: \"476173**********.*\"");
    has(0, &format!("cards: [\"{visa}\", null], owner: {{name: \"x\", cards: {{\"a\" -> \"{visa}\"}}}}, amount: 1.50"));
    has(1, "card: null, reference: \"a\", number: null, exact: null, double: null, cards: [], owner: null");
    has(2, &format!("card: \"{mastercard}\", reference: null, number: \"{amex}\""));
    has(2, &format!("double: \"{amex}\", cards: null"));
    has(3, "number: \"476173******0011\"");
    has(3, &format!("exact: \"{amex}\""));
    has(3, &format!("cards: [\"{amex}\", \"{amex}\", \"{mastercard}\"]"));
    // A number of which no cell knows any more was in a dictionary.
    assert!(stands_in(MASTERCARD.as_bytes(), &packed(&input, about(&input).row_group(1).column(3))));
    let (before, after) = (unpacked(&input), unpacked(&output));
    for number in [VISA, AMEX] {
        let whole: i64 = number.parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "it is what the column does")]
        let numbers = [whole.to_le_bytes(), (whole as f64).to_le_bytes()];
        for bytes in [number.as_bytes(), &numbers[0], &numbers[1], &whole.to_be_bytes()] {
            assert!(stands_in(bytes, &before));
            assert!(!stands_in(bytes, &after));
        }
    }
    assert!(!stands_in(MASTERCARD.as_bytes(), &after));
    let (old, new) = (about(&input), about(&output));
    for (column, (old, new)) in old.row_group(0).columns().iter().zip(new.row_group(0).columns()).enumerate() {
        assert_eq!(old.compression(), new.compression());
        let number = [4, 5, 6].contains(&column);
        assert_eq!(new.column_type(), if number { Physical::BYTE_ARRAY } else { old.column_type() });
        assert_eq!(old.column_descr().logical_type_ref() == new.column_descr().logical_type_ref(), !number);
        let id =
            |at: &parquet::file::metadata::ColumnChunkMetaData| at.column_descr().self_type().get_basic_info().id();
        assert!(!old.column_descr().self_type().get_basic_info().has_id() || id(old) == id(new));
    }
    // What Arrow knew of the types is no longer true.
    assert!(old.file_metadata().key_value_metadata().unwrap().iter().any(|note| note.key == "ARROW:schema"));
    assert_eq!(new.file_metadata().key_value_metadata(), None);
    // A second run finds nothing that is not a token.
    let again = run(&output, &folder.path("again"), &tokens(), &options());
    assert!(matches!(again, Err(Error::NoColumn | Error::Unsure(_))), "{again:?}");
}

fn cards(texts: Vec<Option<String>>, properties: WriterProperties) -> Folder {
    let folder = Folder::new();
    let schema = "message m { optional binary card (STRING); optional int64 at (TIMESTAMP(MILLIS, true)); }";
    let ints = (0..).map(Some).take(texts.len()).collect();
    write(&folder.path("in"), schema, properties, vec![vec![Values::Texts(texts), Values::Ints(ints)]]);
    folder
}

fn moved(folder: &Folder, options: &Options) -> Result<Report, Error> {
    run(&folder.path("in"), &folder.path("out"), &tokens(), options)
}

fn refused(folder: &Folder, says: &str) {
    match moved(folder, &options()) {
        Err(Error::Refused(what)) => assert!(what.contains(says), "{what}"),
        other => panic!("{says}: {other:?}"),
    }
    assert_eq!(folder.names(), ["in"]);
}

#[test]
fn what_is_refused_by_name() {
    for (bytes, says) in [
        (fixture("brotli.parquet"), "column card is packed with Brotli"),
        (fixture("encrypted.parquet"), "columns of the Parquet file are encrypted"),
        (b"PAR1....PARE".to_vec(), "is encrypted"),
        (b"id,card\n".to_vec(), "not a Parquet file"),
        (b"PAR1".to_vec(), "damaged"),
        (Vec::new(), "not a Parquet file"),
        (fixture("pyarrow.parquet")[..6000].to_vec(), "not all of it"),
    ] {
        let folder = Folder::new();
        folder.write("in", bytes);
        refused(&folder, says);
    }
    let noted = |key: &str, value: &str| {
        let note = KeyValue::new(key.into(), value.to_string());
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![note])).build();
        cards(vec![Some(VISA.into())], properties)
    };
    refused(&noted("last", &format!("card {VISA}")), "metadata last of the Parquet file holds a card number");
    refused(&noted(VISA, "x"), "metadata that of the Parquet file holds a card number");
    moved(&noted("last", "card 4761739001010011"), &options()).unwrap();
    // A date has no room for a token, whatever the caller says.
    let folder = cards(vec![Some(VISA.into())], WriterProperties::default());
    let choice = Choice { tokenize: vec!["at".into()], ..Choice::default() };
    let forced = moved(&folder, &Options { choice, ..options() });
    assert!(matches!(&forced, Err(Error::Refused(what)) if what.contains("column at")), "{forced:?}");
    assert_eq!(Format::of(Path::new("a.PARQUET")).unwrap(), Format::Parquet);
}

#[test]
fn the_caller_decides() {
    let texts = || vec![Some(VISA.into()), Some("x".into()), Some("y".into()), Some(format!("card {VISA}"))];
    let folder = cards(texts(), telling().build());
    assert!(matches!(moved(&folder, &options()), Err(Error::Unsure(names)) if names == ["card"]));
    let choice = Choice { tokenize: vec!["card".into()], ..Choice::default() };
    let chosen = Options { choice, ..options() };
    let stop = Options { rejects: Rejects::Stop, ..chosen.clone() };
    let stopped = moved(&folder, &stop);
    assert!(matches!(&stopped, Err(Error::Rejected { row: 2, column, .. }) if column == "card"), "{stopped:?}");
    assert_eq!(folder.names(), ["in"]);
    assert_eq!(moved(&folder, &chosen).unwrap().rejected(), 3);
    let masked = format!("{{card: \"card {}\", ", "*".repeat(16));
    assert!(rows(&folder.path("out"))[3].starts_with(&masked));
    assert!(!stands_in(VISA.as_bytes(), &unpacked(&folder.path("out"))));
}

/// As Spark has a NUMBER of Oracle: a whole number with places is that number, one with a fraction stays as a text.
#[test]
fn decimals_with_places() {
    let folder = Folder::new();
    let (input, output) = (folder.path("in"), folder.path("out"));
    let with = |text: &str, places: u32| text.parse::<i128>().unwrap() * 10_i128.pow(places);
    let long: Vec<i128> = vec![with(VISA, 10), with(AMEX, 10), 125_000_000_000, -500_000_000];
    let short = [with(VISA, 2), with(AMEX, 2), -150].map(|number| Some(i64::try_from(number).unwrap()));
    let schema = "message m {
        optional fixed_len_byte_array(16) long (DECIMAL(38, 10));
        optional int64 short (DECIMAL(18, 2));
        optional binary price (DECIMAL(18, 7));
    }";
    let bytes = |numbers: &[i128]| numbers.iter().map(|number| Some(number.to_be_bytes().to_vec())).collect::<Vec<_>>();
    let columns = vec![
        Values::Bytes(bytes(&long).into_iter().chain([None]).collect()),
        Values::Ints(short.into_iter().chain([None, None]).collect()),
        Values::Bytes(bytes(&[1, 2, 3, 4, 5])),
    ];
    write(&input, schema, telling().build(), vec![columns]);
    let report = run(&input, &output, &tokens(), &options()).unwrap();
    let tally = |column: usize| report.columns[column].tally;
    assert_eq!(tally(0), Some(Tally { cells: 4, tokenized: 2, rejected: 2, ..Tally::default() }));
    assert_eq!(tally(1), Some(Tally { cells: 3, tokenized: 2, rejected: 1, ..Tally::default() }));
    assert_eq!(tally(2), None);
    let (visa, amex) = (token(VISA), token(AMEX));
    let cells = [[&*visa, &*visa], [&*amex, &*amex], ["12.5", "-1.5"], ["-0.05", "null"], ["null", "null"]];
    for (row, [long, short]) in rows(&output).iter().zip(cells) {
        let quoted = |text: &str| if text == "null" { text.into() } else { format!("\"{text}\"") };
        let begins = format!("{{long: {}, short: {}, price: ", quoted(long), quoted(short));
        assert!(row.starts_with(&begins), "{row}");
    }
    let (before, after) = (unpacked(&input), unpacked(&output));
    for number in &long[..2] {
        assert!(stands_in(&number.to_be_bytes(), &before));
        assert!(!stands_in(&number.to_be_bytes(), &after));
    }
    // Kept, it is the same column.
    let choice = Choice { keep: vec!["long".into()], ..Choice::default() };
    run(&input, &folder.path("kept"), &tokens(), &Options { choice, ..options() }).unwrap();
    let chunk = |path| packed(path, about(path).row_group(0).column(0));
    assert_eq!(chunk(&input), chunk(&folder.path("kept")));
}

/// Never a number of which the first digits are gone.
#[test]
fn a_decimal_that_is_too_long() {
    for (bytes, room) in [
        ([[0; 16], [0xFF; 16]].concat(), false),
        ([[1; 16], [0; 16]].concat(), false),
        ([[0xFF; 16], [0; 16]].concat(), false),
        (vec![0xFF; 32], true),
    ] {
        let folder = Folder::new();
        let schema =
            "message m { optional fixed_len_byte_array(32) wide (DECIMAL(76, 0)); optional binary card (STRING); }";
        let columns = vec![Values::Bytes(vec![Some(bytes)]), Values::Texts(vec![Some(VISA.into())])];
        write(&folder.path("in"), schema, WriterProperties::default(), vec![columns]);
        match room {
            true => assert_eq!(moved(&folder, &options()).unwrap().rows_out, 1),
            false => refused(&folder, "column wide has decimals of more than 38 digits"),
        }
    }
}

/// With more places than digits are read, nothing is left before the point.
#[test]
fn a_decimal_of_many_places() {
    let folder = Folder::new();
    let schema =
        "message m { optional fixed_len_byte_array(32) wide (DECIMAL(76, 60)); optional binary card (STRING); }";
    let columns =
        vec![Values::Bytes(vec![Some([&[0xFF; 31][..], &[0x83]].concat())]), Values::Texts(vec![Some(VISA.into())])];
    write(&folder.path("in"), schema, WriterProperties::default(), vec![columns]);
    let choice = Choice { tokenize: vec!["wide".into()], ..Choice::default() };
    assert_eq!(moved(&folder, &Options { choice, ..options() }).unwrap().rejected(), 1);
    let row = format!("{{wide: \"-125e-60\", card: \"{}\"}}", token(VISA));
    assert_eq!(rows(&folder.path("out")), [row]);
}

/// A string cannot hold all bytes: where it would be all that is left of them, nothing is written.
#[test]
fn bytes_that_are_no_text() {
    let (fixed, bytes) = ("fixed_len_byte_array(16)", "binary");
    let other = |cell: &[u8]| [cell, &[b' '; 16][cell.len()..]].concat();
    for (kind, cell, stays) in [
        (fixed, other(b"order"), true),
        (fixed, other(b"\xFFrder"), false),
        (fixed, other(b"\xFF12345678901"), false),
        (bytes, other(b"order"), true),
        (bytes, other(b"\xFFrder"), true),
        (bytes, other(b"\xFF12345678901"), false),
    ] {
        let folder = Folder::new();
        let cells = [VISA.as_bytes(), MASTERCARD.as_bytes(), &cell].map(|cell| Some(cell.to_vec()));
        let schema = format!("message m {{ optional {kind} card; }}");
        write(&folder.path("in"), &schema, WriterProperties::default(), vec![vec![Values::Bytes(cells.to_vec())]]);
        if stays {
            assert_eq!(moved(&folder, &options()).unwrap().columns[0].tally.unwrap().tokenized, 2);
            let after = unpacked(&folder.path("out"));
            assert!(stands_in(&cell, &after) && stands_in(token(VISA).as_bytes(), &after));
        } else {
            refused(&folder, "column card has a cell that is no UTF-8");
        }
    }
}

/// As most programs write: then the copy has none, either.
#[test]
fn without_an_index_of_pages() {
    let properties = telling().set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true).build();
    let folder = cards(vec![Some(VISA.into()), None, Some(AMEX.into())], properties);
    assert_eq!(about(&folder.path("in")).offset_index(), None);
    assert_eq!(moved(&folder, &options()).unwrap().rows_out, 3);
    let about = about(&folder.path("out"));
    assert_eq!((about.offset_index(), about.column_index()), (None, None));
    assert!(rows(&folder.path("out"))[2].contains(&token(AMEX)));
}

/// Whenever the store fails, a second call ends with what a run without a failure gives.
#[test]
fn interrupted() {
    let folder = Folder::new();
    let input = folder.path("in");
    write(&input, SCHEMA, telling().build(), vec![orders(0, 30), orders(30, 20), orders(50, 0)]);
    let options = Options { batch: 8, remembered: 2, ..options() };
    run(&input, &folder.path("whole"), &tokens(), &options).unwrap();
    let tokens = tokens();
    for batches in 0..8 {
        tokens.answers.set(batches);
        assert!(matches!(run(&input, &folder.path("out"), &tokens, &options), Err(Error::Token(_))));
        for i in 0..40 {
            assert_eq!(folder.holds(number(i).as_bytes(), "in"), None);
        }
    }
    tokens.answers.set(usize::MAX);
    run(&input, &folder.path("out"), &tokens, &options).unwrap();
    assert_eq!(folder.read("out"), folder.read("whole"));
}

/// A file of which any byte is another: refused, or read, but never more.
#[test]
fn damage() {
    let folder =
        cards((0..20).map(|i| Some(number(i))).collect(), telling().set_compression(Compression::SNAPPY).build());
    let whole = folder.read("in");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let input = folder.write("in", bytes);
        match scan(&input, &options(), None, &mut |_| ()) {
            Ok(_) | Err(Error::Refused(_)) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever stands in a column of strings, in batches of any length: as many records, nulls where they were, and no number.
    #[test]
    fn any_texts(
        texts in prop::collection::vec(prop::option::of(prop_oneof![
            3 => (0u64..9).prop_map(number),
            1 => r"\PC{0,12}",
            // No zero at the end, or the column would be one that a spreadsheet has rounded.
            1 => "4[0-9]{14}[1-9]",
        ]), 1..60),
        batch in 1usize..20,
        dictionary: bool,
    ) {
        let properties = WriterProperties::builder().set_dictionary_enabled(dictionary).set_data_page_row_count_limit(7);
        let folder = cards(texts.clone(), properties.build());
        let choice = Choice { tokenize: vec!["card".into()], ..Choice::default() };
        moved(&folder, &Options { choice, batch, ..options() }).unwrap();
        let (old, new) = (rows(&folder.path("in")), rows(&folder.path("out")));
        prop_assert_eq!(old.len(), new.len());
        let unpacked = unpacked(&folder.path("out"));
        for ((text, old), new) in texts.iter().zip(old).zip(new) {
            match text {
                Some(text) if (0..9).any(|i| number(i) == *text) => {
                    prop_assert_eq!(old.replace(text.as_str(), &token(text)), new);
                    prop_assert!(!stands_in(text.as_bytes(), &unpacked));
                }
                Some(text) if text.len() != 16 => prop_assert_eq!(old, new),
                Some(_) => {}
                None => prop_assert_eq!(old, new),
            }
        }
    }
}
