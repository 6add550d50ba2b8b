//! From a URL to a server: where the password comes from, and that no line leaves this machine in clear unless asked to.

use std::{net::IpAddr, path::Path, str::FromStr, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{passfile, session::Server};
use crate::StoreError;

pub(super) struct Address {
    pub(super) server: Server,
    pub(super) connections: usize,
    pub(super) deadline: Duration,
}

pub(super) fn parse(url: &str) -> Result<Address, StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut passfile, mut tls, mut roots) = (None, None, None);
    let (mut connections, mut deadline) = (16, 30);
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(StoreError::Address("a parameter is NAME=VALUE"))?;
        let value = || percent_decode_str(value).decode_utf8().map_err(|_| StoreError::Address("it is not UTF-8"));
        match name {
            "passfile" => passfile = Some(value()?.into_owned()),
            "sslrootcert" => roots = Some(value()?.into_owned()),
            "sslmode" => {
                tls = Some(match &*value()? {
                    "verify-full" => true,
                    "disable" => false,
                    _ => {
                        return Err(StoreError::Address(
                            "sslmode is verify-full or disable: the others can be tricked",
                        ));
                    }
                });
            }
            "connections" => connections = number(&value()?, 1..=1000)?,
            "deadline" => deadline = number(&value()?, 1..=3600)?,
            _ => others.push(pair),
        }
    }
    let mut config = Config::from_str(&format!("{base}?{}", others.join("&")))
        .map_err(|_| StoreError::Address("it is no URL of PostgreSQL, or has a parameter that is not known"))?;
    if config.get_password().is_none()
        && let Some(password) = passfile::find(passfile.as_deref().map(Path::new), &config)?
    {
        config.password(&*password);
    }
    // What comes back from a standby could be old, and it takes nothing.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    // A server that has vanished without a word is noticed.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10)).keepalives_idle(Duration::from_secs(10));
    }
    if config.get_application_name().is_none() {
        config.application_name("p2pe vault");
    }
    let tls = tls.unwrap_or_else(|| !stays_here(&config));
    config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
    let tls = tls.then(|| verified(roots.as_deref())).transpose()?;
    Ok(Address { server: Server { config, tls }, connections, deadline: Duration::from_secs(deadline as u64) })
}

fn number(text: &str, within: std::ops::RangeInclusive<usize>) -> Result<usize, StoreError> {
    let number = text.parse().ok().filter(|number| within.contains(number));
    number.ok_or(StoreError::Address("connections are 1 to 1000, a deadline 1 to 3600 seconds"))
}

/// Whether all hosts are this machine.
fn stays_here(config: &Config) -> bool {
    let loopback = |text: &str| text == "localhost" || text.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    config.get_hostaddrs().iter().all(IpAddr::is_loopback)
        && config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => loopback(name),
            Host::Unix(_) => true,
        })
}

/// TLS in which the server shows a certificate for its name, of one of these authorities.
fn verified(roots: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let path = roots.ok_or(StoreError::Address("with verify-full, name the authorities in sslrootcert=FILE"))?;
    let wrong = |_| StoreError::Address("sslrootcert is no readable file of PEM certificates");
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(wrong)? {
        let added = store.add(certificate.map_err(wrong)?);
        added.map_err(|_| StoreError::Address("sslrootcert has a certificate that is no authority's"))?;
    }
    if store.is_empty() {
        return Err(StoreError::Address("sslrootcert holds no certificate"));
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|_| StoreError::Address("TLS cannot be set up"))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(store).with_no_client_auth()))
}
