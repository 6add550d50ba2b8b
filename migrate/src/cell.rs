//! What stands in a cell: a card number as people and spreadsheets write it, a token, or something else.

use std::{fmt::Write as _, ops::Range, str::FromStr};

use p2pe_crypto::{Brand, Pan, VaultToken};
use zeroize::Zeroizing;

/// More digits than this are never written again where they were: BIN and last four are ten.
const SHOWN: usize = 10;

/// A cell, read.
#[derive(Debug)]
pub enum Cell {
    /// Nothing but white space.
    Empty,
    /// 12 to 19 digits, and where they stand in the text, from the first to the last.
    Number(Pan, Range<usize>),
    /// A card number that a program took for a floating-point number: `4.54714E+15`, `4547140000000000.0`. Which digits are
    /// lost cannot be told.
    Float,
    /// A token of a vault or of a keyed hash.
    Token,
    /// Anything else, and whether a plausible card number stands within it.
    Other {
        /// So it must not be copied.
        holds: bool,
    },
}

/// A number that a scheme could have issued: its range and length, and its check digit where it has one.
#[must_use]
pub fn plausible(pan: &Pan) -> bool {
    pan.brand().is_some_and(|brand| pan.luhn() || !brand.luhn_always())
}

impl Cell {
    /// Reads a text. Digits may be full-width, with one separator (space, hyphen, middle dot and their like) between two of
    /// them, and an apostrophe or `="…"` around the number, as spreadsheets have it.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if !may_hold(text) {
            return match text.chars().all(white) {
                true => Self::Empty,
                false if is_token(text.trim()) => Self::Token,
                false => Self::Other { holds: false },
            };
        }
        let core = unwrapped(text);
        if is_token(core) {
            return Self::Token;
        }
        if is_float(core) {
            return Self::Float;
        }
        let runs = runs(core);
        if let [run] = &runs[..]
            && run.start == 0
            && run.end == core.len()
            && let Some(pan) = run.pan()
        {
            let at = core.as_ptr() as usize - text.as_ptr() as usize;
            return Self::Number(pan, at..at + core.len());
        }
        Self::Other { holds: runs.iter().any(Run::holds) }
    }
}

/// The text with no more digits than may be shown: of a number BIN and last four, of a float the BIN, of other texts none where
/// there are more than ten.
#[must_use]
pub fn masked(text: &str, cell: &Cell) -> String {
    let count = text.chars().filter(|c| digit(*c).is_some()).count();
    let (first, last) = match cell {
        Cell::Number(..) => (6, count.saturating_sub(4)),
        Cell::Float => (6, count),
        _ if count <= SHOWN => (count, count),
        _ => (0, count),
    };
    let mut at = 0;
    let mask = |c: char| match digit(c) {
        Some(_) => {
            at += 1;
            if (first..last).contains(&(at - 1)) { '*' } else { c }
        }
        None => c,
    };
    text.chars().map(mask).collect()
}

/// Whether there are more digits in a text than may be shown.
#[must_use]
pub(crate) fn shows_too_much(text: &str) -> bool {
    text.chars().filter(|c| digit(*c).is_some()).count() > SHOWN
}

/// Whether a text that nobody decides on is, or holds, a card number.
pub(crate) fn holds_card(text: &str) -> bool {
    match Cell::read(text) {
        Cell::Number(pan, _) => plausible(&pan),
        Cell::Other { holds } => holds,
        Cell::Float => shows_too_much(text),
        Cell::Empty | Cell::Token => false,
    }
}

/// The digits of a whole number of 12 to 19 digits that was kept as a double. Of more than 15, some may have been lost on the way
/// (spreadsheets keep 15): it reads as a float.
pub(crate) fn whole(number: f64) -> Option<Zeroizing<String>> {
    (number.fract() == 0.0 && (1e11..1e19).contains(&number)).then(|| {
        let mut text = Zeroizing::new(String::with_capacity(32));
        let _ = write!(text, "{number:.0}{}", if number < 1e15 { "" } else { ".0" });
        text
    })
}

/// Enough digits for a card number, or a float. Nearly all cells end here.
fn may_hold(text: &str) -> bool {
    let (mut digits, mut float) = (0, false);
    for byte in text.bytes() {
        // A full-width digit has one byte of 0x90 to 0x99.
        digits += usize::from(byte.is_ascii_digit() || (0x90..=0x99).contains(&byte));
        float |= byte | 0x20 == b'e';
    }
    digits >= 12 || float && digits >= 2
}

