//! `p2pe`: decrypt payloads of payment devices, make tokens, keep keys, run conformance tests.
#![forbid(unsafe_code)]

mod args;
mod audit;
mod card;
mod ceremony;
mod config;
mod conformance;
mod demo;
mod doctor;
mod failure;
mod gateway_json;
mod health;
mod input;
mod junit;
mod key_block;
mod key_check;
mod keys;
mod log;
mod migrate;
mod open;
mod output;
mod profiles;
mod selftest;
mod simulate;
mod terminal;
mod vault;

use std::{env, process::ExitCode};

use clap::{Parser, error::ErrorKind};

use args::{Args, Command};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refused(&error),
    };
    let output = Output::new(args.global.json);
    if let Err(failure) = log::begin(args.global.log.as_deref()) {
        return output.failure(&failure);
    }
    let _running = tracing::info_span!("p2pe", command = args.command.name()).entered();
    if let Err(failure) = open::memory(&args.global) {
        return output.failure(&failure);
    }
    let done = match &args.command {
        Command::Decrypt(command) => card::decrypt(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Tokenize(command) => card::tokenize(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Conformance(command) => conformance::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Keys(command) => keys::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Doctor(command) => doctor::run(&args.global, command, &output),
        Command::Profiles(profiles) => profiles::run(&args.global, profiles, &output).map(|()| ExitCode::SUCCESS),
        Command::Vault(command) => vault::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Migrate(command) => migrate::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Audit(command) => audit::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Health => health::run(&args.global, &output).map(|()| ExitCode::SUCCESS),
        Command::Selftest(command) => selftest::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Config(command) => config::run(&args.global, command, &output).map(|()| ExitCode::SUCCESS),
        Command::Simulate(command) => simulate::run(command, &output).map(|()| ExitCode::SUCCESS),
        Command::Demo => demo::run(&args.global, &output),
    };
    match done {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

/// Help and version as clap prints them; a wrong command line as any other failure, where JSON was asked for.
fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !env::args_os().any(|arg| arg == "--json") {
        error.exit();
    }
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".into(),
        // What follows the first paragraph is the usage.
        _ => error
            .render()
            .to_string()
            .split("\n\n")
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_string(),
    };
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Output::new(true).failure(&Failure::usage(line, "see p2pe --help"))
}
