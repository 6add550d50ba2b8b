//! Workbooks: the XML of the cells is edited; all other parts are copied as they are packed.
//!
//! A replaced cell becomes an inline string. The shared string that it referred to is emptied, and no card number may be left in
//! any part: comments, names, pivot caches and drawings are looked through.

mod look;
mod package;
mod sheet;

use std::{collections::BTreeSet, path::Path};

use quick_xml::{escape::escape, events::Event};

use crate::{
    Batch, Error, Finder, Findings, Outcome, Phase, Progress, Tokens,
    cell::{holds_card, shows_too_much},
};
use package::{Package, refused};
use sheet::{At, Shared, attribute, letters};

/// What is done with a cell that gets no token: called with row, column and reason.
pub(crate) type Rejected<'r> = &'r mut dyn FnMut(u64, usize, &'static str) -> Result<(), Error>;

/// A workbook's sheets, with the columns of each numbered on from those of the sheet before.
struct Book {
    package: Package,
    sheets: Vec<Sheet>,
    strings: Option<String>,
    shared: Shared,
}

struct Sheet {
    name: String,
    part: String,
    /// The number of its first column among those of all sheets.
    first: usize,
    /// Row of the names of its columns.
    header: Option<u64>,
    names: Vec<String>,
    rows: u64,
}

/// What was counted: columns, rows, and the header row of each sheet.
pub(crate) struct Counted {
    pub(crate) columns: Vec<Findings>,
    pub(crate) rows: u64,
    pub(crate) headers: Vec<Option<u64>>,
}

/// Counts the cells of all sheets. `headers`: those of an earlier count.
pub(crate) fn count(
    path: &Path,
    header: Option<bool>,
    headers: Option<&[Option<u64>]>,
    phase: Phase,
    progress: &mut dyn FnMut(Progress),
) -> Result<Counted, Error> {
    let mut book = Book::open(path)?;
    let mut finder = Finder::default();
    book.survey(header, headers, &mut finder, phase, progress)?;
    let names: Vec<String> = book.sheets.iter().flat_map(Sheet::columns).collect();
    let columns = finder.named(names.len(), |at| names.get(at).cloned().unwrap_or_default());
    let headers = book.sheets.iter().map(|sheet| sheet.header).collect();
    Ok(Counted { columns, rows: book.sheets.iter().map(|sheet| sheet.rows).sum(), headers })
}

/// Writes the workbook with tokens; returns its size.
pub(crate) fn moved(
    (input, output): (&Path, &Path),
    headers: &[Option<u64>],
    batch: &mut Batch<'_, dyn Tokens + '_>,
    at_once: usize,
    rejected: Rejected<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Error> {
    let mut book = Book::open(input)?;
    book.survey(None, Some(headers), &mut Finder::default(), Phase::Scan, &mut |_| ())?;
    let Book { mut package, sheets, strings, shared } = book;
    // Strings that stay in use, and those that must go.
    let (mut kept, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    let total = sheets.iter().map(|sheet| sheet.rows).sum();
    let mut done = 0;
    for sheet in &sheets {
        let xml = package.xml(&sheet.part)?;
        let mut edit = Edit { xml: &xml, sheet, batch, kept: &mut kept, gone: &mut gone, new: Vec::new(), at: 0 };
        let mut waiting: Vec<At<'_>> = Vec::new();
        sheet::cells(&xml, &shared, |cell| {
            if sheet.header.is_some_and(|header| cell.row == header) || !edit.batch.works_on(sheet.first + cell.column)
            {
                edit.kept.extend(cell.shared);
                return Ok(());
            }
            waiting.push(cell);
            if waiting.len() >= at_once {
                edit.replace(&waiting, rejected)?;
                waiting.clear();
            }
            Ok(())
        })?;
        edit.replace(&waiting, rejected)?;
        if let Some(new) = edit.finished() {
            parts.push((sheet.part.clone(), new));
        }
        done += sheet.rows;
        progress(Progress { phase: Phase::Move, rows: done, bytes: done, total });
    }
    if let Some(part) = &strings {
        let xml = package.xml(part)?;
        parts.extend(emptied(&xml, &shared, &kept, &gone)?.map(|new| (part.clone(), new)));
    }
    for name in package.names()?.iter().filter(|name| package::is_xml(name)) {
        if Some(name) == strings.as_ref() {
            continue;
        }
        let cells = sheets.iter().any(|sheet| sheet.part == *name);
        if look::holds(&package.xml(name)?, cells)? {
            return refused(&format!(
                "part {name} of the workbook holds a card number outside of the cells: remove it"
            ));
        }
    }
    package
        .write(output, |_, name| Ok(parts.iter().position(|(part, _)| part == name).map(|at| parts.swap_remove(at).1)))
}

impl Book {
    fn open(path: &Path) -> Result<Self, Error> {
        let mut package = Package::open(path)?;
        let workbook = package.xml("xl/workbook.xml")?;
        let mut targets: Vec<(String, String, String)> = Vec::new();
        let relations = package.xml("xl/_rels/workbook.xml.rels")?;
        sheet::events(&relations, |event, _| {
            if let Event::Start(tag) | Event::Empty(tag) = &event
                && let (Some(id), Some(kind), Some(target)) =
                    (attribute(tag, "Id"), attribute(tag, "Type"), attribute(tag, "Target"))
            {
                let part = target.strip_prefix('/').map_or_else(|| format!("xl/{target}"), Into::into);
                targets.push((id, kind, part));
            }
            Ok(())
        })?;
        let mut sheets = Vec::new();
        sheet::events(&workbook, |event, _| {
            if let Event::Start(tag) | Event::Empty(tag) = &event
                && tag.local_name().as_ref() == b"sheet"
                && let Some(name) = attribute(tag, "name")
            {
                let mut attributes = tag.attributes();
                let mut ids = attributes.with_checks(false).flatten();
                let id = ids.find(|attribute| attribute.key.local_name().as_ref() == b"id");
                let id = id.map(|id| String::from_utf8_lossy(&id.value).into_owned());
                let target =
                    targets.iter().find(|(known, kind, _)| Some(known) == id.as_ref() && kind.ends_with("/worksheet"));
                if let Some((_, _, part)) = target {
                    let (name, part) = (sheet::unescaped(&name)?.to_owned(), part.clone());
                    sheets.push(Sheet { name, part, first: 0, header: None, names: Vec::new(), rows: 0 });
                }
            }
            Ok(())
        })?;
        if sheets.is_empty() {
            return refused("the workbook has no sheet");
        }
        let strings =
            targets.into_iter().find(|(_, kind, _)| kind.ends_with("/sharedStrings")).map(|(_, _, part)| part);
        let strings = strings.filter(|part| package.has(part));
        let shared = match &strings {
            Some(part) => Shared::read(&package.xml(part)?)?,
            None => Shared { texts: Vec::new(), places: Vec::new() },
        };
        Ok(Self { package, sheets, strings, shared })
    }

    /// Goes through all cells: numbers the columns, finds the headers, and shows the other cells to the finder.
    fn survey(
        &mut self,
        header: Option<bool>,
        headers: Option<&[Option<u64>]>,
        finder: &mut Finder,
        phase: Phase,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let (mut first, mut bytes) = (0, 0);
        let count = self.sheets.len() as u64;
        for at in 0..self.sheets.len() {
            let xml = self.package.xml(&self.sheets[at].part)?;
            let sheet = &mut self.sheets[at];
            sheet.first = first;
            // The first row with a value is the header if none of its cells has a number in it.
            let (mut row, mut names, mut numbers) = (None, Vec::new(), false);
            sheet::cells(&xml, &self.shared, |cell| {
                if *row.get_or_insert(cell.row) == cell.row {
                    numbers |= shows_too_much(&cell.text);
                    names.push((cell.column, cell.text.trim().to_owned()));
                }
                Ok(())
            })?;
            let found = if numbers || header == Some(false) { None } else { row };
            sheet.header = headers.map_or(found, |headers| headers.get(at).copied().flatten());
            if sheet.header.is_none() {
                names.clear();
            }
            let mut width = 0;
            sheet.rows = sheet::cells(&xml, &self.shared, |cell| {
                width = width.max(cell.column + 1);
                if sheet.header != Some(cell.row) {
                    finder.see(first + cell.column, &cell.text);
                }
                Ok(())
            })?;
            sheet.names = (0..width).map(letters).collect();
            for (column, name) in names.into_iter().filter(|(_, name)| !name.is_empty()) {
                sheet.names[column] = name;
            }
            first += width;
            bytes += 1;
            progress(Progress { phase, rows: sheet.rows, bytes, total: count });
        }
        Ok(())
    }
}

impl Sheet {
    fn columns(&self) -> impl Iterator<Item = String> + '_ {
        self.names.iter().map(|name| format!("{}!{name}", self.name))
    }
}

/// A sheet on its way out.
struct Edit<'e, 'b, 't> {
    xml: &'e str,
    sheet: &'e Sheet,
    batch: &'e mut Batch<'b, dyn Tokens + 't>,
    kept: &'e mut BTreeSet<usize>,
    gone: &'e mut BTreeSet<usize>,
    new: Vec<u8>,
    at: usize,
}

impl Edit<'_, '_, '_> {
    fn replace(&mut self, cells: &[At<'_>], rejected: Rejected<'_>) -> Result<(), Error> {
        let texts: Vec<(usize, &str)> =
            cells.iter().map(|cell| (self.sheet.first + cell.column, &*cell.text)).collect();
        for (cell, outcome) in cells.iter().zip(self.batch.replace(&texts)?) {
            let text = match outcome {
                Outcome::Kept => None,
                Outcome::Token(text) => Some(text),
                Outcome::Rejected { reason, masked } => {
                    rejected(cell.row, self.sheet.first + cell.column, reason)?;
                    masked
                }
            };
            let Some(text) = text else {
                self.kept.extend(cell.shared);
                continue;
            };
            if cell.formula {
                let (name, column) = (&self.sheet.name, letters(cell.column));
                return refused(&format!("a formula gives a card number: {name}!{column}{}", cell.row));
            }
            self.gone.extend(cell.shared);
            self.new.extend_from_slice(&self.xml.as_bytes()[self.at..cell.place.start]);
            let (tag, prefix, text) = (&cell.tag, &cell.prefix, escape(&*text));
            let space = if text.trim() == text { "" } else { " xml:space=\"preserve\"" };
            let element = format!(
                "{tag} t=\"inlineStr\"><{prefix}is><{prefix}t{space}>{text}</{prefix}t></{prefix}is></{prefix}c>"
            );
            self.new.extend(element.into_bytes());
            self.at = cell.place.end;
        }
        Ok(())
    }

    fn finished(mut self) -> Option<Vec<u8>> {
        if self.at == 0 {
            return None;
        }
        self.new.extend_from_slice(&self.xml.as_bytes()[self.at..]);
        Some(self.new)
    }
}

/// The shared strings without those that were replaced, and without card numbers that no cell refers to.
fn emptied(
    xml: &str,
    shared: &Shared,
    kept: &BTreeSet<usize>,
    gone: &BTreeSet<usize>,
) -> Result<Option<Vec<u8>>, Error> {
    if gone.iter().any(|string| kept.contains(string)) {
        return refused(
            "a card number stands in a column that is kept, too: name it with --column, or remove it there",
        );
    }
    let (mut new, mut at) = (Vec::new(), 0);
    for (string, place) in shared.places.iter().enumerate() {
        let orphan = || !kept.contains(&string) && holds_card(&shared.texts[string]);
        if gone.contains(&string) || orphan() {
            let element = &xml[place.clone()];
            let prefix = element[1..].split_once("si").map_or("", |(prefix, _)| prefix);
            new.extend_from_slice(&xml.as_bytes()[at..place.start]);
            new.extend(format!("<{prefix}si><{prefix}t/></{prefix}si>").into_bytes());
            at = place.end;
        }
    }
    if at == 0 {
        return Ok(None);
    }
    new.extend_from_slice(&xml.as_bytes()[at..]);
    Ok(Some(new))
}
