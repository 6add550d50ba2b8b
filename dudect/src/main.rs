#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cases;
mod measure;

use std::process::ExitCode;

use crate::{
    cases::Failure,
    measure::{Case, Outcome, Random},
};

/// Above this in every round, it is a leak.
const BOUND: f64 = 10.0;

/// Above this in one round, a planted leak is found.
const FOUND: f64 = 20.0;

const ROUNDS: usize = 5;

/// The least |t| of up to [`ROUNDS`] rounds; noise that comes and goes spoils some of them, a leak shows in all. Stops where
/// the question is settled.
fn least(case: &Case, count: usize, random: &mut Random) -> Outcome {
    let mut least = case.round(count, random);
    for _ in 1..ROUNDS {
        if least.t.abs() <= BOUND {
            break;
        }
        let next = case.round(count, random);
        if next.t.abs() < least.t.abs() {
            least = next;
        }
    }
    least
}

fn print(name: &str, outcome: Outcome, verdict: &str) {
    println!("{name:52} t {:9.2}  difference {:8.3} ns  {verdict}", outcome.t, outcome.difference);
}

fn run(count: usize) -> Result<bool, Failure> {
    let (mut random, mut passed) = (Random::new(), true);
    for case in cases::planted() {
        let rounds = (0..ROUNDS).map(|_| case.round(count, &mut random));
        let found = rounds.into_iter().find(|outcome| outcome.t.abs() > FOUND);
        print(&case.name, found.unwrap_or_default(), if found.is_some() { "found" } else { "NOT FOUND" });
        passed &= found.is_some();
    }
    let tables = cases::with_tables();
    print(&tables.name, tables.round(count, &mut random), "");
    for case in cases::cases()? {
        let outcome = least(&case, count, &mut random);
        let leaks = outcome.t.abs() > BOUND;
        print(&case.name, outcome, if leaks { "LEAK" } else { "ok" });
        passed &= !leaks;
    }
    Ok(passed)
}

fn main() -> ExitCode {
    let count = match std::env::args().nth(1).map(|count| count.parse()) {
        None => 100_000,
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            eprintln!("usage: dudect [MEASUREMENTS]");
            return ExitCode::from(2);
        }
    };
    match run(count) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
