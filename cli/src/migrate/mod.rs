//! `p2pe migrate`: a merchant's old card files, with tokens in place of card numbers.

pub(crate) mod args;
mod column;

use std::{
    io::{IsTerminal, stderr},
    path::Path,
};

use dukpt::KeyStore;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use p2pe_audit::{Event, Label, Record};
use p2pe_config::{Access, Config};
use p2pe_crypto::{
    CardShaped, FormatPreserving, FormatPreservingTokenizer, Kept, Policy, TokenError, TokenForm, Tokenizer,
};
use p2pe_migrate::{
    Choice, Encoding, Error, Format, KeyedTokens, Options, Phase, PreservingTokens, Progress, Tokens, VaultTokens,
};
use serde_json::json;
use vault::{ShardedVault, VaultError, open_stores};

use crate::{
    args::Global,
    audit::Journal,
    failure::Failure,
    keys::key_id,
    open,
    output::Output,
    vault::{address, kept, merchant},
};
use args::{Form, Migrate, Reading, Rejects, Run, Scan};

pub(crate) fn run(global: &Global, command: &Migrate, output: &Output) -> Result<(), Failure> {
    match command {
        Migrate::Scan(command) => scan(command, output),
        Migrate::Run(command) => moved(global, command, output),
        Migrate::Column(command) => column::run(global, command, output),
    }
}

fn scan(args: &Scan, output: &Output) -> Result<(), Failure> {
    let bar = Bar::new(output);
    let found = p2pe_migrate::scan(&args.file, &options(&args.file, &args.reading)?, args.rows, &mut |p| bar.show(p))?;
    bar.clear();
    output.result(&json!(found), || found.to_string())
}

fn moved(global: &Global, args: &Run, output: &Output) -> Result<(), Failure> {
    let options = Options {
        choice: Choice { tokenize: args.column.clone(), keep: args.keep.clone() },
        rejects: match args.rejects {
            Rejects::Mask => p2pe_migrate::Rejects::Mask,
            Rejects::Stop => p2pe_migrate::Rejects::Stop,
        },
        ..options(&args.input, &args.reading)?
    };
    let bar = Bar::new(output);
    let report = with_tokens(global, &args.form, |tokens| {
        Ok(p2pe_migrate::run(&args.input, &args.output, tokens, &options, &mut |p| bar.show(p))?)
    })?;
    bar.clear();
    let rejects = format!("{}.rejects.csv", args.output.display());
    output.result(&json!({ "report": report, "rejects": rejects }), || match report.rejected() {
        0 => report.to_string(),
        _ => format!("{report}cells without a token are listed in {rejects}\n"),
    })
}

/// Opens the vault or the key, and works with its tokens. The run is recorded as one; uses of keys are recorded by the store.
fn with_tokens<T>(
    global: &Global,
    form: &Form,
    work: impl FnOnce(&dyn Tokens) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = open::config(global)?;
    let journal = Journal::open(&config)?;
    let done = opened(global, &config, &journal, form, work);
    let merchant = Label::of(&form.merchant);
    journal.record(|result| merchant.iter().fold(Record::new(Event::Tokenize, result), Record::subject), done)
}

fn opened<T>(
    global: &Global,
    config: &Config,
    journal: &Journal,
    form: &Form,
    work: impl FnOnce(&dyn Tokens) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (merchant, kept) = (merchant(&form.merchant)?, kept(form.keep_bin, form.keep_last_four));
    if (form.keep_bin.is_some() || form.keep_last_four) && !form.card_shaped && form.ff1.is_none() {
        return Err(Failure::usage("only digits can be kept in digits", "add --card-shaped, or --ff1 KEY"));
    }
    let policy = |form_of_token| Policy::new(merchant.clone(), form.policy_version, form_of_token);
    let keys = || -> Result<_, Failure> { Ok(journal.over(open::store(global, config, Access::Use)?)) };
    match (&form.database[..], &form.ff1) {
        (databases @ [_, ..], _) => {
            databases.iter().try_for_each(|database| address(database).map(|_| ()))?;
            let rows = open_stores(databases).map_err(VaultError::from)?;
            let vault = ShardedVault::open(rows, keys()?)?;
            let form = if form.card_shaped { TokenForm::CardShaped(CardShaped::new(kept)) } else { TokenForm::Vault };
            work(&VaultTokens::of_set(&vault, policy(form))?)
        }
        ([], Some(key)) => {
            let keys = keys()?;
            let tokenizer = FormatPreservingTokenizer::new(keys.key(&key_id(key)?)?);
            work(&PreservingTokens::new(tokenizer, policy(TokenForm::FormatPreserving(preserving(kept)?))))
        }
        ([], None) => {
            let key = config.token_key.clone().ok_or_else(|| {
                Failure::config(
                    "no vault and no key for tokens is named",
                    "add --database, or [tokens] to the settings",
                )
            })?;
            work(&KeyedTokens::new(Tokenizer::new(keys()?, key), merchant))
        }
    }
}

