//! What a record of a key's use costs: beside a bare write of its line, beside an `fsync` for each, and on a decryption.

use std::{
    fs::File,
    hint::black_box,
    io::{Seek, SeekFrom, Write},
    sync::Arc,
    thread,
};

use dukpt::MemoryStore;
use p2pe_audit::{Audited, Event, Label, Log, Options, Record, Sync};
use p2pe_benches::{Bench, Row, Rows, TDES};
use sha2::{Digest, Sha256};

/// As long as the line of a decryption, in bytes.
const LINE: [u8; 340] = [b'x'; 340];
const THREADS: usize = 8;

pub(crate) fn rows(rows: &mut Rows, bench: &Bench, store: &MemoryStore) {
    // Beside the tree, so that the files are on a disk that is one.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let log = |name: &str, sync| {
        let actor = Label::new("bench").expect("a label");
        let options = Options { sync, ..Options::default() };
        Arc::new(Log::open(&folder.path().join(name), actor, options).expect("a log"))
    };
    let file = |name: &str| File::create(folder.path().join(name)).expect("a file");
    let key = &bench.example(TDES).device.base_key;
    let record = |log: &Log| log.append(&Record::new(Event::DeriveKey, "ok").key(key)).expect("room");

    let (unsynced, mut bare, mut head) = (log("unsynced", Sync::Never), file("bare"), file("head"));
    let row = |name: &str, limit| Row { name: name.into(), target: None, limit };
    let theirs = || {
        let hash = Sha256::digest(black_box(LINE));
        bare.write_all(&LINE).expect("room");
        // The head, too, must be written.
        head.seek(SeekFrom::Start(0)).expect("a file");
        head.write_all(&hash).expect("room");
    };
    rows.measure(&row("audit record, bare writes", "calls of the kernel"), (1, || record(&unsynced)), (1, theirs));

    let (each, mut bare) = (log("each", Sync::EachRecord), file("synced"));
    let together = || {
        thread::scope(|scope| {
            (0..THREADS).for_each(|_| drop(scope.spawn(|| (0..4).for_each(|_| record(&each)))));
        });
    };
    let alone = || {
        bare.write_all(&LINE).expect("room");
        bare.sync_data().expect("a disk");
    };
    rows.measure(&row("audit on disk, 8 threads, an fsync each", "fsync"), (4 * THREADS, together), (1, alone));

    let (payload, plain) = (bench.payload(TDES), bench.decryptor(TDES, store));
    let audited = bench.decryptor(TDES, Audited::new(store, Some(log("decryptions", Sync::Never))));
    let ours = || audited.decrypt(black_box(payload)).expect("a card");
    let theirs = || plain.decrypt(black_box(payload)).expect("a card");
    rows.measure(&row("payload tdes 5 bits, audited, not audited", "calls of the kernel"), (1, ours), (1, theirs));
}
