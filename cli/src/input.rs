//! The payload: an argument, a file or standard input. An argument holds ciphertext only, so it may be seen by others.

use std::{io, path::Path};

use p2pe_config::{read_file_wiped, read_wiped};
use p2pe_crypto::{Payload, tracks::from_hex};
use zeroize::Zeroizing;

use crate::{args::PayloadArgs, failure::Failure, gateway_json::Message};

/// No payload is longer than this, in any form.
const LONGEST: usize = 1 << 20;

pub(crate) fn payload(args: &PayloadArgs) -> Result<Payload, Failure> {
    let inputs = inputs(args.file.as_deref(), &args.payload)?;
    if let [input] = &inputs[..]
        && let Some(message) = Message::read(input)
    {
        return message?.payload(args.ksn.as_deref());
    }
    match &args.ksn {
        Some(ksn) => tracks(ksn, &inputs),
        None => match &inputs[..] {
            [frame] => Ok(Payload::parse(frame)?),
            _ => Err(Failure::usage("more than one payload", "pass one frame; several ciphertexts need --ksn")),
        },
    }
}

/// What was passed: the arguments, or a file or standard input as one.
pub(crate) fn inputs(file: Option<&Path>, arguments: &[String]) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
    Ok(match (file, arguments) {
        (Some(path), _) => {
            let bytes = read_file_wiped(path, LONGEST).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", path.display()), "correct --file")
            })?;
            vec![bytes]
        }
        (None, []) => vec![standard_input()?],
        (None, [dash]) if dash == "-" => vec![standard_input()?],
        (None, texts) => texts.iter().map(|text| Zeroizing::new(text.clone().into_bytes())).collect(),
    })
}

/// Raw track ciphertext: hex digits, one track an argument or a line.
fn tracks(ksn: &str, inputs: &[Zeroizing<Vec<u8>>]) -> Result<Payload, Failure> {
    let ksn =
        from_hex(ksn.as_bytes()).map_err(|_| Failure::usage("--ksn is not hex", "10 or 12 bytes as hex digits"))?;
    let mut ciphertexts = Vec::new();
    for line in inputs.iter().flat_map(|input| input.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            ciphertexts.push(from_hex(line)?);
        }
    }
    let ciphertexts: Vec<&[u8]> = ciphertexts.iter().map(|ciphertext| ciphertext.as_slice()).collect();
    Ok(Payload::from_tracks(&ksn, &ciphertexts)?)
}

/// The buffer is longer than the one inside of standard input, so nothing passes through that one, which is not wiped.
fn standard_input() -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_wiped(io::stdin().lock(), LONGEST).map_err(|error| {
        Failure::usage(format!("cannot read the payload: {error}"), "pass it as a file or on standard input")
    })
}
