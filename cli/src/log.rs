//! `--log`: what goes on, on standard error. Of this project's own crates only: what others might tell, nobody has read.

use std::{env, io};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

use crate::failure::Failure;

const VARIABLE: &str = "P2PE_LOG";
const CRATES: [&str; 7] = ["p2pe", "p2pe_crypto", "p2pe_audit", "p2pe_config", "pkcs11_backend", "dukpt", "vault"];

/// Tells from here on as `--log` says, or the environment.
pub(crate) fn begin(asked: Option<&str>) -> Result<(), Failure> {
    let of_environment = env::var(VARIABLE).ok();
    let Some(asked) = asked.or(of_environment.as_deref()).filter(|asked| !asked.is_empty()) else { return Ok(()) };
    let (level, json) = match asked.split_once(',') {
        Some((level, "json")) => (level, true),
        _ => (asked, false),
    };
    let names = ["off", "error", "warn", "info", "debug", "trace"];
    let level = names.contains(&level).then(|| level.parse::<LevelFilter>().ok()).flatten().ok_or_else(|| {
        Failure::usage(
            "the level of the log is not known",
            "--log or $P2PE_LOG is error, warn, info, debug or trace, with \",json\" behind it or not",
        )
    })?;
    let targets = Targets::new().with_targets(CRATES.map(|name| (name, level)));
    let lines = fmt::layer().with_writer(io::stderr);
    if json {
        registry().with(targets).with(lines.json()).init();
    } else {
        registry().with(targets).with(lines.with_ansi(false)).init();
    }
    Ok(())
}
