//! Cards on their way in: from a file or standard input, never from the command line.

use std::{io, path::Path, str};

use p2pe_config::{read_file_wiped, read_wiped};
use p2pe_crypto::{Expiry, Pan};

use super::on_line;
use crate::failure::Failure;

/// No list of card numbers is longer than this, in bytes.
const LONGEST: usize = 64 << 20;

/// Card numbers, one a line; with expiry dates, number, space and YYMM.
pub(super) fn read(file: Option<&Path>, with_expiry: bool) -> Result<Vec<(Pan, Option<Expiry>)>, Failure> {
    let read = match file {
        Some(path) => read_file_wiped(path, LONGEST),
        None => read_wiped(io::stdin().lock(), LONGEST),
    };
    let bytes = read.map_err(|error| {
        Failure::usage(format!("cannot read the card numbers: {error}"), "pass a file or standard input")
    })?;
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| card(line, with_expiry).map_err(|e| on_line(at, e)))
        .collect()
}

fn card(line: &[u8], with_expiry: bool) -> Result<(Pan, Option<Expiry>), Failure> {
    let (number, date) = match line.iter().position(|byte| *byte == b' ') {
        Some(space) if with_expiry => (&line[..space], Some(line[space..].trim_ascii_start())),
        _ => (line, None),
    };
    let pan = Pan::new(number)
        .map_err(|error| Failure::new(4, error.code(), error, "one card number a line, digits only"))?;
    if !with_expiry {
        return Ok((pan, None));
    }
    let expiry = date.and_then(|date| str::from_utf8(date).ok()?.parse().ok()).ok_or_else(|| {
        Failure::new(4, "expiry_format", "no expiry date behind the number", "write number, space and YYMM")
    })?;
    Ok((pan, Some(expiry)))
}
