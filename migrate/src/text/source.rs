//! Reads a file record by record through one buffer that is wiped.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use hmac::digest::Digest;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Layout;
use crate::{Encoding, Error, encoding::Detector};

/// Read at once.
const BLOCK: usize = 1 << 20;
/// A record longer than this is none: a quote was not closed.
const LONGEST: usize = 16 << 20;

/// Which file it is, as far as it can be told without the numbers in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    size: u64,
    modified: i64,
    modified_ns: i64,
    inode: u64,
    /// SHA-256 of the first 64 KiB, with one sign for all digits and one for all that is not ASCII: nobody can find out a number
    /// by trying.
    prefix: String,
}

impl Identity {
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let read = || {
            let mut file = File::open(path)?;
            let (about, mut prefix) = (file.metadata()?, Zeroizing::new(vec![0; 64 << 10]));
            let mut length = 0;
            while length < prefix.len() {
                match file.read(&mut prefix[length..])? {
                    0 => break,
                    read => length += read,
                }
            }
            prefix[..length].iter_mut().for_each(|byte| match byte {
                b'0'..=b'9' => *byte = b'0',
                0x80.. => *byte = 0x80,
                _ => {}
            });
            // The second byte of a character may look like ASCII.
            for at in 1..length {
                if prefix[at - 1] == 0x80 {
                    prefix[at] = 0x80;
                }
            }
            let prefix = Sha256::digest(&prefix[..length]).iter().map(|byte| format!("{byte:02x}")).collect();
            let (modified, modified_ns) = (about.mtime(), about.mtime_nsec());
            Ok(Self { size: about.size(), modified, modified_ns, inode: about.ino(), prefix })
        };
        read().map_err(|error| Error::File(path.into(), error))
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// A file, and the part of it that is in memory.
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    buffer: Zeroizing<Vec<u8>>,
    held: Range<usize>,
    /// Where in the file what is held begins.
    offset: u64,
    /// The next record's number, from 1.
    row: u64,
    ended: bool,
}

impl Source {
    /// From a place at which a record begins.
    pub(crate) fn open(path: &Path, offset: u64, row: u64) -> Result<Self, Error> {
        let open = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        };
        let file = open().map_err(|error: io::Error| Error::File(path.into(), error))?;
        let buffer = Zeroizing::new(vec![0; BLOCK]);
        Ok(Self { path: path.into(), file, buffer, held: 0..0, offset, row, ended: false })
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn row(&self) -> u64 {
        self.row
    }

    pub(crate) fn held(&self) -> &[u8] {
        &self.buffer[self.held.clone()]
    }

    /// Where the next records end within [`Source::held`], at most `most`; none at the end of the file.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Malformed`] for a record that is too long.
    pub(crate) fn records(&mut self, layout: &dyn Layout, most: usize) -> Result<Vec<usize>, Error> {
        loop {
            let (held, mut ends, mut at) = (self.held(), Vec::new(), 0);
            let too_long =
                |ends: usize| Error::Malformed { row: self.row + ends as u64, what: "a record of more than 16 MiB" };
            while ends.len() < most
                && let Some(length) = layout.record(&held[at..], self.ended)
            {
                if length > LONGEST {
                    return Err(too_long(ends.len()));
                }
                at += length;
                ends.push(at);
            }
            if ends.len() == most || self.ended {
                return Ok(ends);
            }
            if held.len() - at > LONGEST {
                return Err(too_long(ends.len()));
            }
            // A batch that fills the buffer is large enough.
            if !ends.is_empty() && held.len() >= BLOCK {
                return Ok(ends);
            }
            self.fill()?;
        }
    }

    /// Lets go of records: so many bytes, so many records.
    pub(crate) fn done(&mut self, bytes: usize, records: usize) {
        self.held.start += bytes;
        self.offset += bytes as u64;
        self.row += records as u64;
    }

    fn fill(&mut self) -> Result<(), Error> {
        let length = self.held.len();
        if self.held.end == self.buffer.len() {
            if length > self.buffer.len() / 2 {
                let mut larger = Zeroizing::new(vec![0; self.buffer.len() * 2]);
                larger[..length].copy_from_slice(self.held());
                self.buffer = larger;
            } else {
                self.buffer.copy_within(self.held.clone(), 0);
            }
            self.held = 0..length;
        }
        let read = loop {
            match self.file.read(&mut self.buffer[self.held.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| Error::File(self.path.clone(), error))?,
            }
        };
        self.held.end += read;
        self.ended = read == 0;
        Ok(())
    }
}

/// Reads a file once to know how its characters are written.
pub(crate) fn encoding(path: &Path) -> Result<Encoding, Error> {
    let mut source = Source::open(path, 0, 1)?;
    let mut detector = Detector::new();
    while !source.ended {
        source.fill()?;
        let (bytes, ended) = (source.held().len(), source.ended);
        detector.see(source.held(), ended);
        source.done(bytes, 0);
    }
    detector.encoding()
}
