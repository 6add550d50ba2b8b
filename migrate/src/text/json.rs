//! JSON lines (RFC 8259, a value a line): strings and numbers at their paths; all other bytes stay as they are.

use std::{char, collections::HashMap, ops::Range, str};

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::{Field, Layout};
use crate::{
    Error,
    cell::{Cell, plausible},
    encoding::{BYTE_ORDER_MARK, Text},
};

/// More different paths than this are keys that are data.
const MOST_PATHS: usize = 10_000;

/// So deep a value may be nested.
const DEEPEST: usize = 128;

/// A value a line. A path is a column: `customer.cards[].number`.
#[derive(Default)]
pub(crate) struct JsonLines {
    paths: Vec<String>,
    places: HashMap<String, usize>,
}

impl JsonLines {
    /// With the paths that were seen before an interruption.
    pub(crate) fn new(paths: Vec<String>) -> Self {
        let places = paths.iter().cloned().enumerate().map(|(at, path)| (path, at)).collect();
        Self { paths, places }
    }

    fn column(&mut self, path: &str) -> Result<usize, Error> {
        if let Some(at) = self.places.get(path) {
            return Ok(*at);
        }
        if self.paths.len() == MOST_PATHS {
            return Err(Error::Refused("more than 10,000 different paths: keys of the objects are data".into()));
        }
        self.paths.push(path.into());
        self.places.insert(path.into(), self.paths.len() - 1);
        Ok(self.paths.len() - 1)
    }
}

impl Layout for JsonLines {
    fn record(&self, bytes: &[u8], last: bool) -> Option<usize> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        end.or((last && !bytes.is_empty()).then_some(bytes.len()))
    }

    fn fields<'r>(&mut self, record: &'r [u8], row: u64) -> Result<Vec<Field<'r>>, Error> {
        let at = if row == 1 && record.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        if record[at..].iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        // From here on the grammar is known to be right.
        if str::from_utf8(record).is_err() || serde_json::from_slice::<IgnoredAny>(&record[at..]).is_err() {
            return Err(Error::Malformed { row, what: "not one JSON value" });
        }
        let mut walk = Walk { columns: self, record, row, at, depth: 0, path: String::new(), fields: Vec::new() };
        walk.value()?;
        Ok(walk.fields)
    }

    /// A token is a string, even where a number stood.
    fn written(&self, _: &[u8], _: &str, new: &str) -> Vec<u8> {
        serde_json::Value::from(new).to_string().into_bytes()
    }

    fn columns(&self) -> Vec<String> {
        self.paths.clone()
    }
}

/// A way through a right value.
struct Walk<'c, 'r> {
    columns: &'c mut JsonLines,
    record: &'r [u8],
    row: u64,
    at: usize,
    depth: usize,
    path: String,
    fields: Vec<Field<'r>>,
}

impl<'r> Walk<'_, 'r> {
    fn peek(&mut self) -> u8 {
        let space = |byte: &&u8| byte.is_ascii_whitespace();
        self.at += self.record[self.at..].iter().take_while(space).count();
        self.record.get(self.at).copied().unwrap_or_default()
    }

    fn value(&mut self) -> Result<(), Error> {
        match self.peek() {
            open @ (b'{' | b'[') => {
                self.at += 1;
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(Error::Malformed { row: self.row, what: "values nested more than 128 deep" });
                }
                let length = self.path.len();
                while !matches!(self.peek(), b'}' | b']' | 0) {
                    if open == b'{' {
                        self.key(length)?;
                    } else {
                        self.path.push_str("[]");
                    }
                    self.value()?;
                    self.path.truncate(length);
                    self.at += usize::from(self.peek() == b',');
                }
                self.at += 1;
                self.depth -= 1;
            }
            b'"' => {
                let place = self.string();
                let text = text(&self.record[place.start + 1..place.end - 1]);
                self.field(place, text.ok_or(self.not_text())?)?;
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}');
                let rest = &self.record[self.at..];
                let place = self.at..self.at + rest.iter().position(ends).unwrap_or(rest.len());
                self.at = place.end;
                let text = str::from_utf8(&self.record[place.clone()]).map_err(|_| self.not_text())?;
                // true, false and null are nobody's number.
                if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
                    self.field(place, Text::Raw(text))?;
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, path: usize) -> Result<(), Error> {
        let place = self.string();
        let key = text(&self.record[place.start + 1..place.end - 1]).ok_or(self.not_text())?;
        let card = match Cell::read(&key) {
            Cell::Number(pan, _) => plausible(&pan),
            Cell::Other { holds } => holds,
            _ => false,
        };
        if card {
            return Err(Error::Malformed { row: self.row, what: "a card number is the key of an object" });
        }
        if path > 0 {
            self.path.push('.');
        }
        self.path.push_str(&key);
        self.peek();
        self.at += 1;
        Ok(())
    }

    /// The bytes of a string with its quotes.
    fn string(&mut self) -> Range<usize> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.record.get(self.at)
            && *byte != b'"'
        {
            self.at += if *byte == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        start..self.at.min(self.record.len())
    }

    fn field(&mut self, place: Range<usize>, text: Text<'r>) -> Result<(), Error> {
        let column = self.columns.column(&self.path)?;
        self.fields.push(Field { column, place, text });
        Ok(())
    }

    fn not_text(&self) -> Error {
        Error::Malformed { row: self.row, what: "a string that is no text" }
    }
}

/// What a string says, in wiped memory if it is written with escapes.
fn text(raw: &[u8]) -> Option<Text<'_>> {
    let raw = str::from_utf8(raw).ok()?;
    if !raw.contains('\\') {
        return Some(Text::Raw(raw));
    }
    // An escape is longer than what it stands for, so this does not grow.
    let (mut made, mut rest) = (Zeroizing::new(String::with_capacity(raw.len())), raw);
    while let Some((before, escape)) = rest.split_once('\\') {
        made.push_str(before);
        let kind = *escape.as_bytes().first()?;
        rest = &escape[1..];
        made.push(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(&mut rest)?;
                let second = match (first, rest.strip_prefix("\\u")) {
                    (0xD800..=0xDBFF, Some(second)) => {
                        rest = second;
                        Some(unit(&mut rest)?)
                    }
                    _ => None,
                };
                char::decode_utf16([first].into_iter().chain(second)).next()?.ok()?
            }
            other => char::from(other),
        });
    }
    made.push_str(rest);
    Some(Text::Made(made))
}

fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u16::from_str_radix(digits, 16).ok()
}
