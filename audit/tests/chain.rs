//! Whatever is changed, removed, added or moved in a log is found.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::{fs, path::Path};

use dukpt::{KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};
use p2pe_audit::{AuditError, Fault, verify};
use support::{append, files, filled, open};

fn fault(folder: &Path) -> Option<Fault> {
    match verify(folder, None) {
        Ok(_) => None,
        Err(AuditError::Broken { fault, .. }) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_log_over_several_files_is_whole() {
    let folder = filled(10);
    assert!(files(folder.path()).len() > 2);
    append(&open(folder.path()), 5);
    let found = verify(folder.path(), None).unwrap();
    assert_eq!((found.records, found.unfinished, found.sealed), (15, 0, None));
    assert_eq!(found.files, files(folder.path()).len());
    let last = fs::read(files(folder.path()).last().unwrap()).unwrap();
    assert!(last.ends_with(format!("{}\"}}\n", found.last).as_bytes()));
}

#[test]
fn every_changed_byte_is_found() {
    let folder = filled(4);
    let mut paths = files(folder.path());
    paths.push(folder.path().join("head"));
    for path in paths {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for change in [0x01, 0x20, 0x80] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                fs::write(&path, &changed).unwrap();
                assert!(fault(folder.path()).is_some(), "{} byte {at} ^ {change:#x}", path.display());
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(fault(folder.path()), None);
}

/// The lines of the first file, changed, put back.
fn with_lines(folder: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let path = &files(folder)[0];
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    change(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

#[test]
fn removed_moved_and_repeated_lines_are_found() {
    let changes: [fn(&mut Vec<String>); 5] = [
        |lines| drop(lines.remove(0)),
        |lines| drop(lines.remove(1)),
        |lines| drop(lines.pop()),
        |lines| lines.swap(0, 1),
        |lines| lines.insert(1, lines[0].clone()),
    ];
    for change in changes {
        let folder = filled(8);
        with_lines(folder.path(), change);
        assert_eq!(fault(folder.path()), Some(Fault::Order));
    }
}

#[test]
fn a_removed_end_is_found_and_nothing_is_added_to_it() {
    let folder = filled(2);
    with_lines(folder.path(), |lines| drop(lines.pop()));
    assert_eq!(fault(folder.path()), Some(Fault::EndRemoved));
    let opened = p2pe_audit::Log::open(folder.path(), p2pe_audit::Label::new("x").unwrap(), support::options());
    assert!(matches!(opened, Err(AuditError::Broken { fault: Fault::EndRemoved, .. })));
}

#[test]
fn a_removed_file_is_found() {
    for (index, expected) in [(0, Fault::MissingFile), (1, Fault::MissingFile)] {
        let folder = filled(10);
        fs::remove_file(&files(folder.path())[index]).unwrap();
        assert_eq!(fault(folder.path()), Some(expected));
    }
    let folder = filled(10);
    fs::remove_file(files(folder.path()).last().unwrap()).unwrap();
    assert_eq!(fault(folder.path()), Some(Fault::EndRemoved));
    let folder = filled(10);
    fs::remove_file(folder.path().join("head")).unwrap();
    assert_eq!(fault(folder.path()), Some(Fault::MissingFile));
}

#[test]
fn files_of_another_log_or_in_another_order_are_found() {
    // Both written by the same program, to the same length: only the chain tells them apart.
    for at in 0..3 {
        let (folder, other) = (filled(10), filled(10));
        fs::copy(&files(other.path())[at], &files(folder.path())[at]).unwrap();
        assert!(fault(folder.path()).is_some(), "file {at} of another log");
    }
    let folder = filled(10);
    let (first, second) = (&files(folder.path())[0], &files(folder.path())[1]);
    let (a, b) = (fs::read(first).unwrap(), fs::read(second).unwrap());
    fs::write(first, b).unwrap();
    fs::write(second, a).unwrap();
    assert_eq!(fault(folder.path()), Some(Fault::Order));
    // A whole tail of another log, its head included.
    let (folder, other) = (filled(10), filled(10));
    for path in files(other.path()).iter().skip(1).chain([&other.path().join("head")]) {
        fs::copy(path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(fault(folder.path()), Some(Fault::Order));
}

#[test]
fn an_end_cut_in_the_midst_of_files_is_found() {
    let folder = filled(10);
    let path = &files(folder.path())[1];
    let text = fs::read(path).unwrap();
    for length in [0, text.len() / 2, text.len() - 1] {
        fs::write(path, &text[..length]).unwrap();
        assert!(fault(folder.path()).is_some(), "cut to {length}");
    }
}

#[test]
fn an_older_state_under_a_newer_head_is_found() {
    let older = filled(3);
    let newer = filled(3);
    fs::copy(newer.path().join("head"), older.path().join("head")).unwrap();
    assert_eq!(fault(older.path()), Some(Fault::OtherChain));
}

fn seal_key(fill: u8) -> MemoryStore {
    let mut store = MemoryStore::new();
    let material = KeyMaterial::new("hmac", &[fill; 32]).unwrap();
    store.import(&KeyId::new("seal").unwrap(), &material, Lifetime::Session).unwrap();
    store
}

#[test]
fn a_chain_made_again_is_found_by_its_seal() {
    let folder = tempfile::tempdir().unwrap();
    let store = seal_key(1);
    let id = KeyId::new("seal").unwrap();
    {
        let log = open(folder.path());
        append(&log, 3);
        log.seal(&store.key(&id).unwrap()).unwrap();
        append(&log, 1);
    }
    let verified = |folder: &Path, store| {
        let store: MemoryStore = store;
        verify(folder, Some(&store.key(&id).unwrap())).map(|found| found.sealed)
    };
    assert_eq!(verified(folder.path(), seal_key(1)).unwrap(), Some(4));
    let wrong = verified(folder.path(), seal_key(2)).unwrap_err();
    assert!(matches!(wrong, AuditError::Broken { line: 4, fault: Fault::Seal, .. }), "{wrong}");

    // Somebody without the key makes the chain again, a seal of his own included.
    let forged = tempfile::tempdir().unwrap();
    {
        let log = open(forged.path());
        append(&log, 2);
        log.seal(&seal_key(3).key(&id).unwrap()).unwrap();
    }
    assert!(verify(forged.path(), None).is_ok(), "a chain alone cannot show it");
    assert!(verified(forged.path(), seal_key(1)).is_err());
}
