//! Workbooks: the cells are edited, all else is copied, and no card number is left in any part.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    path::Path,
};

use p2pe_migrate::{Choice, Error, Format, Options, Rejects, scan};
use support::{Folder, run, stands_in, token, tokens};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

const A: &str = "4761739001010010";
const B: &str = "5413330089604111";
const AMEX: &str = "378282246310005";

type Parts = BTreeMap<&'static str, String>;

fn options() -> Options {
    Options::new(Format::Xlsx)
}

/// A workbook of two sheets, with card numbers in C of the first one and B of the second one.
fn parts() -> Parts {
    let sheet = |rows: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\">\
             <cols><col min=\"1\" max=\"3\" width=\"13.7109375\"/></cols><sheetData>{rows}</sheetData>\
             <pageMargins left=\"0.7\"/></worksheet>"
        )
    };
    let first = sheet(
        "<row r=\"1\" spans=\"1:4\"><c r=\"A1\" s=\"2\" t=\"s\"><v>0</v></c><c r=\"C1\" t=\"s\"><v>1</v></c></row>\
         <row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"B2\"><f>A2*2</f><v>2</v></c><c r=\"C2\" s=\"7\" t=\"s\"><v>2</v></c></row>\
         <row r=\"3\"><c r=\"A3\"><v>2</v></c><c r=\"C3\" t=\"inlineStr\" s=\"7\"><is><r><t>5413 3300</t></r><r><t xml:space=\"preserve\"> 8960 4111</t></r></is></c></row>\
         <row r=\"4\"><c r=\"A4\"><v>3</v></c><c r=\"C4\"><v>378282246310005</v></c><c r=\"D4\" t=\"b\"><v>1</v></c></row>\
         <row r=\"5\"><c r=\"A5\"><v>4</v></c><c r=\"C5\" s=\"9\"><v>4547140012345670</v></c></row>\
         <row r=\"6\"><c r=\"A6\"><v>5</v></c><c r=\"C6\"><v>4.5471400123456781E15</v></c></row>\
         <row r=\"7\"><c r=\"A7\"><v>6</v></c><c r=\"C7\" s=\"1\"/></row>\
         <row r=\"8\"><c r=\"A8\"><v>7</v></c><c r=\"C8\" t=\"s\"><v>2</v></c></row>",
    );
    let second = sheet(
        "<row><c t=\"s\"><v>3</v></c><c t=\"s\"><v>4</v></c></row><row><c><v>45000.5</v></c><c t=\"s\"><v>2</v></c></row>",
    );
    Parts::from([
        ("[Content_Types].xml", "<Types xmlns=\"x\"><Default Extension=\"xml\" ContentType=\"application/xml\"/></Types>".into()),
        (
            "xl/workbook.xml",
            "<workbook xmlns:r=\"rel\"><sheets><sheet name=\"会員 &amp; カード\" sheetId=\"1\" r:id=\"rId1\"/><sheet name=\"Two\" sheetId=\"2\" r:id=\"rId2\"/></sheets><definedNames><definedName name=\"x\">Two!$A$1</definedName></definedNames></workbook>".into(),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            "<Relationships><Relationship Id=\"rId1\" Type=\"http://s/worksheet\" Target=\"worksheets/sheet1.xml\"/>\
             <Relationship Id=\"rId2\" Type=\"http://s/worksheet\" Target=\"/xl/worksheets/sheet2.xml\"/>\
             <Relationship Id=\"rId3\" Type=\"http://s/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
                .into(),
        ),
        ("xl/worksheets/sheet1.xml", first),
        ("xl/worksheets/sheet2.xml", second),
        (
            "xl/sharedStrings.xml",
            "<sst count=\"6\" uniqueCount=\"6\"><si><t>番号</t><rPh sb=\"0\" eb=\"2\"><t>バンゴウ</t></rPh></si><si><t>カード</t></si>\
             <si><r><rPr><b/></rPr><t>4761-7390</t></r><r><t>-0101-0010</t></r></si><si><t>date</t></si><si><t>card</t></si>\
             <si><t>5413330089604111</t></si></sst>"
                .into(),
        ),
        ("xl/styles.xml", "<styleSheet><fonts/></styleSheet>".into()),
        ("xl/media/image1.png", "\u{89}PNG".into()),
    ])
}

