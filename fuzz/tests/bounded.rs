//! Every target over its seeds and a bounded number of changes of them, with no fuzzer: what fails shrinks. `FUZZ_INPUTS`
//! sets how many.

use std::{env, fmt, panic, sync::Arc};

use p2pe_fuzz::{Change, TARGETS, changed, seeds};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

/// An input as a byte string of Rust, to be put into a test.
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Seeds with up to four changes. What fails is led back to as few and as small changes as still fail.
fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    let seeds = Arc::new(seeds);
    let change = (any::<u8>(), any::<usize>(), any::<u8>(), any::<(usize, usize)>())
        .prop_map(|(kind, at, length, other)| Change { kind, at, length, other });
    (0..seeds.len(), vec(change, 1..=4)).prop_map(move |(seed, changes)| Input(changed(&seeds, seed, &changes)))
}

/// The same inputs in every run.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::XorShift))
}

#[test]
fn every_target() {
    let cases = env::var("FUZZ_INPUTS").map_or(20_000, |inputs| inputs.parse().expect("a number"));
    for target in &TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
        for input in &seeds {
            if let Err(panic) = panic::catch_unwind(|| (target.run)(input)) {
                println!("{} over b\"{}\"", target.name, input.escape_ascii());
                panic::resume_unwind(panic);
            }
        }
        let run = |Input(input): Input| {
            (target.run)(&input);
            Ok::<_, TestCaseError>(())
        };
        if let Err(error) = runner(cases).run(&inputs(seeds), run) {
            panic!("{}: {error}", target.name);
        }
    }
}

/// What fails comes down to the one change that makes it fail.
#[test]
fn a_failing_input_shrinks() {
    let seeds = vec![vec![0; 40], vec![7; 200]];
    let run = |Input(input): Input| {
        assert!(!input.contains(&0xC1));
        Ok::<_, TestCaseError>(())
    };
    // The panics of the search are no news.
    let told = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let found = runner(20_000).run(&inputs(seeds), run);
    panic::set_hook(told);
    let Err(TestError::Fail(_, Input(input))) = found else { panic!("not found") };
    assert_eq!(input.iter().filter(|byte| ![0, 0xC1].contains(byte)).count(), 0, "{input:?}");
    assert_eq!((input[0], input.len() <= 41), (0xC1, true), "{input:?}");
}

/// A binary of libFuzzer for each target, and no other.
#[test]
fn every_target_has_its_binary() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz_targets")).expect("the folder");
    let mut files: Vec<_> =
        folder.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    files.sort();
    let mut names = TARGETS.map(|target| format!("{}.rs", target.name));
    names.sort();
    assert_eq!(files, names);
    for target in &TARGETS {
        let file = format!("{}/fuzz_targets/{}.rs", env!("CARGO_MANIFEST_DIR"), target.name);
        let text = std::fs::read_to_string(file).expect("the file");
        assert!(text.contains(&format!("run(\"{}\", data)", target.name)), "{}", target.name);
    }
}
