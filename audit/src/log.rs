//! Writes a log: one record after the other, each chained to the one before.

use std::{
    fmt,
    fs::File,
    io::{Seek, SeekFrom, Write},
    mem,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{SecondsFormat, Utc};

use crate::{
    AuditError, Fault, Label, Record,
    folder::{Head, Lines, broken, create, create_folder, failed, lines_file, lock, numbers},
    line::{Body, Hash, Line, encode, sealed},
    verify::{Chain, Seals},
};

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When records reach the disk.
    pub sync: Sync,
    /// A new file is begun after so many bytes.
    pub file_size: u64,
}

impl Default for Options {
    /// Every record on disk before its use goes on; files of 64 MiB.
    fn default() -> Self {
        Self { sync: Sync::EachRecord, file_size: 64 << 20 }
    }
}

/// When records reach the disk (`fsync`). Without it a power failure may take the last ones; a killed program takes none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Before `append` returns.
    EachRecord,
    /// With the first record after so long, and when the log is closed.
    Every(Duration),
    /// When the operating system likes.
    Never,
}

/// An open log. Threads share it; only one program writes a log at a time.
pub struct Log {
    actor: Label,
    options: Options,
    writer: Mutex<Writer>,
}

impl Log {
    /// Opens a log, or begins one. Checks the newest file; [`verify`](crate::verify) checks all.
    ///
    /// # Errors
    /// [`AuditError::Busy`], [`AuditError::Broken`], [`AuditError::File`].
    pub fn open(folder: &Path, actor: Label, options: Options) -> Result<Self, AuditError> {
        let (writer, cut) = Writer::open(folder)?;
        let log = Self { actor, options, writer: Mutex::new(writer) };
        if cut > 0 {
            log.write(|body| {
                body.event = "recovered".into();
                body.dropped = Some(cut);
                Ok(())
            })?;
        }
        Ok(log)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`AuditError::File`] if it is not written: then do not do what it is about. [`AuditError::Stopped`].
    pub fn append(&self, record: &Record<'_>) -> Result<(), AuditError> {
        self.write(|body| {
            body.event = record.event.name().into();
            body.result = record.result.into();
            body.key = record.key.map(ToString::to_string);
            body.ksn = record.ksn.map(ToString::to_string);
            body.custody = record.custody.map(|custody| custody.to_string());
            body.subject = record.subject.map(ToString::to_string);
            body.purpose = record.purpose.map(ToString::to_string);
            Ok(())
        })
    }

    /// Adds a seal over all records so far, under an HMAC key of the store.
    ///
    /// # Errors
    /// As of [`Log::append`]; [`AuditError::Key`].
    pub fn seal(&self, key: &dyn Seals) -> Result<(), AuditError> {
        self.write(|body| {
            let prev = Hash::from_hex(body.prev.as_bytes()).unwrap_or(Hash::NONE);
            body.event = "seal".into();
            body.seal = Some(Hash(key.seal(&sealed(body.seq, prev))?).to_hex());
            Ok(())
        })
    }

    fn write(&self, fill: impl FnOnce(&mut Body) -> Result<(), AuditError>) -> Result<(), AuditError> {
        // A thread that panicked left no half-written state: `stopped` tells.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut body = Body {
            seq: writer.chain.seq + 1,
            time: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            actor: self.actor.to_string(),
            event: String::new(),
            key: None,
            ksn: None,
            custody: None,
            subject: None,
            purpose: None,
            dropped: None,
            seal: None,
            result: "ok".into(),
            prev: writer.chain.hash.to_hex(),
        };
        fill(&mut body)?;
        writer.append(&body, self.options)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("actor", &self.actor).field("options", &self.options).finish_non_exhaustive()
    }
}

struct Writer {
    folder: PathBuf,
    number: u64,
    path: PathBuf,
    file: File,
    /// Bytes of whole records in the file.
    length: u64,
    chain: Chain,
    head: Head,
    synced: Instant,
    unsynced: bool,
    stopped: bool,
    _lock: File,
}

impl Writer {
    /// The writer, and how many bytes of a cut line it removed.
    fn open(folder: &Path) -> Result<(Self, u64), AuditError> {
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
        let mut head = Head::open(folder)?;
        head.write(chain.seq, chain.hash)?;
        let writer = Self {
            folder: folder.into(),
            number: newest,
            path,
            file,
            length: whole,
            chain,
            head,
            synced: Instant::now(),
            unsynced: false,
            stopped: false,
            _lock: lock,
        };
        Ok((writer, cut))
    }

    fn append(&mut self, body: &Body, options: Options) -> Result<(), AuditError> {
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
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.sync(options)) {
            let back = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
            self.stopped = back.is_err();
            return Err(AuditError::File(self.path.clone(), error));
        }
        self.length += line.len() as u64;
        self.chain = Chain { seq: body.seq, hash };
        self.stopped = false;
        self.head.write(body.seq, hash)
    }

    fn sync(&mut self, options: Options) -> std::io::Result<()> {
        self.unsynced = options.sync != Sync::Never;
        let due = match options.sync {
            Sync::EachRecord => true,
            Sync::Every(time) => self.synced.elapsed() >= time,
            Sync::Never => false,
        };
        if due {
            self.file.sync_data()?;
            self.synced = Instant::now();
            self.unsynced = false;
        }
        Ok(())
    }

    fn next_file(&mut self, options: Options) -> Result<(), AuditError> {
        if options.sync != Sync::Never {
            self.file.sync_data().map_err(failed(&self.path))?;
        }
        let path = lines_file(&self.folder, self.number + 1);
        self.file = create(&path)?;
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

impl Drop for Writer {
    fn drop(&mut self) {
        if mem::take(&mut self.unsynced) {
            // Nobody is left to tell; the records are with the operating system.
            let _ = self.file.sync_data();
        }
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
