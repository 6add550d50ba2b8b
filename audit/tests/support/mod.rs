//! A small log in a temporary folder.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use dukpt::{KeyId, Ksn};
use p2pe_audit::{Event, Label, Log, Options, Record, Sync};
use tempfile::TempDir;

/// Small files, so that a few records fill several.
pub(crate) fn options() -> Options {
    Options { sync: Sync::Never, file_size: 1200, ..Options::default() }
}

pub(crate) fn open(folder: &Path) -> Log {
    Log::open(folder, Label::new("gateway-1").unwrap(), options()).unwrap()
}

pub(crate) fn append(log: &Log, count: usize) {
    let key = KeyId::new("bdk-1").unwrap();
    let ksn = Ksn::of_transaction(&hex::decode("FFFF987654004300025A").unwrap()).unwrap();
    for _ in 0..count {
        log.append(&Record::new(Event::Decrypt, "ok").key(&key).ksn(&ksn)).unwrap();
    }
}

/// A closed log of so many records.
pub(crate) fn filled(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()), count);
    folder
}

/// The files of lines, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}
