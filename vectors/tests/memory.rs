//! Every published and constructed vector on the memory store.

use dukpt::{Lifetime, MemoryStore};
use p2pe_vectors::{Outcome, VectorFile, run};

#[test]
fn every_vector_passes_in_memory() {
    let files = VectorFile::builtin().unwrap();
    let results = run(&mut MemoryStore::new(), &files, Lifetime::Session);
    let not_passed: Vec<_> = results.iter().filter(|case| case.outcome != Outcome::Passed).collect();
    for c in &not_passed {
        println!("{} {} {:?}", c.file, c.id, c.outcome);
    }
    assert!(not_passed.is_empty(), "{} of {}", not_passed.len(), results.len());
}
