//! `p2pe profiles`: what a device may have been set up to do.

use p2pe_crypto::{DeviceProfile, Scope};
use serde_json::{Value, json};

use crate::{args::Global, failure::Failure, open, output::Output};

pub(crate) fn run(global: &Global, output: &Output) -> Result<(), Failure> {
    let profiles: Vec<_> = DeviceProfile::builtin().chain(open::config(global)?.profiles).collect();
    let text = || {
        let line = |profile: &DeviceProfile| {
            let mac = if profile.mac() { ", MAC" } else { "" };
            let (name, title) = (profile.name(), profile.format().title());
            format!("{name:<36} {title}; {}, {}{mac}\n", profile.encryption(), scope(profile))
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
        "scope": scope(profile),
        "mask": char::from(profile.mask()).to_string(),
        "mac": profile.mac(),
    })
}

fn scope(profile: &DeviceProfile) -> &'static str {
    match profile.scope() {
        Scope::Field => "field",
        Scope::Joined => "joined",
    }
}
