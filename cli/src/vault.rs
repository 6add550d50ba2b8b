//! `p2pe vault`: card numbers into a vault and back, its keys, and its health.

use std::{io, sync::Arc, time::Duration};

use p2pe_audit::{Audited, Event, Label, Record};
use p2pe_config::{Access, Config, Store, read_file_wiped, read_wiped};
use p2pe_crypto::{Bin, CardShaped, Kept, MerchantId, Pan, Policy, Purpose, TokenForm};
use serde_json::json;
use vault::{KeyNames, Rotation, Sqlite, Vault, VaultError};
use zeroize::Zeroizing;

use crate::{
    args::{Global, Rotate, VaultArgs, VaultCommand, VaultDetokenize, VaultTokenize},
    audit::Journal,
    failure::Failure,
    keys::key_id,
    open,
    output::{Output, table},
};

/// No list of card numbers is longer than this, in bytes.
const LONGEST: usize = 64 << 20;
/// So many card numbers go into one transaction.
const GROUP: usize = 500;

pub(crate) fn run(global: &Global, args: &VaultArgs, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let done = done(global, &config, args, &journal, output);
    // Uses of keys are recorded besides, by the store.
    let (event, merchant) = match &args.command {
        VaultCommand::Tokenize(args) => (Event::Tokenize, Label::of(&args.merchant)),
        VaultCommand::Rotate(Rotate::DataKey { merchant }) => (Event::Rotate, Label::of(merchant)),
        VaultCommand::Rotate(Rotate::WrappingKey { .. }) => (Event::Rotate, None),
        VaultCommand::Delete { merchant, .. } => (Event::DeleteToken, Label::of(merchant)),
        VaultCommand::Shred { merchant, .. } => (Event::Shred, Label::of(merchant)),
        // Recorded before the card number is shown.
        VaultCommand::Detokenize(_) => return done,
        VaultCommand::Init { .. } | VaultCommand::Stats | VaultCommand::Verify => return done,
    };
    journal.record(|result| merchant.iter().fold(Record::new(event, result), Record::subject), done)
}

fn done(global: &Global, config: &Config, args: &VaultArgs, journal: &Journal, output: &Output) -> Result<(), Failure> {
    let keys = || Ok::<_, Failure>(journal.over(open::store(global, config, Access::Use)?));
    // What is wrong in the command is told before anything is opened.
    let open = || -> Result<Vault<Audited<Store>>, Failure> {
        let rows = Arc::new(Sqlite::open(&args.database).map_err(VaultError::from)?);
        Ok(Vault::open(rows, keys()?)?)
    };
    match &args.command {
        VaultCommand::Init { fingerprint_key, wrapping_key } => {
            let names = KeyNames { fingerprint: key_id(fingerprint_key)?, wrapping: key_id(wrapping_key)? };
            let keys = keys()?;
            Vault::init(Arc::new(Sqlite::open(&args.database).map_err(VaultError::from)?), keys, names)?;
            let path = args.database.display().to_string();
            output.result(&json!({ "vault": path }), || format!("a vault is in {path}\n"))
        }
        VaultCommand::Tokenize(command) => tokenize(command, open, output),
        VaultCommand::Detokenize(command) => detokenize(command, open, journal, output),
        VaultCommand::Rotate(command) => rotate(command, open, output),
        VaultCommand::Delete { merchant, card_token } => {
            let merchant = self::merchant(merchant)?;
            open()?.delete(&merchant, card_token)?;
            output.result(&json!({ "deleted": card_token }), || format!("{card_token} deleted\n"))
        }
        VaultCommand::Shred { merchant, yes } => {
            let merchant = self::merchant(merchant)?;
            if !yes {
                return Err(Failure::usage(
                    "shredding deletes all tokens of the merchant and the key they are under",
                    "repeat the command with --yes",
                ));
            }
            let rows = open()?.shred(&merchant)?;
            output.result(&json!({ "shredded": rows }), || format!("{rows} tokens and their keys are gone\n"))
        }
        VaultCommand::Stats => {
            let stats = open()?.stats()?;
            let keys: Vec<_> = stats
                .keys
                .iter()
                .map(|key| {
                    json!({ "merchant": key.tenant, "data_key": key.version, "wrapped_by": key.wrapped_by,
                            "tokens": key.rows, "nonces": key.nonces })
                })
                .collect();
            output.result(&json!({ "keys": keys, "audit_records": stats.audit }), || {
                let mut text = format!("{:<24} {:>8} {:>10}  wrapped by\n", "merchant", "data key", "tokens");
                for key in &stats.keys {
                    text += &format!("{:<24} {:>8} {:>10}  {}\n", key.tenant, key.version, key.rows, key.wrapped_by);
                }
                text + &format!("{} audit records\n", stats.audit)
            })
        }
        VaultCommand::Verify => {
            let found = open()?.verify()?;
            let problems: Vec<String> = found.problems.iter().map(|problem| problem.row.to_string()).collect();
            output.result(&json!({ "rows": found.rows, "corrupted": problems }), || {
                let mut text = format!("{} rows, {} corrupted\n", found.rows, problems.len());
                problems.iter().for_each(|row| text += &format!("corrupted: row {row}\n"));
                text
            })?;
            match found.problems.first() {
                Some(problem) => Err(VaultError::Corrupted(problem.row).into()),
                None => Ok(()),
            }
        }
    }
}

