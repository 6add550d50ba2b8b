//! `p2pe simulate`: what payment devices send, without the devices.

pub(crate) mod args;
mod card;
mod list;
mod place;

use std::{thread, time::Duration};

use dukpt::Scheme;
use p2pe_config::read_key_file;
use p2pe_crypto::{DeviceProfile, Encryption};
use p2pe_virtual_devices::{DeviceKey, Emission, Form, Model, Setting, Setup, VirtualDevice, ksn_at};
use serde_json::{Value, json};

use crate::{failure::Failure, output::Output};
use args::Simulate;
use place::Place;

const TDES_DEVICE: &str = "FFFF9876543210E00000";
const AES_DEVICE: &str = "123456789012345600000000";

pub(crate) fn run(args: &Simulate, output: &Output) -> Result<(), Failure> {
    if args.list {
        return list::print(output);
    }
    let setup = setup(args)?;
    let card = card::card(args)?;
    let encryption = setup.profile().encryption();
    let key = key(args, encryption)?;
    let default = if encryption.scheme() == Scheme::Tdes { TDES_DEVICE } else { AES_DEVICE };
    let device = hex::decode(args.ksn.as_deref().unwrap_or(default));
    let device = device.map_err(|_| Failure::usage("--ksn is not hex", "10 or 12 bytes as hex digits"))?;
    let ksn = ksn_at(&device, args.counter).map_err(|error| Failure::usage(error, "correct --ksn or --counter"))?;
    let mut device = VirtualDevice::new(setup, &key, &ksn, args.seed)?;

    let mut place = Place::open(args.to.as_deref(), output)?;
    let mut sent = Vec::new();
    for number in 0..args.count {
        if number > 0 {
            thread::sleep(Duration::from_millis(args.interval));
        }
        let emission = device.read(&card)?;
        let is_shown_later = place.is_standard_output() && output.is_json();
        if !is_shown_later && !place.write(&written(&emission, args.raw))? {
            break;
        }
        if output.is_json() {
            sent.push(value(&emission));
        }
    }
    place.close()?;
    if output.is_json() { output.result(&json!({ "payloads": sent }), String::new) } else { Ok(()) }
}

fn setup(args: &Simulate) -> Result<Setup, Failure> {
    let see = "p2pe simulate --list names devices, settings and encryptions";
    let model: Model =
        args.device.as_deref().unwrap_or_default().parse().map_err(|error| Failure::usage(error, see))?;
    let setting = |name: &String| {
        let found = Setting::ALL.iter().find(|setting| setting.name() == name);
        found.copied().ok_or_else(|| Failure::usage(format!("no setting {name:?}"), see))
    };
    let settings = args.with.iter().map(setting).collect::<Result<Vec<_>, _>>()?;
    let encryption: Encryption = match &args.encryption {
        Some(name) => name.parse().map_err(|_| Failure::usage(format!("no encryption {name:?}"), see))?,
        None => model.usual_encryption(),
    };
    Setup::new(model, encryption, &settings).map_err(|error| Failure::usage(error, see))
}

fn key(args: &Simulate, encryption: Encryption) -> Result<DeviceKey, Failure> {
    let scheme = encryption.scheme();
    let read =
        |path| read_key_file(path).map_err(|error| Failure::usage(error, "name a file with the key in hex digits"));
    let key = match (&args.base_key_file, &args.initial_key_file) {
        (Some(path), _) => DeviceKey::base(scheme, &read(path)?),
        (None, Some(path)) => DeviceKey::initial(scheme, &read(path)?),
        (None, None) => DeviceKey::test(encryption),
    };
    key.map_err(|error| Failure::usage(error, "the key's length is that of the scheme"))
}

/// What goes to the place: the device's bytes, with Enter behind what is typed; or a line of text.
fn written(emission: &Emission, raw: bool) -> Vec<u8> {
    match emission.form {
        Form::Binary if raw => emission.bytes.clone(),
        _ => (text(emission) + "\n").into_bytes(),
    }
}

fn text(emission: &Emission) -> String {
    match emission.form {
        Form::Binary => hex::encode_upper(&emission.bytes),
        Form::Text | Form::Beside => String::from_utf8_lossy(&emission.bytes).into_owned(),
    }
}

fn value(emission: &Emission) -> Value {
    let lines = || text(emission).lines().map(str::to_owned).collect::<Vec<_>>();
    let payload = if emission.form == Form::Beside { json!(lines()) } else { json!(text(emission)) };
    let profile: DeviceProfile = emission.profile;
    json!({ "ksn": emission.ksn.to_string(), "profile": profile.name(), "payload": payload })
}
