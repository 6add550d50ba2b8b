//! The end of a log: the file that is written, and where its chain stands.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    AuditError, Fault, Options, Sync,
    folder::{Head, Lines, broken, create, create_folder, failed, lines_file, lock, numbers},
    line::{Body, Hash, Line, encode},
    verify::Chain,
};

pub(crate) struct Writer {
    folder: PathBuf,
    number: u64,
    path: PathBuf,
    file: Arc<File>,
    /// Bytes of whole records in the file.
    length: u64,
    pub(crate) chain: Chain,
    stopped: bool,
    _lock: File,
}

impl Writer {
    /// The writer, and how many bytes of a cut line it removed.
    pub(crate) fn open(folder: &Path) -> Result<(Self, u64), AuditError> {
        create_folder(folder)?;
        let lock = lock(folder)?;
        let numbers = numbers(folder)?;
        let newest = numbers.last().copied().unwrap_or(1);
        let path = lines_file(folder, newest);
        let mut file = create(&path)?;
        let (mut chain, whole, cut) = last_of(&path)?;
        if whole == 0 && newest > 1 {
            // The program was stopped between making a file and writing to it.
            chain = last_of(&lines_file(folder, newest - 1))?.0;
        }
        match Head::read(folder)? {
            Some((seq, _)) if seq > chain.seq => return Err(broken(&Head::path(folder), 1, Fault::EndRemoved)),
            Some((seq, hash)) if seq == chain.seq && hash != chain.hash => {
                return Err(broken(&path, 0, Fault::OtherChain));
            }
            None if chain.seq > 0 => return Err(broken(&Head::path(folder), 0, Fault::MissingFile)),
            _ => {}
        }
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed(&path))?;
        let file = Arc::new(file);
        let writer = Self {
            folder: folder.into(),
            number: newest,
            path,
            file,
            length: whole,
            chain,
            stopped: false,
            _lock: lock,
        };
        Ok((writer, cut))
    }

    pub(crate) fn append(&mut self, body: &Body, options: Options) -> Result<(), AuditError> {
        if self.stopped {
            return Err(AuditError::Stopped);
        }
        let (mut line, hash) = encode(body).map_err(|error| AuditError::File(self.path.clone(), error.into()))?;
        line.push(b'\n');
        if self.length > 0 && self.length + line.len() as u64 > options.file_size {
            self.next_file(options)?;
        }
        // Until the record is whole and where it belongs, nothing else may be written.
        self.stopped = true;
        let mut file = &*self.file;
        if let Err(error) = file.write_all(&line) {
            let back = file.set_len(self.length).and_then(|()| file.seek(SeekFrom::End(0)));
            self.stopped = back.is_err();
            return Err(AuditError::File(self.path.clone(), error));
        }
        self.length += line.len() as u64;
        self.chain = Chain { seq: body.seq, hash };
        self.stopped = false;
        Ok(())
    }

    /// The file, and the last record in it; files before it are on disk.
    pub(crate) fn written(&self) -> Result<(Arc<File>, PathBuf, Chain), AuditError> {
        if self.stopped {
            Err(AuditError::Stopped)
        } else {
            Ok((Arc::clone(&self.file), self.path.clone(), self.chain))
        }
    }

    /// Takes no more records.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    fn next_file(&mut self, options: Options) -> Result<(), AuditError> {
        let path = lines_file(&self.folder, self.number + 1);
        if options.sync != Sync::Never
            && let Err(error) = self.file.sync_data()
        {
            self.stopped = true;
            return Err(AuditError::File(self.path.clone(), error));
        }
        self.file = Arc::new(create(&path)?);
        self.path = path;
        self.number += 1;
        self.length = 0;
        if options.sync != Sync::Never {
            // The new name must be on disk too.
            File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed(&self.folder))?;
        }
        Ok(())
    }
}

/// Reads a file through: where its chain ends, the bytes of its whole lines, and the bytes of a cut one.
fn last_of(path: &Path) -> Result<(Chain, u64, u64), AuditError> {
    let mut lines = Lines::open(path)?;
    let mut chain: Option<Chain> = None;
    while let Some(text) = lines.next()? {
        let at = |fault| broken(path, lines.count, fault);
        let line = Line::decode(&text).map_err(at)?;
        match &mut chain {
            Some(chain) => chain.follow(&line).map_err(at)?,
            None => chain = Some(Chain { seq: line.body.seq, hash: line.hash }),
        }
    }
    Ok((chain.unwrap_or(Chain { seq: 0, hash: Hash::NONE }), lines.whole, lines.cut))
}
