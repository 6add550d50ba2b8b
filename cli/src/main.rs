//! `p2pe`: decrypt payloads of payment devices, make tokens, keep keys, run conformance tests.
#![forbid(unsafe_code)]

mod args;
mod card;
mod conformance;
mod demo;
mod failure;
mod input;
mod junit;
mod keys;
mod open;
mod output;
mod selftest;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.global.json);
    let done = match &args.command {
        Command::Decrypt(command) => card::decrypt(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Tokenize(command) => card::tokenize(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Conformance(command) => conformance::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Keys(command) => keys::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Selftest => selftest::run(&args.global, &output).map(|()| ExitCode::SUCCESS),
        Command::Demo => demo::run(&args.global, &output),
    };
    match done {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}
