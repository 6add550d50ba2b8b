//! The backend against real tokens, each test with a token of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cache;
mod ceremony;
mod common;
mod differential;
mod disasters;
mod faults;
mod inside;
mod lifecycle;
mod nss;
mod observe;
mod opening;
mod p11_kit;
mod pool;
mod protection;
mod residue;
mod self_test;
mod soak;
mod spy;
mod uri;
mod variants;
mod wrapping;
