//! Writes a log: one record after the other, each chained to the one before.

use std::{
    fmt, mem,
    path::Path,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use chrono::{SecondsFormat, Utc};

use crate::{
    AuditError, Label, Record,
    folder::{Head, failed},
    line::{Body, Hash, sealed},
    verify::Seals,
    writer::Writer,
};

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// When records reach the disk.
    pub sync: Sync,
    /// A new file is begun after so many bytes. None is ever deleted.
    pub file_size: u64,
    /// Whether what cannot be recorded is refused ([`crate::Audited`]). Otherwise keys serve on without a record.
    pub required: bool,
}

impl Default for Options {
    /// Every record on disk before its use goes on, and no use without one; files of 64 MiB.
    fn default() -> Self {
        Self { sync: Sync::EachRecord, file_size: 64 << 20, required: true }
    }
}

/// When records reach the disk (`fsync`). What is not there yet, a power failure may take; a program that is killed takes
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Before `append` returns. Threads that append at the same time share one `fsync`.
    EachRecord,
    /// After so long or so many records, whichever is first: a power failure takes at most those.
    Every {
        /// At least a millisecond.
        time: Duration,
        /// At least one.
        records: u64,
    },
    /// When the operating system likes. After a power failure the log may end before its head: it is then refused, and
    /// another folder is needed.
    Never,
}

/// An open log. Threads share it; only one program writes a log at a time.
pub struct Log {
    shared: Arc<Shared>,
    /// Of [`Sync::Every`]: writes to disk what nobody else does in time.
    flusher: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Shared {
    actor: Label,
    options: Options,
    writer: Mutex<Writer>,
    /// Who holds it writes to disk for all whose records are in the file by then. Taken before the writer's lock, never after.
    head: Mutex<Head>,
    /// The last record that is on disk as the options say.
    safe: AtomicU64,
    /// Which process opened it. In a fork of it the locks may be those of threads that are not there.
    process: u32,
}

impl Log {
    /// Opens a log, or begins one. Checks the newest file; [`verify`](crate::verify) checks all.
    ///
    /// # Errors
    /// [`AuditError::Busy`], [`AuditError::Broken`], [`AuditError::File`].
    pub fn open(folder: &Path, actor: Label, options: Options) -> Result<Self, AuditError> {
        let (writer, cut) = Writer::open(folder)?;
        let safe = AtomicU64::new(writer.chain.seq);
        let (writer, head) = (Mutex::new(writer), Mutex::new(Head::open(folder)?));
        let shared = Arc::new(Shared { actor, options, writer, head, safe, process: process::id() });
        shared.publish(0, options.sync != Sync::Never)?;
        let mut log = Self { shared, flusher: None };
        if let Sync::Every { time, .. } = options.sync {
            log.flusher = Some(flusher(&log.shared, time).map_err(failed(folder))?);
        }
        if cut > 0 {
            log.write(|body| {
                body.event = "recovered".into();
                body.dropped = Some(cut);
                Ok(())
            })?;
        }
        Ok(log)
    }

    /// How it is written.
    #[must_use]
    pub fn options(&self) -> Options {
        self.shared.options
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`AuditError::File`] if it is not written: then do not do what it is about, or do not give out what came of it.
    /// [`AuditError::Stopped`], [`AuditError::Forked`].
    pub fn append(&self, record: &Record<'_>) -> Result<(), AuditError> {
        self.append_all([record])
    }

    /// Adds records that reach the disk together.
    ///
    /// # Errors
    /// As of [`Log::append`]; some of them may then be written.
    pub fn append_all<'r, 'e: 'r>(&self, records: impl IntoIterator<Item = &'r Record<'e>>) -> Result<(), AuditError> {
        let written = self.append_unseen(records);
        match &written {
            Ok(count) => metrics::counter!("p2pe_audit_records_total").increment(*count),
            Err(error) => {
                metrics::counter!("p2pe_audit_failures_total", "reason" => error.code()).increment(1);
                tracing::error!(%error, "a use of a key could not be recorded");
            }
        }
        written.map(|_| ())
    }