fn unwrapped(text: &str) -> &str {
    let core = text.trim_matches(white);
    if let Some(inner) = core.strip_prefix("=\"").and_then(|core| core.strip_suffix('"')) {
        return inner.trim_matches(white);
    }
    core.strip_prefix(['\'', '\u{FF07}']).unwrap_or(core).trim_matches(white)
}

fn white(c: char) -> bool {
    c.is_whitespace() || c == '\u{FEFF}'
}

fn digit(c: char) -> Option<u8> {
    let value = match c {
        '0'..='9' => u32::from(c) - u32::from('0'),
        '\u{FF10}'..='\u{FF19}' => u32::from(c) - 0xFF10,
        _ => return None,
    };
    u8::try_from(value).ok().map(|value| b'0' + value)
}

/// What people put between the groups of a number: spaces, hyphens and dashes, middle dots, and the long vowel mark that passes
/// for a hyphen.
fn separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{A0}' | '\u{3000}' | '-' | '\u{2010}'
            ..='\u{2015}' | '\u{2212}' | '\u{FF0D}' | '\u{30FC}' | '\u{FF70}' | '\u{B7}' | '\u{30FB}' | '\u{FF65}'
    )
}

fn is_token(core: &str) -> bool {
    let keyed = |rest: &str| rest.len() == 32 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    VaultToken::from_str(core).is_ok() || core.strip_prefix("tok_").is_some_and(keyed)
}

/// A whole number of 12 to 19 digits in the form of a floating-point number, in a scheme's range.
fn is_float(core: &str) -> bool {
    let (mantissa, exponent) = match core.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) => (mantissa, Some(exponent)),
            Err(_) => return false,
        },
        None => (core, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some(parts) => parts,
        None if exponent.is_some() => (mantissa, ""),
        None => return false,
    };
    let mut digits = Zeroizing::new([b'0'; 19]);
    let written = whole.len() + fraction.len();
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return false;
    }
    let Some(length) = usize::try_from(exponent.unwrap_or(0)).ok().and_then(|e| whole.len().checked_add(e)) else {
        return false;
    };
    // What stands behind the point, once it is moved, must be zeros.
    if !(12..=19).contains(&length)
        || written > length && whole.bytes().chain(fraction.bytes()).skip(length).any(|b| b != b'0')
    {
        return false;
    }
    digits.iter_mut().zip(whole.bytes().chain(fraction.bytes())).for_each(|(to, from)| *to = from);
    Pan::new(&digits[..length]).is_ok_and(|pan| Brand::of(&pan).is_some())
}

/// Groups of digits with one separator between two groups; where it stands, in bytes.
struct Run {
    start: usize,
    end: usize,
    digits: Zeroizing<Vec<u8>>,
    /// Where in `digits` the groups begin.
    groups: Vec<usize>,
}

impl Run {
    fn pan(&self) -> Option<Pan> {
        Pan::new(&self.digits).ok()
    }

    /// Whether neighbouring groups are a plausible number.
    fn holds(&self) -> bool {
        let ends = || self.groups.iter().copied().skip(1).chain([self.digits.len()]);
        self.groups.iter().any(|start| {
            ends()
                .filter(|end| end > start)
                .any(|end| Pan::new(&self.digits[*start..end]).is_ok_and(|pan| plausible(&pan)))
        })
    }
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // The run that may go on, and whether a separator came after its last digit.
    let (mut open, mut gap) = (false, false);
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match (digit(c), runs.last_mut().filter(|_| open)) {
            (Some(digit), Some(run)) => {
                if gap {
                    run.groups.push(run.digits.len());
                }
                run.push(digit);
                run.end = end;
                gap = false;
            }
            (Some(digit), None) => {
                let mut run = Run { start: at, end, digits: Zeroizing::new(Vec::with_capacity(32)), groups: vec![0] };
                run.push(digit);
                runs.push(run);
                (open, gap) = (true, false);
            }
            (None, _) if separator(c) && open && !gap => gap = true,
            (None, _) => open = false,
        }
    }
    runs
}

impl Run {
    fn push(&mut self, digit: u8) {
        if self.digits.len() == self.digits.capacity() {
            // Growing in place would leave a copy behind.
            let mut longer = Zeroizing::new(Vec::with_capacity(self.digits.len() * 2));
            longer.extend_from_slice(&self.digits);
            self.digits = longer;
        }
        self.digits.push(digit);
    }
}
