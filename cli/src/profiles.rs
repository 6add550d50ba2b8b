//! `p2pe profiles`: what a device may have been set up to do.

use p2pe_crypto::DeviceProfile;
use serde_json::{Value, json};

use crate::{
    args::{Global, Profiles},
    failure::Failure,
    open,
    output::Output,
};

pub(crate) fn run(global: &Global, args: &Profiles, output: &Output) -> Result<(), Failure> {
    let mut profiles: Vec<_> = DeviceProfile::builtin().chain(open::config(global)?.profiles).collect();
    if let Some(unknown) = args.names.iter().find(|name| !profiles.iter().any(|profile| profile.name() == *name)) {
        return Err(Failure::usage(format!("no profile {unknown:?}"), "p2pe profiles lists them"));
    }
    profiles.retain(|profile| args.names.is_empty() || args.names.iter().any(|name| name == profile.name()));
    if args.toml {
        let tables: Vec<String> = profiles.iter().map(|profile| profile.to_toml().to_string()).collect();
        return output.result(&Value::Null, || tables.join("\n"));
    }
    let text = || {
        let line = |profile: &DeviceProfile| {
            let mac = if profile.mac() { ", MAC" } else { "" };
            let (name, title) = (profile.name(), profile.format().title());
            let (mode, iv, scope) = (profile.mode().name(), profile.iv().name(), profile.scope().name());
            format!("{name:<36} {title}; {}, {mode}, iv {iv}, {scope}{mac}\n", profile.encryption())
        };
        profiles.iter().map(line).collect()
    };
    output.result(&profiles.iter().map(object).collect(), text)
}

fn object(profile: &DeviceProfile) -> Value {
    json!({
        "name": profile.name(),
        "format": profile.format().name(),
        "encryption": profile.encryption().to_string(),
        "mode": profile.mode().name(),
        "iv": profile.iv().name(),
        "scope": profile.scope().name(),
        "inner_tlv": profile.inner_tlv(),
        "mask": char::from(profile.mask()).to_string(),
        "mac": profile.mac(),
    })
}
