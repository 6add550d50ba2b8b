//! The card that the virtual device reads. A card number on the command line is seen by others: it is a published one.

use std::{io, path::Path, str};

use p2pe_config::{read_file_wiped, read_wiped};
use p2pe_virtual_devices::{Card, CardError, TEST_NUMBERS};
use zeroize::Zeroizing;

use super::args::Simulate;
use crate::failure::Failure;

/// No card file is longer than this, in bytes.
const LONGEST: usize = 4096;
const EXPIRY: &str = "3012";

pub(super) fn card(args: &Simulate) -> Result<Card, Failure> {
    match (&args.card_file, &args.card) {
        (Some(path), _) => of_file(&read(path)?),
        (None, Some(number)) if !TEST_NUMBERS.contains(&number.as_str()) => Err(Failure::usage(
            "the number of --card is not one of the published test numbers",
            "put it into a file for --card-file; it may be in the shell's history now",
        )),
        (None, number) => {
            let number = number.as_deref().unwrap_or(TEST_NUMBERS[0]);
            Card::new(number, args.expiry.as_deref().unwrap_or(EXPIRY)).map_err(malformed)
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let read =
        if path == Path::new("-") { read_wiped(io::stdin().lock(), LONGEST) } else { read_file_wiped(path, LONGEST) };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display()), "correct --card-file"))
}

/// Lines of a name and a value.
fn of_file(text: &[u8]) -> Result<Card, Failure> {
    const NAMES: [&str; 7] = ["card", "expiry", "name", "service_code", "security_code", "street", "zip"];
    let unknown = || {
        Failure::usage(
            "the card file is not lines of a name and a value",
            "the names are card, expiry, name, service_code, security_code, street and zip",
        )
    };
    let mut values: [Option<&str>; 7] = [None; 7];
    for line in str::from_utf8(text).map_err(|_| unknown())?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(char::is_whitespace).ok_or_else(unknown)?;
        let place = NAMES.iter().position(|known| *known == name).ok_or_else(unknown)?;
        if values[place].replace(value.trim()).is_some() {
            return Err(unknown());
        }
    }
    let [number, expiry, name, service_code, security_code, street, zip] = values;
    let mut card = Card::new(number.unwrap_or_default(), expiry.unwrap_or_default()).map_err(malformed)?;
    if let Some(name) = name {
        card = card.with_name(name).map_err(malformed)?;
    }
    if let Some(code) = service_code {
        card = card.with_service_code(code).map_err(malformed)?;
    }
    if let Some(code) = security_code {
        card = card.with_security_code(code).map_err(malformed)?;
    }
    match (street, zip) {
        (None, None) => Ok(card),
        (street, zip) => card.with_address(street.unwrap_or("1"), zip.unwrap_or("000")).map_err(malformed),
    }
}

fn malformed(error: CardError) -> Failure {
    Failure::usage(error, "correct the card")
}
