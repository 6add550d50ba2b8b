//! Halves and cipher blocks of a message are wiped.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for all crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;
mod support;

use canary::{Seen, present, watch};
use dukpt::KeyStore;
use ff1::{Ff1, Message};
use support::{Counting, id, store};

const CLEAR: &[u8; 38] = b"12345678901234567899876543210987654321";

#[test]
fn halves() {
    let store = store("ff1", &[0x5A; 16]);
    for (half, round) in [(1_234_567_890_123_456_789u64, 1), (9_876_543_210_987_654_321, 2)] {
        for (bytes, messages) in [(half.to_le_bytes(), 1), (half.to_le_bytes(), 3)] {
            let key = Counting::watched(store.key(&id()).unwrap(), round, || assert!(present()));
            let ff1 = Ff1::new(key);
            let seen = watch(&bytes, || {
                let mut digits = [*CLEAR; 3];
                let messages: Vec<_> =
                    digits.iter_mut().map(|digits| Message { tweak: b"", digits }).take(messages).collect();
                let mut messages = messages;
                ff1.encrypt_batch(&mut messages).unwrap();
            });
            assert_eq!(seen, Seen { held: false, leaks: 0 }, "{round} {messages}");
        }
    }
}

/// What goes into the cipher: the right half stands at the end of the first round's block.
#[test]
fn blocks() {
    let store = store("ff1", &[0x5A; 16]);
    let watched = 9_876_543_210_987_654_321u64.to_be_bytes();
    // A key that leaves all blocks zero, so that the half is seen as it is.
    let ff1 = Ff1::new(Counting::zeroing(store.key(&id()).unwrap(), || assert!(present())));
    let seen = watch(&watched, || {
        let mut digits = *CLEAR;
        ff1.encrypt(b"", &mut digits).unwrap();
    });
    assert_eq!(seen, Seen { held: false, leaks: 0 });
}
