//! The cells of a worksheet and the shared strings (ECMA-376 part 1, 18.3 and 18.4), with their places in the XML.

use std::{fmt::Write as _, ops::Range};

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use zeroize::Zeroizing;

use crate::{Error, cell::whole, encoding::Text};

/// The strings that cells refer to.
pub(super) struct Shared {
    pub(super) texts: Vec<Zeroizing<String>>,
    /// Of the whole `si` elements in the XML.
    pub(super) places: Vec<Range<usize>>,
}

/// A cell with a value.
pub(super) struct At<'x> {
    pub(super) row: u64,
    /// From 0.
    pub(super) column: usize,
    /// The whole element.
    pub(super) place: Range<usize>,
    /// Its first tag, without what says its type, and the prefix of its name.
    pub(super) tag: String,
    pub(super) prefix: String,
    pub(super) text: Text<'x>,
    pub(super) formula: bool,
    /// The shared string that it refers to.
    pub(super) shared: Option<usize>,
}

pub(super) fn malformed(what: &str) -> Error {
    Error::Refused(format!("the workbook's XML is damaged: {what}"))
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn next<'x>(reader: &mut Reader<&'x [u8]>) -> Result<(Event<'x>, Range<usize>), Error> {
    let start = position(reader);
    let event = reader.read_event().map_err(|_| malformed("not well-formed"))?;
    Ok((event, start..position(reader)))
}

/// Goes through the elements, texts and places of XML.
pub(super) fn events<'x>(
    xml: &'x str,
    mut each: impl FnMut(Event<'x>, Range<usize>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = Reader::from_str(xml);
    loop {
        match next(&mut reader)? {
            (Event::Eof, _) => return Ok(()),
            (event, place) => each(event, place)?,
        }
    }
}

pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok().flatten()?;
    Some(String::from_utf8_lossy(&attribute.value).into_owned())
}

/// What a text says, without its entities.
pub(super) fn unescaped(raw: &str) -> Result<Text<'_>, Error> {
    if !raw.contains('&') {
        return Ok(Text::Raw(raw));
    }
    let text = quick_xml::escape::unescape(raw).map_err(|_| malformed("an unknown entity"))?;
    Ok(Text::Made(Zeroizing::new(text.into_owned())))
}

/// Gathers the texts of `t` elements, but for the readings beside Japanese texts.
#[derive(Default)]
struct Runs {
    open: Option<usize>,
    reading: bool,
    places: Vec<Range<usize>>,
}

impl Runs {
    fn see(&mut self, event: &Event<'_>, place: &Range<usize>) {
        match event {
            Event::Start(tag) if tag.local_name().as_ref() == b"rPh" => self.reading = true,
            Event::End(tag) if tag.local_name().as_ref() == b"rPh" => self.reading = false,
            Event::Start(tag) if tag.local_name().as_ref() == b"t" && !self.reading => self.open = Some(place.end),
            Event::End(tag) if tag.local_name().as_ref() == b"t" => {
                self.places.extend(self.open.take().map(|open| open..place.start));
            }
            _ => {}
        }
    }

    fn text(&mut self, xml: &str) -> Result<Zeroizing<String>, Error> {
        let mut text = Zeroizing::new(String::with_capacity(self.places.iter().map(Range::len).sum()));
        for place in self.places.drain(..) {
            text.push_str(&unescaped(&xml[place])?);
        }
        Ok(text)
    }
}

impl Shared {
    pub(super) fn read(xml: &str) -> Result<Self, Error> {
        let (mut shared, mut runs, mut start) = (Self { texts: Vec::new(), places: Vec::new() }, Runs::default(), None);
        events(xml, |event, place| {
            match &event {
                Event::Start(tag) if tag.local_name().as_ref() == b"si" => start = Some(place.start),
                Event::Empty(tag) if tag.local_name().as_ref() == b"si" => {
                    shared.texts.push(Zeroizing::default());
                    shared.places.push(place.clone());
                }
                Event::End(tag) if tag.local_name().as_ref() == b"si" => {
                    shared.texts.push(runs.text(xml)?);
                    shared.places.push(start.take().unwrap_or(place.start)..place.end);
                }
                _ => runs.see(&event, &place),
            }
            Ok(())
        })?;
        Ok(shared)
    }
}