/// Numbers of which too few digits would be left get no token.
fn preserving(kept: Kept) -> Result<FormatPreserving, Failure> {
    let rules = (12..=19).map(|length| (length, kept)).filter(|rule| FormatPreserving::new(&[*rule]).is_ok());
    FormatPreserving::new(&rules.collect::<Vec<_>>()).map_err(|error| Failure::usage(error, "keep fewer digits"))
}

fn options(path: &Path, reading: &Reading) -> Result<Options, Failure> {
    let format = match reading.format.as_deref() {
        None => Format::of(path)?,
        Some("tsv") => Format::Csv { delimiter: b'\t' },
        Some("jsonl") => Format::JsonLines,
        Some("xlsx") => Format::Xlsx,
        Some("parquet") => Format::Parquet,
        Some(_) => Format::Csv { delimiter: b',' },
    };
    let format = match (reading.delimiter, format) {
        (None, format) => format,
        (Some(character), Format::Csv { .. }) => {
            let delimiter = u8::try_from(character).ok().filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte));
            let wrong = || Failure::usage("no such delimiter", "one ASCII character that is no quote and no line end");
            Format::Csv { delimiter: delimiter.ok_or_else(wrong)? }
        }
        (Some(_), _) => return Err(Failure::usage("--delimiter is for CSV", "leave it out")),
    };
    let encoding = match reading.encoding.as_deref() {
        None if format == Format::JsonLines => Some(Encoding::Utf8),
        None => None,
        Some("utf-8") => Some(Encoding::Utf8),
        Some(_) => Some(Encoding::ShiftJis),
    };
    Ok(Options { encoding, header: reading.no_header.then_some(false), ..Options::new(format) })
}

/// Progress with rate and time left, at a terminal.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(output: &Output) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if stderr().is_terminal() && !output.is_json() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        // Bytes of a file (packed, of a Parquet file), sheets of a workbook, rows of a table.
        let shown = "{msg:>12} {bar:30} {human_pos}/{human_len}, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(shown) {
            bar.set_style(style);
        }
        Self { bar }
    }

    fn show(&self, progress: Progress) {
        let phase = match progress.phase {
            Phase::Scan => "looking",
            Phase::Move => "replacing",
            Phase::Reconcile => "reconciling",
        };
        if self.bar.message() != phase {
            self.bar.reset();
            self.bar.set_message(phase);
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.bytes);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = error.code();
        let (exit, hint) = match error {
            Error::Vault(error) => return error.into(),
            Error::Token(TokenError::Key(error)) => return error.into(),
            Error::Database(_) => (1, "check table, columns and rights; repeat the command to go on"),
            Error::File(..) => (1, "check the files, their folder and the space on the disk"),
            Error::NotReconciled(_) => (1, "nothing was written; please report this"),
            Error::Exists(_) => (2, "name another output; nothing is overwritten"),
            Error::Busy(_) => (2, "wait until the other run has ended"),
            Error::OtherRun { .. } => {
                (2, "repeat the command that began it, or delete its .journal, .partial and .rejects.csv")
            }
            Error::Unsure(_) => (2, "look with p2pe migrate scan, and name each with --column or --keep"),
            Error::UnknownColumn(_) => (2, "p2pe migrate scan lists the columns"),
            Error::NoColumn => (2, "look with p2pe migrate scan; name a column with --column"),
            Error::SingleUse => (2, "choose a multi-use policy"),
            Error::Token(_) => (10, "look at the key and the form of token; then repeat the command"),
            _ => (4, "correct the file; nothing was written"),
        };
        Self::new(exit, code, error, hint)
    }
}
