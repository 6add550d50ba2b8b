//! `p2pe vault`: card numbers into a vault and back.

mod cards;
mod health;
mod rotate;

use std::{env, sync::Arc, time::Duration};

use p2pe_audit::{Audited, Event, Label, Record};
use p2pe_config::{Access, Config, Store};
use p2pe_crypto::{Bin, CardShaped, Kept, MerchantId, Policy, Purpose, TokenForm};
use serde_json::json;
use vault::{
    Card, CardOnFile, KeyNames, ShardedVault, StoreError, Vault, VaultError, VaultStore, addresses, holds_password,
    open_stores,
};
use zeroize::Zeroizing;

use crate::{
    args::{Global, PolicyArgs, Rotate, VaultArgs, VaultCommand, VaultDetokenize, VaultTokenize},
    audit::Journal,
    failure::Failure,
    keys::key_id,
    open,
    output::{Output, table},
};

/// One vault, or a set.
type Open = ShardedVault<Audited<Store>>;

/// Where the databases are named, one a line, if the command line does not.
const VARIABLE: &str = "P2PE_DATABASE";
/// So many card numbers go into one transaction.
const GROUP: usize = 500;

pub(crate) fn run(global: &Global, args: &VaultArgs, output: &Output) -> Result<(), Failure> {
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let done = done(global, &config, args, &journal, output);
    // Uses of keys are recorded besides, by the store.
    let (event, merchant) = match &args.command {
        VaultCommand::Tokenize(args) => (Event::Tokenize, Label::of(&args.policy.merchant)),
        VaultCommand::Rotate(Rotate::DataKey { merchant }) => (Event::Rotate, Label::of(merchant)),
        VaultCommand::Rotate(Rotate::Policy { policy, .. }) => (Event::Rotate, Label::of(&policy.merchant)),
        VaultCommand::Rotate(Rotate::WrappingKey { .. } | Rotate::FingerprintKey { .. }) => (Event::Rotate, None),
        VaultCommand::Delete { merchant, .. } => (Event::DeleteToken, Label::of(merchant)),
        VaultCommand::Shred { merchant, .. } => (Event::Shred, Label::of(merchant)),
        // Recorded before the card number is shown.
        VaultCommand::Detokenize(_) => return done,
        VaultCommand::Init { .. } | VaultCommand::Find { .. } | VaultCommand::Successors { .. } => return done,
        VaultCommand::Stats | VaultCommand::Verify => return done,
    };
    journal.record(|result| merchant.iter().fold(Record::new(event, result), Record::subject), done)
}

fn done(global: &Global, config: &Config, args: &VaultArgs, journal: &Journal, output: &Output) -> Result<(), Failure> {
    let keys = || Ok::<_, Failure>(journal.over(open::store(global, config, Access::Use)?));
    // What is wrong in the command is told before anything is opened.
    let open = || -> Result<Open, Failure> { Ok(ShardedVault::open(stores(&databases(args)?)?, keys()?)?) };
    match &args.command {
        VaultCommand::Init { fingerprint_key, wrapping_key, routing_key } => {
            let names = KeyNames { fingerprint: key_id(fingerprint_key)?, wrapping: key_id(wrapping_key)? };
            let routing = routing_key.as_deref().map(key_id).transpose()?;
            let keys = keys()?;
            let databases = databases(args)?;
            match (&stores(&databases)?[..], routing) {
                ([alone], None) => drop(Vault::init(Arc::clone(alone), keys, names)?),
                (set @ [_, _, ..], Some(routing)) => drop(ShardedVault::init(set.to_vec(), keys, names, routing)?),
                ([_], Some(_)) => {
                    return Err(Failure::usage(
                        "a routing key is for several databases",
                        "repeat --database, or leave it out",
                    ));
                }
                (_, None) => {
                    return Err(Failure::usage("a set needs a key that routes", "name one with --routing-key"));
                }
                ([], Some(_)) => return Err(no_database()),
            }
            // From the environment it may have a password in it.
            let shown: Vec<&str> =
                databases.iter().map(|database| if holds_password(database) { VARIABLE } else { database }).collect();
            let shown = shown.join(", ");
            output.result(&json!({ "vault": shown }), || format!("a vault is in {shown}\n"))
        }
        VaultCommand::Tokenize(command) => tokenize(command, open, output),
        VaultCommand::Detokenize(command) => detokenize(command, open, journal, output),
        VaultCommand::Rotate(command) => rotate::run(command, open, output),
        VaultCommand::Successors { merchant, policy_version } => {
            rotate::successors(&self::merchant(merchant)?, *policy_version, open, output)
        }
        VaultCommand::Find { merchant, file } => {
            let merchant = self::merchant(merchant)?;
            let [(pan, _)] = &cards::read(file.as_deref(), false)?[..] else {
                return Err(Failure::usage("find is for one card number", "pass one"));
            };
            let tokens = open()?.tokens_of(&merchant, pan)?;
            output.result(&json!({ "tokens": tokens }), || tokens.iter().map(|token| format!("{token}\n")).collect())
        }
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
        VaultCommand::Stats => health::stats(&open()?.stats()?, output),
        VaultCommand::Verify => health::verify(open()?.verify()?, output),
    }
}

/// A file or URL of the command line.
pub(crate) fn address(given: &str) -> Result<&str, Failure> {
    if holds_password(given) {
        return Err(Failure::usage(
            "everyone on this machine can read a password on a command line",
            "name its file with ?passfile=FILE or PGPASSFILE, or put the URL into P2PE_DATABASE",
        ));
    }
    Ok(given)
}

