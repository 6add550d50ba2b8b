//! The kills once more, on a PostgreSQL server whose log holds nothing else: other tests have tokens that look like cards.

#[path = "kill.rs"]
mod kill;
