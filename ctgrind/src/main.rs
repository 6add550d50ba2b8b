#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod aes;
mod case;
mod ciphers;
mod clear_text;
mod compare;
mod planted;
mod tdes;
mod valgrind;

use std::process::ExitCode;

use bitsliced_des::lanes::Level;

use crate::case::Case;

fn cases() -> Vec<Case> {
    [ciphers::cases(), tdes::cases(), aes::cases(), compare::cases(), clear_text::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// Prints a line and tells whether the case is as it should be: without a report, or with one where a leak is `planted`.
fn run(case: &Case, planted: bool) -> bool {
    let (passed, result) = match case.run() {
        Ok(0) if planted => (false, "NOT CAUGHT".to_owned()),
        Ok(n) if planted => (true, format!("caught, {n} reports")),
        Ok(0) => (true, "ok".to_owned()),
        Ok(n) => (false, format!("LEAK, {n} reports")),
        Err(error) => (false, format!("FAILED: {error}")),
    };
    println!("{:58} {result}", case.name);
    passed
}

fn main() -> ExitCode {
    if !valgrind::running() {
        eprintln!("ctgrind proves nothing outside of valgrind's memcheck on x86-64: run tools/ctgrind");
        return ExitCode::from(2);
    }
    if Level::Avx512Half.available() || Level::Avx512.available() {
        eprintln!("valgrind shows AVX-512 here, for which there are no cases");
        return ExitCode::FAILURE;
    }
    let planted = std::env::args().nth(1).is_some_and(|argument| argument == "--planted");
    let cases = if planted { planted::cases() } else { cases() };
    #[cfg(target_arch = "x86_64")]
    println!(
        "AVX2: {}, AES instructions: {}, SHA instructions: {}",
        Level::Avx2.available(),
        std::is_x86_feature_detected!("aes"),
        std::is_x86_feature_detected!("sha")
    );
    let passed = cases.iter().filter(|case| run(case, planted)).count();
    println!("{passed} of {} as they should be", cases.len());
    if passed == cases.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    /// Outside of valgrind the cases still do their work.
    #[test]
    fn the_cases_work() {
        for case in super::cases() {
            assert_eq!(case.run().unwrap(), 0, "{}", case.name);
        }
    }
}
