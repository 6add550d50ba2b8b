//! Card numbers are wiped: no block of memory is given back with one in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for all crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;
#[path = "support/parquet.rs"]
mod file;
mod support;

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Decimal128Array, DictionaryArray, Int64Array, StringArray, types::Int8Type};
use canary::watch;
use encoding_rs::SHIFT_JIS;
use file::{Values, about, write};
use p2pe_migrate::{Error, Format, Options, tokenize_batch};
use parquet::{
    basic::Compression,
    file::properties::{EnabledStatistics, WriterProperties},
};
use support::{CSV, Folder, number, run, tokens};

#[test]
fn files() {
    let secret = number(7);
    let wide: String = secret.chars().map(|digit| char::from_u32(digit as u32 - 0x30 + 0xFF10).unwrap()).collect();
    let inputs = [
        (
            CSV,
            format!("id,card\n1,{secret}\n2,\"{secret}\"\n3,\"{secret} \"\"x\"\"\"\n").into_bytes(),
            secret.as_bytes().to_vec(),
        ),
        (CSV, SHIFT_JIS.encode(&format!("カード\n{wide}\n")).0.into_owned(), secret.as_bytes().to_vec()),
        (CSV, SHIFT_JIS.encode(&format!("カード\n{wide}\n")).0.into_owned(), wide.into_bytes()),
        (
            Format::JsonLines,
            format!("{{\"c\":\"{secret}\"}}\n{{\"c\":{secret}}}\n{{\"c\":\"\\t{secret}\"}}\n").into_bytes(),
            secret.as_bytes().to_vec(),
        ),
    ];
    for (at, (format, bytes, secret)) in inputs.into_iter().enumerate() {
        let folder = Folder::new();
        let (input, tokens) = (folder.write("in", bytes), tokens());
        let seen = watch(&secret, || {
            run(&input, &folder.path("out"), &tokens, &Options::new(format)).unwrap();
        });
        assert_eq!(seen.leaks, 0, "input {at}");
    }
}

/// What is read of a Parquet file, packed and unpacked. Its minima and maxima are the library's, and so are the
/// windows of gzip and Zstandard.
#[test]
fn parquet_files() {
    let codecs = [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW];
    for (codec, dictionary) in codecs.into_iter().flat_map(|codec| [(codec, false), (codec, true)]) {
        let (folder, secret) = (Folder::new(), number(9));
        let properties = WriterProperties::builder().set_compression(codec).set_dictionary_enabled(dictionary);
        let properties = properties.set_statistics_enabled(EnabledStatistics::None).build();
        let texts = [&*secret, &format!("{secret} "), "-", &format!("card {secret}"), &secret];
        let cards = Values::Texts(texts.map(|text| Some(text.into())).to_vec());
        write(&folder.path("in"), "message m { optional binary card (STRING); }", properties, vec![vec![cards]]);
        let tokens = tokens();
        let seen = watch(secret.as_bytes(), || {
            run(&folder.path("in"), &folder.path("out"), &tokens, &Options::new(Format::Parquet)).unwrap();
        });
        assert_eq!(seen.leaks, 0, "{codec} {dictionary}");
    }
}

/// The texts that are made of decimals.
#[test]
fn decimals_of_parquet() {
    let (folder, secret) = (Folder::new(), number(9));
    let with_places = secret.parse::<i128>().unwrap() * 10_i128.pow(10);
    let cards = Values::Bytes(vec![Some(with_places.to_be_bytes().to_vec()), Some(vec![1; 16]), None]);
    let schema = "message m { optional fixed_len_byte_array(16) card (DECIMAL(38, 10)); }";
    write(&folder.path("in"), schema, WriterProperties::default(), vec![vec![cards]]);
    let tokens = tokens();
    let seen = watch(secret.as_bytes(), || {
        run(&folder.path("in"), &folder.path("out"), &tokens, &Options::new(Format::Parquet)).unwrap();
    });
    assert_eq!(seen.leaks, 0);
}

/// A page that can be read, before one that cannot.
#[test]
fn a_damaged_column_of_parquet() {
    let (folder, secret) = (Folder::new(), number(9));
    let exact: i64 = secret.parse().unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_write_batch_size(2);
    let properties = properties.set_data_page_row_count_limit(2).set_statistics_enabled(EnabledStatistics::None);
    let cards = Values::Ints(vec![Some(exact); 6]);
    write(&folder.path("in"), "message m { optional int64 card; }", properties.build(), vec![vec![cards]]);
    let pages = about(&folder.path("in")).offset_index().unwrap()[0][0].page_locations().clone();
    let mut bytes = folder.read("in");
    let second = usize::try_from(pages[1].offset).unwrap();
    bytes[second..second + 8].fill(0xFF);
    folder.write("in", bytes);
    let tokens = tokens();
    let seen = watch(&exact.to_le_bytes(), || {
        let refused = run(&folder.path("in"), &folder.path("out"), &tokens, &Options::new(Format::Parquet));
        assert!(matches!(&refused, Err(Error::Refused(what)) if what.contains("damaged")), "{refused:?}");
    });
    assert_eq!(seen.leaks, 0);
}

/// The array is the caller's; what is made of it is not.
#[test]
fn arrays() {
    let secret = number(8);
    let exact: i64 = secret.parse().unwrap();
    let broken = [secret.as_bytes(), b" \xFF ", secret.as_bytes()].concat();
    let arrays: [ArrayRef; 5] = [
        Arc::new(StringArray::from(vec![Some(secret.clone()), None, Some(format!("card {secret}"))])),
        Arc::new(DictionaryArray::<Int8Type>::from_iter([Some(&*secret), None, Some(&*secret)])),
        Arc::new(BinaryArray::from(vec![secret.as_bytes(), &broken])),
        Arc::new(Int64Array::from(vec![exact, -exact])),
        Arc::new(Decimal128Array::from(vec![i128::from(exact)]).with_precision_and_scale(38, 0).unwrap()),
    ];
    for array in arrays {
        let tokens = tokens();
        let seen = watch(secret.as_bytes(), || tokenize_batch(&tokens, &array).unwrap());
        assert_eq!(seen.leaks, 0, "{}", array.data_type());
        // The guard sees an array that goes.
        if let Some(text) = array.as_any().downcast_ref::<StringArray>() {
            assert!(watch(secret.as_bytes(), || drop(text.iter().collect::<StringArray>())).leaks > 0);
        }
    }
}
