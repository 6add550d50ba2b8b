//! Every published and constructed vector on the memory store.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{KeyImport, Lifetime, MemoryStore};
use p2pe_vectors::{Outcome, VectorFile, run};

mod through_cache;

#[test]
fn every_vector_passes_in_memory() {
    let mut store = MemoryStore::new();
    every_vector_passes(&mut store);
    // Twice, so that the second run finds what the first one left.
    let mut cached = through_cache::ThroughCache::new(&store);
    (0..2).for_each(|_| every_vector_passes(&mut cached));
}

fn every_vector_passes(store: &mut impl KeyImport) {
    let files = VectorFile::builtin().unwrap();
    let results = run(store, &files, Lifetime::Session);
    let not_passed: Vec<_> = results.iter().filter(|case| case.outcome != Outcome::Passed).collect();
    for c in &not_passed {
        println!("{} {} {:?}", c.file, c.id, c.outcome);
    }
    assert!(not_passed.is_empty(), "{} of {}", not_passed.len(), results.len());
}
