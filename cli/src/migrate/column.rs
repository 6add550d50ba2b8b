//! `p2pe migrate column`: a column of a database, in place.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use p2pe_config::read_file_wiped;
use p2pe_migrate::{
    Error, Format, Options, Rejects,
    table::{self, Database, MySql, Postgres, Sqlite},
};
use serde_json::json;

use super::{Bar, args::Column, with_tokens};
use crate::{args::Global, failure::Failure, output::Output};

/// No password is longer than this, in bytes.
const LONGEST: usize = 4096;

pub(crate) fn run(global: &Global, args: &Column, output: &Output) -> Result<(), Failure> {
    let column = table::Column { table: args.table.clone(), column: args.column.clone(), key: args.key.clone() };
    let rejects = if args.stop { Rejects::Stop } else { Rejects::Mask };
    // The format is that of files, and not looked at.
    let options = Options { rejects, ..Options::new(Format::JsonLines) };
    let mut database = open(args)?;
    let bar = Bar::new(output);
    if args.scan {
        let found = table::scan(&mut *database, &column, &options, &mut |p| bar.show(p))?;
        bar.clear();
        return output.result(&json!(found), || {
            let (name, samples) = (&found.name, found.samples.join(" "));
            let (cells, cards, floats, tokens) = (found.cells, found.plausible, found.floats, found.tokens);
            format!("{name}: {cells} cells, {cards} card numbers, {floats} floats, {tokens} tokens\n  {samples}\n")
        });
    }
    let mut list = match &args.list {
        Some(path) => Some((path, File::create_new(path).map_err(|error| listing(path, error))?)),
        None => None,
    };
    let mut rejected = |key: &str, reason: &'static str| match &mut list {
        Some((path, list)) => {
            let line = format!("\"{}\",{reason}\n", key.replace('"', "\"\""));
            list.write_all(line.as_bytes()).map_err(|error| listing(path, error))
        }
        None => Ok(()),
    };
    let report = with_tokens(global, &args.form, |tokens| {
        Ok(table::run(&mut *database, &column, tokens, &options, &mut rejected, &mut |p| bar.show(p))?)
    })?;
    bar.clear();
    output.result(&json!({ "report": report }), || report.to_string())
}

fn listing(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(path.into()),
        _ => Error::File(path.into(), error),
    }
}

fn open(args: &Column) -> Result<Box<dyn Database>, Failure> {
    let password = args.password_file.as_deref().map(|path| read_file_wiped(path, LONGEST)).transpose();
    let password = password
        .map_err(|error| Failure::usage(format!("cannot read the password: {error}"), "correct --password-file"))?;
    let password = password.as_deref().map(|bytes| str::from_utf8(bytes).map(str::trim_end)).transpose();
    let password = password.map_err(|_| Failure::usage("the password is no text", "correct --password-file"))?;
    let address = &*args.address;
    Ok(match address.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Box::new(Postgres::connect(address, password)?),
        Some(("mysql", _)) => Box::new(MySql::connect(address, password)?),
        Some(("sqlite", path)) => Box::new(Sqlite::open(Path::new(path))?),
        _ => Box::new(Sqlite::open(Path::new(address))?),
    })
}
