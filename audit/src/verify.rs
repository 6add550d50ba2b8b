//! Reads a log from its first line to its last and finds what is not as it was written.

use std::path::Path;

use dukpt::Key;
use subtle::ConstantTimeEq;

use crate::{
    AuditError,
    folder::{Head, Lines, broken, lines_file, numbers},
    line::{Hash, Line, sealed},
};

/// What is wrong with a line or a file of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The line is no record.
    #[error("no audit record stands there")]
    NoRecord,
    /// The line does not have its own hash.
    #[error("the record was changed")]
    Changed,
    /// Lines before this one are missing, or stand elsewhere.
    #[error("the record does not follow the one before it: records were removed, added or moved")]
    Order,
    /// A whole file is missing.
    #[error("the file is missing")]
    MissingFile,
    /// The end was removed, or the head file was.
    #[error("the last records are missing: the log does not reach its head")]
    EndRemoved,
    /// The head is not one of this chain.
    #[error("the log is not the one of its head")]
    OtherChain,
    /// The seal is not of this chain and key.
    #[error("the seal is wrong: the chain was made again, or the key is another")]
    Seal,
}

impl Fault {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoRecord => "audit_no_record",
            Self::Changed => "audit_changed",
            Self::Order => "audit_order",
            Self::MissingFile => "audit_missing_file",
            Self::EndRemoved => "audit_end_removed",
            Self::OtherChain => "audit_other_chain",
            Self::Seal => "audit_seal",
        }
    }
}

/// A log that is whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Records in it.
    pub records: u64,
    /// Files in it.
    pub files: usize,
    /// Hash of the last record, in hex: keep it elsewhere to see later that nothing before it was made again.
    pub last: String,
    /// The number of the last seal that the key proves, if a key was given and there is one.
    pub sealed: Option<u64>,
    /// Bytes of an unfinished line at the end: a program writes now, or was stopped while it wrote.
    pub unfinished: u64,
}

/// Checks every line of a log, and its seals under `key`.
///
/// # Errors
/// [`AuditError::Broken`] with file, line and fault; [`AuditError::File`], [`AuditError::Key`].
pub fn verify(folder: &Path, key: Option<&dyn Seals>) -> Result<Verified, AuditError> {
    // The head first: a program that writes meanwhile only adds to what it names.
    let head = Head::read(folder)?;
    let numbers = numbers(folder)?;
    let mut chain = Chain { seq: 0, hash: Hash::NONE };
    let mut found = Verified { records: 0, files: numbers.len(), last: String::new(), sealed: None, unfinished: 0 };
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            return Err(broken(&lines_file(folder, expected), 0, Fault::MissingFile));
        }
        let path = lines_file(folder, *number);
        let mut lines = Lines::open(&path)?;
        while let Some(text) = lines.next()? {
            let at = |fault| broken(&path, lines.count, fault);
            let line = Line::decode(&text).map_err(at)?;
            chain.follow(&line).map_err(at)?;
            if head.is_some_and(|(seq, hash)| seq == chain.seq && hash != chain.hash) {
                return Err(at(Fault::OtherChain));
            }
            if let (Some(key), Some(seal)) = (key, &line.body.seal) {
                let right = key.seal(&sealed(line.body.seq, line.prev))?;
                let stands = Hash::from_hex(seal.as_bytes()).ok_or_else(|| at(Fault::Seal))?;
                if !bool::from(stands.0.ct_eq(&right)) {
                    return Err(at(Fault::Seal));
                }
                found.sealed = Some(line.body.seq);
            }
        }
        if lines.cut > 0 && numbers.last() != Some(number) {
            return Err(broken(&path, lines.count + 1, Fault::NoRecord));
        }
        found.unfinished = lines.cut;
    }
    match head {
        Some((seq, _)) if seq > chain.seq => return Err(broken(&Head::path(folder), 1, Fault::EndRemoved)),
        None if chain.seq > 0 => return Err(broken(&Head::path(folder), 0, Fault::MissingFile)),
        _ => {}
    }
    found.records = chain.seq;
    found.last = chain.hash.to_hex();
    Ok(found)
}

/// A key that makes seals; every [`Key`] that does HMAC-SHA-256 is one.
pub trait Seals {
    /// HMAC-SHA-256 of `data`.
    ///
    /// # Errors
    /// [`AuditError::Key`].
    fn seal(&self, data: &[u8]) -> Result<[u8; 32], AuditError>;
}

impl<K: Key> Seals for K {
    fn seal(&self, data: &[u8]) -> Result<[u8; 32], AuditError> {
        Ok(self.hmac_sha256(data)?)
    }
}

/// Where a chain stands: the last record's number and hash.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
}

impl Chain {
    pub(crate) fn follow(&mut self, line: &Line) -> Result<(), Fault> {
        if self.seq.checked_add(1) != Some(line.body.seq) || line.prev != self.hash {
            return Err(Fault::Order);
        }
        *self = Self { seq: line.body.seq, hash: line.hash };
        Ok(())
    }
}
