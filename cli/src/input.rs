//! The payload: an argument, a file or standard input. An argument holds ciphertext only, so it may be seen by others.

use std::{
    fs::File,
    io::{self, Read},
};

use p2pe_crypto::{Payload, tracks::from_hex};
use zeroize::Zeroizing;

use crate::{args::PayloadArgs, failure::Failure};

/// No payload is longer than this, in any form.
const LONGEST: u64 = 1 << 20;

pub(crate) fn payload(args: &PayloadArgs) -> Result<Payload, Failure> {
    let inputs = match (&args.file, &args.payload[..]) {
        (Some(path), _) => {
            let file = File::open(path).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", path.display()), "correct --file")
            })?;
            vec![read(file)?]
        }
        (None, []) => vec![read(io::stdin())?],
        (None, [dash]) if dash == "-" => vec![read(io::stdin())?],
        (None, texts) => texts.iter().map(|text| Zeroizing::new(text.clone().into_bytes())).collect(),
    };
    match &args.ksn {
        Some(ksn) => tracks(ksn, &inputs),
        None => match &inputs[..] {
            [frame] => Ok(Payload::parse(frame)?),
            _ => Err(Failure::usage("more than one payload", "pass one frame; several ciphertexts need --ksn")),
        },
    }
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

fn read(source: impl Read) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let unreadable =
        |error| Failure::usage(format!("cannot read the payload: {error}"), "pass it as a file or on standard input");
    source.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::usage("the input is longer than any payload", "pass one payload"));
    }
    Ok(bytes)
}
