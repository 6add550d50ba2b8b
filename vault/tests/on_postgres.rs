//! The same tests once more, on PostgreSQL: `support` sees by the name of this program that they are.
#![expect(clippy::duplicate_mod, reason = "each test file brings its own")]

#[path = "cards.rs"]
mod cards;
#[path = "vault.rs"]
mod promises;
#[path = "rotation.rs"]
mod rotation;
#[path = "sharded.rs"]
mod sharded;
#[path = "succession.rs"]
mod succession;
