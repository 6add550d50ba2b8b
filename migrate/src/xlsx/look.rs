//! Whether a card number stands in a part of a workbook: in a text, in an attribute, or in texts that belong together.

use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

use super::sheet::{events, unescaped};
use crate::{Error, cell::holds_card};

/// Looks through all of a part. The values of cells are left out where `cells` are decided on elsewhere.
pub(super) fn holds(xml: &str, cells: bool) -> Result<bool, Error> {
    let (mut found, mut value, mut joined) =
        (false, false, Zeroizing::new(String::with_capacity(xml.len().min(1 << 20))));
    let mut inside = false;
    events(xml, |event, place| {
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                found |= in_attributes(tag)?;
                let start = matches!(event, Event::Start(_));
                match tag.local_name().as_ref() {
                    b"v" | b"is" if cells => value = start,
                    b"t" if start => inside = true,
                    // What belongs together begins: a comment, a shared string, a paragraph of a drawing.
                    b"text" | b"si" | b"p" | b"is" => joined.clear(),
                    _ => {}
                }
            }
            Event::End(tag) => match tag.local_name().as_ref() {
                b"v" | b"is" if cells => value = false,
                b"t" => inside = false,
                b"text" | b"si" | b"p" | b"is" => {
                    found |= holds_card(&joined);
                    joined.clear();
                }
                _ => {}
            },
            Event::Text(_) | Event::CData(_) if !value => {
                let text = unescaped(&xml[place])?;
                found |= holds_card(&text);
                // Longer texts are no card number in pieces.
                if inside && joined.len() + text.len() < joined.capacity() {
                    joined.push_str(&text);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn in_attributes(tag: &BytesStart<'_>) -> Result<bool, Error> {
    for attribute in tag.attributes().with_checks(false).flatten() {
        let value = unescaped(str::from_utf8(&attribute.value).unwrap_or_default())?;
        if !is_guid(&value) && holds_card(&value) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_guid(text: &str) -> bool {
    let text = text.trim_start_matches('{').trim_end_matches('}');
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
