//! Every target over its seeds and a bounded number of changes of them, with no fuzzer. `FUZZ_INPUTS` sets how many.

use std::{env, panic};

use p2pe_fuzz::{TARGETS, mutated, seeds};

/// Xorshift: the same inputs in every run.
fn generator() -> impl FnMut() -> usize {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize
    }
}

#[test]
fn every_target() {
    let inputs = env::var("FUZZ_INPUTS").map_or(20_000, |inputs| inputs.parse().expect("a number"));
    for target in &TARGETS {
        let (seeds, mut random) = (seeds(target), generator());
        assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
        let changed = (0..inputs).map(|_| mutated(&seeds, &mut random));
        for input in seeds.iter().cloned().chain(changed) {
            if let Err(panic) = panic::catch_unwind(|| (target.run)(&input)) {
                println!("{} over {}", target.name, input.escape_ascii());
                panic::resume_unwind(panic);
            }
        }
    }
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