/// A URL with a password is taken from the environment only.
fn databases(args: &VaultArgs) -> Result<Vec<String>, Failure> {
    if !args.database.is_empty() {
        return args.database.iter().map(|given| address(given).map(Into::into)).collect();
    }
    let named = addresses(&env::var(VARIABLE).unwrap_or_default());
    if named.is_empty() { Err(no_database()) } else { Ok(named) }
}

fn no_database() -> Failure {
    Failure::usage("no database is named", "use --database, or set P2PE_DATABASE")
}

fn stores(databases: &[String]) -> Result<Vec<Arc<dyn VaultStore>>, Failure> {
    Ok(open_stores(databases).map_err(VaultError::from)?)
}

fn tokenize(
    args: &VaultTokenize,
    open: impl FnOnce() -> Result<Open, Failure>,
    output: &Output,
) -> Result<(), Failure> {
    let policy = policy(&args.policy)?;
    let cards = cards::read(args.file.as_deref(), policy.has_expiry())?;
    let cards: Vec<Card<'_>> = cards.iter().map(|(pan, expiry)| Card { pan, expiry: *expiry }).collect();
    if args.request.is_some() && cards.len() != 1 {
        return Err(Failure::usage("--request is for one card number", "pass one, or leave --request out"));
    }
    let vault = open()?;
    let mut tokens = Vec::with_capacity(cards.len());
    if let (Some(request), [card]) = (&args.request, &cards[..]) {
        tokens.push(vault.tokenize(&policy, *card, Some(request)));
    } else {
        for group in cards.chunks(GROUP) {
            tokens.extend(vault.tokenize_batch(&policy, group)?);
        }
    }
    let mut rows = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        rows.push((token.map_err(|error| on_line(at, error.into()))?, cards[at].pan.to_string()));
    }
    let values: Vec<_> = rows.iter().map(|(token, card)| json!({ "token": token, "card": card })).collect();
    output.result(&json!({ "tokens": values }), || {
        rows.iter().map(|(token, card)| format!("{token}  {card}\n")).collect()
    })
}

fn detokenize(
    args: &VaultDetokenize,
    open: impl FnOnce() -> Result<Open, Failure>,
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
    let card = open().and_then(|vault| Ok(vault.detokenize(&args.caller, &policy, purpose, &args.card_token)?));
    let CardOnFile { pan, expiry } = journal.record(entry, card)?;
    let shown = Zeroizing::new(if args.reveal { pan.expose().to_owned() } else { pan.to_string() });
    let expiry = expiry.map(|expiry| expiry.to_string());
    let mut rows = vec![("card", shown.to_string())];
    rows.extend(expiry.clone().map(|expiry| ("expiry", expiry)));
    output.result(&json!({ "card": *shown, "expiry": expiry }), || table(&rows))
}

fn policy(args: &PolicyArgs) -> Result<Policy, Failure> {
    let form = match args.card_shaped {
        false => TokenForm::Vault,
        true => TokenForm::CardShaped(CardShaped::new(kept(args.keep_bin, args.keep_last_four))),
    };
    let mut policy = Policy::new(merchant(&args.merchant)?, args.policy_version, form);
    let computed = |error| Failure::usage(error, "use a random form");
    if args.single_use {
        policy = policy.single_use().map_err(computed)?;
    }
    if let Some(seconds) = args.time_to_live {
        policy = policy.time_to_live(Duration::from_secs(seconds)).map_err(computed)?;
    }
    if args.with_expiry {
        policy = policy.with_expiry().map_err(computed)?;
    }
    Ok(policy)
}

pub(crate) fn kept(bin: Option<u8>, last_four: bool) -> Kept {
    let bin = match bin {
        None => Bin::None,
        Some(6) => Bin::Six,
        Some(_) => Bin::Eight,
    };
    Kept { bin, last_four }
}

fn on_line(at: usize, failure: Failure) -> Failure {
    Failure { message: format!("number {}: {}", at + 1, failure.message), ..failure }
}

pub(crate) fn merchant(name: &str) -> Result<MerchantId, Failure> {
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
            VaultError::Shard(..) | VaultError::NoSet(_) => {
                (3, "name each database of the set once, with a --database for each")
            }
            VaultError::WrongKey(_) => (7, "name the token that the vault was made with; look at p2pe keys list"),
            VaultError::NotInitialised => (3, "make it with p2pe vault init, or correct --database"),
            VaultError::AlreadyInitialised => (3, "use it, or name another file with --database"),
            VaultError::Store(StoreError::Full) => {
                (1, "make space; nothing of this call was stored, and nothing is lost")
            }
            VaultError::Store(StoreError::Address(_)) => {
                (3, "correct --database or P2PE_DATABASE; see vault/README.md")
            }
            VaultError::Store(StoreError::Unavailable(_)) => {
                (1, "see that the server runs and can be reached, and ask again")
            }
            VaultError::Store(StoreError::NotDurable) => (3, "switch fsync and full_page_writes on in postgresql.conf"),
            VaultError::Store(_) => (1, "check the file, its folder and the space on the disk"),
            VaultError::Corrupted(_) => (10, "restore the row from a backup; the vault hands out no such row"),
            VaultError::KeySpent => (10, "p2pe vault rotate data-key"),
            VaultError::PolicyReplaced => (10, "tokenize with --policy-version of its successor: p2pe vault stats"),
            VaultError::Succession => {
                (10, "name a higher --policy-version, or the one and the date that were said first")
            }
            VaultError::Expiry => (4, "see --with-expiry"),
            VaultError::Token(_) => (4, "correct the card number, or choose another form of token"),
            _ => (10, "correct merchant, token, purpose or request"),
        };
        Self::new(exit, code, error, hint)
    }
}
