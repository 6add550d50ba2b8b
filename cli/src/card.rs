//! `p2pe decrypt` and `p2pe tokenize`.

use dukpt::{KeyId, KeyStore};
use p2pe_audit::{Audited, Event, Record};
use p2pe_config::{Access, Config, Store};
use p2pe_crypto::{CardData, Decryptor, Entry, Form, MerchantId, Payload, Tokenizer, TrackNumber};
use serde_json::{Value, json};

use crate::{
    args::{Decrypt, Global, Tokenize},
    audit::{self, Journal},
    failure::Failure,
    input, open,
    output::{Output, table},
};

pub(crate) fn decrypt(global: &Global, args: &Decrypt, output: &Output) -> Result<(), Failure> {
    let payload = audit::alarm(global, input::payload(&args.payload))?;
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let decryptor = decryptor(global, config, &journal)?;
    let card = card(&decryptor, &payload, &journal)?;
    let device = decryptor.device(&payload)?;
    let mut rows = vec![
        ("format", format_name(&payload)),
        ("ksn", payload.ksn().to_string()),
        ("profile", device.profile.to_string()),
        ("base_key", decryptor.store().key_in_use(&device.base_key)?.to_string()),
        ("keys_in", decryptor.custody(&payload).to_string()),
    ];
    rows.extend(shown(&card, args.reveal));
    output.result(&object(&rows), || table(&rows))
}

pub(crate) fn tokenize(global: &Global, args: &Tokenize, output: &Output) -> Result<(), Failure> {
    let merchant = MerchantId::new(&args.merchant).map_err(|error| Failure::usage(error, "correct --merchant"))?;
    let payload = audit::alarm(global, input::payload(&args.payload))?;
    let config = open::config(global)?;
    let Some(key) = config.token_key.clone() else {
        return Err(Failure::config("no key for tokens is named", "add [tokens] with key = \"NAME\" to the settings"));
    };
    let journal = Journal::open(&config)?;
    let decryptor = decryptor(global, config, &journal)?;
    let card = card(&decryptor, &payload, &journal)?;
    let token = Tokenizer::new(decryptor.store(), key.clone()).token(&merchant, card.pan()).map_err(Failure::from);
    let token = journal.record(|result| Record::new(Event::Tokenize, result).key(&key).ksn(payload.ksn()), token)?;
    let rows = [("token", token.to_string()), ("card", card.pan().to_string())];
    output.result(&object(&rows), || table(&rows))
}

/// The card of a payload, once its decryption is recorded.
fn card(decryptor: &Decryptor<Audited<Store>>, payload: &Payload, journal: &Journal) -> Result<CardData, Failure> {
    // Of a base key with versions the one in use, as far as there is one.
    let in_use = |id: &KeyId| decryptor.store().key_in_use(id).unwrap_or_else(|_| id.clone());
    let key = decryptor.device(payload).ok().map(|device| in_use(&device.base_key));
    let entry = |result| {
        let entry = Record::new(Event::Decrypt, result).ksn(payload.ksn()).custody(decryptor.custody(payload));
        key.iter().fold(entry, Record::key)
    };
    journal.record(entry, decryptor.decrypt(payload).map_err(Failure::from))
}

fn decryptor(global: &Global, config: Config, journal: &Journal) -> Result<Decryptor<Audited<Store>>, Failure> {
    let store = open::store(global, &config, Access::Use)?;
    Ok(Decryptor::new(journal.over(store), config.devices))
}

/// What a payload is called when it is shown.
pub(crate) fn format_name(payload: &Payload) -> String {
    let title = payload.format().title();
    match payload {
        Payload::IdTech(frame) => {
            format!("{title}, {} form, {}", form_name(frame.form()), entry_name(frame.entry()))
        }
        Payload::IdTechOriginal(frame) => format!("{title}, {} form", form_name(frame.form())),
        Payload::IdTechXml(message) => format!("{title}, {}", entry_name(message.entry())),
        Payload::Tracks(tracks) => format!("{title}, {} run(s)", tracks.ciphertexts().count()),
        _ => title.into(),
    }
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Binary => "binary",
        Form::Hex => "hex",
        Form::Keyboard => "keyboard",
    }
}

fn entry_name(entry: Entry) -> &'static str {
    match entry {
        Entry::Swiped => "swiped",
        Entry::Keyed => "keyed",
        Entry::Chip => "chip",
        Entry::Contactless => "contactless",
    }
}

/// The card's fields: masked, or all of them.
fn shown(card: &CardData, reveal: bool) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("entry", entry_name(card.entry()).to_string()),
        ("card", if reveal { card.pan().expose().to_string() } else { card.pan().to_string() }),
        ("check_digit", if card.pan().luhn() { "right" } else { "wrong" }.to_string()),
    ];
    if let Some(expiry) = card.expiry() {
        rows.push(("expiry", expiry.to_string()));
    }
    if let Some(code) = card.service_code() {
        rows.push(("service_code", code.to_string()));
    }
    let sensitive = card.sensitive();
    if !reveal {
        if sensitive.security_code().is_some() {
            rows.push(("security_code", "present".into()));
        }
        return rows;
    }
    if let Some(name) = card.name() {
        rows.push(("name", name.to_string()));
    }
    if let Some(code) = sensitive.security_code() {
        rows.push(("security_code", code.expose().to_string()));
    }
    let tracks = [("track1", TrackNumber::One), ("track2", TrackNumber::Two), ("track3", TrackNumber::Three)];
    for (name, number) in tracks {
        if let Some(track) = sensitive.track(number) {
            rows.push((name, track.expose().to_string()));
        }
    }
    rows
}

fn object(rows: &[(&str, String)]) -> Value {
    rows.iter().map(|(name, value)| (name.to_string(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}
