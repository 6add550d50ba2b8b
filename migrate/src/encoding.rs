//! Bytes and characters: UTF-8 and what Windows calls Shift_JIS (CP932).

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
    ops::Deref,
    str,
};

use encoding_rs::SHIFT_JIS;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Error, cell::whole};

/// How a file's characters are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// With or without byte order mark, which is kept.
    Utf8,
    /// CP932: Shift_JIS as Windows and WHATWG have it.
    ShiftJis,
}

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A text out of a file: as it stands there, or made from it and wiped.
#[derive(Debug)]
pub(crate) enum Text<'a> {
    Raw(&'a str),
    Made(Zeroizing<String>),
}

impl<'a> Text<'a> {
    /// Bytes that are no UTF-8 are no card number; each wrong sequence becomes one character.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Self {
        if let Ok(text) = str::from_utf8(bytes) {
            return Self::Raw(text);
        }
        // So long at most: growing would leave a copy behind.
        let mut text =
            Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(char::REPLACEMENT_CHARACTER.len_utf8())));
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Self::Made(text)
    }

    /// A whole double of 16 digits or more reads as a float that has lost some.
    pub(crate) fn of_double(number: f64) -> Self {
        whole(number).map_or_else(|| Self::of_number(number), Self::Made)
    }

    /// A decimal with so many places, as people write it: without zeros at the end of its fraction.
    pub(crate) fn of_decimal(number: i128, places: u32) -> Self {
        let Some(one) = 10_u128.checked_pow(places) else {
            // Nothing is left before the point.
            return Self::of_number(format_args!("{number}e-{places}"));
        };
        let (whole, mut fraction) = (number.unsigned_abs() / one, number.unsigned_abs() % one);
        let (sign, mut width) = (if number < 0 { "-" } else { "" }, places as usize);
        if fraction == 0 {
            return Self::of_number(format_args!("{sign}{whole}"));
        }
        while fraction.is_multiple_of(10) {
            (fraction, width) = (fraction / 10, width - 1);
        }
        Self::of_number(format_args!("{sign}{whole}.{fraction:0width$}"))
    }

    /// A number as people write it.
    pub(crate) fn of_number(number: impl Display) -> Self {
        // The longest that could be a card number is a decimal: 39 digits, a sign, and an exponent of up to ten digits.
        let mut text = Zeroizing::new(String::with_capacity(56));
        let _ = write!(text, "{number}");
        Self::Made(text)
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Raw(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl Encoding {
    /// The text of bytes; `None` if they are none in this encoding.
    pub(crate) fn text(self, bytes: &[u8]) -> Option<Text<'_>> {
        match self {
            Self::Utf8 => str::from_utf8(bytes).ok().map(Text::Raw),
            Self::ShiftJis => match SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes)? {
                Cow::Borrowed(text) => Some(Text::Raw(text)),
                Cow::Owned(text) => Some(Text::Made(Zeroizing::new(text))),
            },
        }
    }

    /// How many bytes a text of this encoding has.
    pub(crate) fn length(self, text: &str) -> usize {
        match self {
            Self::Utf8 => text.len(),
            // One byte: ASCII, the control character 0x80, half-width katakana.
            Self::ShiftJis => {
                text.chars().map(|c| if c <= '\u{80}' || ('\u{FF61}'..='\u{FF9F}').contains(&c) { 1 } else { 2 }).sum()
            }
        }
    }

    /// The bytes of a text that was of this encoding.
    pub(crate) fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::ShiftJis => SHIFT_JIS.encode(text).0.into_owned(),
        }
    }
}

/// Tells the encoding of a file of which all bytes are shown to it, one piece after the other.
pub(crate) struct Detector {
    first: Vec<u8>,
    utf8: Option<encoding_rs::Decoder>,
    shift_jis: Option<encoding_rs::Decoder>,
    last: u8,
    escapes: bool,
    scratch: Zeroizing<Vec<u8>>,
}

impl Detector {
    pub(crate) fn new() -> Self {
        Self {
            first: Vec::new(),
            utf8: Some(encoding_rs::UTF_8.new_decoder_without_bom_handling()),
            shift_jis: Some(SHIFT_JIS.new_decoder_without_bom_handling()),
            last: 0,
            escapes: false,
            scratch: Zeroizing::new(vec![0; 64 << 10]),
        }
    }

    pub(crate) fn see(&mut self, bytes: &[u8], end: bool) {
        let wanted = 4 - self.first.len().min(4);
        self.first.extend(bytes.iter().take(wanted));
        for byte in bytes {
            self.escapes |= self.last == 0x1B && matches!(byte, b'$' | b'(');
            self.last = *byte;
        }
        for decoder in [&mut self.utf8, &mut self.shift_jis] {
            if let Some(decoding) = decoder
                && !decodes(decoding, bytes, end, &mut self.scratch)
            {
                *decoder = None;
            }
        }
    }

    /// # Errors
    /// [`Error::Refused`], by name where it can be told.
    pub(crate) fn encoding(&self) -> Result<Encoding, Error> {
        let refused =
            |name: &str| Err(Error::Refused(format!("the file is {name}: save it as UTF-8 or Shift_JIS (CP932)")));
        match &self.first[..] {
            [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => return refused("UTF-16"),
            [0, _, 0, _] | [_, 0, _, 0] => return refused("UTF-16"),
            [b'P', b'K', 3, 4] => return refused("a zip archive or workbook"),
            [0xD0, 0xCF, 0x11, 0xE0] => return refused("an old or encrypted workbook"),
            _ => {}
        }
        match (&self.utf8, &self.shift_jis) {
            _ if self.escapes => refused("ISO-2022-JP"),
            (Some(_), _) => Ok(Encoding::Utf8),
            (None, Some(_)) => Ok(Encoding::ShiftJis),
            (None, None) => refused("neither UTF-8 nor Shift_JIS (CP932)"),
        }
    }
}

fn decodes(decoder: &mut encoding_rs::Decoder, mut bytes: &[u8], end: bool, scratch: &mut [u8]) -> bool {
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(bytes, scratch, end);
        bytes = &bytes[read..];
        match result {
            encoding_rs::DecoderResult::InputEmpty => return true,
            encoding_rs::DecoderResult::OutputFull => {}
            encoding_rs::DecoderResult::Malformed(..) => return false,
        }
    }
}
