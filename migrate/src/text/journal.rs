//! What a run has done so far, beside its output: enough to go on after a crash, and no card number.
//!
//! The first line says what the run is, each line after it where a batch ended. A line that was cut is not there.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Tally};

/// Where a batch ended.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Bytes of the input, the output and the list of rejects.
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) rejects: u64,
    /// Records so far.
    pub(crate) rows: u64,
    pub(crate) tallies: Vec<Tally>,
}

/// The file, locked for as long as it is open.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

/// What was found in a journal: what the run is, and where its last batch ended.
pub(crate) type Begun<R> = Option<(R, Option<Point>)>;

impl Journal {
    /// Opens the journal, or makes it.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::File`].
    pub(crate) fn open<R: for<'d> Deserialize<'d>>(path: &Path) -> Result<(Self, Begun<R>), Error> {
        let failed = |error| Error::File(path.into(), error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(path.into())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut journal = Self { path: path.into(), file };
        let begun = journal.read().map_err(failed)?;
        Ok((journal, begun))
    }

    fn read<R: for<'d> Deserialize<'d>>(&mut self) -> io::Result<Begun<R>> {
        let mut lines = BufReader::new(&self.file);
        let (mut line, mut length, mut run, mut last) = (String::new(), 0, None, None);
        loop {
            line.clear();
            let read = lines.read_line(&mut line)?;
            if !line.ends_with('\n') {
                break;
            }
            if run.is_none() {
                run = Some(serde_json::from_str(&line)?);
            } else {
                last = Some(serde_json::from_str(&line)?);
            }
            length += read as u64;
        }
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        Ok(run.map(|run| (run, last)))
    }

    /// Adds a line, which is on the disk when this returns.
    pub(crate) fn add(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let write = |file: &mut File| {
            let mut bytes = serde_json::to_vec(line)?;
            bytes.push(b'\n');
            file.write_all(&bytes)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|error| Error::File(self.path.clone(), error))
    }

    /// The run is over.
    pub(crate) fn remove(self) -> Result<(), Error> {
        std::fs::remove_file(&self.path).map_err(|error| Error::File(self.path, error))
    }
}
