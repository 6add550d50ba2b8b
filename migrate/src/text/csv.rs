//! CSV and TSV (RFC 4180): cut at the bytes, so that all that is not replaced stays as it is.
//!
//! Delimiter, quote and line ends are never the second byte of a character, neither in UTF-8 nor in CP932.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{Field, Layout};
use crate::{
    Encoding, Error,
    cell::shows_too_much,
    encoding::{BYTE_ORDER_MARK, Text},
};

/// Records with a delimiter between two cells.
pub(crate) struct Csv {
    delimiter: u8,
    encoding: Encoding,
    /// `None`: the first record tells.
    header: Option<bool>,
    names: Vec<String>,
    /// Columns in the longest record so far.
    width: usize,
}

impl Csv {
    pub(crate) fn new(delimiter: u8, encoding: Encoding, header: Option<bool>) -> Self {
        Self { delimiter, encoding, header, names: Vec::new(), width: 0 }
    }

    /// The cells of a record: the bytes inside of quotes.
    fn cells(&self, record: &[u8]) -> Vec<Range<usize>> {
        let (mut cells, mut at) = (Vec::new(), 0);
        let ends = |byte: &u8| *byte == self.delimiter || matches!(byte, b'\r' | b'\n');
        loop {
            let end;
            if record.get(at) == Some(&b'"') {
                let close = closing(&record[at + 1..]).map_or(record.len(), |close| at + 1 + close);
                let after = record.get(close + 1..).unwrap_or_default();
                let rest = after.iter().position(ends).unwrap_or(after.len());
                // What follows the quote belongs to the cell, as other readers have it.
                cells.push(if rest == 0 { at + 1..close } else { at..close + 1 + rest });
                end = (close + 1 + rest).min(record.len());
            } else {
                end = record[at..].iter().position(ends).map_or(record.len(), |end| at + end);
                cells.push(at..end);
            }
            if record.get(end) != Some(&self.delimiter) {
                return cells;
            }
            at = end + 1;
        }
    }

    fn text<'r>(&self, record: &'r [u8], cell: Range<usize>, row: u64) -> Result<Text<'r>, Error> {
        let raw = &record[cell.clone()];
        let malformed = Error::Malformed { row, what: "bytes that are no character" };
        let text = self.encoding.text(raw).ok_or(malformed)?;
        let quoted = cell.start > 0 && record[cell.start - 1] == b'"';
        if !(quoted && text.contains("\"\"")) {
            return Ok(text);
        }
        // It does not grow, so it leaves no copies.
        let mut made = Zeroizing::new(String::with_capacity(text.len()));
        text.split("\"\"").enumerate().for_each(|(at, part)| {
            made.push_str(if at == 0 { "" } else { "\"" });
            made.push_str(part);
        });
        Ok(Text::Made(made))
    }
}

/// Where the quote is that ends a quoted cell: the first one that is not doubled.
fn closing(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == b'"')?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

impl Layout for Csv {
    fn record(&self, bytes: &[u8], last: bool) -> Option<usize> {
        let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let (mut at, mut begins) = (mark, true);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' if begins => match closing(&bytes[at + 1..]) {
                    Some(close) if last || at + 1 + close + 1 < bytes.len() => at += 1 + close,
                    // It may be the first of two.
                    Some(_) => return None,
                    None => return last.then_some(bytes.len()),
                },
                b'\n' => return Some(at + 1),
                b'\r' => match bytes.get(at + 1) {
                    Some(b'\n') => return Some(at + 2),
                    None if !last => return None,
                    _ => return Some(at + 1),
                },
                _ => {}
            }
            begins = *byte == self.delimiter;
            at += 1;
        }
        (last && !bytes.is_empty()).then_some(bytes.len())
    }

    fn fields<'r>(&mut self, record: &'r [u8], row: u64) -> Result<Vec<Field<'r>>, Error> {
        let mark = if row == 1 && record.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut fields = Vec::new();
        for (column, cell) in self.cells(&record[mark..]).into_iter().enumerate() {
            let place = cell.start + mark..cell.end + mark;
            if record.get(place.start.wrapping_sub(1)) == Some(&b'"') && record.get(place.end) != Some(&b'"') {
                return Err(Error::Malformed { row, what: "a quote that does not end" });
            }
            let text = self.text(record, place.clone(), row)?;
            fields.push(Field { column, place, text });
        }
        self.width = self.width.max(fields.len());
        if row == 1 {
            // A row with a number in it is no header, whatever was said: it would be copied.
            let numbers = fields.iter().any(|field| shows_too_much(&field.text));
            if numbers && self.header == Some(true) {
                return Err(Error::Malformed { row, what: "the header has a number of more than ten digits" });
            }
            if self.header.unwrap_or(!numbers) {
                self.names = fields.iter().map(|field| field.text.trim().to_owned()).collect();
                return Ok(Vec::new());
            }
        }
        Ok(fields)
    }

    fn written(&self, raw: &[u8], old: &str, new: &str) -> Vec<u8> {
        // What is the same at both ends keeps its bytes.
        if self.encoding.length(old) == raw.len() {
            let same = |(a, b): &(char, char)| a == b;
            let front: usize = old.chars().zip(new.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
            let (old, new) = (&old[front..], &new[front..]);
            let back: usize =
                old.chars().rev().zip(new.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
            let (middle, back) = (&new[..new.len() - back], &old[old.len() - back..]);
            let front = raw.len() - self.encoding.length(old);
            let back = raw.len() - self.encoding.length(back);
            return [&raw[..front], &self.encoding.bytes(middle), &raw[back..]].concat();
        }
        self.encoding.bytes(&new.replace('"', "\"\""))
    }

    fn columns(&self) -> Vec<String> {
        let name = |at: usize| match self.names.get(at).map(String::as_str) {
            None | Some("") => format!("column {}", at + 1),
            Some(name) => name.to_owned(),
        };
        (0..self.width.max(self.names.len())).map(name).collect()
    }

    fn header(&self) -> bool {
        !self.names.is_empty()
    }
}