fn tokenize(
    args: &VaultTokenize,
    open: impl FnOnce() -> Result<Vault<Audited<Store>>, Failure>,
    output: &Output,
) -> Result<(), Failure> {
    let policy = policy(args)?;
    let pans = pans(args)?;
    if args.request.is_some() && pans.len() != 1 {
        return Err(Failure::usage("--request is for one card number", "pass one, or leave --request out"));
    }
    let vault = open()?;
    let mut tokens = Vec::with_capacity(pans.len());
    if let (Some(request), [pan]) = (&args.request, &pans[..]) {
        tokens.push(vault.tokenize(&policy, pan, Some(request)));
    } else {
        for group in pans.chunks(GROUP) {
            tokens.extend(vault.tokenize_batch(&policy, &group.iter().collect::<Vec<_>>())?);
        }
    }
    let mut rows = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        rows.push((token.map_err(|error| on_line(at, error.into()))?, pans[at].to_string()));
    }
    let values: Vec<_> = rows.iter().map(|(token, card)| json!({ "token": token, "card": card })).collect();
    output.result(&json!({ "tokens": values }), || {
        rows.iter().map(|(token, card)| format!("{token}  {card}\n")).collect()
    })
}

fn detokenize(
    args: &VaultDetokenize,
    open: impl FnOnce() -> Result<Vault<Audited<Store>>, Failure>,
    journal: &Journal,
    output: &Output,
) -> Result<(), Failure> {
    let purpose = purpose(&args.purpose)?;
    let policy = Policy::new(merchant(&args.merchant)?, 1, TokenForm::Vault).purposes(&[purpose]);
    let [merchant, what_for, caller] = [&args.merchant, &args.purpose, &args.caller].map(|name| Label::of(name));
    let entry = |result| {
        let entry = merchant.iter().fold(Record::new(Event::Detokenize, result), Record::subject);
        caller.iter().fold(what_for.iter().fold(entry, Record::purpose), Record::caller)
    };
    let pan = open().and_then(|vault| Ok(vault.detokenize(&args.caller, &policy, purpose, &args.card_token)?.pan));
    let pan = journal.record(entry, pan)?;
    let shown = Zeroizing::new(if args.reveal { pan.expose().to_owned() } else { pan.to_string() });
    let rows = [("card", shown.to_string())];
    output.result(&json!({ "card": *shown }), || table(&rows))
}

fn rotate(
    args: &Rotate,
    open: impl FnOnce() -> Result<Vault<Audited<Store>>, Failure>,
    output: &Output,
) -> Result<(), Failure> {
    let told = |moved, left| {
        // Progress that nobody can read is no reason to stop half way.
        let _ = output.note(&format!("{moved} moved, {left} left"));
    };
    let Rotation { key, moved } = match args {
        Rotate::DataKey { merchant } => {
            let merchant = self::merchant(merchant)?;
            open()?.rotate_data_key(&merchant, told)?
        }
        Rotate::WrappingKey { to } => {
            let to = key_id(to)?;
            open()?.rotate_wrapping_key(&to, told)?
        }
    };
    output
        .result(&json!({ "key": key, "moved": moved }), || format!("all is on {key}; nothing is left on an old key\n"))
}

fn policy(args: &VaultTokenize) -> Result<Policy, Failure> {
    let form = match args.card_shaped {
        false => TokenForm::Vault,
        true => {
            let bin = match args.keep_bin {
                None => Bin::None,
                Some(6) => Bin::Six,
                Some(_) => Bin::Eight,
            };
            TokenForm::CardShaped(CardShaped::new(Kept { bin, last_four: args.keep_last_four }))
        }
    };
    let mut policy = Policy::new(merchant(&args.merchant)?, args.policy_version, form);
    let computed = |error| Failure::usage(error, "use a random form");
    if args.single_use {
        policy = policy.single_use().map_err(computed)?;
    }
    if let Some(seconds) = args.time_to_live {
        policy = policy.time_to_live(Duration::from_secs(seconds)).map_err(computed)?;
    }
    Ok(policy)
}

/// Card numbers, one a line, never from the command line.
fn pans(args: &VaultTokenize) -> Result<Vec<Pan>, Failure> {
    let read = match &args.file {
        Some(path) => read_file_wiped(path, LONGEST),
        None => read_wiped(io::stdin().lock(), LONGEST),
    };
    let bytes = read.map_err(|error| {
        Failure::usage(format!("cannot read the card numbers: {error}"), "pass a file or standard input")
    })?;
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let pans = lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| {
        Pan::new(line)
            .map_err(|error| on_line(at, Failure::new(4, error.code(), error, "one card number a line, digits only")))
    });
    pans.collect()
}

fn on_line(at: usize, failure: Failure) -> Failure {
    Failure { message: format!("number {}: {}", at + 1, failure.message), ..failure }
}

fn merchant(name: &str) -> Result<MerchantId, Failure> {
    MerchantId::new(name).map_err(|error| Failure::usage(error, "correct --merchant"))
}

fn purpose(name: &str) -> Result<Purpose, Failure> {
    Purpose::ALL
        .into_iter()
        .find(|purpose| purpose.name() == name)
        .ok_or_else(|| Failure::usage(format!("no purpose {name:?}"), "see p2pe vault detokenize --help"))
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let code = error.code();
        let (exit, hint) = match &error {
            VaultError::Key(error) => return error.clone().into(),
            VaultError::WrongKey(_) => (7, "name the token that the vault was made with; look at p2pe keys list"),
            VaultError::NotInitialised => (3, "make it with p2pe vault init, or correct --database"),
            VaultError::AlreadyInitialised => (3, "use it, or name another file with --database"),
            VaultError::Store(_) => (1, "check the file, its folder and the space on the disk"),
            VaultError::Corrupted(_) => (10, "restore the row from a backup; the vault hands out no such row"),
            VaultError::KeySpent => (10, "p2pe vault rotate data-key"),
            VaultError::Token(_) => (4, "correct the card number, or choose another form of token"),
            _ => (10, "correct merchant, token, purpose or request"),
        };
        Self::new(exit, code, error, hint)
    }
}