    fn append_unseen<'r, 'e: 'r>(&self, records: impl IntoIterator<Item = &'r Record<'e>>) -> Result<u64, AuditError> {
        let (mut last, mut count) = (None, 0);
        for record in records {
            last = Some(self.shared.line(|body| {
                body.event = record.event.name().into();
                body.result = record.result.into();
                body.key = record.key.map(ToString::to_string);
                body.ksn = record.ksn.map(|ksn| ksn.to_string());
                body.custody = record.custody.map(|custody| custody.to_string());
                body.subject = record.subject.map(ToString::to_string);
                body.caller = record.caller.map(ToString::to_string);
                body.purpose = record.purpose.map(ToString::to_string);
                Ok(())
            })?);
            count += 1;
        }
        last.map_or(Ok(()), |last| self.shared.settle(last))?;
        Ok(count)
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
        self.shared.settle(self.shared.line(fill)?)
    }
}

impl Shared {
    /// Writes a line to the file; its number.
    fn line(&self, fill: impl FnOnce(&mut Body) -> Result<(), AuditError>) -> Result<u64, AuditError> {
        if self.forked() {
            return Err(AuditError::Forked);
        }
        let mut writer = unpoisoned(&self.writer);
        let mut body = Body {
            seq: writer.chain.seq + 1,
            time: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            actor: self.actor.to_string(),
            event: String::new(),
            key: None,
            ksn: None,
            custody: None,
            subject: None,
            caller: None,
            purpose: None,
            dropped: None,
            seal: None,
            result: "ok".into(),
            prev: writer.chain.hash.to_hex(),
        };
        fill(&mut body)?;
        writer.append(&body, self.options)?;
        Ok(body.seq)
    }

    fn forked(&self) -> bool {
        process::id() != self.process
    }

    /// Waits until record `seq` is as safe as the options say.
    fn settle(&self, seq: u64) -> Result<(), AuditError> {
        match self.options.sync {
            Sync::EachRecord => self.publish(seq, true),
            Sync::Every { records, .. } if seq.saturating_sub(self.safe.load(Ordering::Acquire)) < records => Ok(()),
            Sync::Every { .. } => self.publish(seq, true),
            Sync::Never => self.publish(seq, false),
        }
    }

    /// Brings all that is written to disk, and then the head, which must never name what a power failure takes. Does
    /// nothing if another thread has done it for record `seq`.
    fn publish(&self, seq: u64, sync: bool) -> Result<(), AuditError> {
        let mut head = unpoisoned(&self.head);
        if seq > 0 && self.safe.load(Ordering::Acquire) >= seq {
            return Ok(());
        }
        let (file, path, chain) = unpoisoned(&self.writer).written()?;
        if sync {
            let started = Instant::now();
            if let Err(error) = file.sync_data() {
                // What of it is on disk, nobody can tell.
                unpoisoned(&self.writer).stop();
                return Err(AuditError::File(path, error));
            }
            metrics::histogram!("p2pe_audit_sync_seconds").record(started.elapsed());
        }
        head.write(chain.seq, chain.hash)?;
        self.safe.store(chain.seq, Ordering::Release);
        Ok(())
    }
}

/// A thread that panicked left no half-written state: the writer knows whether it stopped.
fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flusher(shared: &Arc<Shared>, time: Duration) -> std::io::Result<(Sender<()>, JoinHandle<()>)> {
    let (end, ended) = mpsc::channel();
    let shared = Arc::clone(shared);
    let time = time.max(Duration::from_millis(1));
    let thread = thread::Builder::new().name("p2pe-audit".into()).spawn(move || {
        while ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            let last = unpoisoned(&shared.writer).chain.seq;
            if last > shared.safe.load(Ordering::Acquire) {
                // A failure stops the writer, and the next record is refused.
                let _ = shared.publish(last, true);
            }
        }
    })?;
    Ok((end, thread))
}

impl Drop for Log {
    fn drop(&mut self) {
        let flusher = self.flusher.take();
        if self.shared.forked() {
            // There is no thread to wait for, and the parent brings its records to disk.
            return mem::forget(flusher);
        }
        if let Some((end, thread)) = flusher {
            drop(end);
            let _ = thread.join();
        }
        let last = unpoisoned(&self.shared.writer).chain.seq;
        if last > self.shared.safe.load(Ordering::Acquire) {
            // Nobody is left to tell; the records are with the operating system.
            let _ = self.shared.publish(last, true);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { actor, options, .. } = &*self.shared;
        f.debug_struct("Log").field("actor", actor).field("options", options).finish_non_exhaustive()
    }
}