/// Shows each cell that has a value; returns the number of rows.
pub(super) fn cells<'x>(
    xml: &'x str,
    shared: &'x Shared,
    mut each: impl FnMut(At<'x>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let (mut rows, mut row, mut column) = (0, 0u64, 0usize);
    let mut open: Option<Open> = None;
    events(xml, |event, place| {
        match &event {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == b"row" => {
                rows += 1;
                row = attribute(tag, "r").and_then(|row| row.parse().ok()).unwrap_or(row + 1);
                column = 0;
            }
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == b"c" => {
                if let Some(name) = attribute(tag, "r") {
                    column = column_of(&name).ok_or_else(|| malformed("a cell without a name"))?;
                }
                if matches!(event, Event::Start(_)) {
                    open = Some(Open::new(tag, place.start));
                }
                column += 1;
            }
            Event::End(tag) if tag.local_name().as_ref() == b"c" => {
                let Some(mut cell) = open.take() else { return Ok(()) };
                let formula = cell.formula;
                let at = cell.start..place.end;
                if let Some((text, string)) = cell.text(xml, shared)? {
                    let (tag, prefix) = (cell.tag, cell.prefix);
                    each(At { row, column: column - 1, place: at, tag, prefix, text, formula, shared: string })?;
                }
            }
            event => {
                if let Some(cell) = &mut open {
                    cell.see(event, &place);
                }
            }
        }
        Ok(())
    })?;
    Ok(rows)
}

/// A cell that has begun.
struct Open {
    start: usize,
    tag: String,
    prefix: String,
    kind: String,
    formula: bool,
    value: Option<Range<usize>>,
    begun: usize,
    runs: Runs,
}

impl Open {
    fn new(tag: &BytesStart<'_>, start: usize) -> Self {
        let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
        let mut text = format!("<{name}");
        for attribute in
            tag.attributes().with_checks(false).flatten().filter(|attribute| attribute.key.as_ref() != b"t")
        {
            let (key, value) =
                (String::from_utf8_lossy(attribute.key.as_ref()), String::from_utf8_lossy(&attribute.value));
            let _ = write!(text, " {key}=\"{value}\"");
        }
        let prefix = name.strip_suffix('c').unwrap_or_default().to_owned();
        let kind = attribute(tag, "t").unwrap_or_default();
        Self { start, tag: text, prefix, kind, formula: false, value: None, begun: 0, runs: Runs::default() }
    }

    fn see(&mut self, event: &Event<'_>, place: &Range<usize>) {
        match event {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == b"f" => self.formula = true,
            Event::Start(tag) if tag.local_name().as_ref() == b"v" => self.begun = place.end,
            Event::End(tag) if tag.local_name().as_ref() == b"v" => self.value = Some(self.begun..place.start),
            _ => self.runs.see(event, place),
        }
    }

    /// Its text, and the shared string that it refers to.
    fn text<'x>(&mut self, xml: &'x str, shared: &'x Shared) -> Result<Option<(Text<'x>, Option<usize>)>, Error> {
        let value = self.value.clone().map(|place| &xml[place]);
        Ok(Some(match (&*self.kind, value) {
            ("inlineStr", _) => (Text::Made(self.runs.text(xml)?), None),
            ("s", Some(value)) => {
                let at: usize = value.trim().parse().map_err(|_| malformed("a shared string without a number"))?;
                let text = shared.texts.get(at).ok_or_else(|| malformed("a shared string that is not there"))?;
                (Text::Raw(text), Some(at))
            }
            ("str", Some(value)) => (unescaped(value)?, None),
            ("" | "n", Some(value)) => (number(value.trim()), None),
            _ => return Ok(None),
        }))
    }
}

fn number(value: &str) -> Text<'_> {
    value.parse().ok().and_then(whole).map_or(Text::Raw(value), Text::Made)
}

/// `AB12` is column 27.
fn column_of(name: &str) -> Option<usize> {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic);
    let number = letters.fold(0usize, |n, letter| {
        n.saturating_mul(26).saturating_add(usize::from(letter.to_ascii_uppercase() - b'A') + 1)
    });
    number.checked_sub(1).filter(|column| *column < 16_384)
}

pub(super) fn letters(column: usize) -> String {
    let (mut left, mut letters) = (column + 1, Vec::new());
    while left > 0 {
        letters.push(char::from(b'A' + u8::try_from((left - 1) % 26).unwrap_or_default()));
        left = (left - 1) / 26;
    }
    letters.iter().rev().collect()
}
