//! `p2pe config`: the seal over the settings.

use p2pe_config::{Access, ConfigError};
use serde_json::json;

use crate::{
    args::{ConfigCommand, Global},
    failure::Failure,
    keys::key_id,
    open,
    output::{Output, table},
};

pub(crate) fn run(global: &Global, command: &ConfigCommand, output: &Output) -> Result<(), Failure> {
    let ConfigCommand::Seal { key } = command;
    let id = key_id(key).map_err(|failure| Failure { hint: "correct --key", ..failure })?;
    // Whoever seals has read what is in there.
    let config = open::unsealed_config(global)?;
    let store = open::store(global, &config, Access::Use)?;
    let (path, sealed) = config.seal(&store, &id).map_err(|error| match error {
        ConfigError::Write(..) => Failure::output(error),
        error => error.into(),
    })?;
    let (path, sealed) = (path.display().to_string(), sealed.to_string());
    let rows = [("seal", path.clone()), ("--sealed", sealed.clone())];
    output.result(&json!({ "seal": path, "sealed": sealed }), || table(&rows))
}
