//! `p2pe demo`: the whole way with real payloads, over a throwaway SoftHSM token or in memory.

use std::{process::ExitCode, time::Instant};

use dukpt::{KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_config::{Access, Store, StoreSettings};
use p2pe_crypto::{Decryptor, Devices, MerchantId, Payload, Tokenizer};
use p2pe_vectors::{Example, VectorFile};
use pkcs11_backend::{PinSource, Settings, TokenSelector};
use serde_json::json;
use throwaway_token::{Process, ThrowawayToken, reexec_with_token};
use zeroize::Zeroizing;

use crate::{
    args::{Global, StoreKind},
    card::format_name,
    failure::Failure,
    output::{Output, table},
};

/// Two real payloads and one of AES DUKPT, by their ids among the vectors.
const PAYLOADS: [(&str, &str); 3] = [
    ("idtech-keyed-kb-cvv-zip-tdes", "a number keyed in on a SREDKey keypad in a call centre"),
    ("idtech-enh-augusta-s-swipe-tdes", "a card swiped on an Augusta S reader"),
    ("aes-dukpt-track2-128", "a track encrypted under AES DUKPT, with its KSN beside it"),
];

const TOKEN_KEY: &str = "tokens";
const MERCHANT: &str = "demo-shop";

pub(crate) fn run(global: &Global, output: &Output) -> Result<ExitCode, Failure> {
    let Global { config, module, token, pin_file, pin_env, .. } = global;
    let named = config.is_some() || module.is_some() || token.is_some() || pin_file.is_some() || pin_env.is_some();
    if named {
        return Err(Failure::usage(
            "the demo makes its own token and settings: --config, --module, --token, --pin-file and --pin-env are not for it",
            "leave them out; p2pe conformance runs over your own token",
        ));
    }
    if global.store == Some(StoreKind::Memory) {
        output.note("Key store: memory (no HSM). The same steps run with --store pkcs11.\n")?;
        show(Store::Memory(MemoryStore::new()), output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let no_token =
        |error| Failure::new(8, "token_open", error, "install SoftHSM (apt install softhsm2), or use --store memory");
    // SoftHSM finds its tokens through the environment, so the demo runs in a child process that has it set.
    match reexec_with_token().map_err(no_token)? {
        Process::Outside(code) => Ok(code),
        Process::Inside(token) => {
            let store = open(&token)?;
            output.note(&format!("Key store: SoftHSM, throwaway token {} in a temporary folder.\n", token.label()))?;
            show(store, output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn open(token: &ThrowawayToken) -> Result<Store, Failure> {
    let pin = PinSource::File(token.pin_file());
    let settings = Settings::new(token.module(), TokenSelector::label(token.label()), pin);
    Ok(Store::open(&StoreSettings::Pkcs11(Box::new(settings)), Access::Admin)?)
}

fn show(mut store: Store, output: &Output) -> Result<(), Failure> {
    let samples = samples()?;
    output.note("Key ceremony: public test base keys, each put together from two components.")?;
    for (_, sample) in &samples {
        ceremony(&mut store, sample, output)?;
    }
    token_key(&mut store, output)?;

    let mut devices = Devices::new();
    for (_, sample) in &samples {
        devices.insert(sample.prefix, sample.device.clone());
    }
    let decryptor = Decryptor::new(store, devices);
    let tokenizer = Tokenizer::new(decryptor.store(), name(TOKEN_KEY)?);
    let merchant = MerchantId::new(MERCHANT).map_err(|error| Failure::usage(error, "report this"))?;
    let mut rows = Vec::new();
    for (what, sample) in &samples {
        let started = Instant::now();
        let card = decryptor.decrypt(&sample.payload)?;
        let token = tokenizer.token(&merchant, card.pan())?;
        let took = started.elapsed();
        let lines = [
            ("format", format_name(&sample.payload)),
            ("ksn", sample.payload.ksn().to_string()),
            ("keys_in", lived(&decryptor, &sample.payload)),
            ("card", card.pan().to_string()),
            ("expiry", card.expiry().map(|expiry| expiry.to_string()).unwrap_or_default()),
            ("token", token.to_string()),
            ("time", format!("{} µs", took.as_micros())),
        ];
        output.note(&format!("\n{what}"))?;
        output.note(table(&lines).trim_end())?;
        rows.push(
            lines.iter().map(|(name, value)| (name.to_string(), json!(value))).collect::<serde_json::Map<_, _>>(),
        );
    }
    output.result(&json!({ "payloads": rows }), String::new)
}

fn lived(decryptor: &Decryptor<Store>, payload: &Payload) -> String {
    match decryptor.custody(payload) {
        dukpt::Custody::Token => "token: base key and every derived key stayed inside".into(),
        dukpt::Custody::Hybrid => "hybrid: base key in the token, this device's keys in wiped host memory".into(),
        dukpt::Custody::Memory => "memory: all keys in wiped host memory".into(),
    }
}

/// Imports a sample's base key as two custodians would: from two components.
fn ceremony(store: &mut Store, sample: &Example, output: &Output) -> Result<(), Failure> {
    let id = &sample.device.base_key;
    if store.check_value(id).is_ok() {
        return Ok(());
    }
    let kind = sample.key.kind().name();
    // The keys are public; so are these components.
    let first =
        Zeroizing::new((1..).map(|i: u8| i.wrapping_mul(0x5B)).take(sample.key.expose().len()).collect::<Vec<_>>());
    let second = Zeroizing::new(first.iter().zip(sample.key.expose()).map(|(a, b)| a ^ b).collect::<Vec<_>>());
    let of = |bytes: &[u8]| KeyMaterial::new(kind, bytes).map(|component| component.check_value());
    let malformed = |error| Failure::usage(error, "report this");
    let (one, two) = (of(&first).map_err(malformed)?, of(&second).map_err(malformed)?);
    let key = KeyMaterial::from_components(kind, &[&first, &second]).map_err(malformed)?;
    store.import(id, &key, Lifetime::Permanent)?;
    let stored = store.check_value(id)?;
    output.note(&format!("  {id:<16} {kind:<10} components {one} and {two}, check value of the stored key {stored}"))
}

/// A token makes its own key for tokens; memory gets a fixed one.
fn token_key(store: &mut Store, output: &Output) -> Result<(), Failure> {
    let id = name(TOKEN_KEY)?;
    let origin = match store {
        Store::Pkcs11(token, _) => {
            token.generate(&id, dukpt::KeyKind::Hmac, &pkcs11_backend::Cryptoperiod::default())?;
            "generated inside the token"
        }
        Store::Memory(memory) => {
            let key = KeyMaterial::new("hmac", &[0x2A; 32]).map_err(|error| Failure::usage(error, "report this"))?;
            memory.import(&id, &key, Lifetime::Session)?;
            "fixed, for this demo"
        }
        Store::Failed(test) => return Err(dukpt::KeyError::SelfTest(test).into()),
    };
    output.note(&format!("  {TOKEN_KEY:<16} {:<10} {origin}", "hmac"))
}

fn samples() -> Result<Vec<(&'static str, Example)>, Failure> {
    let files = VectorFile::builtin().map_err(|error| Failure::config(error, "reinstall p2pe"))?;
    PAYLOADS
        .iter()
        .map(|(id, what)| {
            let example = Example::find(&files, id);
            Ok((*what, example.ok_or_else(|| Failure::config(format!("no test vector {id}"), "reinstall p2pe"))?))
        })
        .collect()
}

fn name(id: &str) -> Result<KeyId, Failure> {
    KeyId::new(id).map_err(|error| Failure::usage(error, "report this"))
}
