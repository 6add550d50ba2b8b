//! `p2pe migrate` as it is typed.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum, builder::TypedValueParser};

#[derive(Subcommand)]
pub(crate) enum Migrate {
    /// Count what stands in a file: which columns hold card numbers, with masked samples; changes nothing
    Scan(Scan),
    /// Write a copy of a file with tokens in place of card numbers; repeat the command if it was interrupted
    #[command(after_help = "\
        Columns of which at least half of the cells are card numbers are tokenized. Where only some are, nothing is done until\n\
        --column or --keep says what they are. OUT.rejects.csv lists cells that got no token, with row, column and reason:\n\
        check_digit, digits_lost (a spreadsheet took the number for a float), not_a_card_number. Such a cell is written with\n\
        BIN and last four at most. OUT.report.json is the report. Until the end the output is OUT.partial, and OUT.journal\n\
        says how far it is. IN is never changed: delete it when OUT is in use.")]
    Run(Run),
    /// Replace the card numbers in a column of a database by tokens, in place; repeat the command if it was interrupted
    #[command(after_help = "\
        DATABASE is a SQLite file that is there, postgresql://USER@/NAME?host=/FOLDER, or mysql://USER@localhost/NAME?socket=/FILE:\n\
        through a socket or to this machine, and without a password. The table p2pe_migrate in it remembers how far a run is.\n\
        A cell that gets no token stays as it is. Old values stay where the database keeps them: SQLite until VACUUM, PostgreSQL\n\
        until VACUUM and in archives of its log, MySQL in its binary log, all of them in backups.")]
    Column(Column),
}

#[derive(clap::Args)]
pub(crate) struct Column {
    /// The database
    #[arg(value_name = "DATABASE")]
    pub(crate) address: String,
    /// The table, or SCHEMA.TABLE
    #[arg(long, value_name = "NAME")]
    pub(crate) table: String,
    /// The column of card numbers
    #[arg(long, value_name = "NAME")]
    pub(crate) column: String,
    /// The table's primary key: one column
    #[arg(long, value_name = "NAME")]
    pub(crate) key: String,
    /// Only count what stands in the column
    #[arg(long)]
    pub(crate) scan: bool,
    /// File with the password of the database
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// List cells without a token in a new file, by key
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Stop at a cell that gets no token; what was replaced before it stays replaced
    #[arg(long)]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(clap::Args)]
pub(crate) struct Scan {
    /// The file: .csv, .tsv, .jsonl, .xlsx, .parquet
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Look at so many rows only; of a workbook, all are looked at
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<u64>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// The file: .csv, .tsv, .jsonl, .xlsx, .parquet
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The copy
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) form: Form,
    /// A column of card numbers, by name or number; again for others
    #[arg(long, value_name = "NAME")]
    pub(crate) column: Vec<String>,
    /// A column that holds no card numbers though it may look so; again for others
    #[arg(long, value_name = "NAME")]
    pub(crate) keep: Vec<String>,
    /// What becomes of a cell that gets no token
    #[arg(long, value_enum, default_value_t = Rejects::Mask)]
    pub(crate) rejects: Rejects,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rejects {
    /// It is listed, and written with BIN and last four at most
    Mask,
    /// The run stops, and nothing is written
    Stop,
}

#[derive(clap::Args)]
pub(crate) struct Reading {
    /// How the file is written [default: by its name]
    #[arg(long, value_parser = ["csv", "tsv", "jsonl", "xlsx", "parquet"])]
    pub(crate) format: Option<String>,
    /// What stands between two cells, for CSV
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<char>,
    /// Of the characters [default: found out from the whole file]
    #[arg(long, value_parser = ["utf-8", "shift_jis"])]
    pub(crate) encoding: Option<String>,
    /// The first row is data [default: found out]
    #[arg(long)]
    pub(crate) no_header: bool,
}

#[derive(clap::Args)]
pub(crate) struct Form {
    /// The merchant that the tokens are for
    #[arg(long, value_name = "ID")]
    pub(crate) merchant: String,
    /// The vault: a file of SQLite, or a URL as `p2pe vault` takes it; again for each database of a set. Without one: irreversible
    /// tokens, or format-preserving ones with --ff1
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) database: Vec<String>,
    /// Format-preserving tokens under this key of kind ff1: reversible, and nobody can tell them from card numbers
    #[arg(long, value_name = "KEY", conflicts_with = "database")]
    pub(crate) ff1: Option<String>,
    /// Version of the merchant's policy: another form of token needs another version
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) policy_version: u32,
    /// Random tokens of as many digits as the card number
    #[arg(long, requires = "database")]
    pub(crate) card_shaped: bool,
    /// Keep the first digits of the card number, with --card-shaped or --ff1
    #[arg(long, value_name = "6|8", value_parser = clap::builder::PossibleValuesParser::new(["6", "8"]).map(|digits| if digits == "6" { 6u8 } else { 8 }))]
    pub(crate) keep_bin: Option<u8>,
    /// Keep the last four digits of the card number, with --card-shaped or --ff1
    #[arg(long)]
    pub(crate) keep_last_four: bool,
}
