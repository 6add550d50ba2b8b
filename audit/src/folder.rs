//! The files of a log: numbered files of lines, `head` with the last number and hash, `lock`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    AuditError, Fault,
    line::{Hash, LONGEST},
};

pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> AuditError {
    let path = path.to_path_buf();
    move |error| AuditError::File(path, error)
}

pub(crate) fn broken(file: &Path, line: u64, fault: Fault) -> AuditError {
    AuditError::Broken { file: file.into(), line, fault }
}

/// Only the owner reads and writes what is made here.
pub(crate) fn create(path: &Path) -> Result<File, AuditError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(failed(path))
}

pub(crate) fn create_folder(folder: &Path) -> Result<(), AuditError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed(folder))
}

/// Held as long as the log is open for writing.
pub(crate) fn lock(folder: &Path) -> Result<File, AuditError> {
    let path = folder.join("lock");
    let file = create(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AuditError::Busy(folder.into())),
        Err(TryLockError::Error(error)) => Err(AuditError::File(path, error)),
    }
}

pub(crate) fn lines_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("audit-{number:08}.jsonl"))
}

/// The numbers of the lines files, in order.
pub(crate) fn numbers(folder: &Path) -> Result<Vec<u64>, AuditError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl"));
        if let Some(number) = name.filter(|digits| digits.len() >= 8).and_then(|digits| digits.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The lines of a file. What stands behind the last end of line is the cut one.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    /// Lines read so far.
    pub(crate) count: u64,
    /// Bytes of whole lines read so far.
    pub(crate) whole: u64,
    /// Bytes behind the last whole line.
    pub(crate) cut: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, AuditError> {
        let file = File::open(path).map_err(failed(path))?;
        Ok(Self { path: path.into(), reader: BufReader::new(file), count: 0, whole: 0, cut: 0 })
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, AuditError> {
        let mut line = Vec::new();
        let mut bounded = self.reader.by_ref().take(LONGEST as u64 + 1);
        bounded.read_until(b'\n', &mut line).map_err(failed(&self.path))?;
        if line.pop_if(|last| *last == b'\n').is_some() {
            self.count += 1;
            self.whole += line.len() as u64 + 1;
            return Ok(Some(line));
        }
        if line.len() > LONGEST {
            return Err(broken(&self.path, self.count + 1, Fault::NoRecord));
        }
        self.cut = line.len() as u64;
        Ok(None)
    }
}

/// The file with number and hash of the last record; fixed width, overwritten in place.
pub(crate) struct Head {
    path: PathBuf,
    file: File,
}

impl Head {
    pub(crate) fn open(folder: &Path) -> Result<Self, AuditError> {
        let path = Self::path(folder);
        let file = create(&path)?;
        Ok(Self { path, file })
    }

    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("head")
    }

    pub(crate) fn write(&mut self, seq: u64, hash: Hash) -> Result<(), AuditError> {
        let line = format!("{seq:020} {}\n", hash.to_hex());
        self.file.seek(SeekFrom::Start(0)).map_err(failed(&self.path))?;
        self.file.write_all(line.as_bytes()).map_err(failed(&self.path))
    }

    /// `None` if there is no head yet.
    pub(crate) fn read(folder: &Path) -> Result<Option<(u64, Hash)>, AuditError> {
        let path = Self::path(folder);
        let mut text = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(87).read_to_end(&mut text).map_err(failed(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AuditError::File(path, error)),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = (|| {
            let (seq, hash) = text.strip_suffix(b"\n")?.split_at_checked(20)?;
            let seq = std::str::from_utf8(seq).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            let seq = seq.parse().ok()?;
            Some((seq, Hash::from_hex(hash.strip_prefix(b" ")?)?))
        })();
        parsed.map(Some).ok_or_else(|| broken(&path, 1, Fault::NoRecord))
    }
}
