//! The one connection that writes: a thread gathers the writes that wait and commits them as one transaction (group commit).

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::put::Known;
use crate::StoreError;

/// So many writes go into one transaction at most.
const MOST: usize = 256;
/// The thread waits no longer for callers that it has just answered, and no longer than its last commit took.
const PATIENCE: Duration = Duration::from_millis(10);
/// It goes on when none of them has come for this part of the time.
const GAP: u32 = 4;

/// The thread and the way to it.
pub(super) struct Writer {
    inbox: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

type Answer<T> = Receiver<Result<T, StoreError>>;

enum Message {
    Write(Box<dyn Write>),
    Checkpoint(SyncSender<Result<(), StoreError>>),
}

/// What a caller waits for.
trait Write: Send {
    fn run(&mut self, transaction: &Transaction<'_>, known: &mut Known) -> Result<(), StoreError>;
    /// Tells the caller, who may have gone.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Waiting<T, F> {
    work: F,
    done: Option<T>,
    caller: SyncSender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Transaction<'_>, &mut Known) -> Result<T, StoreError> + Send> Write for Waiting<T, F> {
    fn run(&mut self, transaction: &Transaction<'_>, known: &mut Known) -> Result<(), StoreError> {
        self.done = Some((self.work)(transaction, known)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { done, caller, .. } = *self;
        let _ = caller.send(committed.and_then(|()| done.ok_or_else(stopped)));
    }
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Result<Self, StoreError> {
        let (inbox, messages) = channel();
        let thread = thread::Builder::new()
            .name("vault-writer".into())
            .spawn(move || serve(connection, &messages))
            .map_err(|error| StoreError::Database(Arc::new(error)))?;
        Ok(Self { inbox: Some(inbox), thread: Some(thread) })
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>, &mut Known) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|caller| Message::Write(Box::new(Waiting { work, done: None, caller })))
    }

    /// Empties the write-ahead log into the file, so that nothing deleted stays in it.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        self.ask(Message::Checkpoint)
    }

    fn ask<T>(&self, message: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Message) -> Result<T, StoreError> {
        self.send(message)?.recv().map_err(|_| stopped())?
    }

