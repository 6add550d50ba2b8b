//! The parser of `pkcs11:` URIs (RFC 7512), as far as they name a token.

use std::{path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;

use crate::{PinSource, TokenSelector};

/// Why text is not a URI that names a token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    #[error("a token's URI begins with pkcs11:")]
    Scheme,
    /// A part that is not `name=value`.
    #[error("part {0} of the pkcs11: URI is not name=value")]
    Syntax(usize),
    /// A bad percent escape, a character that must be escaped, or bytes that are not UTF-8.
    #[error("the value of {0} is not well-formed")]
    Value(&'static str),
    /// The attribute does not describe a token, or is unknown. Ignoring it could choose another token than was meant.
    #[error("the pkcs11: URI has an attribute that does not choose a token: {0}")]
    Attribute(String),
    /// The attribute is there twice.
    #[error("the pkcs11: URI has {0} twice")]
    Duplicate(&'static str),
    /// A PIN in a URI ends up in configuration files, logs and process lists: put it in a file and name that.
    #[error("a PIN must not be in a URI: use pin-source")]
    PinValue,
    /// A `pin-source` that is not a file; commands are never run.
    #[error("pin-source must be an absolute path or a file: URI")]
    PinSource,
}

impl FromStr for TokenSelector {
    type Err = UriError;

    /// Reads `pkcs11:token=..;manufacturer=..;model=..;serial=..;slot-id=..?module-path=..&module-name=..&pin-source=..`.
    ///
    /// # Errors
    /// [`UriError`]. No error repeats a value, because one of them might be a PIN.
    fn from_str(uri: &str) -> Result<Self, UriError> {
        // A scheme is case-insensitive (RFC 3986, 3.1).
        let (scheme, rest) = uri.split_at_checked("pkcs11:".len()).ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("pkcs11:") {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parser = Parser::default();
        for part in path.split(';').filter(|_| !path.is_empty()) {
            parser.path_attribute(part)?;
        }
        for part in query.split('&').filter(|_| !query.is_empty()) {
            parser.query_attribute(part)?;
        }
        Ok(parser.selector)
    }
}

#[derive(Default)]
struct Parser {
    selector: TokenSelector,
    parts: usize,
}

impl Parser {
    fn path_attribute(&mut self, part: &str) -> Result<(), UriError> {
        let (name, value) = self.split(part)?;
        let selector = &mut self.selector;
        match name {
            "token" => set("token", &mut selector.token, text("token", value)?),
            "manufacturer" => set("manufacturer", &mut selector.manufacturer, text("manufacturer", value)?),
            "model" => set("model", &mut selector.model, text("model", value)?),
            "serial" => set("serial", &mut selector.serial, text("serial", value)?),
            "slot-id" => set("slot-id", &mut selector.slot_id, number("slot-id", value)?),
            // In the path it is an error as well, but the one that says why.
            "pin-value" => Err(UriError::PinValue),
            other => Err(UriError::Attribute(printable(other))),
        }
    }

    fn query_attribute(&mut self, part: &str) -> Result<(), UriError> {
        let (name, value) = self.split(part)?;
        let selector = &mut self.selector;
        match name {
            "module-path" => set("module-path", &mut selector.module_path, text("module-path", value)?.into()),
            "module-name" => set("module-name", &mut selector.module_name, text("module-name", value)?),
            "pin-source" => set("pin-source", &mut selector.pin_source, pin_source(&text("pin-source", value)?)?),
            "pin-value" => Err(UriError::PinValue),
            other => Err(UriError::Attribute(printable(other))),
        }
    }

    fn split<'a>(&mut self, part: &'a str) -> Result<(&'a str, &'a str), UriError> {
        self.parts += 1;
        match part.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name, value)),
            _ => Err(UriError::Syntax(self.parts)),
        }
    }
}

fn set<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), UriError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Duplicate(name)),
    }
}

fn text(name: &'static str, value: &str) -> Result<String, UriError> {
    let bad = UriError::Value(name);
    // The decoder leaves a bad escape as it is; here it is an error.
    let escape = |tail: &[u8]| matches!(tail, [_, a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    let bytes = value.as_bytes();
    if value.bytes().enumerate().any(|(at, byte)| match byte {
        b'%' => !escape(&bytes[at..]),
        // Unreserved, sub-delimiters and what RFC 7512, 2.3 allows beside them.
        byte => !(byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&/?|".contains(&byte)),
    }) {
        return Err(bad);
    }
    percent_decode_str(value).decode_utf8().map(Into::into).map_err(|_| bad)
}

fn number(name: &'static str, value: &str) -> Result<u64, UriError> {
    // Digits only: `u64` would take a sign as well.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(UriError::Value(name))
}

/// `/path`, `file:/path` or `file:///path` (RFC 7512, 2.4). `|command` is not supported.
fn pin_source(value: &str) -> Result<PinSource, UriError> {
    let path = value.strip_prefix("file:").map_or(value, |path| path.strip_prefix("//").unwrap_or(path));
    if path.starts_with('/') { Ok(PinSource::File(PathBuf::from(path))) } else { Err(UriError::PinSource) }
}

/// A name from outside, cut and cleaned for an error message.
fn printable(name: &str) -> String {
    name.chars().take(32).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}
