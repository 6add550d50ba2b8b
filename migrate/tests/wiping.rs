//! Card numbers are wiped: no block of memory is given back with one in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for all crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;
mod support;

use canary::watch;
use encoding_rs::SHIFT_JIS;
use p2pe_migrate::{Format, Options};
use support::{CSV, Folder, number, run, tokens};

#[test]
fn files() {
    let secret = number(7);
    let wide: String = secret.chars().map(|digit| char::from_u32(digit as u32 - 0x30 + 0xFF10).unwrap()).collect();
    let inputs = [
        (
            CSV,
            format!("id,card\n1,{secret}\n2,\"{secret}\"\n3,\"{secret} \"\"x\"\"\"\n").into_bytes(),
            secret.as_bytes().to_vec(),
        ),
        (CSV, SHIFT_JIS.encode(&format!("カード\n{wide}\n")).0.into_owned(), secret.as_bytes().to_vec()),
        (CSV, SHIFT_JIS.encode(&format!("カード\n{wide}\n")).0.into_owned(), wide.into_bytes()),
        (
            Format::JsonLines,
            format!("{{\"c\":\"{secret}\"}}\n{{\"c\":{secret}}}\n{{\"c\":\"\\t{secret}\"}}\n").into_bytes(),
            secret.as_bytes().to_vec(),
        ),
    ];
    for (at, (format, bytes, secret)) in inputs.into_iter().enumerate() {
        let folder = Folder::new();
        let (input, tokens) = (folder.write("in", bytes), tokens());
        let seen = watch(&secret, || {
            run(&input, &folder.path("out"), &tokens, &Options::new(format)).unwrap();
        });
        assert_eq!(seen.leaks, 0, "input {at}");
    }
}
