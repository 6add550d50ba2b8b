//! The grammar of tracks 1 and 2 (ISO/IEC 7813), of track 3's frame, and of keyed entry.

use subtle::{Choice, CtOption};

use super::check_character::Charset;

/// The fields of one decrypted track, borrowed from its text.
#[derive(Default)]
pub(super) struct Fields<'t> {
    pub(super) pan: &'t [u8],
    pub(super) name: Option<&'t [u8]>,
    pub(super) expiry: Option<[u8; 4]>,
    pub(super) service_code: Option<[u8; 3]>,
    pub(super) security_code: Option<&'t [u8]>,
}

/// What the payload tells of the end of a track.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The length: the text, and its check character.
    Told(usize),
    /// Nothing: the text, its check character unless it is left out, and padding.
    Open,
    /// The clear text is cut out of a longer one: the text and nothing else.
    Bare,
}

/// Finds the end of a track: the text up to and with the end sentinel, if [`Charset::text_length`] finds it right and it
/// `agrees` with its masked copy.
pub(super) fn text(clear: &[u8], told: End, charset: Charset, agrees: Choice) -> Option<&[u8]> {
    let (length, bare) = match told {
        End::Told(length) => (Some(length), false),
        End::Open => (None, false),
        End::Bare => (None, true),
    };
    // The one decision over the whole text; from here on, its length is known.
    let end = charset.text_length(clear, length).and_then(|end| CtOption::new(end, agrees));
    let end: u64 = Option::from(end)?;
    let text = clear.get(..usize::try_from(end).ok()?)?;
    (!bare || text.len() == clear.len()).then_some(text)
}

/// `%B PAN ^ name ^ YYMM|^ SC|^ discretionary ?`
pub(super) fn track1(text: &[u8]) -> Option<Fields<'_>> {
    let inner = text.strip_prefix(b"%B")?.strip_suffix(b"?")?;
    let mut parts = inner.splitn(3, |&byte| byte == b'^');
    let (pan, name, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (expiry, service_code, _) = expiry_and_service_code(rest, b'^')?;
    Some(Fields { pan: account(pan)?, name: Some(name), expiry, service_code, ..Fields::default() })
}

/// `; PAN = YYMM|= SC|= discretionary ?`
pub(super) fn track2(text: &[u8]) -> Option<Fields<'_>> {
    let inner = text.strip_prefix(b";")?.strip_suffix(b"?")?;
    let separator = inner.iter().position(|&byte| byte == b'=')?;
    let (pan, rest) = (&inner[..separator], &inner[separator + 1..]);
    let (expiry, service_code, discretionary) = expiry_and_service_code(rest, b'=')?;
    if !discretionary.iter().all(|byte| byte.is_ascii_digit() || *byte == b'=') {
        return None;
    }
    Some(Fields { pan: account(pan)?, expiry, service_code, ..Fields::default() })
}

/// The same of a chip. A month that does not exist is no expiry here: other objects tell it then.
pub(super) fn equivalent(text: &[u8]) -> Option<Fields<'_>> {
    let inner = text.strip_prefix(b";")?.strip_suffix(b"?")?;
    let separator = inner.iter().position(|&byte| byte == b'=')?;
    let (pan, rest) = (&inner[..separator], &inner[separator + 1..]);
    let (year_month, behind) = rest.split_first_chunk::<4>()?;
    let (service_code, _) = behind.split_first_chunk::<3>()?;
    // A chip leaves nothing out.
    let digits = rest.iter().all(u8::is_ascii_digit);
    let fields = Fields { pan: account(pan)?, expiry: expiry(*year_month), ..Fields::default() };
    digits.then_some(Fields { service_code: Some(*service_code), ..fields })
}

/// `; PAN = YYMM ?` or `; PAN = YYMM : security code ?`, as a keypad encrypts what was keyed in.
pub(super) fn keyed(text: &[u8]) -> Option<Fields<'_>> {
    let inner = text.strip_prefix(b";")?.strip_suffix(b"?")?;
    let separator = inner.iter().position(|&byte| byte == b'=')?;
    let (pan, rest) = (&inner[..separator], &inner[separator + 1..]);
    let (year_month, code) = rest.split_first_chunk::<4>()?;
    let security_code = match code {
        [] => None,
        [b':', digits @ ..] if matches!(digits.len(), 3 | 4) && digits.iter().all(u8::is_ascii_digit) => Some(digits),
        _ => return None,
    };
    Some(Fields { pan: account(pan)?, expiry: Some(expiry(*year_month)?), security_code, ..Fields::default() })
}

/// `PAN = YYMM =` or `PAN = YYMM = security code`, with nothing around it.
pub(super) fn keyed_bare(text: &[u8]) -> Option<Fields<'_>> {
    let mut parts = text.split(|&byte| byte == b'=');
    let (pan, year_month, code) = (parts.next()?, parts.next()?.first_chunk::<4>()?, parts.next()?);
    let legal = matches!(code.len(), 0 | 3 | 4) && code.iter().all(u8::is_ascii_digit);
    let security_code = Some(code).filter(|code| !code.is_empty());
    // Nothing else: not even behind the expiry.
    if !legal || text.len() != pan.len() + code.len() + 6 || parts.next().is_some() {
        return None;
    }
    Some(Fields { pan: account(pan)?, expiry: Some(expiry(*year_month)?), security_code, ..Fields::default() })
}

/// Whether this is the text of a third track: it holds no card number of its own, so only its frame is checked.
pub(super) fn track3(text: &[u8]) -> bool {
    matches!(text.first(), Some(b';' | b'+')) && text.len() > 2
}

fn account(digits: &[u8]) -> Option<&[u8]> {
    ((12..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)).then_some(digits)
}

type ExpiryAndServiceCode<'t> = (Option<[u8; 4]>, Option<[u8; 3]>, &'t [u8]);

/// Each of the two may be left out: a separator then stands in its place.
fn expiry_and_service_code(rest: &[u8], separator: u8) -> Option<ExpiryAndServiceCode<'_>> {
    let (expiry, rest) = match rest.split_first()? {
        (&first, rest) if first == separator => (None, rest),
        _ => {
            let (year_month, rest) = rest.split_first_chunk::<4>()?;
            (Some(expiry(*year_month)?), rest)
        }
    };
    let (service_code, rest) = match rest.split_first()? {
        (&first, rest) if first == separator => (None, rest),
        _ => {
            let (code, rest) = rest.split_first_chunk::<3>()?;
            (Some(Some(*code).filter(|code| code.iter().all(u8::is_ascii_digit))?), rest)
        }
    };
    Some((expiry, service_code, rest))
}

/// YYMM with a month that exists.
pub(super) fn expiry(year_month: [u8; 4]) -> Option<[u8; 4]> {
    let month = &year_month[2..];
    (year_month.iter().all(u8::is_ascii_digit) && (b"01"..=b"12").contains(&month.first_chunk()?)).then_some(year_month)
}
