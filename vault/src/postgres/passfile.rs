//! The password, from where libpq looks for it: never from a command line.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path};

use tokio_postgres::{Config, config::Host};
use zeroize::Zeroizing;

use crate::StoreError;

/// From the file that is named, `PGPASSFILE`, `PGPASSWORD` or `~/.pgpass`, in this order; a server may need none.
pub(super) fn find(named: Option<&Path>, config: &Config) -> Result<Option<Zeroizing<String>>, StoreError> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = named {
        return in_file(path, config);
    }
    if let Some(path) = set("PGPASSFILE") {
        return in_file(Path::new(&path), config);
    }
    if let Ok(password) = env::var("PGPASSWORD") {
        return Ok(Some(Zeroizing::new(password)));
    }
    match set("HOME").map(|home| Path::new(&home).join(".pgpass")).filter(|path| path.exists()) {
        Some(path) => in_file(&path, config),
        None => Ok(None),
    }
}

fn in_file(path: &Path, config: &Config) -> Result<Option<Zeroizing<String>>, StoreError> {
    let wrong = |_| StoreError::Address("the file with the password cannot be read");
    if fs::metadata(path).map_err(wrong)?.permissions().mode() & 0o077 != 0 {
        return Err(StoreError::Address("the file with the password can be read by others: chmod 600"));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(wrong)?);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let ports = config.get_ports();
    let servers = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let name = match host {
            Host::Tcp(name) => name.as_str(),
            Host::Unix(_) => "localhost",
        };
        (name, ports.get(at).or(ports.first()).copied().unwrap_or(5432).to_string())
    });
    // Hosts of one URL are one server and its standbys: they share their users.
    for (host, port) in servers {
        if let Some(found) = text.lines().find_map(|line| matching(line, &[host, &port, database, user])) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The password of a line `host:port:database:user:password`, in which `*` is anything and `\` protects `:` and `\`.
fn matching(line: &str, wanted: &[&str; 4]) -> Option<Zeroizing<String>> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line.chars();
    for wanted in wanted {
        let mut field = String::new();
        let mut plain = true;
        loop {
            match rest.next()? {
                ':' => break,
                '\\' => {
                    plain = false;
                    field.push(rest.next()?);
                }
                other => field.push(other),
            }
        }
        if field != *wanted && !(plain && field == "*") {
            return None;
        }
    }
    let mut password = Zeroizing::new(String::with_capacity(line.len()));
    while let Some(next) = rest.next() {
        password.push(if next == '\\' { rest.next()? } else { next });
    }
    Some(password)
}

#[cfg(test)]
mod tests {
    use super::matching;

    #[test]
    fn lines() {
        let wanted = ["db.example", "5432", "vault", "me"];
        for (line, password) in [
            ("db.example:5432:vault:me:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            (r"*:*:*:me:se\:cr\\et", Some(r"se:cr\et")),
            ("*:*:*:me:a:b", Some("a:b")),
            (r"\*:*:*:me:secret", None),
            ("# *:*:*:*:secret", None),
            ("db.example:5433:vault:me:secret", None),
            ("db.example:5432:vault:me", None),
            ("", None),
        ] {
            assert_eq!(matching(line, &wanted).as_deref().map(String::as_str), password, "{line}");
        }
    }
}