fn write(path: &Path, parts: &Parts) {
    let mut zip = ZipWriter::new(File::create_new(path).unwrap());
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn read(path: &Path) -> BTreeMap<String, String> {
    let mut zip = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let part = |at| {
        let (mut entry, mut text) = (ZipArchive::by_index(&mut zip, at).unwrap(), String::new());
        entry.read_to_string(&mut text).unwrap();
        (entry.name().unwrap().into_owned(), text)
    };
    (0..8).map(part).collect()
}

/// Moves a workbook; also says what was in the folder.
fn moved(parts: &Parts, options: &Options) -> (Folder, Result<p2pe_migrate::Report, Error>) {
    let folder = Folder::new();
    write(&folder.path("in.xlsx"), parts);
    let report = run(&folder.path("in.xlsx"), &folder.path("out.xlsx"), &tokens(), options);
    (folder, report)
}

#[test]
fn cells_become_tokens_and_all_else_stays() {
    let (folder, report) = moved(&parts(), &options());
    let report = report.unwrap();
    assert_eq!((report.rows_in, report.rows_out), (10, 10));
    let columns: Vec<_> = report.columns.iter().filter(|column| column.tally.is_some()).collect();
    assert_eq!(columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["会員 & カード!カード", "Two!card"]);
    let tally = columns[0].tally.unwrap();
    assert_eq!((tally.cells, tally.tokenized, tally.rejected), (6, 4, 2));
    assert_eq!(
        folder.text("out.xlsx.rejects.csv"),
        "row,column,reason\n5,\"会員 & カード!カード\",digits_lost\n6,\"会員 & カード!カード\",digits_lost\n"
    );
    let (before, after) = (parts(), read(&folder.path("out.xlsx")));
    let inline = |tag: &str, text: &str| format!("<c {tag} t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let first = before["xl/worksheets/sheet1.xml"]
        .replace("<c r=\"C2\" s=\"7\" t=\"s\"><v>2</v></c>", &inline("r=\"C2\" s=\"7\"", &token(A)))
        .replace("<c r=\"C8\" t=\"s\"><v>2</v></c>", &inline("r=\"C8\"", &token(A)))
        .replace(
            "<c r=\"C3\" t=\"inlineStr\" s=\"7\"><is><r><t>5413 3300</t></r><r><t xml:space=\"preserve\"> 8960 4111</t></r></is></c>",
            &inline("r=\"C3\" s=\"7\"", &token(B)),
        )
        .replace("<c r=\"C4\"><v>378282246310005</v></c>", &inline("r=\"C4\"", &token(AMEX)))
        .replace("<c r=\"C5\" s=\"9\"><v>4547140012345670</v></c>", &inline("r=\"C5\" s=\"9\"", "454714**********.*"))
        .replace("<c r=\"C6\"><v>4.5471400123456781E15</v></c>", &inline("r=\"C6\"", "454714**********.*"));
    assert_eq!(after["xl/worksheets/sheet1.xml"], first);
    let second = &before["xl/worksheets/sheet2.xml"];
    let second = second.replace(
        "<c t=\"s\"><v>2</v></c></row></sheetData>",
        &format!("<c t=\"inlineStr\"><is><t>{}</t></is></c></row></sheetData>", token(A)),
    );
    assert_eq!(after["xl/worksheets/sheet2.xml"], second);
    // The string of the cells is gone, and so is one that no cell refers to.
    let strings = before["xl/sharedStrings.xml"]
        .replace("<si><r><rPr><b/></rPr><t>4761-7390</t></r><r><t>-0101-0010</t></r></si>", "<si><t/></si>")
        .replace("<si><t>5413330089604111</t></si>", "<si><t/></si>");
    assert_eq!(after["xl/sharedStrings.xml"], strings);
    for name in ["[Content_Types].xml", "xl/workbook.xml", "xl/styles.xml", "xl/media/image1.png"] {
        assert_eq!(after[name], before[name]);
    }
    for number in [A, B, AMEX, "4547140012345670", "4547140012345678"] {
        assert!(after.values().all(|part| !stands_in(number.as_bytes(), part.as_bytes())), "{number}");
    }
    assert_eq!(folder.names(), ["in.xlsx", "out.xlsx", "out.xlsx.rejects.csv", "out.xlsx.report.json"]);
    // Moved again, nothing is left to do.
    let found = scan(&folder.path("out.xlsx"), &options(), None, &mut |_| ()).unwrap();
    assert!(found.columns.iter().all(|column| column.plausible + column.within == 0));
}

/// A card number outside of the cells of the columns: refused by the name of its part, and nothing is written.
#[test]
fn a_card_number_elsewhere_is_refused() {
    let number = |xml: &str| xml.replace("{}", A);
    for (part, text) in [
        (
            "xl/comments1.xml",
            "<comments><commentList><comment><text><t>{}</t></text></comment></commentList></comments>",
        ),
        ("xl/comments2.xml", "<comments><text><r><t>card 4761 7390</t></r><r><t> 0101 0010</t></r></text></comments>"),
        ("xl/pivotCache/pivotCacheRecords1.xml", "<pivotCacheRecords><r><n v=\"{}\"/></r></pivotCacheRecords>"),
        ("xl/pivotCache/pivotCacheDefinition1.xml", "<x><s v=\"&#52;761739001010010\"/></x>"),
        ("docProps/core.xml", "<cp><dc:title>{}</dc:title></cp>"),
        (
            "xl/drawings/drawing1.xml",
            "<a><a:p><a:r><a:t>4761-7390-</a:t></a:r><a:r><a:t>0101-0010</a:t></a:r></a:p></a>",
        ),
        ("xl/vmlDrawing1.vml", "<xml><x alt=\"{}\"/></xml>"),
        (
            "xl/workbook.xml",
            "<workbook xmlns:r=\"rel\"><sheets><sheet name=\"One\" r:id=\"rId1\"/></sheets><definedNames><definedName name=\"y\">\"{}\"</definedName></definedNames></workbook>",
        ),
    ] {
        let mut parts = parts();
        parts.insert(part, number(text));
        let (folder, report) = moved(&parts, &options());
        assert!(matches!(&report, Err(Error::Refused(what)) if what.contains(part)), "{part}: {report:?}");
        assert_eq!(folder.names(), ["in.xlsx"], "{part}");
    }
    // A formula, its result, and a header of the page.
    for (from, to, says) in [
        ("<f>A2*2</f>", "<f>LEFT(\"4761739001010010\",6)</f>", "sheet1.xml"),
        (
            "<pageMargins left=\"0.7\"/>",
            "<headerFooter><oddHeader>4761739001010010</oddHeader></headerFooter>",
            "sheet1.xml",
        ),
        ("<c r=\"C4\"><v>", "<c r=\"C4\"><f>A4</f><v>", "会員 & カード!C4"),
    ] {
        let mut parts = parts();
        let sheet = parts.get_mut("xl/worksheets/sheet1.xml").unwrap();
        *sheet = sheet.replace(from, to);
        let (folder, report) = moved(&parts, &options());
        assert!(matches!(&report, Err(Error::Refused(what)) if what.contains(says)), "{to}: {report:?}");
        assert_eq!(folder.names(), ["in.xlsx"]);
    }
    // The string of a card number in a column that the caller keeps.
    let mut parts = parts();
    let sheet = parts.get_mut("xl/worksheets/sheet1.xml").unwrap();
    *sheet = sheet.replace("<c r=\"D4\" t=\"b\"><v>1</v></c>", "<c r=\"D4\" t=\"s\"><v>2</v></c>");
    let choice = Choice { keep: vec!["会員 & カード!D".into()], ..Choice::default() };
    let (_, report) = moved(&parts, &Options { choice, ..options() });
    assert!(matches!(&report, Err(Error::Refused(what)) if what.contains("column that is kept")), "{report:?}");
}

#[test]
fn workbooks_that_cannot_be_kept_are_refused_by_name() {
    for (part, says) in [
        ("xl/vbaProject.bin", "macros"),
        ("_xmlsignatures/sig1.xml", "signature"),
        ("xl/embeddings/oleObject1.bin", "embedded"),
        ("xl/workbook.bin", "xlsb"),
        ("xl/unknown.dat", "xl/unknown.dat"),
    ] {
        let mut parts = parts();
        parts.insert(part, String::new());
        let (folder, report) = moved(&parts, &options());
        assert!(matches!(&report, Err(Error::Refused(what)) if what.contains(says)), "{part}: {report:?}");
        assert_eq!(folder.names(), ["in.xlsx"]);
    }
    for (bytes, says) in
        [(&b"\xD0\xCF\x11\xE0\xA1\xB1"[..], "encrypted"), (b"no zip", "not a workbook"), (b"", "not a workbook")]
    {
        let folder = Folder::new();
        let input = folder.write("in.xlsx", bytes);
        let report = run(&input, &folder.path("out.xlsx"), &tokens(), &options());
        assert!(matches!(&report, Err(Error::Refused(what)) if what.contains(says)), "{report:?}");
    }
    for xml in [
        "<worksheet><sheetData><row><c r=\"A1\"></row>",
        "<a><c r=\"1\"><v>1</v></c></a>",
        "<a><c t=\"s\"><v>9</v></c></a>",
    ] {
        let mut parts = parts();
        parts.insert("xl/worksheets/sheet1.xml", xml.into());
        assert!(matches!(moved(&parts, &options()).1, Err(Error::Refused(what)) if what.contains("damaged")));
    }
    for end in ["xls", "xlsb", "xlsm"] {
        assert!(matches!(Format::of(Path::new(&format!("a.{end}"))), Err(Error::Refused(_))));
    }
}

#[test]
fn interrupted_and_stopped() {
    let folder = Folder::new();
    write(&folder.path("in.xlsx"), &parts());
    let (input, output, tokens) = (folder.path("in.xlsx"), folder.path("out.xlsx"), tokens());
    let options = Options { batch: 1, ..options() };
    run(&input, &folder.path("whole.xlsx"), &tokens, &options).unwrap();
    for batches in 0..3 {
        tokens.answers.set(batches);
        assert!(matches!(run(&input, &output, &tokens, &options), Err(Error::Token(_))));
        assert!(!output.exists());
    }
    tokens.answers.set(usize::MAX);
    run(&input, &output, &tokens, &options).unwrap();
    assert_eq!(folder.read("out.xlsx"), folder.read("whole.xlsx"));
    let stop = Options { rejects: Rejects::Stop, ..options };
    let stopped = run(&input, &folder.path("stopped.xlsx"), &tokens, &stop);
    assert!(matches!(stopped, Err(Error::Rejected { row: 5, reason: "digits_lost", .. })));
    assert!(!folder.names().iter().any(|name| name.starts_with("stopped")));
}
