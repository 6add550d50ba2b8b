//! Reads a Parquet file by its places, into memory that is wiped.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use parquet::{
    column::page::{Page, PageMetadata, PageReader},
    errors::{ParquetError, Result as Read},
    file::reader::{ChunkReader, Length},
};
use zeroize::{Zeroize, Zeroizing};

use crate::Error;

/// What the library says of a file. Its texts may quote what stands there, so they are not told.
pub(super) fn failed(path: &Path, error: ParquetError) -> Error {
    let damaged = || Error::Refused("the Parquet file is damaged".into());
    match error {
        ParquetError::NYI(what) => Error::Refused(format!("the Parquet file is not one that can be read: {what}")),
        // Codecs speak of damage by errors of input, too, but not by those of the system.
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) if error.raw_os_error().is_some() => Error::File(path.into(), *error),
            _ => damaged(),
        },
        _ => damaged(),
    }
}

/// The library's word on bytes that may be damaged. It checks most of them, and panics at others: that is damage, too.
pub(super) fn guarded<T>(read: impl FnOnce() -> Read<T>) -> Read<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(ParquetError::General("damaged".into())))
}

/// A file, read at any place.
pub(super) struct Source {
    file: Arc<File>,
    length: u64,
}

/// Reads on from a place. Without a buffer, which nobody would wipe.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { length: file.metadata()?.len(), file: Arc::new(file) })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Source {
    type T = From;

    fn get_read(&self, start: u64) -> Read<From> {
        Ok(From { file: self.file.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Read<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF("behind the end of the file".into()));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(Bytes::from_owner(bytes))
    }
}

impl io::Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Pages that are wiped once nobody reads them.
pub(super) struct Pages<P>(pub(super) P);

impl<P: PageReader> Iterator for Pages<P> {
    type Item = Read<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Pages<P> {
    fn get_next_page(&mut self) -> Read<Option<Page>> {
        let mut page = self.0.get_next_page()?;
        if let Some(Page::DataPage { buf, .. } | Page::DataPageV2 { buf, .. } | Page::DictionaryPage { buf, .. }) =
            &mut page
        {
            // What was packed is a buffer of its own; what was not is of the file, and wiped there.
            *buf = match std::mem::take(buf).try_into_mut() {
                Ok(own) => Bytes::from_owner(Wiped(own)),
                Err(shared) => shared,
            };
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Read<Option<PageMetadata>> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Read<()> {
        self.0.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Read<bool> {
        self.0.at_record_boundary()
    }
}

struct Wiped(BytesMut);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