    fn send<T>(
        &self,
        message: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Message,
    ) -> Result<Answer<T>, StoreError> {
        let (caller, answer) = sync_channel(1);
        let inbox = self.inbox.as_ref().ok_or_else(stopped)?;
        inbox.send(message(caller)).map_err(|_| stopped())?;
        Ok(answer)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when nobody can ask any more.
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

fn stopped() -> StoreError {
    StoreError::Database(Arc::new(std::io::Error::other("the thread that writes has stopped")))
}

fn serve(mut connection: Connection, messages: &Receiver<Message>) {
    let mut group = Group { expected: 1, ..Group::default() };
    while group.begun(messages) {
        group.commit(&mut connection, messages);
        for caller in std::mem::take(&mut group.checkpoints) {
            let done = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            let _ = caller.send(done.map_err(Into::into));
        }
    }
}

/// The writes of one transaction.
#[derive(Default)]
struct Group {
    writes: Vec<Box<dyn Write>>,
    checkpoints: Vec<SyncSender<Result<(), StoreError>>>,
    /// How many callers there are, as the last transaction showed: those in it and those who waited for its end.
    expected: usize,
    patience: Duration,
}

impl Group {
    fn take(&mut self, message: Message) {
        match message {
            Message::Write(write) => self.writes.push(write),
            Message::Checkpoint(caller) => self.checkpoints.push(caller),
        }
    }

    /// Waits for a message and takes what else waits. `false` when nobody is left to ask.
    fn begun(&mut self, messages: &Receiver<Message>) -> bool {
        if self.writes.is_empty() {
            match messages.recv() {
                Ok(message) => self.take(message),
                Err(_) => return false,
            }
        }
        self.drain(messages);
        true
    }

    fn drain(&mut self, messages: &Receiver<Message>) {
        while self.writes.len() < MOST
            && let Ok(message) = messages.try_recv()
        {
            self.take(message);
        }
    }

    fn commit(&mut self, connection: &mut Connection, messages: &Receiver<Message>) {
        if self.writes.is_empty() {
            return;
        }
        let committed = self.transaction(connection, messages);
        let writes = std::mem::take(&mut self.writes);
        self.drain(messages);
        self.expected = self.writes.len() + writes.len();
        let alone = committed.is_err() && writes.len() > 1;
        for mut write in writes {
            // One that fails is to be alone in that.
            let committed = if alone { self::alone(connection, &mut *write) } else { committed.clone() };
            write.answer(committed);
        }
    }

    /// Runs the writes, and those of callers who have just been answered: they often come back at once, and each is run while
    /// the next one gets ready.
    fn transaction(&mut self, connection: &mut Connection, messages: &Receiver<Message>) -> Result<(), StoreError> {
        let transaction = begin(connection)?;
        let (mut known, mut ran, mut deadline) = (Known::default(), 0, None);
        loop {
            for write in &mut self.writes[ran..] {
                ran += 1;
                write.run(&transaction, &mut known)?;
            }
            self.drain(messages);
            if ran < self.writes.len() {
                continue;
            }
            if ran >= self.expected.min(MOST) || !self.checkpoints.is_empty() {
                break;
            }
            let now = Instant::now();
            let left = deadline.get_or_insert(now + self.patience).saturating_duration_since(now);
            match messages.recv_timeout(left.min(self.patience / GAP)) {
                Ok(message) => self.take(message),
                Err(_) => break,
            }
        }
        let start = Instant::now();
        transaction.commit()?;
        self.patience = start.elapsed().min(PATIENCE);
        Ok(())
    }
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

fn alone(connection: &mut Connection, write: &mut dyn Write) -> Result<(), StoreError> {
    let transaction = begin(connection)?;
    write.run(&transaction, &mut Known::default())?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use dukpt::KeyId;

    use super::{
        super::{changing, put::put},
        *,
    };
    use crate::{FingerprintKey, Header, New, Put, Row, RowId, Sqlite, VaultStore};

    fn row(n: u8) -> New {
        let row = Row {
            id: RowId([n; 16]),
            tenant: "shop".into(),
            policy: 1,
            token: format!("token {n}"),
            print_version: 1,
            fingerprint: [n; 32],
            pan_fingerprint: [n; 32],
            key_version: 1,
            nonce: n.into(),
            sealed: vec![0],
            ends: None,
            single_use: false,
            used: false,
            successor: None,
        };
        New { row, earlier: Vec::new(), request: None }
    }

    /// Puts work into the queue, behind what is there.
    fn sent<T: Send + 'static>(
        database: &Sqlite,
        work: impl FnMut(&Transaction<'_>, &mut Known) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        database.writer.send(|caller| Message::Write(Box::new(Waiting { work, done: None, caller }))).unwrap()
    }

    /// What the rows of a group have in common is looked up once, and again behind a write that may have changed it.
    #[test]
    fn a_key_that_comes_in_the_middle_of_a_group() {
        let (folder, wrap) = (tempfile::tempdir().unwrap(), KeyId::new("wrap").unwrap());
        let database = Sqlite::open(&folder.path().join("vault.db")).unwrap();
        let print = FingerprintKey { version: 1, key: KeyId::new("print").unwrap(), check: [0; 32] };
        let (fingerprint_keys, wrapped_check) = (vec![print], [0; 40]);
        let header = Header { fingerprint_keys, wrapping_key: wrap.clone(), wrapped_check, shard: None };
        assert!(database.initialise(&header).unwrap());
        assert_eq!(database.add_key("shop", None, &wrap, [0; 40]).unwrap(), Some(1));
        database.reserve_nonces("shop", 1, 10).unwrap();

        let (go, wait) = channel::<()>();
        let first = sent(&database, move |_, _| wait.recv().map_err(|_| stopped()));
        let before = sent(&database, |t, known| put(t, known, &[row(1)], 0));
        let sql =
            "INSERT INTO data_keys (tenant, version, wrapped_by, wrapped) VALUES ('shop', 2, 'wrap', zeroblob(40))";
        let added = sent(&database, changing(move |t| Ok(t.execute(sql, [])?)));
        let behind = sent(&database, |t, known| put(t, known, &[row(2)], 0));
        go.send(()).unwrap();
        first.recv().unwrap().unwrap();
        assert_eq!(before.recv().unwrap().unwrap(), [Put::Stored]);
        assert_eq!(added.recv().unwrap().unwrap(), 1);
        assert_eq!(behind.recv().unwrap().unwrap(), [Put::OldKey]);
    }
}
