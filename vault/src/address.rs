//! One address for any database.

use std::{path::Path, sync::Arc};

use crate::{Postgres, Sqlite, StoreError, VaultStore};

/// Opens the database at `postgres://…` ([`Postgres::open`]), `sqlite:///PATH` or a path, and brings its schema up to date.
///
/// # Errors
/// [`StoreError`].
pub fn open_store(address: &str) -> Result<Arc<dyn VaultStore>, StoreError> {
    match address.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(Postgres::open(address)?)),
        Some(("sqlite", path)) => Ok(Arc::new(Sqlite::open(Path::new(path))?)),
        Some(_) => Err(StoreError::Address("it begins with postgres:// or sqlite://, or is a path")),
        None => Ok(Arc::new(Sqlite::open(Path::new(address))?)),
    }
}

/// The databases of a set, for [`crate::ShardedVault`]. A server of PostgreSQL that is down is no failure here: the first call finds out.
///
/// # Errors
/// [`StoreError`].
pub fn open_stores<A: AsRef<str>>(addresses: &[A]) -> Result<Vec<Arc<dyn VaultStore>>, StoreError> {
    let open = |address: &A| match address.as_ref().split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(Postgres::at(address.as_ref())?) as Arc<dyn VaultStore>),
        _ => open_store(address.as_ref()),
    };
    addresses.iter().map(open).collect()
}

/// Addresses as an environment variable has them: one a line.
#[must_use]
pub fn addresses(lines: &str) -> Vec<String> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect()
}

/// Whether an address has a password in it: such a one must not stand on a command line, where every user of the machine reads it.
#[must_use]
pub fn holds_password(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else { return false };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::holds_password;

    #[test]
    fn passwords() {
        for (address, holds) in [
            ("postgres://me:secret@db.example/vault", true),
            ("postgres://me:a@b@db.example/vault", true),
            ("postgresql:///vault?user=me&password=secret", true),
            ("postgres://me@db.example:5432/vault?passfile=f", false),
            ("postgres://db.example:5432/vault", false),
            ("sqlite:///var/vault.db", false),
            ("vault.db", false),
        ] {
            assert_eq!(holds_password(address), holds, "{address}");
        }
    }
}
