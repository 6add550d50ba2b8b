//! Where PostgreSQL's programs are.

use std::{env, fs, path::PathBuf};

/// The folder of `initdb`, `pg_ctl` and the others: `P2PE_POSTGRESQL_BIN`, else the newest that Debian or Fedora installed.
/// Debian keeps them off the PATH.
#[must_use]
pub fn find_programs() -> Option<PathBuf> {
    if let Some(named) = env::var_os("P2PE_POSTGRESQL_BIN") {
        return Some(named.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let debian = versions.into_iter().rev().map(|(_, folder)| folder);
    let path = env::var_os("PATH").unwrap_or_default();
    debian
        .chain(env::split_paths(&path))
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}
