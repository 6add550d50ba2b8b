//! `p2pe simulate --list`: devices, settings, encryptions.

use std::collections::BTreeSet;

use p2pe_crypto::Encryption;
use p2pe_virtual_devices::{Model, Setting, Setup};
use serde_json::{Value, json};

use crate::{failure::Failure, output::Output};

pub(super) fn print(output: &Output) -> Result<(), Failure> {
    let devices: Vec<Value> = Model::ALL.iter().map(|model| value(*model)).collect();
    output.result(&json!({ "devices": devices }), || {
        let mut text = String::new();
        for &model in Model::ALL {
            text += &format!("{:<22} {}\n", model.name(), model.about());
            text += &format!("{:<22} encryption: {}\n", "", encryptions(model).join(" "));
            for group in model.settings() {
                text += &format!("{:<22} {}\n", "", names(group).join(" | "));
            }
        }
        text += "\nThe first of each line is the default. Settings:\n";
        let used: BTreeSet<_> = Model::ALL.iter().flat_map(|model| names(&model.settings().concat())).collect();
        for setting in Setting::ALL.iter().filter(|setting| used.contains(setting.name())) {
            text += &format!("{:<22} {}\n", setting.name(), setting.about());
        }
        text
    })
}

fn value(model: Model) -> Value {
    let settings: Vec<_> = model.settings().iter().map(|group| names(group)).collect();
    json!({ "device": model.name(), "about": model.about(), "encryptions": encryptions(model), "settings": settings })
}

/// The usual one first.
fn encryptions(model: Model) -> Vec<String> {
    let usual = model.usual_encryption();
    let others = Encryption::all().filter(|other| *other != usual && Setup::new(model, *other, &[]).is_ok());
    [usual].into_iter().chain(others).map(|encryption| encryption.to_string()).collect()
}

fn names(settings: &[Setting]) -> Vec<&'static str> {
    settings.iter().map(|setting| setting.name()).collect()
}
